from __future__ import annotations

import json

import pytest

from pytest_ragcheck.gateway.anthropic_transport import Secrets
from pytest_ragcheck.gateway.retry import Attempts, RetryPolicy
from pytest_ragcheck.gateway.transport import (
    MOST_BYTES,
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


def test_a_wrong_form_twice_in_a_row_is_enough():
    malformed = AttemptResult(effect=RetryAction.MALFORMED, kind="invalid-reply")
    call = attempts(base=0.5)
    assert [call.pause(malformed, now=0.0), call.pause(malformed, now=1.0)] == [0.5, None]
    call = attempts(base=0.5)
    mixed = (malformed, FAILED, malformed, REFUSED, malformed)
    assert None not in [call.pause(result, now=float(moment)) for moment, result in enumerate(mixed)]


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


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/html", "application/xml"])
@pytest.mark.parametrize("before", range(250, 310, 3))
def test_a_secret_is_taken_out_before_an_error_is_cut(content_type, before):
    secret = "token-of-twenty-char"
    scrub = Secrets([secret]).scrub
    for status, body in [
        (400, "x" * before + secret),
        (200, "x" * before + secret),
        (200, json.dumps({"detail": "x" * before + secret})),
        (400, json.dumps({"error": {"type": "some_error", "message": "x" * before + secret}})),
        (400, json.dumps({"error": {"type": "x" * before + secret, "message": "y"}})),
        (400, " " * 1190 + secret),
    ]:
        reply = Response(status=status, headers={"content-type": content_type}, body=body.encode())
        cause = classify(reply, scrub=scrub).cause
        assert not any(secret[:size] in cause for size in range(6, len(secret) + 1)), (status, cause)


@pytest.mark.parametrize(
    ("body", "content_type", "told"),
    [
        (b"<html><head><style>a{}</style><title>Sign in</title></head><body><h1>Hotel", "text/html", "Sign in Hotel"),
        (b"upstream is down\n", "text/plain", "upstream is down"),
        (b'{"error": {"message": "no such deployment", "code": 7}}', "application/json", "no such deployment"),
        (b'{"error": "quota"}', "application/json", "quota"),
        (b'{"detail": "Not Found"}', "application/json", "Not Found"),
        (b'{"type": "error", "error": {"type": "x", "message": "Told."}}', "application/json", "Told."),
        (b'{"choices": [{"message": {"content": "hi"}}]}', "application/json", '{"choices": [{"message'),
    ],
)
def test_a_reply_that_holds_an_error_or_a_page_shows_the_servers_own_words(body, content_type, told):
    verdict = classify(message(body=body, content_type=content_type))
    assert verdict.effect is RetryAction.MALFORMED
    assert f"says: {told}" in verdict.cause
    assert "ANTHROPIC_BASE_URL" in verdict.remedy


@pytest.mark.parametrize(
    ("kind", "effect"),
    [
        ("overloaded_error", RetryAction.RETRY),
        ("rate_limit_error", RetryAction.LIMITED),
        ("authentication_error", RetryAction.REFUSED_KEY),
        ("invalid_request_error", RetryAction.FAIL),
        ("not_found_error", RetryAction.NO_MODEL),
    ],
)
def test_an_error_of_the_api_is_one_with_status_200_too(kind, effect):
    error = {"type": "error", "error": {"type": kind, "message": "model: told"}}
    verdict = classify(message(body=json.dumps(error).encode()))
    assert verdict.effect is effect
    assert verdict.cause == f"200 {kind}: model: told"


def test_a_model_that_is_not_there_is_told_from_a_wrong_address():
    def missing(text, kind="not_found_error"):
        body = json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
        return classify(Response(status=404, body=body)).effect

    assert missing("model: claude-old-1") is RetryAction.NO_MODEL
    assert missing("Not found") is RetryAction.FAIL
    assert missing("model: x", kind="gone") is RetryAction.FAIL
    assert classify(Response(status=404, body=b"<html>no such page</html>")).effect is RetryAction.FAIL


@pytest.mark.parametrize(
    "location", ["http://[", "//", "http://a:b@c:99999999/", "\n::error::", "https://é\x1b.example/x"]
)
def test_any_redirect_is_one_printable_line(location):
    verdict = classify(Response(status=302, headers={"location": location}))
    assert verdict.effect is RetryAction.FAIL
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


@pytest.mark.parametrize("count", [10**400, 10**20, 10**9 + 1, -1, True, 1.5, "1"])
def test_a_count_of_tokens_that_cannot_be_is_not_believed(count):
    """Its cost could not be computed, or the reply, once stored, not be read again."""
    verdict = classify(message(usage={"input_tokens": count, "output_tokens": 1}))
    assert verdict.effect is RetryAction.MALFORMED
    assert "input_tokens is not a count" in verdict.cause


def test_names_that_a_server_gives_are_short_and_printable():
    """They stand in reports, errors and the committed baseline."""
    said = classify(message(model="m\x1b[2J\n::error::" + "x" * 10**6, stop_reason="\x1b" + "y" * 10**6)).message
    for name in (said.model, said.stop_reason):
        assert name.isprintable()
        assert len(name) <= 300


def test_a_whole_message():
    verdict = classify(message())
    assert verdict.effect is RetryAction.DONE
    assert verdict.message.text == "Yes."
    assert verdict.message.model == "m-1"
    assert (verdict.message.usage.input_tokens, verdict.message.usage.cache_read_tokens) == (3, 1)


@pytest.mark.parametrize(
    "reply",
    [
        message(body=json.dumps(MESSAGE).encode()[:-1]),
        message(body=b""),
        message(body=b"[" * 100_000),
    ],
)
def test_a_message_that_was_cut_is_trouble_of_the_moment(reply):
    verdict = classify(reply)
    assert (verdict.effect, verdict.kind, verdict.message) == (RetryAction.RETRY, "invalid-reply", None)


@pytest.mark.parametrize(
    "reply",
    [
        message(content_type="text/html"),
        message(content_type=""),
        message(type="error"),
        message(body=b"[]"),
        message(body=b" " * (MOST_BYTES + 1)),
        message(content=None),
        message(content=["text"]),
        message(content=[{"type": "text", "text": None}]),
        message(stop_reason=None),
        message(usage=None),
        message(usage={"input_tokens": "many"}),
        message(usage={"output_tokens": -1}),
        message(usage={"output_tokens": True}),
    ],
)
def test_what_is_no_whole_message_is_never_an_answer(reply):
    verdict = classify(reply)
    assert verdict.effect is RetryAction.MALFORMED
    assert verdict.kind == "invalid-reply"
    assert verdict.message is None
