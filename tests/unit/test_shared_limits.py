"""Limits that several processes keep together: clients of one server, in simulated time and over real connections."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pytest_ragcheck.errors import MeasurementError, NotRunError
from pytest_ragcheck.gateway.budget import CallCost
from pytest_ragcheck.gateway.limit_client import ASKED_AT_ONCE, RemoteLimits
from pytest_ragcheck.gateway.limit_server import SHORTEST_LOST_CALL, LimitServer
from pytest_ragcheck.gateway.limiter import Admission, AttemptReport, Limiter, Outcome
from pytest_ragcheck.gateway.rate_limits import RateLimit
from pytest_ragcheck.session.workers_limits import LONGEST_LINE, LOST, LimitConnection, LimitListener

HERE = Path("here")
UNLIMITED = {"concurrency": None, "requests_per_minute": None}
TOKENS = 100
LATENCY = 0.6
HANGS = 300
"""Seconds, against hangs alone."""
SUCCESS, NEUTRAL = (AttemptReport(outcome=outcome) for outcome in (Outcome.SUCCESS, Outcome.NEUTRAL))
REFUSED = AttemptReport(outcome=Outcome.REFUSED, wait=1.0)


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


def in_simulated_time(main):
    """What a coroutine function returns, and when."""
    random.seed(1)
    with asyncio.Runner(loop_factory=SimulatedTime) as runner:
        returned = runner.run(main())
        return returned, runner.get_loop().time()


class Direct:
    """A channel in one event loop; all that goes through it is JSON."""

    def __init__(self, server, caller):
        self.server = server
        self.caller = caller

    async def ask(self, method, *arguments):
        value = self._handle(method, arguments)
        if asyncio.isfuture(value):
            value = await asyncio.shield(value)
        return json.loads(json.dumps(value))

    def tell(self, method, *arguments):
        if self.caller not in self.server._gone:  # a process that has ended tells nothing
            self._handle(method, arguments)

    def _handle(self, method, arguments):
        return self.server.handle(self.caller, method, *json.loads(json.dumps(arguments)))


class Clients:
    """Processes that share limits, all in one event loop."""

    def __init__(self, max_cost=None):
        self.max_cost = max_cost
        self.server = LimitServer(max_cost)

    def limits(self, caller):
        return RemoteLimits(Direct(self.server, caller), self.max_cost)

    def limiter(self, caller, **caps):
        return self.limits(caller).limiter(HERE, "a model", **UNLIMITED | caps)


class ModelServer:
    """Answers in ``latency`` seconds or so; refuses more than ``per_minute`` in any minute, and ``at_once``."""

    def __init__(self, per_minute=math.inf, at_once=math.inf, latency=LATENCY):
        self.per_minute = per_minute
        self.at_once = at_once
        self.latency = latency
        self.in_flight = self.peak = self.refused = 0
        self.accepted = deque()

    async def answer(self):
        """Return whether it was accepted."""
        now = asyncio.get_running_loop().time()
        while self.accepted and self.accepted[0] <= now - 60:
            self.accepted.popleft()
        if len(self.accepted) >= self.per_minute or self.in_flight >= self.at_once:
            self.refused += 1
            await asyncio.sleep(0.003)
            return False
        self.accepted.append(now)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await asyncio.sleep(self.latency * math.exp(0.25 * random.gauss(0, 1)))
        self.in_flight -= 1
        return True


async def call_all(limiter, server, calls):
    async def call():
        number, is_accepted, delay = limiter.number(), False, 0.0
        while not is_accepted:
            permit = await limiter.admit(Admission(number=number, input_tokens=TOKENS, delay=delay))
            is_accepted, delay = await server.answer(), 1.0
            limiter.settle(permit, AttemptReport(outcome=Outcome.SUCCESS, tokens=TOKENS) if is_accepted else REFUSED)

    await asyncio.gather(*(call() for _ in range(calls)))


def run_alone(calls, server=None, **caps):
    """The seconds that one process takes."""

    async def main():
        await call_all(Limiter(**caps), server or ModelServer(), calls)

    return in_simulated_time(main)[1]


def run_together(server, loads, *, lost=(), **caps):
    """The seconds that several processes take with so many calls each, and when each ended.

    The ``lost`` ones are lost when they have made their calls, and hold or want as many permits again.
    """

    async def main():
        clients = Clients()

        async def process(number, calls):
            limiter = clients.limiter(number, **caps)
            await asyncio.sleep(random.uniform(0, 0.1))
            await call_all(limiter, server, calls)
            if number in lost:
                held = [asyncio.create_task(limiter.admit(Admission(number=0))) for _ in range(calls)]
                await asyncio.sleep(1)
                clients.server.forget(number)
                await asyncio.gather(*held, return_exceptions=True)
            return asyncio.get_running_loop().time()

        return await asyncio.gather(*(process(number, calls) for number, calls in enumerate(loads)))

    return in_simulated_time(main)[::-1]


@pytest.mark.parametrize(("cap", "loads"), [(5, [100, 100]), (7, [60, 60, 60, 60]), (5, [180, 20])])
def test_processes_have_all_of_a_cap_between_them_and_never_more(cap, loads):
    server = ModelServer()
    seconds, _ = run_together(server, loads, concurrency=cap)
    assert server.peak == cap
    assert seconds < 1.1 * run_alone(sum(loads), concurrency=cap)


@pytest.mark.parametrize(
    ("loads", "caps"),
    [([90, 90], {"requests_per_minute": 60}), ([150, 15, 15], {"tokens_per_minute": 60 * TOKENS})],
)
def test_processes_keep_a_rate_together(loads, caps):
    server = ModelServer(per_minute=60)
    seconds, _ = run_together(server, loads, **caps)
    assert server.refused == 0
    assert seconds < 120 + 6, "what one leaves the others do not have"


@pytest.mark.parametrize(("at_once", "loads"), [(8, [150, 150]), (8, [250, 50]), (64, [1800, 200])])
def test_a_limit_that_only_refusals_show_is_found_by_all_together(at_once, loads):
    one, several = ModelServer(at_once=at_once), ModelServer(at_once=at_once)
    alone = run_alone(sum(loads), one)
    seconds, _ = run_together(several, loads)
    assert seconds < 1.15 * alone + 1
    assert several.refused <= 1.25 * one.refused + 10


class Busy(Direct):
    """The channel of a process that does something else for some seconds, with replies waiting."""

    until = 0.0

    async def ask(self, method, *arguments):
        reply = await super().ask(method, *arguments)
        await asyncio.sleep(self.until - asyncio.get_running_loop().time())
        return reply


def test_a_busy_process_does_not_get_permits_that_it_cannot_use():
    """Its calls are not refused, as they are not sent: nobody knows of a limit."""

    async def main():
        clients, server = Clients(), ModelServer(at_once=8)
        channel = Busy(clients.server, 1)
        channel.until = 1.0
        busy = RemoteLimits(channel, None).limiter(HERE, "a model", **UNLIMITED)
        calling = asyncio.create_task(call_all(busy, server, 150))
        await asyncio.sleep(0.9)
        given = len(clients.server._permits)
        await calling
        return given, server.refused

    (given, refused), _ = in_simulated_time(main)
    alone = ModelServer(at_once=8)
    run_alone(150, alone)
    assert given == ASKED_AT_ONCE
    assert refused <= alone.refused + 2 * ASKED_AT_ONCE


def test_calls_to_one_model_do_not_wait_for_those_to_another():
    async def main():
        limiter = Clients().limiter(1, requests_per_minute=1000)
        asked = [asyncio.create_task(limiter.admit(Admission(lane="slow", number=n))) for n in range(200)]
        await asyncio.sleep(0.01)
        async with asyncio.timeout(1):
            await limiter.admit(Admission(lane="quick"))
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert limiter.state().queued == 0

    in_simulated_time(main)


def test_the_longest_chains_of_calls_are_asked_for_first():
    async def main():
        limiter, order = Clients().limiter(1, concurrency=1), []

        async def call(calls_after, number):
            permit = await limiter.admit(Admission(lane="a model", calls_after=calls_after, number=number))
            order.append(calls_after)
            await asyncio.sleep(0.1)
            limiter.settle(permit, SUCCESS)

        early = [asyncio.create_task(call(0, number)) for number in range(2 * ASKED_AT_ONCE)]
        await asyncio.sleep(0.01)
        await asyncio.gather(call(1, 99), *early)
        return order

    order, _ = in_simulated_time(main)
    assert order.index(1) <= 3


def test_who_arrives_first_has_a_rate_first():
    seconds, ends = run_together(ModelServer(), [2, 2], tokens_per_minute=1.3 * TOKENS)
    assert 180 < seconds < 184
    assert min(ends) < 125


def test_the_permits_of_a_lost_process_are_free():
    seconds, _ = run_together(ModelServer(), [100, 4], lost={1}, concurrency=4)
    assert seconds < 1.15 * run_alone(104, concurrency=4) + 1


@pytest.mark.parametrize(("is_known", "latency"), [(False, 0.6), (True, 0.6), (True, 30.0)])
def test_the_server_may_work_on_the_calls_of_a_lost_process(is_known, latency):
    """It learns of a closed connection late, or never looks."""
    server = ModelServer(latency=latency)

    async def main():
        clients = Clients()
        lost, other = (clients.limiter(caller, concurrency=4) for caller in (1, 2))
        await call_all(other, server, 8 * is_known)
        for _ in range(4):
            await lost.admit(Admission())
        working = [asyncio.create_task(server.answer()) for _ in range(4)]
        await asyncio.sleep(latency / 4)
        clients.server.forget(1)
        forgotten = asyncio.get_running_loop().time()
        other.withdraw(await other.admit(Admission()))
        free = asyncio.get_running_loop().time()
        await call_all(other, server, 8)
        await asyncio.gather(*working)
        return free - forgotten

    seconds, _ = in_simulated_time(main)
    assert server.peak == 4
    assert SHORTEST_LOST_CALL - 0.01 < seconds < 2 * max(SHORTEST_LOST_CALL, latency)


def test_close_waits_for_no_call_of_a_lost_process():
    async def main():
        clients = Clients()
        await clients.limiter(1).admit(Admission())
        clients.server.forget(1)
        clients.server.close()
        await asyncio.sleep(2 * SHORTEST_LOST_CALL)
        (limiter,) = clients.server._limiters.values()
        return limiter.state().in_flight

    assert in_simulated_time(main)[0] == 1, "a timer went off after close()"


def test_what_a_lost_process_took_of_a_rate_is_used():
    async def main():
        clients = Clients()
        lost, other = (clients.limiter(caller, requests_per_minute=3) for caller in (1, 2))
        for _ in range(2):
            await lost.admit(Admission())
        clients.server.forget(1)
        await other.admit(Admission())
        first = asyncio.get_running_loop().time()
        await other.admit(Admission())
        return first

    first, second = in_simulated_time(main)
    assert first == 0.0
    assert 60 <= second < 62


def test_what_the_server_says_to_one_process_holds_for_all_and_for_that_model_alone():
    async def main():
        clients, loop = Clients(), asyncio.get_running_loop()
        one, two = clients.limiter(1), clients.limiter(2)
        used_up = {"requests": RateLimit(limit=60.0, remaining=0.0, full_in=60.0)}
        permit = await one.admit(Admission(lane="a"))
        one.settle(permit, AttemptReport(outcome=Outcome.REFUSED, wait=1.0, limits=used_up))
        await two.admit(Admission(lane="b"))
        other_model = loop.time()
        waits = asyncio.create_task(two.admit(Admission(lane="a")))
        await asyncio.sleep(0.1)
        two.state()
        await asyncio.sleep(0.1)
        shown = two.state()
        assert one.state().refused == 1
        await waits
        return other_model, loop.time(), shown

    (other_model, same_model, shown), _ = in_simulated_time(main)
    assert other_model == 0.0
    assert same_model >= 1.0
    assert shown.held_by == "rate"
    assert 0 < shown.seconds <= 1.0
    assert (shown.in_flight, shown.queued, shown.refused) == (1, 1, 0)


async def turns():
    """Let all tasks run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


class Noting:
    """A limiter that notes what reaches it."""

    def __init__(self):
        self.settled = []

    async def admit(self, admission):
        self.admitted = admission
        return await Limiter().admit(admission)

    def settle(self, permit, report):
        self.settled.append((permit.lane, report))


@pytest.mark.asyncio
async def test_admissions_and_reports_arrive_as_they_were_sent():
    clients, noting = Clients(), Noting()
    clients.server._limiters["here|a model"] = noting
    limiter = clients.limiter(1)
    admission = Admission(
        lane="ü \n", question=3, calls_after=1, known_limit=7, number=2**70, input_tokens=0.1, output_tokens=math.inf
    )
    limits = {
        "tokens": RateLimit(limit=1e9, remaining=-math.inf, full_in=None),
        "requests": RateLimit(limit=math.inf, remaining=0.5, full_in=1e-300),
    }
    permit = await limiter.admit(admission)
    report = AttemptReport(outcome=Outcome.OVERLOADED, wait=math.inf, limits=limits, tokens=None)
    limiter.settle(permit, report)
    assert noting.admitted == admission
    assert noting.settled == [(admission.lane, report)]
    assert noting.settled[0][1].outcome is Outcome.OVERLOADED


@pytest.mark.asyncio
async def test_the_order_holds_over_all_processes():
    clients = Clients()
    one, two = (clients.limiter(caller, concurrency=1) for caller in (1, 2))
    first, order = await one.admit(Admission(number=one.number())), []
    for _ in range(9):  # one process may have made more calls than the other
        two.number()

    async def wait(name, limiter, number, question=1, calls_after=0):
        permit = await limiter.admit(Admission(question=question, calls_after=calls_after, number=number))
        order.append(name)
        limiter.settle(permit, NEUTRAL)

    early = two.number()
    tasks = [
        asyncio.create_task(wait(*entry))
        for entry in [
            ("second", two, two.number()),
            ("third", one, one.number()),
            ("last", two, two.number(), 2),
            ("urgent", one, one.number(), 2, 3),
            ("retry", two, early),
        ]
    ]
    await turns()
    assert (one.state().queued, two.state().queued) == (2, 3)
    one.settle(first, NEUTRAL)
    await asyncio.gather(*tasks)
    assert order == ["urgent", "retry", "second", "third", "last"]
    assert (two.state().in_flight, two.state().queued) == (0, 0)


@pytest.mark.asyncio
async def test_a_call_that_is_given_up_leaves_its_permit():
    clients = Clients()
    limiter = clients.limiter(1, concurrency=1)
    permit = await limiter.admit(Admission())
    waits = asyncio.create_task(limiter.admit(Admission()))
    await turns()
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    admitted = asyncio.create_task(limiter.admit(Admission()))
    await turns()
    limiter.settle(permit, SUCCESS)
    admitted.cancel()  # after its permit was granted, before it could take it
    await asyncio.gather(admitted, return_exceptions=True)
    limiter.withdraw(await asyncio.wait_for(limiter.admit(Admission()), 5))
    await asyncio.wait_for(limiter.admit(Admission()), HANGS)
    assert (limiter.state().in_flight, limiter.state().queued) == (1, 0)


@pytest.mark.asyncio
async def test_what_is_asked_twice_is_given_once():
    clients = Clients()
    channel, caps = Direct(clients.server, 1), {"concurrency": 1}
    for _ in range(2):  # a message that may have been lost is sent again
        await asyncio.wait_for(channel.ask("admit", 7, "a model", caps, {}), HANGS)
    waits = asyncio.create_task(Direct(clients.server, 2).ask("admit", 7, "a model", caps, {}))
    await turns()
    assert not waits.done()
    channel.tell("withdraw", 7)
    channel.tell("withdraw", 7)
    await asyncio.wait_for(waits, HANGS)


@pytest.mark.asyncio
async def test_folders_of_other_machines_lead_to_the_same_limiter():
    clients = Clients()
    caps = UNLIMITED | {"concurrency": 1}
    here, there = clients.limits(1), clients.limits(2)
    there.folders[Path("/node/project")] = HERE
    await here.limiter(HERE, "a model", **caps).admit(Admission())
    waits = asyncio.create_task(there.limiter(Path("/node/project"), "a model", **caps).admit(Admission()))
    await there.limiter(Path("/node/other"), "a model", **caps).admit(Admission())
    await there.limiter(Path("/node/project"), "another model", **caps).admit(Admission())
    await turns()
    assert not waits.done()
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)


def whole(worst):
    """A call of which no reply is cut short."""
    return CallCost("judging", 0.0, worst, worst)


async def spend(budget, costs, *, worst):
    made = 0
    for cost in costs:
        try:
            grant = await budget.reserve(whole(worst))
        except NotRunError as reason:
            return made, str(reason)
        await asyncio.sleep(0)
        budget.settle(grant, cost)
        made += 1
    return made, None


@pytest.mark.asyncio
async def test_the_sum_of_what_all_spend_counts_not_a_part_for_each():
    clients = Clients(max_cost=1.0)
    dear, cheap = (clients.limits(caller).budget for caller in (1, 2))
    (many, none), (few, _) = await asyncio.gather(
        spend(dear, [0.08] * 9, worst=0.1), spend(cheap, [0.001] * 20, worst=0.01)
    )
    assert (many, none, few) == (9, None, 20), "0.72 of 1 USD is more than half, and the other needs little"
    more, reason = await spend(cheap, [0.1] * 9, worst=0.1)
    assert more == 2
    assert reason.startswith("budget spent: 0.9400 of 1.0000 USD, and this call may cost 0.1000")


@pytest.mark.asyncio
async def test_what_another_process_has_set_aside_is_waited_for_and_counts_as_spent_when_it_is_lost():
    clients = Clients(max_cost=1.0)
    one, two = (clients.limits(caller).budget for caller in (1, 2))
    first = await one.reserve(whole(0.6))
    waits = asyncio.create_task(two.reserve(whole(0.5)))
    await turns()
    assert not waits.done(), "the call under way may yet cost less"
    one.settle(first, 0.1)
    second = await asyncio.wait_for(waits, HANGS)
    given_up = asyncio.create_task(one.reserve(whole(0.45)))
    await turns()
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    two.settle(second, 0.2)
    await one.reserve(whole(0.6))
    clients.server.forget(1)
    with pytest.raises(NotRunError, match=r"budget spent: 0\.9000 of 1\.0000"):
        await two.reserve(whole(0.2))
    with pytest.raises(NotRunError):
        await one.reserve(whole(0.01))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_no_limit_is_passed_and_nothing_stays_behind(seed):
    """Calls that succeed, fail, are given up at any moment, in processes of which some are lost."""
    cap, limit, worst = 1 + seed % 5, 3.0, 0.04

    async def main():
        draw, clients = random.Random(seed), Clients(max_cost=limit)
        spent, in_flight, peak = Counter(), 0, 0
        lost = set()

        async def work():
            nonlocal in_flight, peak
            in_flight += 1
            peak = max(peak, in_flight)
            try:
                await asyncio.sleep(draw.uniform(0, 0.2))
            finally:
                in_flight -= 1

        async def call(caller, limiter, budget):
            await asyncio.sleep(draw.uniform(0, 3))
            grant = await budget.reserve(whole(worst))
            cost = 0.0
            try:
                permit = await limiter.admit(
                    Admission(number=limiter.number(), question=draw.randrange(3), calls_after=draw.randrange(3))
                )
                if draw.random() < 0.2:
                    limiter.withdraw(permit)
                    return
                report, working = NEUTRAL, asyncio.create_task(work())
                try:
                    await asyncio.shield(working)
                    report, cost = SUCCESS, worst * draw.random()
                finally:
                    if caller not in lost:  # a lost process's calls go on at the server
                        working.cancel()
                    limiter.settle(permit, report)
            finally:
                spent[caller] += cost
                budget.settle(grant, cost)

        async def process(caller):
            limits = clients.limits(caller)
            limiter, budget = limits.limiter(HERE, "m", **UNLIMITED | {"concurrency": cap}), limits.budget
            calls = [asyncio.create_task(call(caller, limiter, budget)) for _ in range(30)]
            for task in calls:
                asyncio.get_running_loop().call_later(draw.uniform(0, 20), task.cancel)
            if draw.random() < 0.4:
                await asyncio.sleep(draw.uniform(0, 3))
                lost.add(caller)
                clients.server.forget(caller)
                for task in calls:
                    task.cancel()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            unexpected = [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, NotRunError)]
            assert not unexpected

        await asyncio.gather(*(process(caller) for caller in range(4)))
        await asyncio.sleep(SHORTEST_LOST_CALL)
        server = clients.server
        assert peak <= cap
        assert not server._permits
        assert not server._reserved
        assert server._budget.reserved == 0.0
        assert spent.total() - 1e-9 <= server._budget.spent <= limit
        (limiter,) = server._limiters.values()
        assert (limiter.state().in_flight, limiter.state().queued) == (0, 0)

    in_simulated_time(main)


@contextmanager
def listening(max_cost=None):
    listener = LimitListener(max_cost)
    try:
        yield listener
    finally:
        listener.close()


async def reached(condition):
    async with asyncio.timeout(HANGS):
        while not condition():
            await asyncio.sleep(0.005)


def connected(listener, max_cost=None):
    connection = LimitConnection(*listener.address)
    return connection, RemoteLimits(connection, max_cost)


@pytest.mark.asyncio
async def test_a_connection_that_is_closed_frees_what_its_process_held():
    with listening(max_cost=1.0) as listener:
        (first, mine), (second, others) = (connected(listener, 1.0) for _ in range(2))
        caps = UNLIMITED | {"concurrency": 3}
        lost, other = (limits.limiter(HERE, "a model", **caps) for limits in (mine, others))
        await mine.budget.reserve(whole(0.95))
        for _ in range(3):
            await lost.admit(Admission())
        waits = [asyncio.create_task(other.admit(Admission())) for _ in range(4)]
        await reached(lambda: other.state().held_by == "limit")
        assert (other.state().limit, other.state().queued) == (3, 4)
        assert not any(task.done() for task in waits)
        first.close()
        await reached(lambda: sum(task.done() for task in waits) == 3)
        with pytest.raises(NotRunError, match=r"budget spent: 0\.9500 of 1\.0000"):
            await others.budget.reserve(whole(0.5))
        with pytest.raises(MeasurementError, match=LOST):
            await lost.admit(Admission())
        other.settle(waits[0].result(), SUCCESS)
        await asyncio.wait_for(waits[3], HANGS)
        other.close()
        second.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("said", [b"wrong\n", b"\n", b"[" * (LONGEST_LINE + 1), b"\xff\xfe\n", b"", None])
async def test_who_does_not_know_the_token_gets_nothing(said):
    with listening() as listener, socket.create_connection(("127.0.0.1", listener.address[0])) as stranger:
        if said is not None:
            stranger.sendall(said + b'[1, "admit", 1, "here|a model", {"concurrency": 1}, {}]\n')
            stranger.settimeout(HANGS)
            with suppress(ConnectionError):  # closed before all was read
                assert stranger.recv(1) == b""
        connection, limits = connected(listener)
        limiter = limits.limiter(HERE, "a model", **UNLIMITED | {"concurrency": 1})
        await asyncio.wait_for(limiter.admit(Admission()), HANGS)
        connection.close()


@pytest.mark.asyncio
async def test_a_request_that_makes_no_sense_breaks_nothing():
    with listening() as listener:
        connection, limits = connected(listener)
        with pytest.raises(MeasurementError, match="fly"):
            await connection.ask("fly", 1)
        await limits.limiter(HERE, "a model", **UNLIMITED).admit(Admission())
        connection.close()


def test_what_is_settled_last_arrives_though_the_event_loop_stops():
    """A worker's event loop stands still while it runs items."""
    with listening() as listener, asyncio.Runner() as runner:

        async def use():
            connection, limits = connected(listener)
            limiter = limits.limiter(HERE, "a model", **UNLIMITED | {"concurrency": 1})
            limiter.settle(await limiter.admit(Admission()), SUCCESS)
            return connection

        async def use_after():
            connection, limits = connected(listener)
            limiter = limits.limiter(HERE, "a model", **UNLIMITED | {"concurrency": 1})
            await asyncio.wait_for(limiter.admit(Admission()), HANGS)
            connection.close()

        async def close(connection):
            connection.close()

        connection = runner.run(use())
        asyncio.run(use_after())
        runner.run(close(connection))


PROCESS = """
import asyncio, sys
from pathlib import Path
from pytest_ragcheck.gateway.budget import CallCost
from pytest_ragcheck.gateway.limit_client import RemoteLimits
from pytest_ragcheck.gateway.limiter import Admission
from pytest_ragcheck.session.workers_limits import LimitConnection, LimitListener

async def hold(port, token):
    limits = RemoteLimits(LimitConnection(int(port), token), 1.0)
    limiter = limits.limiter(Path("here"), "a model", concurrency=3, requests_per_minute=None)
    await limits.budget.reserve(CallCost("judging", 0.0, 0.95, 0.95))
    for _ in range(3):
        await limiter.admit(Admission(number=limiter.number()))
    print("holds", flush=True)
    await asyncio.sleep(600)

def serve():
    print(*LimitListener(1.0).address, flush=True)
    sys.stdin.read()

asyncio.run(hold(*sys.argv[1:])) if sys.argv[1:] else serve()
"""


@contextmanager
def process(*arguments):
    command = [sys.executable, "-c", PROCESS, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.asyncio
async def test_a_process_that_is_killed_frees_its_permits_and_its_money_counts_as_spent():
    with listening(max_cost=1.0) as listener, process(*listener.address) as victim:
        assert victim.stdout.readline() == "holds\n"
        connection, limits = connected(listener, 1.0)
        limiter = limits.limiter(HERE, "a model", **UNLIMITED | {"concurrency": 3})
        waits = [asyncio.create_task(limiter.admit(Admission(number=limiter.number()))) for _ in range(3)]
        dear = asyncio.create_task(limits.budget.reserve(whole(0.5)))
        await reached(lambda: limiter.state().held_by == "limit")
        assert not any(task.done() for task in [*waits, dear])
        os.kill(victim.pid, signal.SIGKILL)
        await asyncio.wait_for(asyncio.gather(*waits), HANGS)
        with pytest.raises(NotRunError, match=r"budget spent: 0\.9500 of 1\.0000"):
            await asyncio.wait_for(dear, HANGS)
        await limits.budget.reserve(whole(0.04))
        limiter.close()
        connection.close()


@pytest.mark.asyncio
async def test_whoever_waits_learns_that_the_process_with_the_limits_was_killed():
    with process() as holder:
        port, token = holder.stdout.readline().split()
        connection = LimitConnection(int(port), token)
        limits = RemoteLimits(connection, 1.0)
        limiter = limits.limiter(HERE, "a model", **UNLIMITED | {"concurrency": 1})
        permit = await limiter.admit(Admission())
        held = await limits.budget.reserve(whole(0.9))
        waits = [
            asyncio.create_task(limiter.admit(Admission())),
            asyncio.create_task(limits.budget.reserve(whole(0.5))),
        ]
        await reached(lambda: limiter.state().held_by == "limit")
        os.kill(holder.pid, signal.SIGKILL)
        problems = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), HANGS)
        assert [(type(problem), str(problem)) for problem in problems] == 2 * [(MeasurementError, LOST)]
        limiter.settle(permit, SUCCESS)
        limits.budget.settle(held, 0.1)
        with pytest.raises(MeasurementError, match=LOST):
            await asyncio.wait_for(limiter.admit(Admission()), HANGS)
        later = RemoteLimits(LimitConnection(int(port), token), None).limiter(HERE, "a model", **UNLIMITED)
        with pytest.raises(MeasurementError, match=LOST):
            await asyncio.wait_for(later.admit(Admission()), HANGS)
        assert (limiter.state().in_flight, limiter.state().queued) == (0, 0)
        connection.close()
