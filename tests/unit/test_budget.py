"""What a budget is spent on, without a gateway: calls of a known worst case and price, in an order of their own."""

from __future__ import annotations

import asyncio
from random import Random
from statistics import fmean

import pytest

from pytest_ragcheck.call_context import question_scope
from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.budget import Budget, LikelyCost

WORST = 0.0205
"""A call of a judge: 4096 tokens at $5 per million."""


async def call(budget, draw, cost):
    await budget.reserve(WORST)
    for _ in range(draw.randrange(1, 20)):
        await asyncio.sleep(0)
    budget.settle(WORST, cost)


async def judge(budget, draw, number, calls, price):
    """A question's calls, one after the other; whether all could be made."""
    with question_scope(number):
        for _ in range(calls):
            try:
                await call(budget, draw, price(draw))
            except NotRunError:
                return False
    return True


async def judged(limit, *, questions=30, calls=3, price=lambda draw: draw.uniform(0.0007, 0.0013), seed=1):
    budget, draw = Budget(limit), Random(seed)
    async with asyncio.timeout(120):
        whole = await asyncio.gather(*(judge(budget, draw, number, calls, price) for number in range(questions)))
    assert budget.reserved == 0
    return sum(whole), budget.spent


@pytest.mark.asyncio
async def test_three_cents_judge_what_three_cents_can():
    """At 0.3 cents a question; the worst case of a single call is two thirds of the budget."""
    found = [await judged(0.03, seed=seed) for seed in range(50)]

    assert min(whole for whole, _ in found) >= 7
    assert fmean(whole for whole, _ in found) >= 8.5
    assert max(spent for _, spent in found) <= 0.03


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(20))
async def test_a_worst_case_beyond_the_limit_does_not_keep_all_from_being_asked(seed):
    whole, spent = await judged(0.015, seed=seed)

    assert whole >= 3
    assert spent <= 0.015


@pytest.mark.asyncio
async def test_what_is_plenty_is_never_waited_for():
    budget = Budget(100.0)
    async with asyncio.timeout(120):
        for number in range(200):
            with question_scope(number):
                await budget.reserve(WORST)

    assert budget.reserved == pytest.approx(200 * WORST)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(20))
async def test_calls_of_very_different_length_pass_the_limit_by_one_call_at_most(seed):
    def price(draw):
        return WORST if draw.random() < 0.1 else 0.001

    whole, spent = await judged(0.3, questions=200, price=price, seed=seed)

    assert spent <= 0.3 + WORST
    assert spent > 0.3 - 4 * WORST
    assert whole > 10


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", [0.0, 0.004])
async def test_a_budget_that_pays_for_no_call_makes_none(limit):
    assert await judged(limit) == (0, 0.0)


@pytest.mark.asyncio
async def test_questions_without_a_paid_call_hold_nothing_back():
    """Their attempts were refused: nothing is learned from them, and the next question may begin."""
    whole, spent = await judged(0.03, price=lambda _: 0.0)

    assert (whole, spent) == (30, 0.0)


def test_a_share_is_learned_from_several_replies():
    likely = LikelyCost()
    for cost in (0.1, 0.1):
        likely.learn(1.0, cost)
    assert likely.of(2.0) == 2.0
    likely.learn(1.0, 0.1)
    assert likely.of(2.0) == pytest.approx(0.2)
    likely.learn(1.0, 1.0)
    assert 0.2 < likely.of(2.0) <= 2.0
