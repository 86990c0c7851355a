"""What a budget is spent on: calls of a known worst case, in any order, alone and through the gateway."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.budget import Budget, CallCost

WORST = 0.0205
"""A call of a judge: 4096 tokens at $5 per million."""


def _load_benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "budget.py"
    spec = importlib.util.spec_from_file_location("budget_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


benchmark = _load_benchmark()


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(40))
async def test_the_limit_holds_whatever_calls_cost_and_whenever_they_are_given_up(seed):
    """As long as each costs no more than was set aside for it; and nothing stays behind."""
    draw, limit = Random(seed), Random(-seed).choice([0.01, 0.1, 1.0, 10.0])
    budget, refused = Budget(limit), []

    async def call():
        worst = draw.uniform(0.0001, 0.2)
        least = worst * draw.choice([0.0, 0.01, 0.3, 1.0])
        cost_of_call = CallCost(draw.choice("ab"), 0.1 * least, least, worst)
        try:
            grant = await budget.reserve(cost_of_call, order=draw.randrange(9))
        except NotRunError:
            refused.append(worst)
            return
        assert least <= grant.amount <= worst
        assert budget.spent + budget.reserved <= limit + 1e-9
        cost = 0.0
        try:
            for _ in range(draw.randrange(20)):
                await asyncio.sleep(0)
            cost = grant.amount * draw.choice([0.0, 0.1, 1.0])
        finally:
            budget.settle(grant, cost, draw.choice([None, 0.1, 1.0]))

    tasks = [asyncio.create_task(call()) for _ in range(200)]
    for _ in range(60):
        await asyncio.sleep(0)
        draw.choice(tasks).cancel()
    async with asyncio.timeout(120):
        await asyncio.gather(*tasks, return_exceptions=True)

    assert budget.spent <= limit + 1e-9
    assert budget.reserved == 0
    assert all(budget.spent + worst > limit - 1e-9 for worst in refused[-1:]), "the last was refused for lack of money"


def call_of(worst, *, kind="judging"):
    return CallCost(kind, 0.0, 0.0, worst)


@pytest.mark.asyncio
async def test_what_is_plenty_is_never_waited_for_nor_cut():
    budget = Budget(100.0)
    async with asyncio.timeout(120):
        granted = [await budget.reserve(call_of(WORST), order=number) for number in range(200)]

    assert {grant.amount for grant in granted} == {WORST}


@pytest.mark.asyncio
async def test_of_those_that_wait_the_earliest_question_goes_first():
    budget, went = Budget(1.0), []

    async def call(order):
        grant = await budget.reserve(CallCost("judging", 0.0, 0.9, 0.9), order=order)
        went.append(order)
        await asyncio.sleep(0)
        budget.settle(grant, 0.01)

    await asyncio.gather(*(call(order) for order in (5, 3, 0, 4, 1)))

    assert went == [5, 0, 1, 3, 4]


@pytest.mark.asyncio
async def test_a_call_that_cannot_be_paid_keeps_no_other_one_back():
    budget = Budget(0.1)

    dear, cheap = await asyncio.gather(
        budget.reserve(call_of(0.5)), budget.reserve(call_of(0.05), order=1), return_exceptions=True
    )

    assert isinstance(dear, NotRunError)
    assert cheap.amount == pytest.approx(0.0125)


@pytest.mark.asyncio
async def test_how_long_replies_are_is_learned_by_kind_for_those_that_wait_too():
    budget = Budget(0.1)

    async def amount(kind, used=None):
        grant = await budget.reserve(call_of(0.4, kind=kind))
        budget.settle(grant, 0.0, used)
        return round(grant.amount, 4)

    assert [await amount("short", 0.1) for _ in range(4)] == [0.1, 0.1, 0.1, 0.044]
    assert await amount("other") == 0.1
    await amount("short", 0.5)
    with pytest.raises(NotRunError):
        await amount("short", 0.1)


# ---- Through the gateway, in virtual time ------------------------------------------------------


@pytest.mark.parametrize("shape", benchmark.SHAPES)
@pytest.mark.parametrize("limit", [0.03, 0.3])
def test_a_run_never_costs_more_than_its_budget_whatever_replies_cost(shape, limit):
    """The worst case of one call is two thirds of the smaller one."""
    found = [benchmark.compare(benchmark.SHAPES[shape], limit, seed=seed)[0] for seed in range(3)]

    assert max(one.peak for one in found) <= limit + 1e-9, "nor could it have, had all in flight cost their worst case"
    assert fmean(one.spent for one in found) >= (limit - WORST if limit > 0.1 else 0.85 * limit)


def test_three_cents_judge_what_three_cents_can():
    """At 0.3 cents a question; the worst case of a single call is two thirds of the budget."""
    found = [benchmark.compare(benchmark.SHAPES["alike: 140 to 260 tokens"], 0.03, seed=seed)[0] for seed in range(10)]

    assert min(one.whole for one in found) >= 7
    assert fmean(one.whole for one in found) >= 8
    assert fmean(one.spent for one in found) >= 0.95 * 0.03


def test_a_budget_that_holds_fewer_worst_cases_than_calls_fit_in_flight_costs_little_time():
    """The 64 calls in flight could cost two thirds of it, so that it binds for most of the run."""
    kept, free = benchmark.compare(benchmark.SHAPES["2 % cost the worst case"], 2.0, seed=1)

    assert kept.seconds <= 1.3 * free.seconds
    assert kept.spent >= 0.97 * 2.0


def test_replies_that_were_cut_short_are_asked_for_again_in_full():
    kept, _ = benchmark.compare(benchmark.SHAPES["2 % cost the worst case"], 0.3, seed=2)

    assert kept.cut > 0
    assert kept.whole > 50


@pytest.mark.parametrize("limit", [0.0, 0.004])
def test_a_budget_that_pays_for_no_call_makes_none(limit):
    kept = benchmark.run(lambda draw: 200, limit, questions=5, seed=1, money=1.0)

    assert (kept.whole, kept.begun, kept.spent) == (0, 0, 0.0)
