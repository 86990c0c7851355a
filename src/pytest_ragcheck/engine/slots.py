"""How much goes on at once, and when."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["QUESTIONS_AT_ONCE", "Clock", "Done", "Slots"]

T = TypeVar("T")
QUESTIONS_AT_ONCE = 1024
"""Live questions, as many as the gateway takes places at most. It alone decides how many model calls are in flight."""


class Slots:
    """How much goes on at once, and the clock, shared by the engines of one session.

    Sequential: one question, and of it one step (retrieval, generation or a metric), at a time. ``origin`` is the
    reading of :func:`time.perf_counter` from which the clock counts; None: now.
    """

    def __init__(self, *, sequential: bool, origin: float | None = None) -> None:
        self.sequential = sequential
        self.clock = Clock() if origin is None else Clock(origin)
        self.answers = 0
        """Answers that there are so far, those of each trial."""
        self.scores = 0
        """Scores that there are so far, or that could not be had."""
        self.confirmed = 0
        """Questions that were asked again because they had fallen."""
        self._questions = asyncio.Semaphore(1 if sequential else QUESTIONS_AT_ONCE)
        self._trials = asyncio.Semaphore(1 if sequential else QUESTIONS_AT_ONCE)
        self._steps = asyncio.Semaphore(1 if sequential else sys.maxsize)

    @property
    def questions(self) -> asyncio.Semaphore:
        """Held while a question is live."""
        return self._questions

    @property
    def trials(self) -> asyncio.Semaphore:
        """Held while a trial of a question is live; who waits for it holds a question already."""
        return self._trials

    async def step(self, work: Coroutine[Any, Any, T]) -> Done[T]:
        """Do one step in its turn; waiting for the turn is not part of its span."""
        try:
            await self._steps.acquire()
        except BaseException:
            work.close()
            raise
        try:
            started = self.clock.now()
            return Done(await work, started, self.clock.now())
        finally:
            self._steps.release()


@dataclass(frozen=True)
class Clock:
    """Counts from ``origin``, a reading of :func:`time.perf_counter`."""

    origin: float = field(default_factory=time.perf_counter)

    def now(self) -> float:
        """Seconds since the run's start."""
        return time.perf_counter() - self.origin


@dataclass(frozen=True)
class Done(Generic[T]):
    """A step's outcome and when it was done."""

    outcome: T
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started

    @property
    def span(self) -> tuple[float, float]:
        """When it began and ended."""
        return self.started, self.ended
