"""How many calls are in flight, and when the next one may go: the server's limit met, not exceeded."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from pytest_ragcheck.gateway.rates import FAMILIES, LONG_WAIT, LearnedRate, Level, Told, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_ragcheck.gateway.rates import Allowance

__all__ = ["AdmissionControl", "Concurrency", "Limiter", "Outcome", "Ticket"]

START = 48
MAXIMUM = 256
SHORTEST_PAUSE = 0.001
AT_ONCE = 4
"""Calls let in between two turns of the event loop: the first shall be on the wire before the last is made ready."""
RECENT = 10.0
"""Seconds for which it is remembered how many requests the server bore at once."""


class Outcome(Enum):
    """What a ticket's attempt teaches."""

    SUCCESS = "success"
    REFUSED = "refused"
    """429."""
    NEUTRAL = "neutral"
    """Nothing: the server's own trouble, a lost connection, a reply that another process had stored."""


@dataclass(slots=True, kw_only=True)
class Ticket:
    """A place in flight."""

    sent: float
    costs: Mapping[str, float]
    """What it is expected to take, by family of limits."""
    queued: float = 0.0
    """Seconds that it waited for its place."""


class Concurrency:
    """Additive increase, multiplicative decrease of the requests in flight.

    With ``cap`` the search starts there and never passes it; without, it starts at a fair number and doubles in
    each round of replies until the first refusal. After a refusal growth stops just below and looks
    further only after a pause, longer each time the same limit is met again.
    """

    def __init__(self, cap: int | None = None) -> None:
        self.maximum = cap if cap is not None else MAXIMUM
        self.limit = float(cap if cap is not None else START)
        self._wall = math.inf
        self._pause = RECENT
        self._probe_at = -math.inf
        self._cut_at = -math.inf
        self._before_cut = (self.limit, self._wall)

    @property
    def places(self) -> int:
        """Requests that may be in flight."""
        return int(self.limit)

    def state(self) -> list[float]:
        """All that was found out, in numbers, fit for :meth:`restore`."""
        return [self.limit, self._wall, self._pause, self._probe_at, self._cut_at, *self._before_cut]

    def restore(self, state: Sequence[float]) -> None:
        """Go on where another one stood."""
        self.limit, self._wall, self._pause, self._probe_at, self._cut_at, limit, wall = state
        self._before_cut = (limit, wall)

    def success(self, now: float, *, saturated: bool) -> None:
        """A reply; the limit grows only where it was what held requests back."""
        if not saturated or self.limit >= self.maximum:
            return
        if self.limit < self._wall:
            step = 1.0 if math.isinf(self._wall) else 4 / self.limit
            self.limit = min(self.limit + step, self._wall, self.maximum)
        elif now >= self._probe_at:
            self.limit = min(self.limit + 1 / self.limit, self.maximum)

    def refused(self, now: float, *, sent: float, level: int) -> None:
        """A 429 at ``level`` requests in flight: one cut for all requests that were sent before it."""
        if sent <= self._cut_at:
            return
        if now - self._probe_at < self._pause and not math.isinf(self._wall):
            self._pause = min(2 * self._pause, 120.0)
        else:
            self._pause = RECENT
        if now - self._cut_at > RECENT:
            self._before_cut = (self.limit, self._wall)
        below = min(0.85 * self.limit, level - 1)
        self.limit = max(1.0, self.limit / 2, float(math.floor(below)))
        self._wall = self.limit
        self._cut_at = now
        self._probe_at = now + self._pause

    def not_to_blame(self, now: float) -> None:
        """The refusals of a moment ago turned out to be about the rate: take the cut back."""
        if now - self._cut_at <= RECENT:
            self.limit, self._wall = self._before_cut
            self._cut_at = -math.inf


class AdmissionControl(Protocol):
    """Hands out places in flight: a :class:`Limiter`, or a way to one in another process."""

    @property
    def places(self) -> int:
        """Requests that may be in flight."""

    @property
    def in_flight(self) -> int:
        """Places that are taken."""

    @property
    def queued(self) -> int:
        """Calls that wait for a place."""

    @property
    def refusals(self) -> int:
        """429s so far."""

    def number(self) -> int:
        """See :meth:`Limiter.number`."""

    async def admit(
        self, *, priority: int = 0, number: int | None = None, input_tokens: float = 0.0, output_tokens: float = 0.0
    ) -> Ticket:
        """See :meth:`Limiter.admit`."""

    def settle(
        self,
        ticket: Ticket,
        outcome: Outcome,
        *,
        wait: float | None = None,
        levels: Mapping[str, Told] | None = None,
        tokens: float | None = None,
    ) -> None:
        """See :meth:`Limiter.settle`."""

    def withdraw(self, ticket: Ticket) -> None:
        """See :meth:`Limiter.withdraw`."""

    def close(self) -> None:
        """See :meth:`Limiter.close`."""


class Limiter:
    """Hands out places in flight, highest priority first; one event loop.

    ``clock`` gives the loop's time.
    """

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.concurrency = Concurrency(concurrency)
        self.in_flight = 0
        self.queued = 0
        """Calls that wait for a place."""
        self.refusals = 0
        """429s so far."""
        self.partners = 1
        """Processes that meet the server's limits together, an equal part each."""
        self.elsewhere = 0
        """Requests that the others had in flight when they told last."""
        self._clock = clock or asyncio.get_running_loop().time
        self._requests: Allowance | None = Window(requests_per_minute) if requests_per_minute else None
        self._tokens: Allowance | None = Window(tokens_per_minute) if tokens_per_minute else None
        self._levels: dict[str, Level] = {}
        self._learned = LearnedRate()
        self._under_way = dict.fromkeys(FAMILIES, 0.0)
        self._borne: deque[tuple[float, int]] = deque()
        self._waiting: list[tuple[int, int, _Waiter]] = []
        self._order = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def places(self) -> int:
        """Requests that may be in flight."""
        return self.concurrency.places

    def number(self) -> int:
        """A place in the order of arrival; a retry keeps its call's number, and so goes before later calls."""
        return next(self._order)

    async def admit(
        self, *, priority: int = 0, number: int | None = None, input_tokens: float = 0.0, output_tokens: float = 0.0
    ) -> Ticket:
        """Wait for a place; the tokens are about what the request will take."""
        costs = {
            "requests": 1.0,
            "input-tokens": input_tokens,
            "output-tokens": output_tokens,
            "tokens": input_tokens + output_tokens,
        }
        waiter = _Waiter(asyncio.get_running_loop().create_future(), costs, self._clock())
        number = self.number() if number is None else number
        heapq.heappush(self._waiting, (-priority, number, waiter))
        self.queued += 1
        self._pump()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.cancelled():
                self.queued -= 1
            else:
                self.withdraw(waiter.future.result())
            raise

    def settle(
        self,
        ticket: Ticket,
        outcome: Outcome,
        *,
        wait: float | None = None,
        levels: Mapping[str, Told] | None = None,
        tokens: float | None = None,
    ) -> None:
        """Give the place back and learn; ``tokens`` is what the request really took."""
        now = self._clock()
        saturated = self.in_flight >= self.places or self.queued > 0
        self.in_flight -= 1
        for family, cost in ticket.costs.items():
            self._under_way[family] -= cost
        if tokens is not None and self._tokens is not None:
            self._tokens.correct(now, tokens - ticket.costs["tokens"])
        self._hear(levels or {}, now)
        if outcome is Outcome.SUCCESS:
            self._note_borne(now, self.in_flight + self.elsewhere + 1)
            self.concurrency.success(now, saturated=saturated)
        elif outcome is Outcome.REFUSED:
            self._refused(ticket, now, wait, levels or {})
        self._pump()

    def withdraw(self, ticket: Ticket) -> None:
        """The place was not used: nothing was sent."""
        now = self._clock()
        self._learned.forget(ticket.sent)
        if self._requests is not None:
            self._requests.correct(now, -1.0)
        for family, level in self._levels.items():
            level.take(now, -ticket.costs[family] * self.partners)
        self.settle(ticket, Outcome.NEUTRAL, tokens=0.0)

    def close(self) -> None:
        """No alarm stays behind."""
        self._stop_alarm()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _refused(self, ticket: Ticket, now: float, wait: float | None, levels: Mapping[str, Told]) -> None:
        self.refusals += 1
        self._learned.forget(ticket.sent)
        # Of many that were sent together the server refused any; those that are still in flight it bears.
        level = self.in_flight + self.elsewhere + 1
        if self._is_about_rate(ticket, level, now, wait, levels):
            self.concurrency.not_to_blame(now)
            self._rate_refused(now, ticket.sent, wait)
        else:
            self._concurrency_refused(now, ticket.sent, level)

    def _concurrency_refused(self, now: float, sent: float, level: int) -> None:
        self.concurrency.refused(now, sent=sent, level=level)

    def _rate_refused(self, now: float, sent: float, wait: float | None) -> None:
        self._learned.refuse(now, sent, wait)
        self._exhaust_levels(now)

    def _exhaust_levels(self, now: float) -> None:
        for level in self._levels.values():
            level.exhausted(now)

    def _is_about_rate(
        self, ticket: Ticket, level: int, now: float, wait: float | None, levels: Mapping[str, Told]
    ) -> bool:
        """Whether a 429 is about how often rather than how many at once.

        It is where the server says that nothing remains, where it tells to come back much later, or where it had
        borne far more at once a moment ago, and does not tell that plenty remains; or where a rate was met
        before and far fewer are in flight than may be.
        """
        if any(told.remaining < 1 for told in levels.values()):
            return True
        if wait is not None and wait >= LONG_WAIT:
            return True
        together = self.in_flight + self.elsewhere
        told_enough = self._levels and all(
            bucket.has(now, together + ticket.costs[family]) for family, bucket in self._levels.items()
        )
        if told_enough and level > 1:
            return False
        if self._learned.rate is not None and level <= self.concurrency.limit / 2:
            return True
        borne = max((borne for at, borne in self._borne if at > now - RECENT), default=0)
        return level <= max(1.0, 0.6 * borne)

    def _note_borne(self, now: float, level: int) -> None:
        """The last seconds' highest levels: what an equal or higher later one outlasts is dropped."""
        while self._borne and self._borne[-1][1] <= level:
            self._borne.pop()
        self._borne.append((now, level))
        while self._borne[0][0] <= now - RECENT:
            self._borne.popleft()

    def _hear(self, levels: Mapping[str, Told], now: float) -> None:
        for family, told in levels.items():
            level = self._levels.setdefault(family, Level(told.limit))
            level.tell(told, now=now, under_way=self._under_way[family] * self.partners)

    def _pump(self) -> None:
        """Let in who may go; set an alarm for when the next one may."""
        self._stop_alarm()
        admitted = 0
        while self._waiting:
            waiter = self._waiting[0][2]
            if waiter.future.done():
                heapq.heappop(self._waiting)
                continue
            if self.in_flight >= self.places:
                return
            now = self._clock()
            pause = self._pause(now, waiter.costs)
            if pause > 0 or admitted == AT_ONCE:
                self._alarm = asyncio.get_running_loop().call_later(max(pause, SHORTEST_PAUSE), self._pump)
                return
            admitted += 1
            heapq.heappop(self._waiting)
            self.queued -= 1
            waiter.future.set_result(self._take(now, waiter))

    def _pause(self, now: float, costs: Mapping[str, float]) -> float:
        waits = [self._learned.wait(now)]
        if self._requests is not None:
            waits.append(self._requests.wait(now))
        if self._tokens is not None:
            waits.append(self._tokens.wait(now, costs["tokens"]))
        waits += [level.wait(now, costs[family] * self.partners) for family, level in self._levels.items()]
        return max(waits)

    def _take(self, now: float, waiter: _Waiter) -> Ticket:
        self.in_flight += 1
        for family, cost in waiter.costs.items():
            self._under_way[family] += cost
        self._learned.take(now)
        if self._requests is not None:
            self._requests.take(now)
        if self._tokens is not None:
            self._tokens.take(now, waiter.costs["tokens"])
        for family, level in self._levels.items():
            level.take(now, waiter.costs[family] * self.partners)
        return Ticket(sent=now, costs=waiter.costs, queued=now - waiter.since)


@dataclass(slots=True)
class _Waiter:
    future: asyncio.Future[Ticket]
    costs: Mapping[str, float]
    since: float
