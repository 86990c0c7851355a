"""The limiter against simulated servers, in an event loop whose time is simulated too: minutes pass in milliseconds."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections import deque
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from pytest_ragcheck.gateway.rates import LearnedRate, Level, Told, Window, told_levels

from pytest_ragcheck.gateway.limiter import Concurrency, Limiter, Outcome
from pytest_ragcheck.gateway.retry import Attempts, RetryPolicy
from pytest_ragcheck.gateway.transport import AttemptResult, RetryAction

LATENCY = 0.6
TOKENS = 100
EPOCH = 1_800_000_000.0


class SimulatedTime(asyncio.SelectorEventLoop):
    """Jumps to the next event instead of waiting for it."""

    def __init__(self):
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self):
        return self.now


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        assert timeout is not None, "everybody waits, and nothing will happen"
        self._loop.now += max(timeout, 0.0)
        return super().select(0)


class Bucket:
    """Refills steadily; a minute's worth at most, or ``burst``."""

    def __init__(self, per_minute, burst=None):
        self.capacity = burst or per_minute
        self.per_second = per_minute / 60
        self.level, self.at = self.capacity, 0.0

    def wait(self, now):
        self._fill(now)
        if self.level >= 1 - 1e-9:
            self.level -= 1
            return 0.0
        return (1 - self.level) / self.per_second

    def headers(self, now):
        self._fill(now)
        full = math.ceil(EPOCH + now + (self.capacity - self.level) / self.per_second)
        return {
            "anthropic-ratelimit-requests-limit": str(self.capacity),
            "anthropic-ratelimit-requests-remaining": str(int(self.level)),
            "anthropic-ratelimit-requests-reset": datetime.fromtimestamp(full, UTC).isoformat(),
            "date": formatdate(EPOCH + now, usegmt=True),
        }

    def _fill(self, now):
        self.level = min(self.capacity, self.level + (now - self.at) * self.per_second)
        self.at = now


class SlidingWindow:
    def __init__(self, per_minute):
        self.per_minute = per_minute
        self.log = deque()

    def wait(self, now):
        while self.log and self.log[0] <= now - 60:
            self.log.popleft()
        if len(self.log) < self.per_minute:
            self.log.append(now)
            return 0.0
        return self.log[0] + 60 - now

    def headers(self, now):
        return {}


class Server:
    def __init__(self, rate=None, *, at_once=None, headers=False, latency=LATENCY):
        self.rate, self.at_once, self.with_headers, self.latency = rate, at_once, headers, latency
        self.in_flight = self.peak = 0
        self.log = []

    async def answer(self):
        """(accepted, seconds to wait, headers)."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(random.uniform(0.002, 0.004))
        if self.at_once is not None and self.in_flight >= self.at_once:
            wait = 1.0
        else:
            wait = self.rate.wait(loop.time()) if self.rate else 0.0
        self.log.append((loop.time(), not wait))
        if not wait:
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            await asyncio.sleep(self.latency * math.exp(0.25 * random.gauss(0, 1)))
            self.in_flight -= 1
        headers = self.rate.headers(loop.time()) if self.with_headers else {}
        return not wait, float(math.ceil(wait)), headers

    def refused_after(self, seconds):
        late = [accepted for moment, accepted in self.log if moment > seconds]
        return late.count(False) / max(1, len(late))

    def used(self, per_minute, burst):
        """The share of what the server would have let in until the last request."""
        accepted = [moment for moment, accepted in self.log if accepted]
        return (len(accepted) - burst) / (per_minute / 60) / max(accepted)


async def call_all(limiter, server, calls):
    async def call():
        attempts, number = Attempts(RetryPolicy(), uniform=random.random), limiter.number()
        while True:
            ticket = await limiter.admit(number=number, input_tokens=TOKENS)
            accepted, wait, headers = await server.answer()
            levels = told_levels(headers)
            if accepted:
                limiter.settle(ticket, Outcome.SUCCESS, levels=levels)
                return
            limiter.settle(ticket, Outcome.REFUSED, wait=wait, levels=levels)
            await asyncio.sleep(attempts.pause(AttemptResult(effect=RetryAction.LIMITED, wait=wait)))

    await asyncio.gather(*(call() for _ in range(calls)))
    assert (limiter.in_flight, limiter.queued) == (0, 0)


def in_simulated_time(main):
    """Wall time of a coroutine function, and what it returns."""
    random.seed(1)
    loop = SimulatedTime()
    try:
        returned = loop.run_until_complete(main())
        return loop.time(), returned
    finally:
        loop.close()


def run(server, calls, **settings):
    """Wall time of that many calls through a limiter, and the limiter."""

    async def main():
        limiter = Limiter(**settings)
        await call_all(limiter, server, calls)
        limiter.close()
        return limiter

    return in_simulated_time(main)


@pytest.mark.parametrize("per_minute", [30, 60, 120, 600, 1500])
def test_a_rate_that_headers_tell_is_used_and_not_passed(per_minute):
    server = Server(Bucket(per_minute), headers=True)
    run(server, 3 * per_minute + per_minute // 2)
    assert server.used(per_minute, per_minute) >= 0.97
    assert server.refused_after(10) <= 0.01


@pytest.mark.parametrize("per_minute", [30, 60, 120, 600])
@pytest.mark.parametrize("burst_share", [1.0, 0.1])
def test_a_rate_that_only_refusals_tell_is_learned(per_minute, burst_share):
    burst = int(burst_share * per_minute)
    server = Server(Bucket(per_minute, burst))
    run(server, 3 * per_minute + per_minute // 2)
    assert server.used(per_minute, burst) >= 0.9
    assert server.refused_after(10) < 0.05


@pytest.mark.parametrize("per_minute", [30, 60, 600])
def test_a_used_up_window_is_waited_for_by_all(per_minute):
    server = Server(SlidingWindow(per_minute))
    wall, _ = run(server, 3 * per_minute)
    assert server.refused_after(10) < 0.02
    assert wall < 120 + 15


@pytest.mark.parametrize("rate", [Bucket(60), SlidingWindow(60)])
def test_a_fixed_cap_is_never_refused(rate):
    server = Server(rate)
    wall, limiter = run(server, 180, requests_per_minute=60)
    assert limiter.refusals == 0
    assert wall < 125


@pytest.mark.parametrize("at_once", [4, 8, 50])
@pytest.mark.parametrize("cap", [None, 20])
def test_the_servers_concurrency_is_found(at_once, cap):
    server = Server(at_once=at_once)
    wall, limiter = run(server, 400, concurrency=cap)
    best = 400 * LATENCY * math.exp(0.25**2 / 2) / min(at_once, cap or at_once)
    assert wall < 1.35 * best + 3
    assert server.refused_after(10) < 0.02
    assert abs(limiter.concurrency.limit - min(at_once, cap or at_once)) <= max(2, 0.2 * at_once)


def test_without_limits_the_search_soon_reaches_all():
    wall, limiter = run(Server(latency=1.0), 100)
    assert wall < 2 * 1.9, "twice about the slowest call"
    assert limiter.concurrency.limit > 50


def test_a_cap_is_start_and_maximum():
    server = Server()
    run(server, 100, concurrency=16)
    assert server.peak == 16


def test_growth_only_where_the_limit_held_requests_back():
    search = Concurrency()
    before = search.limit
    search.success(1.0, saturated=False)
    assert search.limit == before
    search.success(1.0, saturated=True)
    assert search.limit == before + 1


def test_one_cut_for_all_refusals_of_a_moment():
    search = Concurrency(40)
    for level in range(40, 20, -1):
        search.refused(10.0, sent=9.0, level=level)
    assert search.limit == 34
    search.refused(11.0, sent=10.5, level=21)
    assert search.limit == 20, "one less than what was refused"
    search.refused(12.0, sent=11.5, level=2)
    assert search.limit == 10, "never by more than half"


def test_after_a_refusal_the_wall_is_not_run_into_again_at_once():
    search = Concurrency(40)
    search.refused(10.0, sent=9.0, level=21)
    assert search.limit == 20
    for _ in range(100):
        search.success(15.0, saturated=True)
    assert search.limit == 20
    for _ in range(25):
        search.success(25.0, saturated=True)
    assert 21 <= search.limit < 22
    search.refused(26.0, sent=25.5, level=21)
    for _ in range(100):
        search.success(45.0, saturated=True)
    assert search.limit <= 20, "the second pause is longer"


def test_a_cut_that_was_about_the_rate_is_taken_back():
    search = Concurrency(40)
    search.refused(10.0, sent=9.0, level=32)
    assert search.limit < 40
    search.not_to_blame(11.0)
    assert search.limit == 40


def test_window_counts_costs():
    window = Window(100)
    assert window.wait(0.0, 60) == 0.0
    window.take(0.0, 60)
    assert window.wait(10.0, 50) == pytest.approx(50.5)
    window.correct(10.0, -30)
    assert window.wait(10.0, 50) == 0.0
    assert Window(100).wait(0.0, 500) == 0.0, "what never fits goes alone"


def test_level_lies_between_what_is_told_and_what_is_under_way():
    level = Level(60)
    level.tell(Told(limit=60, remaining=10, full_in=50.0), now=0.0, under_way=4)
    assert level.wait(0.0, 10) == 0.0
    level.take(0.0, 10)
    assert level.wait(0.0, 1) == pytest.approx(1.0)
    level.tell(Told(limit=60, remaining=30, full_in=30.0), now=0.5, under_way=5)
    assert level.wait(0.5, 25) == 0.0
    assert level.wait(0.5, 26) > 0.0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"anthropic-ratelimit-requests-limit": "many", "anthropic-ratelimit-requests-remaining": "3"},
        {"anthropic-ratelimit-requests-limit": "0", "anthropic-ratelimit-requests-remaining": "0"},
        {"anthropic-ratelimit-requests-limit": "nan", "anthropic-ratelimit-requests-remaining": "nan"},
        {"anthropic-ratelimit-requests-limit": "5"},
    ],
)
def test_headers_that_make_no_sense_are_left_out(headers):
    assert told_levels(headers) == {}


def test_a_reset_that_makes_no_sense_leaves_the_level():
    headers = {
        "anthropic-ratelimit-tokens-limit": "5",
        "anthropic-ratelimit-tokens-remaining": "3",
        "anthropic-ratelimit-tokens-reset": "soon",
    }
    assert told_levels(headers) == {"tokens": Told(limit=5, remaining=3, full_in=None)}


def test_later_refusals_do_not_push_the_end_of_a_window_further():
    rate = LearnedRate()
    for number in range(10):
        rate.take(float(number) / 10)
    rate.refuse(1.0, 0.95, 30.0)
    assert rate.hold_until == 31.0
    rate.refuse(5.0, 4.9, 30.0)
    assert rate.hold_until == 31.0
    assert rate.wait(5.0) >= 26.0


@pytest.mark.asyncio
async def test_priority_then_order_of_arrival():
    limiter = Limiter(concurrency=1)
    first = await limiter.admit()
    order = []

    async def wait(name, priority, number=None):
        ticket = await limiter.admit(priority=priority, number=number)
        order.append(name)
        limiter.settle(ticket, Outcome.NEUTRAL)

    early = limiter.number()
    tasks = [asyncio.create_task(wait(*entry)) for entry in [("a", 0), ("b", 0), ("c", 2), ("again", 0, early)]]
    await asyncio.sleep(0)
    assert limiter.queued == 4
    limiter.settle(first, Outcome.NEUTRAL)
    await asyncio.gather(*tasks)
    assert order == ["c", "again", "a", "b"]


@pytest.mark.asyncio
async def test_who_gives_up_waiting_leaves_no_gap():
    limiter = Limiter(concurrency=1)
    first = await limiter.admit()
    gone, stays = (asyncio.create_task(limiter.admit()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    limiter.settle(first, Outcome.NEUTRAL)
    second = await asyncio.wait_for(stays, 60)
    admitted = asyncio.create_task(limiter.admit())
    await asyncio.sleep(0)
    limiter.settle(second, Outcome.NEUTRAL)
    admitted.cancel()  # after its place was given, before it could take it
    with pytest.raises(asyncio.CancelledError):
        await admitted
    assert (limiter.in_flight, limiter.queued) == (0, 0)
