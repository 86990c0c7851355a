"""The gateway against every fault of the loopback Messages API: a reply, or an error with its true cause."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.gateway import (
    Gateway,
    ModelReply,
    ModelRequest,
    anthropic_transport,
)
from pytest_ragcheck.gateway.retry import RetryPolicy
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

pytest.importorskip("anthropic", minversion="2.6")

KEY = "sk-ant-unit-0123456789abcdef"
MODEL = "claude-haiku-5-5"
EAGER = RetryPolicy(base=0.02, ceiling=0.1)
HUGE = 9_000_000

MALFORMED = ("wrong_content_type", "empty_reply", "huge_body")
"""Of these one is retried, and two in a row are the server's way."""
TRANSIENT = (
    "overloaded",
    "server_error",
    "unavailable",
    "gateway_timeout",
    "reset",
    "short_body",
    "truncated_json",
    "hang",
    "drip",
    "rate_limited",
)
PERMANENT = {"bad_request": 400, "forbidden": 403, "too_large": 413}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture(params=["aiohttp", "httpx2"])
def any_transport(request, monkeypatch):
    if request.param == "aiohttp":
        pytest.importorskip("aiohttp")
    monkeypatch.setattr(anthropic_transport, "_has_aiohttp", lambda: request.param == "aiohttp")


def ask(number, **settings):
    return ModelRequest(model=MODEL, messages=[{"role": "user", "content": f"question {number}"}], **settings)


async def ask_all(gateway, count, **settings):
    calls = (gateway.complete(ask(number, **settings)) for number in range(count))
    return await asyncio.gather(*calls, return_exceptions=True)


def expected_text(reply):
    """The loopback's own echo of the question; a wrong or cut body cannot have it."""
    return isinstance(reply, ModelReply) and reply.stop_reason == "end_turn" and bool(reply.text)


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", TRANSIENT)
async def test_rare_trouble_of_the_moment_is_retried(fault):
    await check_that_it_is_retried(fault, rate=0.05, count=60)


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", TRANSIENT)
async def test_frequent_trouble_of_the_moment_is_retried_over_any_transport(fault, any_transport):
    await check_that_it_is_retried(fault, rate=0.2, count=20)


async def check_that_it_is_retried(fault, *, rate, count):
    behaviour = Behaviour(faults={fault: rate}, retry_after=0.0, drip_interval=0.1, huge_bytes=HUGE)
    with MessagesApi(behaviour) as api:
        seconds = 1.0 if fault in {"hang", "drip"} else 60.0  # a slow machine must not look like a slow server
        async with Gateway(base_url=api.url, request_timeout=seconds, retries=EAGER) as gateway:
            replies = await ask_all(gateway, count)
            counts = gateway.snapshot()
        stats = api.stats
    assert all(expected_text(reply) for reply in replies), Counter(map(str, replies))
    assert stats.by_outcome[fault] > 0
    assert counts.retries == counts.attempts - count > 0
    assert sum(reply.call.attempts for reply in replies) == counts.attempts


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", MALFORMED)
async def test_a_wrong_form_is_retried_once_and_then_told_with_a_way_out(fault, any_transport):
    with MessagesApi(Behaviour(faults={fault: 0.4}, huge_bytes=HUGE)) as api:
        async with Gateway(base_url=api.url, retries=EAGER) as gateway:
            replies = await ask_all(gateway, 20)
        log = api.stats.log
    failures = [reply for reply in replies if not expected_text(reply)]
    assert {reply.call.attempts for reply in replies if reply not in failures} == {1, 2}
    assert failures
    for failure in failures:
        assert (failure.kind, failure.details["attempts"]) == ("invalid-reply", 2)
        assert "gave up after 2 attempts" in str(failure)
        assert re.search("check the address|see the model's parameters", str(failure))
    assert len(log) == sum(reply.call.attempts for reply in replies if reply not in failures) + 2 * len(failures)


@pytest.mark.asyncio
async def test_a_model_that_is_not_there_ends_the_run_like_a_refused_key():
    with MessagesApi(Behaviour(latency=0.01, faults={"not_found": 1.0})) as api:
        async with Gateway(base_url=api.url, concurrency=4) as gateway:
            replies = await ask_all(gateway, 40)
        assert api.stats.requests <= 4
    assert {type(reply) for reply in replies} == {ConfigurationError}
    (cause,) = {str(reply) for reply in replies}
    assert re.fullmatch(
        rf"http://127.0.0.1:\d+ has no model {MODEL} \(404 not_found_error: .*\): it was retired .*", cause
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("fault", PERMANENT)
async def test_what_no_retry_mends_fails_at_once_with_its_cause(fault, rate):
    with MessagesApi(Behaviour(faults={fault: rate})) as api:
        async with Gateway(base_url=api.url) as gateway:
            replies = await ask_all(gateway, 30)
        stats = api.stats
    failures = [reply for reply in replies if not expected_text(reply)]
    assert len(failures) == stats.by_outcome[fault] > 0
    assert stats.requests == 30
    for failure in failures:
        assert isinstance(failure, MeasurementError)
        assert failure.kind == "api-error"
        assert failure.details["status"] == PERMANENT[fault]
        assert failure.details["attempts"] == 1
        assert str(PERMANENT[fault]) in str(failure)
        assert failure.details["request_id"] in str(failure)
        assert "\n" not in str(failure)


@pytest.mark.asyncio
@pytest.mark.parametrize(("share", "count"), [(0.05, 60), (0.2, 25)])
async def test_all_faults_together_end_in_replies_or_true_causes(share, count, any_transport):
    faults = dict.fromkeys([*TRANSIENT, *MALFORMED, *PERMANENT], share / 4)
    with MessagesApi(Behaviour(faults=faults, retry_after=0.0, drip_interval=0.1, huge_bytes=HUGE)) as api:
        async with Gateway(base_url=api.url, request_timeout=0.5, retries=EAGER) as gateway:
            replies = await asyncio.wait_for(ask_all(gateway, count), 600)
        stats = api.stats
    failures = [reply for reply in replies if not expected_text(reply)]
    assert all(isinstance(failure, MeasurementError) for failure in failures)
    refused = {line.request_id: PERMANENT[line.outcome] for line in stats.log if line.outcome in PERMANENT}
    for failure in failures:
        status = failure.details["status"]
        if status in PERMANENT.values():
            assert refused.pop(failure.details["request_id"]) == status
        elif failure.kind != "invalid-reply":
            assert failure.details["attempts"] >= EAGER.attempts
        else:
            assert failure.details["attempts"] >= 2
    sent = Counter(line.digest for line in stats.log)
    for line in stats.log:  # a refusal that no error names came too late for its call, which was then made again
        assert line.request_id not in refused or sent[line.digest] > 1
    assert stats.distinct_bodies == count


@pytest.mark.asyncio
async def test_a_call_that_never_works_names_status_attempts_time_and_request():
    with MessagesApi(Behaviour(faults={"overloaded": 1.0})) as api:
        retries = RetryPolicy(outage=1.5, base=0.01)
        async with Gateway(base_url=api.url, retries=retries) as gateway:
            with pytest.raises(
                MeasurementError,
                match=r"529.*Overloaded.*accepted no call for .* s; gave up after \d+ attempts in .* s; request req_",
            ) as caught:
                await gateway.complete(ask(1))
            assert gateway.snapshot().failed == 1
    assert caught.value.kind == "api-error"
    assert caught.value.details["attempts"] == api.stats.requests > 1
    assert caught.value.details["seconds"] > 0


@pytest.mark.asyncio
async def test_a_hang_is_abandoned_and_its_kind_is_timeout():
    with MessagesApi(Behaviour(faults={"hang": 1.0})) as api:
        async with Gateway(base_url=api.url, request_timeout=0.1, retries=RetryPolicy(attempts=2)) as gateway:
            with pytest.raises(MeasurementError, match=r"no answer within 0.1 s") as caught:
                await gateway.complete(ask(1))
    assert caught.value.details["attempts"] == 2  # on a busy machine, some may not have reached the server in time
    assert caught.value.kind == "timeout"
    assert caught.value.details["status"] is None


@pytest.mark.asyncio
async def test_nobody_at_the_other_end():
    with MessagesApi() as api:
        url = api.url
    async with Gateway(base_url=url, retries=RetryPolicy(unreachable=0.3, base=0.01)) as gateway:
        with pytest.raises(MeasurementError, match="the connection failed") as caught:
            await gateway.complete(ask(1))
    assert caught.value.kind == "connection"


@pytest.mark.asyncio
async def test_a_wait_beyond_the_deadline_fails_at_once_with_the_true_cause():
    with MessagesApi(Behaviour(faults={"rate_limited": 1.0}, retry_after=3600)) as api:
        async with Gateway(base_url=api.url, call_deadline=500) as gateway:
            with pytest.raises(MeasurementError, match=r"429.*says to wait 3600 s.*deadline is 500 s") as caught:
                await asyncio.wait_for(gateway.complete(ask(1)), 300)
        assert api.stats.requests == 1
    assert caught.value.kind == "rate-limited"


@pytest.mark.asyncio
async def test_a_server_that_lets_nothing_in_ends_all_calls_those_that_wait_too():
    with MessagesApi(Behaviour(faults={"rate_limited": 1.0}, retry_after=0.1, retry_after_ms=True)) as api:
        async with Gateway(base_url=api.url, concurrency=2, call_deadline=1) as gateway:
            replies = await asyncio.wait_for(ask_all(gateway, 20), 300)
        assert api.stats.distinct_bodies < 20
    assert {(type(reply), reply.kind) for reply in replies} == {(MeasurementError, "rate-limited")}
    assert sum("the server accepted no call for" in str(reply) for reply in replies) >= 18


@pytest.mark.asyncio
async def test_retry_after_is_obeyed_by_the_request_that_got_it():
    faults = {"rate_limited": 0.3}
    with MessagesApi(Behaviour(faults=faults, retry_after=0.3, retry_after_ms=True)) as api:
        async with Gateway(base_url=api.url, concurrency=2) as gateway:
            replies = await ask_all(gateway, 10)
        log = api.stats.log
    assert all(expected_text(reply) for reply in replies)
    refused = [line for line in log if line.status == 429]
    assert refused
    for line in refused:
        again = min(later.arrival for later in log if later.digest == line.digest and later.attempt > line.attempt)
        is_open = any(one.status == 200 and line.arrival < one.arrival < again for one in log)
        assert is_open or again - line.arrival >= 0.3, "the server accepted nothing that was sent after the refusal"
