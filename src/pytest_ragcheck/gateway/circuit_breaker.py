"""What ends calls for good: a refused key, spent money, a server that accepts nothing for too long."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from copy import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError

__all__ = ["CircuitBreaker", "Outage"]

LONGEST_GAP = 90.0
"""Seconds between two failures that count as one outage; in a longer pause nobody may have asked."""


class CircuitBreaker:
    """Ends all its calls once it has tripped, those that wait included."""

    def __init__(self) -> None:
        self._cause: ConfigurationError | MeasurementError | NotRunError | None = None
        self._waits: set[asyncio.Timeout] = set()
        self._children: list[CircuitBreaker] = []

    def child(self) -> CircuitBreaker:
        """Return a breaker that trips with this one, and can trip alone."""
        child = CircuitBreaker()
        if self._cause is not None:
            child.trip(self._cause)
        self._children.append(child)
        return child

    @property
    def is_open(self) -> bool:
        """Whether it has tripped: no call is made any more."""
        return self._cause is not None

    def trip(self, cause: ConfigurationError | MeasurementError | NotRunError) -> None:
        """End all calls; the first cause counts."""
        if self.is_open:
            return
        self._cause = cause
        for child in self._children:
            child.trip(cause)
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())

    def check(self) -> None:
        """Raise the cause if it has tripped."""
        if self._cause is not None:
            raise copy(self._cause)  # each gets its own: a traceback grows with every raise

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """End what waits inside when it trips, and raise the cause."""
        self.check()
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if wait.expired():
                self.check()
            raise


class Outage:
    """How long one model's server has accepted no call at all. Pure: the time is an argument, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.succeeded_at = -math.inf
        self.was_answered = False
        """Whether the server ever sent anything."""
        self._failed_at: float | None = None

    @property
    def is_accepting(self) -> bool:
        """Whether the last outcome was an accepted call."""
        return self._failed_at is None and self.succeeded_at > -math.inf

    def succeed(self, now: float) -> None:
        """Note an accepted call."""
        self.seconds, self._failed_at, self.succeeded_at, self.was_answered = 0.0, None, now, True

    def fail(self, now: float, *, answered: bool) -> None:
        """Note a call that was refused, or failed; ``answered``: whether the server sent anything."""
        self.was_answered = self.was_answered or answered
        if self._failed_at is not None:
            self.seconds += min(now - self._failed_at, LONGEST_GAP)
        self._failed_at = now
