"""What ends all calls at once: a refused key, spent money, a server that lets nothing in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from copy import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError

__all__ = ["Drought", "Stop"]

LONGEST_GAP = 90.0
"""Seconds between two refusals that count as refused throughout; in a longer pause nobody may have asked."""


class Stop:
    """Why no further call will be made, once that is so; calls that wait hear of it."""

    def __init__(self) -> None:
        self._cause: ConfigurationError | MeasurementError | NotRunError | None = None
        self._told = asyncio.Event()
        self._waits: set[asyncio.Timeout] = set()

    @property
    def has_come(self) -> bool:
        """Whether all calls end."""
        return self._cause is not None

    def because(self, cause: ConfigurationError | MeasurementError | NotRunError) -> None:
        """End all calls; the first cause is the one that is told."""
        if self.has_come:
            return
        self._cause = cause
        self._told.set()
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())

    def check(self) -> None:
        """Raise the cause, if there is one."""
        if self._cause is not None:
            raise copy(self._cause)  # each gets its own: a traceback grows with every raise

    async def pause(self, seconds: float) -> None:
        """Sleep, no longer than until the stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), seconds)

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """What waits in here ends with the stop, and raises its cause."""
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


class Drought:
    """How long the server has refused every request for its limits; pure, the time is an argument."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._refused_at: float | None = None

    def let_in(self) -> None:
        """A request was not refused."""
        self.seconds, self._refused_at = 0.0, None

    def refused(self, now: float) -> None:
        """A request was."""
        if self._refused_at is not None:
            self.seconds += min(now - self._refused_at, LONGEST_GAP)
        self._refused_at = now
