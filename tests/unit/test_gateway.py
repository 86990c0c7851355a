"""The gateway against the loopback Messages API."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections import Counter

import pytest

from pytest_ragcheck.call_context import scope_of_calls_before
from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError
from pytest_ragcheck.gateway import (
    CacheMode,
    Gateway,
    ModelReply,
    ModelRequest,
    check_access,
    check_credentials,
)
from pytest_ragcheck.gateway.retry import RetryPolicy
from pytest_ragcheck.gateway.single_flight import PrefixWarmup
from pytest_ragcheck.store import Store
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

pytest.importorskip("anthropic", minversion="2.6")

KEY = "sk-ant-unit-0123456789abcdef"
MODEL = "claude-haiku-5-5"
EAGER = RetryPolicy(base=0.02, ceiling=0.1)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def ask(number, **settings):
    return ModelRequest(model=MODEL, messages=[{"role": "user", "content": f"question {number}"}], **settings)


async def ask_all(gateway, count, **settings):
    calls = (gateway.complete(ask(number, **settings)) for number in range(count))
    return await asyncio.gather(*calls, return_exceptions=True)


def expected_text(reply):
    """The loopback's own echo of the question; a wrong or cut body cannot have it."""
    return isinstance(reply, ModelReply) and reply.stop_reason == "end_turn" and bool(reply.text)


@pytest.mark.asyncio
async def test_a_call_is_accounted_for():
    with MessagesApi(Behaviour(latency=0.05)) as api:
        async with Gateway(base_url=api.url) as gateway:
            reply = await gateway.complete(ask(1, purpose="faithfulness", system="Be brief."))
            counts = gateway.snapshot()
    assert reply.text
    assert reply.model == MODEL
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0
    assert reply.request_id.startswith("req_")
    assert reply.call.purpose == "faithfulness"
    assert reply.call.attempts == 1
    assert reply.call.backoff == 0
    assert reply.call.wire == reply.latency >= 0.02
    assert reply.call.cost > 0
    assert not reply.cached
    assert (counts.asked, counts.done, counts.attempts, counts.retries, counts.limiter.in_flight) == (1, 1, 1, 0, 0)
    assert counts.cost == reply.call.cost
    assert counts.usage == reply.usage


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reason", "kind", "told"),
    [
        ("max_tokens", "truncated", "cut off at max_tokens = 1024"),
        ("model_context_window_exceeded", "truncated", "context window"),
        ("refusal", "refused", "refused to reply"),
    ],
)
async def test_truncation_and_refusal_are_no_answers_and_are_not_paid_twice(reason, kind, told, tmp_path):
    with MessagesApi(Behaviour(stop_reasons={reason: 1.0})) as api, Store(tmp_path / "cache.sqlite") as store:
        for _ in range(2):
            async with Gateway(base_url=api.url, store=store) as gateway:
                with pytest.raises(MeasurementError, match=told) as caught:
                    await gateway.complete(ask(1))
            assert caught.value.kind == kind
        assert api.stats.requests == 1


@pytest.mark.asyncio
async def test_structured_output_that_is_no_json_is_asked_for_again():
    schema = {"type": "object", "properties": {"verdict": {"type": "string"}}}
    with MessagesApi(Behaviour(faults={"malformed_json": 0.4})) as api:
        async with Gateway(base_url=api.url, retries=EAGER) as gateway:
            replies = await ask_all(gateway, 20, schema=schema)
            counts = gateway.snapshot()
        assert api.stats.by_outcome["malformed_json"] > 0
    failures = [reply for reply in replies if isinstance(reply, MeasurementError)]
    replies = [reply for reply in replies if reply not in failures]
    assert all(reply.text.startswith("{") and reply.text.endswith("}") for reply in replies)
    assert {reply.call.attempts for reply in replies} == {1, 2}
    assert {failure.details["attempts"] for failure in failures} == {2}, "twice in a row is the server's way"
    assert counts.usage.input_tokens > sum(reply.usage.input_tokens for reply in replies), "the bad ones were paid too"


@pytest.mark.asyncio
async def test_the_first_refused_key_ends_the_run_with_one_cause():
    with MessagesApi(Behaviour(latency=0.01, api_key="another")) as api:
        async with Gateway(base_url=api.url, concurrency=4) as gateway:
            replies = await ask_all(gateway, 40)
        assert api.stats.requests <= 4
    assert {type(reply) for reply in replies} == {ConfigurationError}
    (cause,) = {str(reply) for reply in replies}
    assert "refused the API key" in cause
    assert "401" in cause
    assert KEY not in cause


@pytest.mark.asyncio
async def test_a_spend_limit_never_clears_so_the_rest_is_not_run():
    with MessagesApi(Behaviour(latency=0.01, faults={"spend_limit": 1.0})) as api:
        async with Gateway(base_url=api.url, concurrency=2) as gateway:
            replies = await ask_all(gateway, 20)
        assert api.stats.requests <= 2
    kinds = Counter(type(reply) for reply in replies)
    assert kinds[MeasurementError] <= 2
    assert kinds[NotRunError] >= 18
    assert all("spend limit" in str(reply) for reply in replies)


@pytest.mark.asyncio
async def test_a_missing_key_is_one_line_before_anything_is_sent(monkeypatch, tmp_path):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    with pytest.raises(ConfigurationError, match="set ANTHROPIC_API_KEY"):
        check_credentials()
    with MessagesApi() as api:
        async with Gateway(base_url=api.url) as gateway:
            replies = await ask_all(gateway, 3)
        assert api.stats.requests == 0
    assert {type(reply) for reply in replies} == {ConfigurationError}
    assert len({str(reply) for reply in replies}) == 1


@pytest.mark.asyncio
async def test_check_access_tells_a_refused_key_without_a_message_being_paid():
    with MessagesApi(Behaviour(api_key="another")) as api:
        with pytest.raises(ConfigurationError, match="refused the API key"):
            await check_access(api.url)
        api.behaviour = Behaviour(api_key=KEY)
        await check_access(api.url)
        assert {line.path for line in api.stats.log} == {"/v1/models"}
        gone = api.url
    await check_access(gone)


@pytest.mark.asyncio
async def test_the_same_call_is_made_once_in_a_process():
    with MessagesApi(Behaviour(latency=0.05)) as api:
        async with Gateway(base_url=api.url) as gateway:
            replies = await asyncio.gather(*(gateway.complete(ask(1)) for _ in range(10)))
            other_trial = await gateway.complete(ask(1, trial=1))
            counts = gateway.snapshot()
        assert api.stats.requests == 2
    assert len({reply.request_id for reply in replies}) == 1
    assert other_trial.request_id != replies[0].request_id
    assert sum(not reply.cached for reply in replies) == 1
    assert counts.cached == 9
    assert counts.cost == pytest.approx(sum(reply.call.cost for reply in [*replies, other_trial]))


@pytest.mark.asyncio
async def test_a_joined_call_outlives_the_one_that_started_it():
    with MessagesApi(Behaviour(latency=0.1)) as api:
        async with Gateway(base_url=api.url) as gateway:
            first = asyncio.create_task(gateway.complete(ask(1)))
            second = asyncio.create_task(gateway.complete(ask(1)))
            while not api.stats.in_flight:
                await asyncio.sleep(0.005)
            first.cancel()
            assert (await second).text
            third = asyncio.create_task(gateway.complete(ask(2)))
            while not api.stats.in_flight:
                await asyncio.sleep(0.005)
            third.cancel()
            with pytest.raises(asyncio.CancelledError):
                await third
            assert gateway.snapshot().limiter.in_flight <= 1
            assert (await gateway.complete(ask(2))).text
        assert api.stats.by_outcome["reply"] == 2


@pytest.mark.asyncio
async def test_cache_modes(tmp_path):
    with MessagesApi() as api, Store(tmp_path / "cache.sqlite") as store:

        async def run(mode):
            before = api.stats.requests
            async with Gateway(base_url=api.url, store=store, cache=mode) as gateway:
                replies = await ask_all(gateway, 3) + await ask_all(gateway, 3)
            return replies, api.stats.requests - before

        replies, calls = await run(CacheMode.ONLY)
        assert calls == 0
        assert {type(reply) for reply in replies} == {NotRunError}
        first, calls = await run(CacheMode.USE)
        assert calls == 3
        kept, calls = await run(CacheMode.USE)
        assert calls == 0
        assert all(reply.cached and reply.call.cost == 0 and reply.call.attempts == 0 for reply in kept)
        assert [reply.text for reply in kept] == [reply.text for reply in first]
        assert [reply.latency for reply in kept] == [reply.latency for reply in first]
        fresh, calls = await run(CacheMode.REFRESH)
        assert calls == 3, "asked again, and once"
        off, calls = await run(CacheMode.OFF)
        assert calls == 3
        kept, calls = await run(CacheMode.ONLY)
        assert calls == 0
        assert [reply.request_id for reply in kept] == [reply.request_id for reply in fresh]
        assert {reply.request_id for reply in off}.isdisjoint(reply.request_id for reply in kept)


BASE = {"model": "m", "messages": [{"role": "user", "content": "q"}]}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"messages": [{"role": "user", "content": "q "}]},
        {"max_tokens": 2000},
        {"system": "s"},
        {"system": ""},
        {"prefix": "p"},
        {"parameters": {"thinking": {"type": "adaptive"}}},
        {"schema": {"type": "object"}},
        {"trial": 1},
    ],
)
def test_the_key_depends_on_everything_that_can_change_the_reply(change):
    assert ModelRequest(**BASE).key("e") != ModelRequest(**{**BASE, **change}).key("e")


def test_the_key_depends_on_the_endpoint_but_not_on_the_accounts():
    request = ModelRequest(**BASE)
    assert request.key("https://a") != request.key("https://b")
    assert request.key("e") == ModelRequest(**BASE, purpose="judging").key("e")
    ordered = ModelRequest(**BASE, parameters={"a": 1, "b": 2})
    assert ordered.key("e") == ModelRequest(**BASE, parameters={"b": 2, "a": 1}).key("e")


@pytest.mark.asyncio
async def test_concurrency_is_met_and_not_passed(reply_at):
    with MessagesApi(Behaviour(latency=0.05)) as api:
        reply_at(api, 5)
        async with Gateway(base_url=api.url, concurrency=5) as gateway:
            await ask_all(gateway, 25)
        assert api.stats.peak_in_flight == 5
        assert api.stats.connections <= 5


@pytest.mark.asyncio
async def test_what_most_calls_wait_for_goes_first():
    with MessagesApi(Behaviour(latency=0.01)) as api:
        order = []
        async with Gateway(base_url=api.url, concurrency=1) as gateway:

            async def run(number, calls_after):
                with scope_of_calls_before(calls_after):
                    await gateway.complete(ask(number))
                order.append(number)

            await asyncio.gather(*(run(number, after) for number, after in enumerate([0, 0, 1, 3, 2])))
    assert order[0] == 0, "it was in flight before the others came"
    assert order[1:] == [3, 4, 2, 1]


@pytest.mark.asyncio
async def test_the_run_deadline_ends_what_is_under_way_and_starts_nothing():
    with MessagesApi(Behaviour(faults={"hang": 1.0})) as api:
        async with Gateway(base_url=api.url, concurrency=1, run_deadline=2.0) as gateway:
            replies = await ask_all(gateway, 3)
    assert Counter(type(reply) for reply in replies) == {MeasurementError: 1, NotRunError: 2}
    assert all("deadline of 2 s" in str(reply) for reply in replies)


@pytest.mark.asyncio
async def test_a_long_common_beginning_is_written_once_to_the_prompt_cache():
    prefix = "The same long context. " * 800
    with MessagesApi(Behaviour(latency=0.02)) as api:
        async with Gateway(base_url=api.url) as gateway:
            replies = await ask_all(gateway, 6, prefix=prefix)
            counts = gateway.snapshot()
        arrivals = sorted(api.stats.log, key=lambda line: line.arrival)
    assert arrivals[1].arrival >= arrivals[0].finish, "the first goes alone"
    assert sum(reply.usage.cache_write_tokens > 0 for reply in replies) == 1
    assert sum(reply.usage.cache_read_tokens > 0 for reply in replies) == 5
    assert counts.usage.cache_read_tokens > 5 * 1000


@pytest.mark.asyncio
async def test_calls_with_a_common_beginning_do_not_fail_one_after_the_other():
    warmup, in_flight, peaks = PrefixWarmup(), 0, []

    async def fail():
        nonlocal in_flight
        in_flight += 1
        peaks.append(in_flight)
        await asyncio.sleep(0)
        in_flight -= 1
        raise MeasurementError("no", kind="timeout")

    outcomes = await asyncio.gather(*(warmup.lead(b"group", fail) for _ in range(10)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {MeasurementError}
    assert peaks[:2] == [1, 1]
    assert max(peaks) == 8, "two try it alone, then all at once"


def test_short_beginnings_are_not_marked():
    body = ask(1, system="Short.", prefix="Also short.").body(cache_prefix=False)
    assert body["system"] == "Short."
    assert [block["text"] for block in body["messages"][0]["content"]] == ["Also short.", "question 1"]
    assert "cache_control" not in str(body)


@pytest.mark.asyncio
async def test_the_key_is_in_no_error_log_or_file(tmp_path, caplog):
    faults = dict.fromkeys(["overloaded", "reset", "truncated_json", "wrong_content_type", "bad_request", "hang"], 0.1)
    echo = f"Your key was {KEY}, was it not?"
    with caplog.at_level(logging.DEBUG), Store(tmp_path / "cache.sqlite") as store:
        with MessagesApi(Behaviour(faults=faults), reply=lambda _: echo) as api:
            async with Gateway(base_url=api.url, store=store, request_timeout=1.0, retries=EAGER) as gateway:
                replies = await ask_all(gateway, 20)
                shown = repr(vars(gateway))
        with MessagesApi(Behaviour(api_key="another")) as api:
            async with Gateway(base_url=api.url, store=store, api_key=KEY) as gateway:
                replies += await ask_all(gateway, 2)
                shown += repr(vars(gateway))
        files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    text = caplog.text + shown + "".join(map(str, replies)) + "".join(map(repr, replies))
    assert "Was it not?".lower() in text.lower()
    assert len(caplog.records) > 20
    assert KEY not in text
    assert KEY.encode() not in files
    assert b"was it not?" in files


def test_a_run_with_every_reply_in_the_store_does_not_import_anthropic(tmp_path):
    script = """
import asyncio, sys
from pathlib import Path
from pytest_ragcheck.gateway import Gateway, ModelRequest
from pytest_ragcheck.store import Store
async def main():
    with Store(Path(sys.argv[1])) as store:
        async with Gateway(base_url=sys.argv[2], store=store) as gateway:
            request = ModelRequest(model="claude-haiku-5-5", messages=[{"role": "user", "content": "q"}])
            reply = await gateway.complete(request)
            print(reply.cached, "anthropic" in sys.modules, "httpx2" in sys.modules, gateway.snapshot().saved > 0)
asyncio.run(main())
"""
    with MessagesApi() as api:
        command = [sys.executable, "-c", script, str(tmp_path / "cache.sqlite"), api.url]
        first = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        again = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert api.stats.requests == 1
    assert first[:2] == ["False", "True"]
    assert again[:2] == ["True", "False"]
