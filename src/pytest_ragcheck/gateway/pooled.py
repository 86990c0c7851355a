"""A limiter and a budget whose limits several processes meet together, see :mod:`pytest_ragcheck.gateway.pool`."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.budget import OVERSPENT
from pytest_ragcheck.gateway.limiter import Concurrency, Limiter
from pytest_ragcheck.gateway.partner import MEETING_EVERY
from pytest_ragcheck.gateway.pool import CRUMB, Limit, Stake
from pytest_ragcheck.gateway.rates import MINUTE, SLACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_ragcheck.gateway.partner import Partner
    from pytest_ragcheck.gateway.pool import Pool

__all__ = ["PooledBudget", "PooledLimiter"]

Told = tuple[Limit, Stake]
_LEARNED = {"rate": MINUTE, "allowance": 1.0}
"""What a :class:`~pytest_ragcheck.gateway.rates.LearnedRate` finds, and of how many a minute it is one."""


class _NotedConcurrency(Concurrency):
    """Notes what it learns, so that all learn it."""

    def __init__(self, cap: int | None) -> None:
        super().__init__(cap)
        self.lessons: list[Callable[[Concurrency], None]] = []

    def success(self, now: float, *, saturated: bool) -> None:
        """See the base class."""
        super().success(now, saturated=saturated)
        if saturated:
            self.lessons.append(lambda shared: shared.success(now, saturated=True))

    def refused(self, now: float, *, sent: float, level: int) -> None:
        """See the base class."""
        super().refused(now, sent=sent, level=level)
        self.lessons.append(lambda shared: shared.refused(now, sent=sent, level=level))

    def not_to_blame(self, now: float) -> None:
        """See the base class."""
        super().not_to_blame(now)
        self.lessons.append(lambda shared: shared.not_to_blame(now))


class _HeldAllowance:
    """What this process holds of a rate."""

    def __init__(self, total: float) -> None:
        self.limit = Limit(total=total, lasts=MINUTE + SLACK)
        self.used = 0.0
        """Since the last meeting."""
        self._held = 0.0

    def wait(self, now: float, cost: float = 1.0) -> float:  # noqa: ARG002 (see Allowance)
        """Seconds until ``cost`` may be used, or until it may be known."""
        return 0.0 if self._held >= min(cost, self.limit.total) - CRUMB else MEETING_EVERY

    def take(self, now: float, cost: float = 1.0) -> None:  # noqa: ARG002 (see Allowance)
        """Note that ``cost`` was used."""
        self._held -= cost
        self.used += cost

    def correct(self, now: float, by: float) -> None:
        """What was taken lately turned out as more or less."""
        self.take(now, by)

    def stake(self, wanted: float, needed: float, since: float) -> Told:
        """What is told of it."""
        return self.limit, Stake(want=wanted, need=min(needed, self.limit.total), since=since, used=self.used)

    def dealt(self, held: float) -> None:
        """Go on with so much."""
        self._held = held
        self.used = 0.0


class PooledLimiter(Limiter):
    """A limiter among several, one in each process, whose places and rates are dealt by a pool.

    What one of them finds out of the server's limit all go by. ``name`` is the same in every process; for the rest see
    :class:`~pytest_ragcheck.gateway.limiter.Limiter`.
    """

    def __init__(
        self,
        name: str,
        partner: Partner,
        *,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        super().__init__(concurrency=concurrency, clock=partner.clock)
        self._cap = concurrency
        self._name = name
        self._partner = partner
        self._held = 0
        self.concurrency: _NotedConcurrency = _NotedConcurrency(concurrency)
        self._held_requests = _HeldAllowance(requests_per_minute) if requests_per_minute else None
        self._held_tokens = _HeldAllowance(tokens_per_minute) if tokens_per_minute else None
        self._requests, self._tokens = self._held_requests, self._held_tokens
        self._found = self.concurrency.limit
        """The places of all, as of the last meeting."""
        self._heard = 0
        self._refused_at: float | None = None
        self._went_by: dict[str, float | None] = dict.fromkeys(_LEARNED)
        partner.add(self)

    @property
    def places(self) -> int:
        """Requests that may be in flight here."""
        if not self._held or not self._partner.may_use:
            return 0
        # What was learned since the last meeting holds at once for the part that is here.
        return max(1, int(self._held * min(1.0, self.concurrency.limit / self._found)))

    def close(self) -> None:
        """Draw no more on the pool."""
        super().close()
        self._partner.remove(self)

    def confer(self, pool: Pool, owner: str) -> None:
        """See :class:`~pytest_ragcheck.gateway.partner.Party`."""
        blank: dict[str, Any] = {"number": 0, "accepted": {}, **dict.fromkeys(_LEARNED)}
        note: dict[str, Any] = pool.notes.setdefault(self._name, blank)
        together = Concurrency(self._cap)
        if "concurrency" in note:
            together.restore(note["concurrency"])
        for learn in self.concurrency.lessons:
            learn(together)
        note["concurrency"] = together.state()
        self._tell_rate(pool, note, owner)

    def _tell_rate(self, pool: Pool, note: dict[str, Any], owner: str) -> None:
        """Of a rate each finds only what is its own part: the sum is what all found."""
        now = self._clock()
        own = max(1, self._learned.accepted(now))
        accepted = {name: told for name, told in note["accepted"].items() if told[0] > now - MINUTE}
        accepted[owner] = [now, own]
        note["accepted"] = accepted
        by_all = sum(count for _, count in accepted.values())
        some_left = not all(name == owner or pool.has(name) for name in accepted)
        for name, unit in _LEARNED.items():
            found, before = getattr(self._learned, name), self._went_by[name]
            if found is None:
                continue
            if before is not None:
                note[name] += found - before
            elif note[name] is None:
                note[name] = found * by_all / own
            if before is not None and found < before and some_left:  # they find nothing any more of what was theirs
                note[name] = max(note[name], by_all / unit)
        if self._refused_at is not None:
            note["number"] += 1
            note["refusal"] = [owner, self._refused_at, self._learned.hold_until]

    def stakes(self, pool: Pool, now: float) -> dict[str, Told]:
        """See :class:`~pytest_ragcheck.gateway.partner.Party`."""
        waiting = [waiter for _, _, waiter in self._waiting if not waiter.future.done()]
        first = self._waiting[0][2] if self._waiting else None
        since = min((waiter.since for waiter in waiting), default=now)
        found = math.floor(pool.notes[self._name]["concurrency"][0])
        busy = self.in_flight + len(waiting)
        told: dict[str, Told] = {
            f"{self._name} places": (
                Limit(total=found, whole=True),
                Stake(in_use=self.in_flight, want=busy, need=min(busy, 1), since=since),
            )
        }
        if self._held_requests:
            told[f"{self._name} requests"] = self._held_requests.stake(len(waiting), bool(waiting), since)
        if self._held_tokens:
            costs = [waiter.costs["tokens"] for waiter in waiting]
            needed = first.costs["tokens"] if first is not None else 0.0
            told[f"{self._name} tokens"] = self._held_tokens.stake(sum(costs), needed, since)
        return told

    def dealt(self, pool: Pool, owner: str, held: Mapping[str, float], now: float) -> None:
        """See :class:`~pytest_ragcheck.gateway.partner.Party`."""
        note = pool.notes[self._name]
        self.concurrency.restore(note["concurrency"])
        self.concurrency.lessons.clear()
        self._refused_at = None
        self._found = self.concurrency.limit
        self._held = int(held.get(f"{self._name} places", 0.0))
        if self._held_requests:
            self._held_requests.dealt(held.get(f"{self._name} requests", 0.0))
        if self._held_tokens:
            self._held_tokens.dealt(held.get(f"{self._name} tokens", 0.0))
        others = pool.others(owner, f"{self._name} places")
        self.elsewhere = round(sum(stake.in_use for stake in others))
        self.partners = 1 + sum(stake.want > 0 for stake in others)
        self._heed(note, owner, now)
        self._pump()

    def _heed(self, note: Mapping[str, Any], owner: str, now: float) -> None:
        """Go by what all found of the rate; where another one was refused, as if this one had been."""
        parts = {name: note[name] and note[name] / self.partners for name in _LEARNED}
        self._learned.go_by(now, **parts)
        self._went_by = {name: getattr(self._learned, name) for name in _LEARNED}
        if note["number"] == self._heard:
            return
        self._heard = note["number"]
        other, refused_at, hold_until = note["refusal"]
        if other != owner and refused_at > now - MINUTE:
            self._learned.heed(now, refused_at, hold_until)
            self._exhaust_levels(now)

    def _rate_refused(self, now: float, sent: float, wait: float | None) -> None:
        super()._rate_refused(now, sent, wait)
        self._refused_at = now
        self._partner.wish(hurry=True)

    def _concurrency_refused(self, now: float, sent: float, level: int) -> None:
        super()._concurrency_refused(now, sent, level)
        self._partner.wish(hurry=True)

    def _pump(self) -> None:
        super()._pump()
        if self.queued > 0:
            self._partner.wish(hurry=self._held == 0)


class PooledBudget:
    """A budget that several processes spend together: the sum counts, not a part for each.

    See :class:`~pytest_ragcheck.gateway.budget.Budget`. What a process held when it was killed counts as spent.
    """

    def __init__(self, limit: float, partner: Partner) -> None:
        self.limit: float | None = limit
        self._total = limit
        self._partner = partner
        self._held = 0.0
        self._reserved = 0.0
        self._used = 0.0
        """Since the last meeting."""
        self._taken = 0.0
        """What all had spent by the last meeting."""
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[float, float]] = {}
        """Amounts that are waited for, and since when."""
        self._changed = asyncio.Event()
        partner.add(self)

    async def reserve(self, amount: float) -> None:
        """See :meth:`~pytest_ragcheck.gateway.budget.Budget.reserve`."""
        number = next(self._numbers)
        self._waiting[number] = amount, self._partner.clock()
        try:
            while not self._is_held(amount):
                spent = self._taken + self._used
                if spent + amount > self._total + CRUMB:
                    raise NotRunError(OVERSPENT.format(spent=spent, limit=self._total, amount=amount))
                self._partner.wish(hurry=True)
                self._changed.clear()
                await self._changed.wait()
        finally:
            del self._waiting[number]
        self._reserved += amount

    def settle(self, reserved: float, spent: float) -> None:
        """See :meth:`~pytest_ragcheck.gateway.budget.Budget.settle`."""
        self._reserved = max(0.0, self._reserved - reserved)
        self._used += spent
        self._changed.set()

    def confer(self, pool: Pool, owner: str) -> None:
        """Nothing: sums tell all."""

    def stakes(self, pool: Pool, now: float) -> dict[str, Told]:  # noqa: ARG002 (see Party)
        """See :class:`~pytest_ragcheck.gateway.partner.Party`."""
        first, since = next(iter(self._waiting.values()), (0.0, now))
        wanted = sum(amount for amount, _ in self._waiting.values())
        # A little more is at hand, so that not every call has to wait for a meeting.
        stake = Stake(
            in_use=self._reserved,
            want=1.25 * (self._reserved + wanted),
            need=self._reserved + first,
            since=since,
            used=self._used,
        )
        return {"budget": (Limit(total=self._total, lasts=None, is_spread=False), stake)}

    def dealt(self, pool: Pool, owner: str, held: Mapping[str, float], now: float) -> None:  # noqa: ARG002 (see Party)
        """See :class:`~pytest_ragcheck.gateway.partner.Party`."""
        self._held = held.get("budget", 0.0)
        self._taken = pool.taken("budget", now)
        self._used = 0.0
        self._changed.set()

    def _is_held(self, amount: float) -> bool:
        return self._partner.may_use and self._held - self._used - self._reserved >= amount - CRUMB
