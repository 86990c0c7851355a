"""What calls cost, and that a run costs no more than it may."""

from __future__ import annotations

import asyncio
import json

import pytest

from pytest_ragcheck.errors import ConfigurationError, NotRunError
from pytest_ragcheck.gateway import (
    Gateway,
    ModelReply,
    ModelRequest,
    PriceList,
)
from pytest_ragcheck.gateway.retry import RetryPolicy
from pytest_ragcheck.model import Usage
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
async def test_the_budget_is_not_passed_and_what_is_left_is_not_run():
    prices = PriceList({MODEL: {"input": 10.0, "output": 100.0}})
    with MessagesApi(Behaviour(latency=0.01)) as api:
        async with Gateway(base_url=api.url, prices=prices, max_cost=0.05) as gateway:
            replies = await ask_all(gateway, 100, max_tokens=100)
            counts = gateway.snapshot()
        done = [reply for reply in replies if expected_text(reply)]
        assert api.stats.requests == len(done)
    assert 0 < len(done) < 100
    assert counts.cost <= 0.05
    worst = 100 * 100.0 / 1e6
    assert counts.cost > 0.05 - 2 * worst, "the budget was used as far as it could be"
    left = [reply for reply in replies if not expected_text(reply)]
    assert {type(reply) for reply in left} == {NotRunError}
    assert "budget spent" in str(left[0])


@pytest.mark.asyncio
async def test_an_unknown_price_is_unknown_and_cannot_be_budgeted():
    request = ModelRequest(model="claude-of-tomorrow", messages=[{"role": "user", "content": "q"}])
    with MessagesApi() as api:
        async with Gateway(base_url=api.url) as gateway:
            reply = await gateway.complete(request)
            assert reply.call.cost is None
            assert gateway.snapshot().unpriced == 1
        async with Gateway(base_url=api.url, max_cost=1.0) as gateway:
            with pytest.raises(ConfigurationError, match="price of claude-of-tomorrow is unknown"):
                await gateway.complete(request)
        assert api.stats.requests == 1


def test_own_prices():
    prices = PriceList({"m": {"input": 2.0, "output": 10.0}})
    usage = Usage(
        input_tokens=1_000_000, output_tokens=100_000, cache_read_tokens=1_000_000, cache_write_tokens=1_000_000
    )
    assert prices.cost("m", usage) == pytest.approx(2.0 + 1.0 + 0.2 + 2.5)
    with pytest.raises(ConfigurationError, match="did you mean 'output'"):
        PriceList({"m": {"input": 1.0, "outptu": 2.0}})
    with pytest.raises(ConfigurationError, match="output is missing"):
        PriceList({"m": {"input": 1.0}})
    with pytest.raises(ConfigurationError, match="US dollars per million"):
        PriceList({"m": {"input": -1.0, "output": 1.0}})


def test_packaged_prices():
    pytest.importorskip("genai_prices")
    usage = Usage(input_tokens=1_000, output_tokens=1_000, cache_read_tokens=1_000, cache_write_tokens=1_000)
    cost = PriceList().cost("claude-haiku-4-5", usage)
    assert cost == pytest.approx((1.0 + 5.0 + 0.1 + 1.25) / 1000)
    assert PriceList().cost("claude-of-tomorrow", usage) is None


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-sonnet-4-5", "no-such-model"])
def test_prices_are_those_of_the_package_at_every_length(model):
    """Also where a long prompt has another price for each token."""
    genai_prices = pytest.importorskip("genai_prices")
    for fresh, output, read, write in [(1234, 77, 0, 0), (10, 20, 30, 40), (99_000, 900, 0, 0), (250_000, 9, 5, 0)]:
        tokens = genai_prices.Usage(
            input_tokens=fresh + read + write, output_tokens=output, cache_read_tokens=read, cache_write_tokens=write
        )
        try:
            expected = float(genai_prices.calc_price(tokens, model, provider_id="anthropic").total_price)
        except LookupError:
            expected = None
        usage = Usage(input_tokens=fresh, output_tokens=output, cache_read_tokens=read, cache_write_tokens=write)
        found = PriceList().cost(model, usage)
        assert found == (None if expected is None else pytest.approx(expected, rel=1e-12))


def test_the_estimate_of_tokens_is_the_size_of_the_json():
    for text in [
        "plain",
        'He said "so".\nThen\tnothing \\ more.',
        "Überstunden für 日本",
        [{"type": "text", "text": "a\nb"}],
    ]:
        request = ModelRequest(
            model="m", messages=[{"role": "user", "content": text}], system="s", parameters={"a": 1}, schema={"b": "ü"}
        )
        as_json = json.dumps([list(request.messages), request.schema, dict(request.parameters)], ensure_ascii=False)
        assert request.input_tokens() == 1 + int(len(as_json.encode()) / 3) + 1 + 2 * 20
