"""Who may send the next call, and when: the server's limits met and not exceeded.

A :class:`Limiter` queues the calls to one server. Each model has a lane of its own, because servers limit by model:
what its headers say (:class:`~pytest_ragcheck.gateway.rate_limits.ServerBucket`) and what it was seen to bear
(:class:`~pytest_ragcheck.gateway.adaptive.AdaptiveLimit`). The user's own limits count over all lanes.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pytest_ragcheck.gateway.adaptive import START, AdaptiveLimit, Hold
from pytest_ragcheck.gateway.call_queue import CallQueue, Waiter
from pytest_ragcheck.gateway.known_limits import start_from
from pytest_ragcheck.gateway.rate_limits import RateLimit, ServerBucket, SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Admission", "AdmissionControl", "AttemptReport", "Limiter", "LimiterState", "Outcome", "Permit"]

AT_ONCE = 4
"""Calls let in between two turns of the event loop: the first shall be on the wire before the last is made ready."""
SHORTEST_PAUSE = 0.001
EVIDENCE = 5.0
"""Seconds after a refusal: if the server has accepted calls that were sent since, its Retry-After is waited for no
longer than this, and not at all while no other call waits for the place."""


class Outcome(StrEnum):
    """What an attempt teaches about the server's limits."""

    SUCCESS = "success"
    REFUSED = "refused"
    """429."""
    OVERLOADED = "overloaded"
    """529, 503, another server error, a lost connection or no reply in time."""
    NEUTRAL = "neutral"
    """Nothing: cancelled, or refused for its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A call that wants to be sent."""

    lane: str = ""
    """The model."""
    question: int = 0
    """The question's number; earlier ones go first."""
    calls_after: int = 0
    """How many calls come after this one, each waiting for the one before: the more, the earlier it goes."""
    number: int = 0
    """Order among equals, from :meth:`AdmissionControl.number`; a retry keeps its call's."""
    requests: float = 1.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    """About what it will take of the limits by rate."""
    delay: float = 0.0
    """Seconds that the server asked this call to wait (Retry-After)."""
    known_limit: int = 0
    """Calls in flight that the server bore in an earlier run; 0: unknown. The search for the model's limit begins with
    what its first call says."""

    def rank(self, lead: int) -> tuple[int, int, int]:
        """Return its place in the order, the least first; ``lead``: questions that each call after it is worth."""
        return self.question - lead * self.calls_after, -self.calls_after, self.number


@dataclass(slots=True, kw_only=True)
class Permit:
    """The right to send one call, to be returned by ``settle`` or ``withdraw``."""

    lane: str
    sent: float
    costs: Mapping[str, float]
    """What it is expected to take, by family of rate limits."""
    delayed: float = 0.0
    """Seconds that it waited because the server asked it to."""
    call: int = 0
    """The call's number in its lane."""
    key: int = 0
    """Identifies it in another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """What became of a call that was let in."""

    outcome: Outcome
    wait: float | None = None
    """Seconds that the server asked to wait."""
    limits: Mapping[str, RateLimit] = field(default_factory=dict)
    """The server's rate limit headers, by family."""
    tokens: float | None = None
    """What it took; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterState:
    """A limiter at one moment."""

    in_flight: int = 0
    queued: int = 0
    """Calls that wait."""
    refused: int = 0
    """429s so far."""
    limit: int | None = None
    """Calls that may be in flight, where that is what holds calls back."""
    held_by: str = ""
    """What holds calls back: ``limit``, ``rate`` (headers or the user's rates), ``retry-after``, ``refusals``,
    ``overload``, ``pace``; empty where nothing does."""
    seconds: float = 0.0
    """Of ``rate``, ``retry-after``, ``refusals``: until the next call goes; of ``pace``: between two calls."""
    found: Mapping[str, int] = field(default_factory=dict)
    """Calls in flight that the server was found to bear, by model, where that is news."""


class AdmissionControl(Protocol):
    """Hands out permits: a :class:`Limiter`, or a client of one in another process."""

    def number(self) -> int:
        """Return the next number of the order of arrival."""

    async def admit(self, admission: Admission) -> Permit:
        """Wait until the call may be sent."""

    def settle(self, permit: Permit, report: AttemptReport) -> None:
        """Return the permit, and learn from what became of the call."""

    def withdraw(self, permit: Permit) -> None:
        """Return the permit of a call that was not sent."""

    def state(self) -> LimiterState:
        """Return what there is to show."""

    def close(self) -> None:
        """Cancel timers."""


@dataclass(slots=True)
class _Lane:
    """Calls to one model."""

    adaptive: AdaptiveLimit
    known: int = 0
    """Calls in flight that the server bore in an earlier run; 0: unknown."""
    peak: int = 0
    """Most calls in flight at once."""
    met: float = math.inf
    """The limit when a call was accepted while others waited for it, the last time after a refusal."""
    was_refused: bool = False
    """Whether the server refused or failed a call in this run."""
    waiting: CallQueue = field(default_factory=CallQueue)
    delayed: list[tuple[float, Waiter]] = field(default_factory=list)
    """By the moment until which the server asked them to wait."""
    buckets: dict[str, ServerBucket] = field(default_factory=dict)
    under_way: dict[str, float] = field(default_factory=dict)
    """Costs of the calls in flight, by family."""
    accepted_at: float = -math.inf
    """When the last call was sent that the server accepted."""
    is_overloaded: bool = False
    """Whether the last refusals were about the server's load (529 and the like)."""

    def release(self, now: float) -> float:
        """Queue the calls that have waited as asked, or long enough; return the seconds until the next one has."""
        while self.delayed:
            until, waiter = self.delayed[0]
            if self.accepted_at > waiter.since and not self.adaptive.is_blocked:
                until = min(until, waiter.since + EVIDENCE) if self.waiting else now
            if until > now and not waiter.future.done():
                # Those behind it were asked to wait longer, but may have been refused earlier.
                return max(SHORTEST_PAUSE, min(until - now, EVIDENCE))
            heapq.heappop(self.delayed)
            self.waiting.push(waiter)
        return math.inf

    def found(self) -> int | None:
        """Return the calls in flight that the server was found to bear; None where that is not known better now."""
        if self.accepted_at == -math.inf:
            return None
        if self.met < self.peak:
            return int(self.met)
        return self.peak if self.peak > max(START, self.known) else None

    def told_wait(self, now: float, costs: Mapping[str, float]) -> float:
        """Seconds until the server's buckets hold what a call costs."""
        return max((bucket.wait(now, costs[family]) for family, bucket in self.buckets.items()), default=0.0)


class Limiter:
    """Queues calls and lets in as many as the server bears, the longest chains of calls first; one event loop.

    ``concurrency``: the user's cap on calls in flight, over all models; ``requests_per_minute`` and
    ``tokens_per_minute``: the user's rates, over all models. ``clock`` gives the loop's time.
    """

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._clock = clock or asyncio.get_running_loop().time
        self._rates: dict[str, SlidingWindow] = {}
        if requests_per_minute:
            self._rates["requests"] = SlidingWindow(requests_per_minute)
        if tokens_per_minute:
            self._rates["tokens"] = SlidingWindow(tokens_per_minute)
        self._lanes: dict[str, _Lane] = {}
        self._in_flight = self._queued = self._refused = 0
        self._order = itertools.count()
        self._alarm: asyncio.Handle | None = None

    def number(self) -> int:
        """Return the next number of the order of arrival."""
        return next(self._order)

    async def admit(self, admission: Admission) -> Permit:
        """Wait until the call may be sent."""
        now = self._clock()
        lane = self._lane(admission)
        costs = {
            "requests": admission.requests,
            "input-tokens": admission.input_tokens,
            "output-tokens": admission.output_tokens,
            "tokens": admission.input_tokens + admission.output_tokens,
        }
        waiter = Waiter(admission, costs, asyncio.get_running_loop().create_future(), now)
        if admission.delay > 0:
            heapq.heappush(lane.delayed, (now + admission.delay, waiter))
        else:
            lane.waiting.push(waiter)
        self._queued += 1
        self._pump()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.cancelled():
                self._queued -= 1
            else:
                self.withdraw(waiter.future.result())
            raise

    def settle(self, permit: Permit, report: AttemptReport) -> None:
        """Return the permit, and learn from what became of the call."""
        now, lane = self._clock(), self._lanes[permit.lane]
        self._return(lane, permit)
        if report.tokens is not None and "tokens" in self._rates:
            self._rates["tokens"].take(now, report.tokens - permit.costs["tokens"])
        self._hear(lane, permit, report, now)
        waiting = bool(lane.waiting)
        if report.outcome is Outcome.SUCCESS:
            lane.accepted_at = max(lane.accepted_at, permit.sent)
            lane.is_overloaded = False
            if waiting and lane.was_refused and lane.adaptive.pace is None:
                lane.met = lane.adaptive.limit
            lane.adaptive.succeeded(now, permit.sent, permit.call, waiting=waiting)
        elif report.outcome is Outcome.NEUTRAL:
            lane.adaptive.withdrawn(now)
        else:
            self._refused += report.outcome is Outcome.REFUSED
            lane.was_refused = True
            lane.is_overloaded = report.outcome is Outcome.OVERLOADED
            lane.adaptive.refused(
                now,
                permit.sent,
                permit.call,
                wait=report.wait,
                waiting=waiting or bool(lane.delayed),
                is_overload=lane.is_overloaded,
            )
        self._pump()

    def withdraw(self, permit: Permit) -> None:
        """Return the permit of a call that was not sent."""
        now, lane = self._clock(), self._lanes[permit.lane]
        self._return(lane, permit)
        lane.adaptive.withdrawn(now)
        for family, window in self._rates.items():
            window.take(now, -permit.costs[family])
        for family, bucket in lane.buckets.items():
            bucket.take(now, -permit.costs[family])
        self._pump()

    def state(self) -> LimiterState:
        """Return what there is to show."""
        held_by, seconds, limit = "", 0.0, None
        for lane in self._lanes.values():
            if lane.waiting or lane.delayed:
                held_by, seconds, limit = self._held_by(lane)
        return LimiterState(
            in_flight=self._in_flight,
            queued=self._queued,
            refused=self._refused,
            limit=limit,
            held_by=held_by,
            seconds=seconds,
            found={name: found for name, lane in self._lanes.items() if (found := lane.found())},
        )

    def latency(self, lane: str) -> float:
        """Return the seconds that a call to a model usually takes; 0 as long as none has succeeded."""
        return self._lanes[lane].adaptive.latency

    def close(self) -> None:
        """Cancel timers."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _lane(self, admission: Admission) -> _Lane:
        name, known = admission.lane, admission.known_limit
        if name not in self._lanes:
            adaptive = AdaptiveLimit(maximum=self._concurrency, start=start_from(known))
            self._lanes[name] = _Lane(adaptive, known)
        return self._lanes[name]

    def _return(self, lane: _Lane, permit: Permit) -> None:
        self._in_flight -= 1
        for family, cost in permit.costs.items():
            lane.under_way[family] -= cost

    def _hear(self, lane: _Lane, permit: Permit, report: AttemptReport, now: float) -> None:
        used = None if report.tokens is None else report.tokens / max(permit.costs["tokens"], 1.0)
        for family, bucket in lane.buckets.items():
            if used is not None and family != "requests":
                bucket.take(now, permit.costs[family] * (used - 1.0))
            if report.outcome is Outcome.SUCCESS and family not in report.limits:
                bucket.hear_nothing()
        for family, limit in report.limits.items():
            bucket = lane.buckets.setdefault(family, ServerBucket(limit.limit))
            bucket.hear(limit, now=now, under_way=lane.under_way[family], accepted=report.outcome is Outcome.SUCCESS)

    def _pump(self) -> None:
        """Let in whoever may go, and set an alarm for the moment at which the next one may."""
        self.close()
        now = self._clock()
        soonest = min((lane.release(now) for lane in self._lanes.values()), default=math.inf)
        admitted = 0
        while self._concurrency is None or self._in_flight < self._concurrency:
            waiter, pause = self._next(now)
            soonest = min(soonest, pause)
            if waiter is None:
                break
            if admitted == AT_ONCE:
                self._alarm = asyncio.get_running_loop().call_soon(self._pump)
                return
            admitted += 1
            self._let_in(waiter, now)
        if soonest < math.inf:
            self._alarm = asyncio.get_running_loop().call_later(max(soonest, SHORTEST_PAUSE), self._pump)

    def _next(self, now: float) -> tuple[Waiter | None, float]:
        """The call of highest rank that may go now, and the seconds until another one may."""
        best: Waiter | None = None
        soonest, lead = math.inf, self._lead
        for lane in self._lanes.values():
            waiter = lane.waiting.first(lead)
            if waiter is None:
                continue
            pause = max(
                lane.adaptive.pause(now),
                lane.told_wait(now, waiter.costs),
                *(window.wait(now, waiter.costs[family]) for family, window in self._rates.items()),
            )
            if pause > 0:
                soonest = min(soonest, pause)
            elif best is None or waiter.admission.rank(lead) < best.admission.rank(lead):
                best = waiter
        return best, soonest

    @property
    def _lead(self) -> int:
        return self._in_flight + 1  # the places, where calls wait for one of them

    def _let_in(self, waiter: Waiter, now: float) -> None:
        lane = self._lanes[waiter.admission.lane]
        lane.waiting.remove(waiter)
        self._queued -= 1
        self._in_flight += 1
        for family, cost in waiter.costs.items():
            lane.under_way[family] = lane.under_way.get(family, 0.0) + cost
        number = lane.adaptive.sent(now)
        lane.peak = max(lane.peak, lane.adaptive.in_flight)
        for family, window in self._rates.items():
            window.take(now, waiter.costs[family])
        for family, bucket in lane.buckets.items():
            bucket.take(now, waiter.costs[family])
        delayed = min(now - waiter.since, waiter.admission.delay)
        waiter.future.set_result(
            Permit(lane=waiter.admission.lane, sent=now, costs=waiter.costs, delayed=delayed, call=number)
        )

    def _held_by(self, lane: _Lane) -> tuple[str, float, int | None]:
        now, waiter = self._clock(), lane.waiting.first(self._lead)
        if waiter is None:
            return "retry-after", max(0.0, lane.delayed[0][0] - now), None
        waits = [window.wait(now, waiter.costs[family]) for family, window in self._rates.items()]
        told = max(lane.told_wait(now, waiter.costs), *waits, 0.0)
        if told > 0:
            return "rate", told, None
        if lane.adaptive.hold is Hold.PACE:
            return "pace", lane.adaptive.pace.interval if lane.adaptive.pace else 0.0, None
        if lane.adaptive.hold is Hold.REFUSALS:
            return ("overload" if lane.is_overloaded else "refusals"), max(0.0, lane.adaptive.pause(now)), None
        cap = lane.adaptive.limit if self._concurrency is None else min(self._concurrency, lane.adaptive.limit)
        return "limit", 0.0, cap
