"""Calls that wait for a place, in the order in which they go."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from pytest_ragcheck.gateway.limiter import Admission, Permit

__all__ = ["CallQueue", "Waiter"]


@dataclass(slots=True)
class Waiter:
    """A call that waits."""

    admission: Admission
    costs: Mapping[str, float]
    """What it is expected to take, by family of rate limits."""
    future: asyncio.Future[Permit]
    since: float

    def __lt__(self, other: Waiter) -> bool:
        return self._turn < other._turn

    @property
    def _turn(self) -> tuple[int, int]:
        return self.admission.question, self.admission.number


class CallQueue:
    """Calls that wait: the longest chain of calls first (list scheduling), earlier questions first.

    A call goes ``lead`` questions earlier for each call that comes after it. If the lead is the number of places, other
    calls fill these places until the last chains end; a longer lead would only delay the first results.
    """

    def __init__(self) -> None:
        self._heaps: dict[int, list[Waiter]] = {}
        """By the number of calls after them: the lead changes with the places, the order in each heap does not."""

    def __bool__(self) -> bool:
        return any(self._heaps.values())

    def push(self, waiter: Waiter) -> None:
        """Add a call."""
        heapq.heappush(self._heaps.setdefault(waiter.admission.calls_after, []), waiter)

    def first(self, lead: int) -> Waiter | None:
        """Return the call that goes next, without those that were given up."""
        for heap in self._heaps.values():
            while heap and heap[0].future.done():
                heapq.heappop(heap)
        heads = [heap[0] for heap in self._heaps.values() if heap]
        return min(heads, key=lambda head: head.admission.rank(lead), default=None)

    def remove(self, waiter: Waiter) -> None:
        """Remove a call that :meth:`first` returned."""
        heapq.heappop(self._heaps[waiter.admission.calls_after])
