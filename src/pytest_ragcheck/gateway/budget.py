"""The most that a run may cost."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pytest_ragcheck.errors import NotRunError

__all__ = ["OVERSPENT", "Budget", "BudgetControl"]

OVERSPENT = (
    "budget spent: {spent:.4f} of {limit:.4f} USD, and this call may cost {amount:.4f}; raise --ragcheck-max-cost"
)


class BudgetControl(Protocol):
    """A :class:`Budget`, or a way to one in another process."""

    @property
    def limit(self) -> float | None:
        """US dollars; None: none."""

    async def reserve(self, amount: float) -> None:
        """See :meth:`Budget.reserve`."""

    def settle(self, reserved: float, spent: float) -> None:
        """See :meth:`Budget.settle`."""


class Budget:
    """Lets a call be made only where its worst case, with all that are under way, stays within the limit."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.spent = 0.0
        """US dollars of calls whose price is known."""
        self.reserved = 0.0
        self._changed = asyncio.Event()

    async def reserve(self, amount: float) -> None:
        """Set ``amount`` aside; waits while calls under way may yet leave enough, raises NotRunError if they cannot."""
        while self.limit is not None and self.spent + self.reserved + amount > self.limit:
            if self.reserved <= 0 or self.spent + amount > self.limit:
                raise NotRunError(OVERSPENT.format(spent=self.spent, limit=self.limit, amount=amount))
            self._changed.clear()
            await self._changed.wait()
        self.reserved += amount

    def settle(self, reserved: float, spent: float) -> None:
        """The call is over: what was set aside is free, what it cost is spent."""
        self.reserved = max(0.0, self.reserved - reserved)
        # Sums of floats leave crumbs that would be waited for.
        if self.reserved < 1e-12:  # noqa: PLR2004
            self.reserved = 0.0
        self.spent += spent
        self._changed.set()
