"""What several processes hold of limits that they meet together."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from itertools import pairwise

import pytest

from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.partner import Partner
from pytest_ragcheck.gateway.pool import Limit, Pool, Stake, parts
from pytest_ragcheck.gateway.pooled import PooledBudget, PooledLimiter

PLACES = Limit(total=5, whole=True)
MONEY = Limit(total=1.0, lasts=None, is_spread=False)


def busy(want, *, since=0.0, need=1.0, **values):
    return Stake(want=want, need=need, since=since, **values)


@pytest.mark.parametrize(
    ("room", "stakes", "expected"),
    [
        (5, [busy(9), busy(9)], [3, 2]),
        (5, [busy(1), busy(9)], [1, 4]),
        (5, [busy(1), Stake()], [3, 2]),
        (1, [busy(1, since=2), busy(3, since=1)], [0, 1]),
        (7, [busy(9), busy(9), busy(2), busy(9)], [2, 2, 2, 1]),
        (0, [busy(9), busy(9)], [0, 0]),
        (-2, [busy(9), busy(9)], [0, 0]),
    ],
)
def test_places_are_dealt_by_what_is_wanted_and_no_remainder_is_lost(room, stakes, expected):
    assert sorted(parts(room, stakes, PLACES)) == sorted(expected)


@pytest.mark.parametrize(
    ("stakes", "expected"),
    [
        ([busy(8000, need=800, since=2), busy(3000, need=800, since=1)], [200, 800]),
        ([busy(100, need=100), busy(3000, need=600)], [100, 900]),
        ([busy(8), busy(30)], [8, 30]),
    ],
)
def test_who_waits_longest_is_dealt_what_it_needs_and_money_nobody_wants_stays(stakes, expected):
    assert parts(1000, stakes, MONEY) == expected


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("is_spread", [True, False])
def test_no_more_is_dealt_than_there_is_and_nothing_that_is_wanted_is_left_lying(seed, whole, is_spread):
    draw = random.Random(seed)
    room = draw.randrange(-10, 300)
    stakes = [
        Stake(want=draw.uniform(0, 300), need=draw.uniform(0, 40), since=draw.random()) for _ in range(1 + seed % 5)
    ]
    dealt = parts(room, stakes, Limit(total=room, whole=whole, is_spread=is_spread))
    assert min(dealt) >= 0
    assert sum(dealt) <= max(0, room) + 1e-6
    if is_spread:
        assert sum(dealt) == pytest.approx(max(0, room))
    if whole:
        assert all(part == int(part) for part in dealt)
    else:
        wanted = sum(max(stake.want, stake.need) for stake in stakes)
        assert sum(dealt) >= min(max(0, room), wanted) - 1e-6


def test_a_part_is_given_back_before_another_grows_by_it():
    pool = Pool()

    def meet(owner, **values):
        return pool.meet(owner, {"places": (PLACES, busy(9, **values))}, now=0, until=9)["places"]

    assert meet("a") == 5
    assert meet("b") == 0, "everything is with the first"
    pool = Pool.of(pool.to_bytes())
    assert meet("a", in_use=4) == 3, "it may use no more, and still has four in flight"
    assert meet("b") == 1
    assert meet("a", in_use=3) == 3
    assert meet("b") == 2


def test_who_stands_still_or_has_ended_loses_what_it_held():
    pool = Pool()
    for owner, until in (("dead", 99), ("still", 10), ("here", 99)):
        pool.meet(owner, {"places": (PLACES, busy(9)), "money": (MONEY, busy(0.25, need=0.25))}, now=0, until=until)
    assert pool.renew("still", 11)
    pool.expire(10, lambda owner: owner != "dead")
    assert pool.has("still")
    pool.expire(11, lambda owner: owner != "dead")
    assert not pool.renew("still", 99)
    assert pool.meet("here", {"places": (PLACES, busy(9))}, now=11, until=99) == {"places": 5}
    assert pool.taken("money", 11) == 0.75, "how much of it they had spent nobody knows"


def fail(new):
    raise sqlite3.OperationalError("disk I/O error")


class Processes:
    """Partners in one event loop, and the pool that they share."""

    def __init__(self):
        self.data = None
        self.meetings = 0
        self.now = 0.0

    def change(self, new):
        self.data = new(self.data)
        self.meetings += 1

    def partner(self, name, *, clock=None, seconds=60):
        return Partner(
            self.change, name, is_alive=lambda _: True, seconds=seconds, **({"clock": clock} if clock else {})
        )


async def spend(budget, costs, *, worst):
    made = 0
    for cost in costs:
        try:
            await budget.reserve(worst)
        except NotRunError as reason:
            return made, str(reason)
        await asyncio.sleep(0)
        budget.settle(worst, cost)
        made += 1
    return made, None


@pytest.mark.asyncio
async def test_the_sum_of_what_all_spend_counts_not_a_part_for_each():
    processes = Processes()
    partners = [processes.partner(name) for name in "ab"]
    dear, cheap = (PooledBudget(1.0, partner) for partner in partners)
    (many, none), (few, _) = await asyncio.gather(
        spend(dear, [0.08] * 9, worst=0.1), spend(cheap, [0.001] * 20, worst=0.01)
    )
    assert (many, none, few) == (9, None, 20), "0.72 of 1 USD is more than half, and the other needs little"
    more, reason = await spend(cheap, [0.1] * 9, worst=0.1)
    assert more == 2
    assert reason.startswith("budget spent: 0.9400 of 1.0000 USD, and this call may cost 0.1000")
    for partner in partners:
        await partner.leave()


@pytest.mark.asyncio
async def test_what_another_process_has_reserved_is_waited_for():
    processes = Processes()
    partners = [processes.partner(name) for name in "ab"]
    first, second = (PooledBudget(1.0, partner) for partner in partners)
    await first.reserve(0.7)
    waiting = asyncio.create_task(second.reserve(0.5))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    first.settle(0.7, 0.3)
    await asyncio.wait_for(waiting, 60)
    second.settle(0.5, 0.5)
    await second.reserve(0.15)
    second.settle(0.15, 0.1)
    with pytest.raises(NotRunError, match="budget spent"):
        await second.reserve(0.15)
    for partner in partners:
        await partner.leave()


@pytest.mark.asyncio
async def test_a_process_that_stood_still_sends_nothing_until_it_has_met_the_others():
    processes = Processes()
    partner = processes.partner("a", clock=lambda: processes.now, seconds=10)
    limiter = PooledLimiter("m", partner, concurrency=4)
    await limiter.admit()
    assert limiter.places == 4
    processes.now = 9.0
    partner.renew()
    processes.now = 18.0
    assert limiter.places == 4, "renewed from a thread, while the event loop was blocked"
    processes.now = 19.5
    assert limiter.places == 0
    other = processes.partner("b", clock=lambda: processes.now)
    PooledLimiter("m", other, concurrency=4)
    other.meet()
    partner.renew()
    assert limiter.places == 0, "others have it"
    partner.meet()
    assert limiter.places == 0
    other.meet()
    partner.meet()
    assert limiter.places == 2
    await partner.leave()


@pytest.mark.asyncio
async def test_a_store_that_fails_for_a_while_only_delays():
    processes = Processes()
    partner = processes.partner("a")
    limiter = PooledLimiter("m", partner, concurrency=1)
    works, partner._change = partner._change, fail
    waiting = asyncio.create_task(limiter.admit())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    partner._change = works
    limiter.withdraw(await asyncio.wait_for(waiting, 60))
    await partner.leave()


@pytest.mark.asyncio
async def test_meetings_are_few_and_end():
    processes = Processes()
    partner = processes.partner("a")
    limiter = PooledLimiter("m", partner, concurrency=2)
    moments = []
    for _ in range(200):
        ticket = await limiter.admit()
        moments.append(processes.meetings)
        limiter.withdraw(ticket)
    assert moments[-1] <= 2
    assert all(later - earlier <= 1 for earlier, later in pairwise(moments))
    tickets = [await limiter.admit() for _ in range(2)]
    waiting = asyncio.create_task(limiter.admit())
    await asyncio.sleep(0)
    await partner.leave()
    assert not waiting.done()
    waiting.cancel()
    await asyncio.sleep(0)
    for ticket in tickets:
        limiter.withdraw(ticket)
    met = processes.meetings
    await asyncio.sleep(0.3)
    assert processes.meetings == met
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "ragcheck-partner"]
