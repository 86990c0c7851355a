"""The user's own pipeline at the judge's server, in virtual time; as benchmarks/weather_pipeline.py, with few questions."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import median

import pytest

from pytest_ragcheck.call_context import free_place
from pytest_ragcheck.gateway import Gateway, ModelRequest
from pytest_ragcheck.gateway.limiter import Limiter
from pytest_ragcheck.session.turns import Turns

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import weather_pipeline as weather
from weather_virtual import Server, SimulatedTransport, run_in_virtual_time

CAP = weather.CAP
FOUND, KNOWN = weather.WAYS
SEEDS = 5


def runs(way, size):
    return [weather.run(size, way, seed) for seed in range(SEEDS)]


@pytest.mark.parametrize("size", [10, 40])
def test_a_cap_that_the_user_knows_is_met_and_never_passed(size):
    plain, ours = runs(weather.PLAIN, size), runs(KNOWN, size)
    assert [one.refused for one in ours] == [0] * SEEDS
    assert [one.peak for one in ours] == [CAP] * SEEDS, "every place is used"
    assert median(one.seconds for one in ours) <= 1.15 * median(one.seconds for one in plain)
    assert sum(one.wasted for one in ours) <= 0.1 * SEEDS * size * weather.CALLS


def test_a_cap_that_nobody_knows():
    plain, ours = runs(weather.PLAIN, 40), runs(FOUND, 40)
    assert median(one.seconds for one in ours) <= 1.3 * median(one.seconds for one in plain)
    assert median(one.by_judge for one in ours) <= 0.2 * 40 * weather.CALLS, "7 % fail"


class Places:
    """Answers that hold places of one limiter, and what is in flight at the server."""

    def __init__(self, count):
        self.limiter = Limiter(concurrency=count)
        self.turns = Turns(lambda: self.limiter)
        self.server = Server()

    async def ask(self, gateway, text):
        await gateway.complete(ModelRequest(model="m", messages=[{"role": "user", "content": text}]))


@pytest.mark.parametrize("texts", [["one", "two", "three"], ["the same"] * 3], ids=["different", "same"])
def test_an_answer_that_calls_through_the_gateway_gives_its_place_to_that_call(texts):
    async def main():
        places = Places(1)
        async with Gateway(transport=SimulatedTransport(places.server), limiter=places.limiter) as gateway:

            async def answer(text):
                async with places.turns():
                    await asyncio.sleep(0.1)
                    await places.ask(gateway, text)

            await asyncio.gather(*(answer(text) for text in texts))
        assert places.server.peak == 1
        assert places.limiter.state().in_flight == 0

    run_in_virtual_time(main)


def test_a_place_is_given_back_once():
    async def main():
        places = Places(1)
        async with places.turns():
            assert places.limiter.state().in_flight == 1
            free_place()
            assert places.limiter.state().in_flight == 0
            async with places.turns():
                free_place()
        free_place()
        assert places.limiter.state().in_flight == 0

    run_in_virtual_time(main)


def test_an_answer_is_not_a_request_of_the_judges_rate():
    async def main():
        limiter = Limiter(concurrency=2, requests_per_minute=1)
        turns = Turns(lambda: limiter)

        async def answer():
            async with turns():
                await asyncio.sleep(1)

        await asyncio.gather(*(answer() for _ in range(6)))
        assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.1)

    run_in_virtual_time(main)
