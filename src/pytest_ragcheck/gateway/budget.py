"""The most that a run may cost."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from pytest_ragcheck.errors import NotRunError

__all__ = ["OVERSPENT", "Budget", "BudgetControl", "CallCost", "Grant"]

OVERSPENT = (
    "budget spent: {spent:.4f} of {limit:.4f} USD, and this call may cost {amount:.4f}; raise --ragcheck-max-cost"
)
SHARE_OF_REST = 1 / 8
"""Of what is left: no call gets more, unless it needs more."""
LEARNED_FROM = 3
"""Replies; from fewer nothing is concluded."""
FIRST_GUESS = 0.25
"""Share of its longest reply that a call needs, while nothing is known."""
DEVIATIONS = 2.0
MARGIN = 1.1
KEPT_FOR_BEGUN = 16
"""Calls whose money a new question leaves to those under way; more would cost concurrency, see benchmarks/budget.py."""


@dataclass(frozen=True, slots=True)
class CallCost:
    """What a call may cost, in US dollars."""

    kind: str
    """Calls of one kind have replies of about one length."""
    given: float
    """For what is sent."""
    least: float
    """With the shortest reply that may be allowed for."""
    worst: float
    """With the longest reply."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Money that is set aside for a call."""

    amount: float
    call: CallCost
    key: int = 0


class BudgetControl(Protocol):
    """A :class:`Budget`, or a way to one in another process."""

    @property
    def limit(self) -> float | None:
        """US dollars; None: none."""

    async def reserve(self, call: CallCost, *, order: int = 0) -> Grant:
        """See :meth:`Budget.reserve`."""

    def settle(self, grant: Grant, spent: float, used: float | None = None) -> None:
        """See :meth:`Budget.settle`."""


class _Lengths:
    """Learns how long replies of one kind are, as shares of the longest: the mean, two deviations and a tenth more."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def learn(self, share: float) -> None:
        self._count += 1
        before = share - self._mean
        self._mean += before / self._count
        self._squares += before * (share - self._mean)

    def likely(self) -> float:
        if self._count < LEARNED_FROM:
            return FIRST_GUESS
        return min(1.0, MARGIN * (self._mean + DEVIATIONS * math.sqrt(self._squares / (self._count - 1))))


@dataclass(order=True, slots=True)
class _Waiting:
    order: int
    number: int
    call: CallCost = field(compare=False)
    granted: asyncio.Future[Grant] = field(compare=False)


class Budget:
    """Lets a call be made where what was spent and all that is set aside, its own amount included, is within the limit.

    So the limit holds as long as no call costs more than was set aside for it. Where the rest is small, less than its
    worst case is set aside for a call; whoever makes it sees to it that it costs no more.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.spent = 0.0
        """US dollars of calls whose price is known."""
        self.reserved = 0.0
        """What is set aside for the calls under way."""
        self._under_way = 0
        self._latest = -1
        """Order of the latest question that was begun."""
        self._waiting: list[_Waiting] = []
        self._numbers = count()
        self._lengths: defaultdict[str, _Lengths] = defaultdict(_Lengths)

    async def reserve(self, call: CallCost, *, order: int = 0) -> Grant:
        """Set money aside for a call: its worst case, or as much as its reply is likely to need.

        Waits while others may yet leave enough. ``order`` is the question's number: the lowest goes first, so that few
        questions are finished rather than many begun. Raises NotRunError where the rest will not do.
        """
        granted: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, _Waiting(order, next(self._numbers), call, granted))
        self._grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.settle(granted.result(), 0.0)
            raise

    def settle(self, grant: Grant, spent: float, used: float | None = None) -> None:
        """End a call: what was set aside is free, what it cost is spent.

        ``used``: which share of its longest reply a whole reply had; None where there is none.
        """
        self._under_way -= 1
        # Sums of floats leave crumbs that would be waited for.
        self.reserved = max(0.0, self.reserved - grant.amount) if self._under_way else 0.0
        self.spent += spent
        if used is not None:
            self._lengths[grant.call.kind].learn(used)
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            least = self._least(first.call)
            amount = self._amount_for(first, least)
            if amount is None and self._under_way and not first.granted.done():
                return
            heappop(self._waiting)
            if first.granted.done():  # cancelled
                continue
            if amount is None:
                told = OVERSPENT.format(spent=self.spent, limit=self.limit, amount=least)
                first.granted.set_exception(NotRunError(told))
            else:
                self.reserved += amount
                self._under_way += 1
                self._latest = max(self._latest, first.order)
                first.granted.set_result(Grant(amount, first.call))

    def _least(self, call: CallCost) -> float:
        return max(call.least, call.given + self._lengths[call.kind].likely() * (call.worst - call.given))

    def _amount_for(self, waiting: _Waiting, least: float) -> float | None:
        if self.limit is None:
            return waiting.call.worst
        rest = self.limit - self.spent - self.reserved
        kept = least * min(self._under_way, KEPT_FOR_BEGUN) if waiting.order > self._latest else 0.0
        return None if least + kept > rest else min(waiting.call.worst, max(least, SHARE_OF_REST * rest))
