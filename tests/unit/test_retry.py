from __future__ import annotations

import json

import pytest

from pytest_ragcheck.gateway.retry import Attempts, RetryPolicy
from pytest_ragcheck.gateway.transport import (
    AttemptResult,
    Response,
    RetryAction,
    TransportError,
    classify,
    retry_after,
)

RETRY = AttemptResult(effect=RetryAction.RETRY, kind="api-error")
LIMITED = AttemptResult(effect=RetryAction.LIMITED, kind="rate-limited")


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
            pause = attempts(uniform=uniform).pause(AttemptResult(effect=RetryAction.LIMITED, wait=wait))
            assert wait <= pause <= 1.25 * wait + 0.05


def test_rate_limits_are_bounded_by_the_deadline_alone():
    trial = attempts(attempts=2, deadline=100.0)
    for _ in range(50):
        assert trial.pause(LIMITED) is not None
    trial.spent = 99.99
    assert trial.pause(LIMITED) is None


def test_a_wait_beyond_the_deadline_is_not_begun():
    trial = attempts(deadline=60.0)
    assert trial.pause(AttemptResult(effect=RetryAction.LIMITED, wait=61.0)) is None
    assert trial.pause(AttemptResult(effect=RetryAction.LIMITED, wait=30.0)) is not None


def test_a_hang_has_waited_enough():
    assert attempts().pause(AttemptResult(effect=RetryAction.RETRY, kind="timeout")) == 0.0


@pytest.mark.parametrize("effect", [RetryAction.FAIL, RetryAction.REFUSED_KEY, RetryAction.SPEND_LIMIT])
def test_what_no_retry_mends_is_given_up(effect):
    assert attempts().pause(AttemptResult(effect=effect)) is None


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
    return Response(status=status, headers={"request-id": "req_1", **names}, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "effect"),
    [
        *((status, RetryAction.FAIL) for status in (301, 400, 403, 404, 412, 413, 422, 431)),
        *((status, RetryAction.RETRY) for status in (408, 409, 500, 502, 503, 504, 529)),
        (401, RetryAction.REFUSED_KEY),
        (402, RetryAction.SPEND_LIMIT),
        (429, RetryAction.LIMITED),
    ],
)
def test_effect_of_a_status(status, effect):
    verdict = classify(error(status))
    assert verdict.effect is effect
    assert verdict.cause == f"{status} some_error: Told."
    assert verdict.request_id == "req_1"


def test_a_spend_limit_is_no_rate_limit():
    assert classify(error(429, code="enforced_spend_limit_reached")).effect is RetryAction.SPEND_LIMIT
    assert classify(error(429, code="something_else")).effect is RetryAction.LIMITED


def test_the_servers_advice_wins():
    assert classify(error(500, x_should_retry="false")).effect is RetryAction.FAIL
    assert classify(error(400, x_should_retry="true")).effect is RetryAction.RETRY


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"<html>\nBad\x1b[31m gateway</html>", b"[]", b'{"error": null}', b'"x"']
)
def test_errors_without_the_apis_body_are_one_printable_line(body):
    verdict = classify(Response(status=502, body=body))
    assert verdict.effect is RetryAction.RETRY
    assert verdict.cause.startswith("502")
    assert verdict.cause.isprintable()


def test_a_long_error_is_cut():
    assert len(classify(Response(status=400, body=b"x" * 100_000)).cause) < 400


def test_trouble_on_the_wire():
    assert classify(TransportError("reset")).kind == "connection"
    assert classify(TransportError("nothing came", timed_out=True)).kind == "timeout"


MESSAGE = {
    "type": "message",
    "model": "m-1",
    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Yes"}, {"type": "text", "text": "."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 1, "cache_creation_input_tokens": None},
}


def message(body=None, content_type="application/json; charset=utf-8", **changes):
    data = json.dumps({**MESSAGE, **changes}).encode() if body is None else body
    return Response(status=200, headers={"content-type": content_type}, body=data)


def test_a_whole_message():
    verdict = classify(message())
    assert verdict.effect is RetryAction.DONE
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
    verdict = classify(reply)
    assert verdict.effect is RetryAction.RETRY
    assert verdict.kind == "invalid-reply"
    assert verdict.message is None
