"""The most that a run may cost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from pytest_ragcheck.errors import NotRunError

__all__ = ["OVERSPENT", "Budget", "BudgetControl"]

OVERSPENT = (
    "budget spent: {spent:.4f} of {limit:.4f} USD, and this call may cost {amount:.4f}; raise --ragcheck-max-cost"
)
SHARE_OF_REST = 1 / 8
"""Of what is left: no call gets more, unless it needs more."""
KEPT_FOR_BEGUN = 3
"""Calls whose money a new question leaves to those under way; more would cost concurrency, see benchmarks/budget.py."""


class BudgetControl(Protocol):
    """A :class:`Budget`, or a way to one in another process."""

    @property
    def limit(self) -> float | None:
        """US dollars; None: none."""

    async def reserve(self, amount: float, least: float | None = None, *, order: int = 0) -> float:
        """See :meth:`Budget.reserve`."""

    def settle(self, reserved: float, spent: float) -> None:
        """See :meth:`Budget.settle`."""


@dataclass(order=True, slots=True)
class _Waiting:
    order: int
    number: int
    amount: float = field(compare=False)
    least: float = field(compare=False)
    granted: asyncio.Future[float] = field(compare=False)


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

    async def reserve(self, amount: float, least: float | None = None, *, order: int = 0) -> float:
        """Set a call's worst case ``amount`` aside, or ``least`` and more; return how much it is.

        Waits while others may yet leave enough. ``order`` is the question's number: the lowest goes first, so that few
        questions are finished rather than many begun. Raises NotRunError where the rest will not do.
        """
        granted: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        least = amount if least is None else min(least, amount)
        waiting = _Waiting(order, next(self._numbers), amount, least, granted)
        heappush(self._waiting, waiting)
        self._grant()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.settle(granted.result(), 0.0)
            raise

    def settle(self, reserved: float, spent: float) -> None:
        """The call is over: what was set aside is free, what it cost is spent."""
        self._under_way -= 1
        # Sums of floats leave crumbs that would be waited for.
        self.reserved = max(0.0, self.reserved - reserved) if self._under_way else 0.0
        self.spent += spent
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            amount = self._amount_for(first)
            if first.granted.done():  # cancelled
                heappop(self._waiting)
            elif amount is not None:
                heappop(self._waiting)
                self.reserved += amount
                self._under_way += 1
                self._latest = max(self._latest, first.order)
                first.granted.set_result(amount)
            elif self._under_way:
                return
            else:
                heappop(self._waiting)
                told = OVERSPENT.format(spent=self.spent, limit=self.limit, amount=first.least)
                first.granted.set_exception(NotRunError(told))

    def _amount_for(self, waiting: _Waiting) -> float | None:
        if self.limit is None:
            return waiting.amount
        rest = self.limit - self.spent - self.reserved
        kept = waiting.least * min(self._under_way, KEPT_FOR_BEGUN) if waiting.order > self._latest else 0.0
        if waiting.least + kept > rest:
            return None
        return min(waiting.amount, max(waiting.least, SHARE_OF_REST * rest))
