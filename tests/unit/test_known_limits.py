"""What a run found a server to bear is where the next one starts, and a wrong guess does little harm."""

from __future__ import annotations

import asyncio
import importlib
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ragcheck.gateway import CacheMode, Gateway, ModelRequest
from pytest_ragcheck.gateway.adaptive import MAXIMUM, START
from pytest_ragcheck.gateway.anthropic_transport import endpoint
from pytest_ragcheck.gateway.known_limits import HALF_LIFE, KIND, KnownLimits, start_from
from pytest_ragcheck.store import Store

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
MODEL = "claude-haiku-5-5"


@pytest.fixture(scope="module")
def weather():
    sys.path.insert(0, BENCHMARKS)
    try:
        return importlib.import_module("weather_virtual")
    finally:
        sys.path.remove(BENCHMARKS)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "cache.sqlite") as store:
        yield store


def known(store, model=MODEL, place="here", *, after=0.0):
    return KnownLimits(store, place, clock=lambda: 1e9 + after).get(model)


def keep(store, limit):
    KnownLimits(store, "here", clock=lambda: 1e9).keep({MODEL: limit})


def test_what_was_found_is_known_for_this_server_and_model(store):
    keep(store, 300)
    assert known(store) == 300
    assert known(store, model="other") == known(store, place="there") == 0


@pytest.mark.parametrize(("limit", "later"), [(300, 155), (2, 6)])
def test_what_was_found_counts_less_the_older_it_is(store, limit, later):
    keep(store, limit)
    assert known(store, after=HALF_LIFE) == later
    assert known(store, after=99 * HALF_LIFE) == START
    assert known(store, after=-HALF_LIFE) == limit, "the clock was set back"


@pytest.mark.parametrize("value", [b"", b"[]", b'{"limit": 1e9, "at": 0}', b'{"limit": 0, "at": 0}', b'{"limit": 9}'])
def test_damaged_values_count_for_nothing(store, value):
    keep(store, 300)
    store.put(KIND, KnownLimits(store, "here")._key(MODEL), value)
    assert known(store) == 0
    assert store.damaged == {KIND: 1}


def test_a_run_starts_with_half_of_what_was_borne():
    assert start_from(0) is None
    assert [start_from(limit) for limit in (1, 8, 15, 64, MAXIMUM)] == [1, 8, START, 32, MAXIMUM // 2]


def ask_all(weather, server, store, calls=400, **settings):
    """Make calls through a gateway; return the seconds that they took."""

    async def main():
        async with Gateway(transport=weather.SimulatedTransport(server), store=store, **settings) as gateway:
            loop = asyncio.get_running_loop()

            async def ask(number):
                text = f"{id(server)} {number}"
                await gateway.complete(ModelRequest(model=MODEL, messages=[{"role": "user", "content": text}]))

            await asyncio.gather(*(ask(number) for number in range(calls)))
            return loop.time()

    random.seed(0)
    return weather.run_in_virtual_time(main)


def kept(store):
    return KnownLimits(store, endpoint(None)).get(MODEL)


def test_the_next_run_is_faster_where_nothing_is_refused(weather, store):
    first, second = (ask_all(weather, weather.Server(), store) for _ in range(2))
    assert kept(store) > 200
    assert second < 0.8 * first


def test_the_most_calls_in_flight_are_kept_though_calls_waited_for_fewer(weather, store):
    server = weather.Server()
    ask_all(weather, server, store, 150)
    assert kept(store) >= server.peak


def test_the_next_run_meets_a_cap_with_fewer_refusals(weather, store):
    servers = [weather.Server(cap=lambda _: 8) for _ in range(2)]
    for server in servers:
        ask_all(weather, server, store, 100)
    assert 7 <= kept(store) <= 9
    first, second = (sum(status == 429 for _, status in server.log) for server in servers)
    assert second < first


def test_a_short_run_does_not_forget_what_a_long_one_found(weather, store):
    ask_all(weather, weather.Server(), store)
    found = kept(store)
    ask_all(weather, weather.Server(), store, 12)
    assert kept(store) == found


@pytest.mark.parametrize("settings", [{"concurrency": 2}, {"cache": CacheMode.OFF}])
def test_nothing_is_kept_of_what_shows_nothing(weather, store, settings):
    ask_all(weather, weather.Server(), store, 50, **settings)
    assert store.size().entries.get(KIND) is None


@pytest.mark.parametrize("server", [{"failed_share": 0.05}, {"storms": [(0.3, 5.0, 529)]}])
def test_bad_weather_is_not_where_the_next_run_starts(weather, store, server):
    ask_all(weather, weather.Server(), store)
    ask_all(weather, weather.Server(**server), store)
    assert kept(store) > 100


def test_a_rate_is_not_a_number_of_calls_in_flight(weather, store):
    ask_all(weather, weather.Server(rates=[weather.Bucket(30, 1)]), store, 60)
    assert kept(store) < START


@pytest.mark.parametrize("name", ["cap 8", "cap 8, Retry-After 30", "cap 64", "529 for 30 s from 1 s"])
def test_a_wrong_guess_costs_one_burst(weather, name):
    """The server bears less than it did."""
    row = replace({row.name: row for row in weather.rows()}[name], calls=400)
    oracle, unknown = weather.by_oracle(row, 0), weather.by_gateway(row, 0)
    with Store(None) as store:
        KnownLimits(store, endpoint(None)).keep({MODEL: 400})
        outcome = weather.by_gateway(replace(row, settings={"store": store}), 0)
    assert outcome.lost == 0
    assert outcome.seconds <= 2 * oracle.seconds + 5
    assert outcome.made <= unknown.made + 200
