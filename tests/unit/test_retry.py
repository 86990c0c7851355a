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

FAILED = AttemptResult(effect=RetryAction.RETRY, kind="api-error")
REFUSED = AttemptResult(effect=RetryAction.LIMITED, kind="rate-limited")


def attempts(uniform=1.0, **policy):
    return Attempts(RetryPolicy(**policy), uniform=lambda: uniform)


def test_pauses_double_up_to_the_ceiling_and_end():
    call = attempts(attempts=7, base=0.5, ceiling=4.0)
    assert [call.pause(FAILED, now=float(moment)) for moment in range(7)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, None]


def test_jitter_is_full():
    assert attempts(uniform=0.0).pause(FAILED, now=0.0) == 0.0
    assert attempts(uniform=0.25, base=0.4).pause(FAILED, now=0.0) == pytest.approx(0.1)


def test_failures_count_only_while_the_server_accepts_other_calls():
    in_outage = attempts(attempts=3)
    assert all(in_outage.pause(FAILED, now=float(moment), served_at=-1.0) is not None for moment in range(50))
    beside_others = attempts(attempts=3)
    pauses = [beside_others.pause(FAILED, now=float(moment), served_at=moment - 0.5) for moment in range(3)]
    assert [pause is None for pause in pauses] == [False, False, True]


def test_what_the_server_asks_to_wait_is_never_undercut():
    for uniform in (0.0, 0.5, 1.0):
        for wait in (0.0, 0.3, 7.0, 90.0):
            for effect in (RetryAction.LIMITED, RetryAction.RETRY):
                pause = attempts(uniform=uniform).pause(AttemptResult(effect=effect, wait=wait), now=0.0)
                assert wait <= pause <= wait + 0.5


def test_without_a_told_wait_the_limiter_decides_when_a_refused_call_goes():
    assert attempts().pause(REFUSED, now=0.0) == 0.0


def test_refusals_for_a_limit_do_not_count():
    call = attempts(attempts=2)
    assert all(call.pause(REFUSED, now=float(moment)) is not None for moment in range(50))


def test_a_failed_call_is_given_up_where_its_next_attempt_would_pass_the_deadline():
    call = attempts(deadline=100.0)
    call.spent = 99.99
    assert call.pause(FAILED, now=0.0) is None


@pytest.mark.parametrize(
    ("action", "was_answered", "seconds"),
    [
        (RetryAction.LIMITED, True, 600.0),
        (RetryAction.RETRY, True, 180.0),
        (RetryAction.RETRY, False, 15.0),
    ],
)
def test_how_long_a_server_may_accept_nothing(action, was_answered, seconds):
    assert RetryPolicy().longest_outage(action, was_answered=was_answered) == seconds
    assert RetryPolicy(deadline=5.0).longest_outage(action, was_answered=was_answered) == 5.0


def test_a_hang_has_waited_enough_and_always_counts():
    call = attempts(attempts=2)
    hung = AttemptResult(effect=RetryAction.RETRY, kind="timeout")
    assert call.pause(hung, now=0.0, served_at=-1.0) == 0.0
    assert call.pause(hung, now=60.0, served_at=-1.0) is None


@pytest.mark.parametrize("effect", [RetryAction.FAIL, RetryAction.REFUSED_KEY, RetryAction.SPEND_LIMIT])
def test_what_no_retry_mends_is_given_up(effect):
    assert attempts().pause(AttemptResult(effect=effect), now=0.0) is None


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
