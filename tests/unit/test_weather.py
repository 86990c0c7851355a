"""The gateway against simulated servers in virtual time; the same as benchmarks/weather_virtual.py, with fewer calls."""

from __future__ import annotations

import importlib.util
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest


def _load_benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "weather_virtual.py"
    spec = importlib.util.spec_from_file_location("weather_virtual", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


weather = _load_benchmark()
CALLS = 400
ROWS = {row.name: row for row in weather.rows()}
SERVERS = 50


OUTSIDE = {
    "20% refused for no reason": (30.0, 1.4),
    "slower from 4 in flight, latency 3 s": (2.0, 3.0),
}
"""Weathers that pass the general bounds, with their own: times the oracle's seconds, times the calls needed.
docs/design/gateway.md has the reasons."""


def holds(row, seed=0, spare=0):
    """Check the promises; ``spare``: calls that the end of a burst may cost."""
    outcome, oracle = weather.by_gateway(row, seed), weather.by_oracle(row, seed)
    assert weather.broken_promises(row, replace(outcome, made=outcome.made - spare), oracle) == []
    return outcome, oracle


@pytest.mark.parametrize("name", [name for name in ROWS if name not in OUTSIDE])
def test_time_and_calls_in_every_weather(name):
    is_whole = name.startswith(("window", "529 for 120"))  # whose start costs the same whatever the number of calls
    holds(ROWS[name] if is_whole else replace(ROWS[name], calls=min(ROWS[name].calls, CALLS)))


@pytest.mark.parametrize("name", OUTSIDE)
def test_weathers_outside_the_bounds_have_bounds_of_their_own(name):
    row = replace(ROWS[name], calls=min(ROWS[name].calls, CALLS))
    seconds, calls = OUTSIDE[name]
    outcome, oracle = weather.by_gateway(row, 0), weather.by_oracle(row, 0)
    assert outcome.lost == 0
    assert outcome.seconds <= seconds * oracle.seconds + 5
    assert outcome.made <= calls * row.calls + 10


def test_a_cap_that_is_known_to_nobody_costs_little():
    row = ROWS["cap 8, 5 % 529"]
    outcome, oracle = holds(row)
    assert outcome.seconds <= 1.15 * oracle.seconds
    assert outcome.refused <= 0.06 * row.calls


def test_a_cap_that_the_user_knows_is_never_passed():
    outcome, oracle = holds(replace(ROWS["cap 8, concurrency = 8"], calls=CALLS))
    assert outcome.refused == 0
    assert outcome.seconds <= 1.1 * oracle.seconds


@pytest.mark.parametrize("name", ["cap 64, Retry-After 30", "cap 8, Retry-After 120", "cap 64, Retry-After a date"])
def test_places_do_not_stand_empty_for_a_retry_after_that_other_calls_disprove(name):
    outcome, oracle = holds(ROWS[name])
    assert outcome.seconds <= 1.1 * oracle.seconds


def test_a_retry_after_that_no_other_call_disproves_is_waited_for():
    server = ROWS["one bare 429, concurrency = 1"].server()
    server.retry_after = "7"
    outcome = weather.by_gateway(weather.Row(name="one call", server=lambda: server, calls=1), 0)
    assert (outcome.made, outcome.lost) == (2, 0)
    assert 7 < outcome.seconds < 9


@pytest.mark.parametrize("name", ["two models, the judge 50 a minute", "two models, 1000 and 50 a minute, headers"])
def test_a_refused_judge_does_not_slow_the_generator(name):
    outcome, oracle = holds(ROWS[name])
    generator, judge = weather.GENERATOR, weather.JUDGE
    assert oracle.finished[generator] < 10
    assert outcome.finished[generator] <= 2 * oracle.finished[generator] + 5
    assert outcome.finished[judge] > 5 * outcome.finished[generator]


@pytest.mark.parametrize(
    "name", ["529 for 30 s from 1 s", "529 for 120 s from 1 s", "connections lost for 30 s from 1 s"]
)
def test_a_storm_loses_nothing_and_its_end_is_noticed(name):
    outcome, _ = holds(ROWS[name])
    assert outcome.recovery <= 10.5


def random_limits(draw):
    """Keyword arguments of a server, and what makes its rate limit."""
    kind = draw.choice(["none", "cap", "cap", "moving cap", "bucket", "window"])
    if kind == "cap":
        limit = draw.choice([1, 2, 3, 5, 8, 13, 20, 40, 80])
        return {"cap": lambda _: limit}, None
    if kind == "moving cap":
        first, second, since = draw.randint(2, 40), draw.randint(2, 40), draw.uniform(2, 20)
        return {"cap": lambda now: first if now < since else second}, None
    if kind == "bucket":
        per_minute, burst = draw.choice([30, 60, 120, 300, 1000]), draw.choice([1, 5, 0.2, 1.0])
        burst = burst if burst in {1, 5} and isinstance(burst, int) else burst * per_minute
        return {"shows_rates": draw.random() < 0.5}, lambda: weather.Bucket(per_minute, burst)
    if kind == "window":
        per_minute = draw.choice([150, 300])
        return {}, lambda: weather.FixedWindow(per_minute)
    return {}, None


def random_row(seed):
    """A server with limits, faults and replies drawn at random."""
    draw = random.Random(seed)
    server, make_rate = random_limits(draw)
    server |= {"latency": draw.choice([0.05, 0.3, 1.0, 3.0, 6.0]), "spread": draw.choice([0.05, 0.25])}
    server["retry_after"] = draw.choice([None, None, "0", "1", "5", "60", "garbage", "-5"])
    if draw.random() < 0.3 and server["retry_after"] in {None, "0", "1"}:  # which the oracle waits for too
        server["refused_share"] = draw.choice([0.01, 0.03, 0.05])
    if draw.random() < 0.3:
        server["failed_share"] = draw.choice([0.01, 0.05])
    if draw.random() < 0.25:  # from the start: later the oracle has done before it begins
        status = draw.choice([429, 529, 503, 0])
        longest = 14 if status == 0 else 40  # a server that has never sent anything is given up after 15 s
        server["storms"] = [(0.0, draw.uniform(1, longest), status)]
    calls = 300 if "storms" in server else draw.choice([20, 100, 300])  # a storm costs some twenty calls of any run
    return weather.Row(
        name=f"{seed}",
        server=lambda: weather.Server(**server, rates=[make_rate()] if make_rate else []),
        calls=calls,
    )


@pytest.mark.parametrize("seed", range(SERVERS))
def test_any_server(seed):
    row = random_row(seed)
    is_burst_hidden = bool(row.server().rates) and not row.server().shows_rates
    outcome, _ = holds(row, seed, spare=40 if is_burst_hidden else 0)
    plain = weather.by_semaphore(row, seed)
    assert plain.lost or outcome.seconds <= plain.seconds + 5
