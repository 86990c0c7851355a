"""The most that a run may cost."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Protocol

from pytest_ragcheck.call_context import current_scope
from pytest_ragcheck.errors import NotRunError

if TYPE_CHECKING:
    from pytest_ragcheck.call_context import QuestionScope

__all__ = ["OVERSPENT", "Budget", "BudgetControl", "LikelyCost"]

OVERSPENT = (
    "budget spent: {spent:.4f} of {limit:.4f} USD, and this call may cost {amount:.4f}; raise --ragcheck-max-cost"
)
LEARNED_FROM = 3
"""Replies; from fewer nothing is concluded."""
FIRST_GUESS = 0.25
"""Share of its worst case that a call costs, while nothing is known."""
DEVIATIONS = 2.0
CALLS_OF_A_QUESTION = 4
"""Where the worst case of so many fits for each question, the budget is no reason to let one wait for others."""


class BudgetControl(Protocol):
    """A :class:`Budget`, or a way to one in another process."""

    @property
    def limit(self) -> float | None:
        """US dollars; None: none."""

    async def reserve(self, amount: float) -> None:
        """See :meth:`Budget.reserve`."""

    def settle(self, reserved: float, spent: float) -> None:
        """See :meth:`Budget.settle`."""


class LikelyCost:
    """Learns which share of their worst case calls cost: the mean, and two standard deviations to be safe."""

    def __init__(self) -> None:
        self.count = 0
        """Paid calls seen."""
        self._mean = 0.0
        self._squares = 0.0

    @property
    def is_learned(self) -> bool:
        """Whether enough replies were seen."""
        return self.count >= LEARNED_FROM

    def learn(self, worst: float, cost: float) -> None:
        """Take in one paid call."""
        share = cost / worst
        self.count += 1
        before = share - self._mean
        self._mean += before / self.count
        self._squares += before * (share - self._mean)

    def of(self, worst: float) -> float:
        """What calls that could cost ``worst`` are likely to cost together; ``worst`` while nothing is known."""
        if not self.is_learned:
            return worst
        return worst * min(1.0, self._mean + DEVIATIONS * math.sqrt(self._squares / (self.count - 1)))


class Budget:
    """Lets a call be made where what it is likely to cost, with all calls under way, stays within the limit.

    Where the worst case of all under way does not fit, no more are under way than replies were seen, so that a rare
    dear one is met before many rely on the cheap ones. Near the limit a question is begun only where the money is
    likely to suffice for those that were begun before and for this one, so that questions are finished rather than
    many begun. The limit can be passed by what the last calls cost beyond the likely.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.spent = 0.0
        """US dollars of calls whose price is known."""
        self.reserved = 0.0
        """The worst case of the calls under way."""
        self._under_way = 0
        self._likely = LikelyCost()
        self._begun: dict[QuestionScope, float] = {}
        """What each question under way has cost so far."""
        self._finished: list[float] = []
        """What each finished question cost."""
        self._changed = asyncio.Event()

    async def reserve(self, amount: float) -> None:
        """Set ``amount``, a call's worst case, aside; waits while others may yet leave enough, else NotRunError."""
        scope = current_scope()
        while self.limit is not None and not self._fits(amount, scope, self.limit):
            likely = self._likely_alone(amount)
            nobody_else = not self._under_way and not (self._is_new(scope) and self._begun)
            if nobody_else or self.spent + likely > self.limit:
                raise NotRunError(OVERSPENT.format(spent=self.spent, limit=self.limit, amount=likely))
            self._changed.clear()
            await self._changed.wait()
        self.reserved += amount
        self._under_way += 1
        if scope is not None and scope not in self._begun:
            self._begun[scope] = 0.0
            scope.call_at_end(lambda: self._finish(scope))

    def settle(self, reserved: float, spent: float) -> None:
        """The call is over: what was set aside is free, what it cost is spent."""
        self.reserved = max(0.0, self.reserved - reserved)
        # Sums of floats leave crumbs that would be waited for.
        if self.reserved < 1e-12:  # noqa: PLR2004
            self.reserved = 0.0
        self._under_way -= 1
        self.spent += spent
        if spent > 0 and reserved > 0:
            self._likely.learn(reserved, spent)
        scope = current_scope()
        if scope in self._begun:
            self._begun[scope] += spent
        self._changed.set()

    def _fits(self, amount: float, scope: QuestionScope | None, limit: float) -> bool:
        questions = len(self._begun) + 1 if self._is_new(scope) else 0
        if self.spent + max(self.reserved + amount, questions * CALLS_OF_A_QUESTION * amount) <= limit:
            return True
        if not self._under_way and not (self._is_new(scope) and self._begun):
            return self.spent + self._likely_alone(amount) <= limit
        if self._under_way >= self._likely.count:
            return False
        if not self._is_new(scope):
            return self.spent + self._likely.of(self.reserved + amount) <= limit
        if not self._finished:
            return False
        usual = sum(self._finished) / len(self._finished)
        to_come = sum(max(0.0, usual - cost) for cost in self._begun.values())
        wanted = max(to_come, self._likely.of(self.reserved)) + max(usual, self._likely.of(amount))
        return self.spent + wanted <= limit

    def _is_new(self, scope: QuestionScope | None) -> bool:
        return scope is not None and scope not in self._begun

    def _likely_alone(self, amount: float) -> float:
        """What the only call under way is likely to cost."""
        return self._likely.of(amount) if self._likely.is_learned else FIRST_GUESS * amount

    def _finish(self, scope: QuestionScope) -> None:
        cost = self._begun.pop(scope)
        if cost > 0:
            self._finished.append(cost)
        self._changed.set()
