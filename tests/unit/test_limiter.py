"""The limiter's queue: order, lanes, giving up. What limits the calls is tested in test_adaptive.py and test_weather.py."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ragcheck.gateway.limiter import Admission, AttemptReport, Limiter, Outcome

HANGS = 300
"""Seconds, against hangs alone."""
NEUTRAL = AttemptReport(outcome=Outcome.NEUTRAL)
REFUSED = AttemptReport(outcome=Outcome.REFUSED)

pytestmark = pytest.mark.asyncio


async def test_chain_of_calls_then_order_of_arrival():
    limiter = Limiter(concurrency=1)
    first = await limiter.admit(Admission(number=limiter.number()))
    order = []

    async def wait(name, calls_after, number):
        permit = await limiter.admit(Admission(calls_after=calls_after, number=number))
        order.append(name)
        limiter.settle(permit, NEUTRAL)

    early = limiter.number()
    calls = [("a", 0), ("b", 0), ("c", 2)]
    tasks = [asyncio.create_task(wait(name, after, limiter.number())) for name, after in calls]
    tasks.append(asyncio.create_task(wait("retry", 0, early)))
    await asyncio.sleep(0)
    assert limiter.state().queued == 4
    limiter.settle(first, NEUTRAL)
    await asyncio.gather(*tasks)
    assert order == ["c", "retry", "a", "b"]


@pytest.mark.parametrize(("places", "order"), [(1, "ABaCbDcd"), (2, "ABCaDbcd"), (8, "ABCDabcd")])
async def test_a_call_goes_earlier_by_as_many_questions_as_there_are_places(places, order):
    """For each call that comes after it: one comes after those of a capital letter. So nothing waits for ever."""
    limiter = Limiter(concurrency=places)
    held = [await limiter.admit(Admission()) for _ in range(places)]
    seen = ""

    async def wait(letter):
        nonlocal seen
        question, calls_after = "abcd".index(letter.lower()), int(letter.isupper())
        permit = await limiter.admit(Admission(question=question, calls_after=calls_after, number=limiter.number()))
        seen += letter
        limiter.settle(permit, NEUTRAL)

    tasks = [asyncio.create_task(wait(letter)) for letter in "dcbaDCBA"]
    await asyncio.sleep(0)
    limiter.settle(held.pop(), NEUTRAL)
    await asyncio.gather(*tasks)
    assert seen == order


async def test_who_gives_up_waiting_leaves_no_gap():
    limiter = Limiter(concurrency=1)
    first = await limiter.admit(Admission())
    gone, stays = (asyncio.create_task(limiter.admit(Admission())) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    limiter.settle(first, NEUTRAL)
    second = await asyncio.wait_for(stays, HANGS)
    admitted = asyncio.create_task(limiter.admit(Admission()))
    await asyncio.sleep(0)
    limiter.settle(second, NEUTRAL)
    admitted.cancel()  # after its permit was given, before it could take it
    with pytest.raises(asyncio.CancelledError):
        await admitted
    state = limiter.state()
    assert (state.in_flight, state.queued) == (0, 0)
    limiter.close()


async def test_a_model_that_is_refused_does_not_hold_back_another():
    limiter = Limiter()
    for _ in range(5):
        waiting = asyncio.create_task(limiter.admit(Admission(lane="judge")))
        await asyncio.sleep(0)
        if not waiting.done():
            break
        limiter.settle(waiting.result(), REFUSED)
    assert not waiting.done()
    permit = await asyncio.wait_for(limiter.admit(Admission(lane="generator")), HANGS)
    assert permit.lane == "generator"
    assert not waiting.done()
    waiting.cancel()
    limiter.close()
