from __future__ import annotations

import json

import pytest

from pytest_ragcheck.gateway.retry import Attempts, RetryPolicy
from pytest_ragcheck.gateway.wire import Effect, Verdict, WireReply, WireTrouble, judge, retry_after

RETRY = Verdict(effect=Effect.RETRY, kind="api-error")
LIMITED = Verdict(effect=Effect.LIMITED, kind="rate-limited")


def attempts(uniform=1.0, **policy):
    return Attempts(RetryPolicy(**policy), uniform=lambda: uniform)


def test_pauses_double_up_to_the_ceiling_and_end():
    trial = attempts(attempts=7, base=0.5, ceiling=4.0)
    assert [trial.pause(RETRY) for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, None]


def test_jitter_is_full():
    assert attempts(uniform=0.0).pause(RETRY) == 0.0
    assert attempts(uniform=0.25, base=0.4).pause(RETRY) == pytest.approx(0.1)


def test_what_the_server_tells_is_never_undercut():
    for uniform in (0.0, 0.5, 1.0):
        for wait in (0.0, 0.3, 7.0, 90.0):
            pause = attempts(uniform=uniform).pause(Verdict(effect=Effect.LIMITED, wait=wait))
            assert wait <= pause <= 1.25 * wait + 0.05


def test_rate_limits_are_bounded_by_the_deadline_alone():
    trial = attempts(attempts=2, deadline=100.0)
    for _ in range(50):
        assert trial.pause(LIMITED) is not None
    trial.spent = 99.99
    assert trial.pause(LIMITED) is None


def test_a_wait_beyond_the_deadline_is_not_begun():
    trial = attempts(deadline=60.0)
    assert trial.pause(Verdict(effect=Effect.LIMITED, wait=61.0)) is None
    assert trial.pause(Verdict(effect=Effect.LIMITED, wait=30.0)) is not None


def test_a_hang_has_waited_enough():
    assert attempts().pause(Verdict(effect=Effect.RETRY, kind="timeout")) == 0.0


@pytest.mark.parametrize("effect", [Effect.FAIL, Effect.REFUSED_KEY, Effect.SPEND_LIMIT])
def test_what_no_retry_mends_is_given_up(effect):
    assert attempts().pause(Verdict(effect=effect)) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "3", "retry-after-ms": "soon"}, 3.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "in a while"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, wall=40.0) == seconds


def error(status, kind="some_error", code=None, **headers):
    details = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": kind, "message": "Told.", **details}}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireReply(status=status, headers={"request-id": "req_1", **names}, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        *((status, Effect.FAIL) for status in (301, 400, 403, 404, 412, 413, 422, 431)),
        *((status, Effect.RETRY) for status in (408, 409, 500, 502, 503, 504, 529)),
        (401, Effect.REFUSED_KEY),
        (402, Effect.SPEND_LIMIT),
        (429, Effect.LIMITED),
    ],
)
def test_effect_of_a_status(status, effect):
    verdict = judge(error(status))
    assert verdict.effect is effect
    assert verdict.cause == f"{status} some_error: Told."
    assert verdict.request_id == "req_1"


def test_a_spend_limit_is_no_rate_limit():
    assert judge(error(429, code="enforced_spend_limit_reached")).effect is Effect.SPEND_LIMIT
    assert judge(error(429, code="something_else")).effect is Effect.LIMITED


def test_the_servers_advice_wins():
    assert judge(error(500, x_should_retry="false")).effect is Effect.FAIL
    assert judge(error(400, x_should_retry="true")).effect is Effect.RETRY


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"<html>\nBad\x1b[31m gateway</html>", b"[]", b'{"error": null}', b'"x"']
)
def test_errors_without_the_apis_body_are_one_printable_line(body):
    verdict = judge(WireReply(status=502, body=body))
    assert verdict.effect is Effect.RETRY
    assert verdict.cause.startswith("502")
    assert verdict.cause.isprintable()


def test_a_long_error_is_cut():
    assert len(judge(WireReply(status=400, body=b"x" * 100_000)).cause) < 400


def test_trouble_on_the_wire():
    assert judge(WireTrouble("reset")).kind == "connection"
    assert judge(WireTrouble("nothing came", timed_out=True)).kind == "timeout"


MESSAGE = {
    "type": "message",
    "model": "m-1",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Yes"}, {"type": "text", "text": "."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 1, "cache_creation_input_tokens": None},
}


def message(body=None, content_type="application/json; charset=utf-8", **changes):
    data = json.dumps({**MESSAGE, **changes}).encode() if body is None else body
    return WireReply(status=200, headers={"content-type": content_type}, body=data)


def test_a_whole_message():
    verdict = judge(message())
    assert verdict.effect is Effect.DONE
    assert verdict.message.text == "Yes."
    assert verdict.message.model == "m-1"
    assert (verdict.message.usage.input_tokens, verdict.message.usage.cache_read_tokens) == (3, 1)


@pytest.mark.parametrize(
    "reply",
    [
        message(content_type="text/html"),
        message(content_type=""),
        message(body=json.dumps(MESSAGE).encode()[:-1]),
        message(body=b""),
        message(body=b"[" * 100_000),
        message(type="error"),
        message(content=None),
        message(content=["text"]),
        message(content=[{"type": "text", "text": None}]),
        message(stop_reason=None),
        message(usage=None),
        message(usage={"input_tokens": "many"}),
        message(usage={"output_tokens": -1}),
    ],
)
def test_what_is_no_whole_message_is_never_an_answer(reply):
    verdict = judge(reply)
    assert verdict.effect is Effect.RETRY
    assert verdict.kind == "invalid-reply"
    assert verdict.message is None
