"""When answers of a user's pipeline begin, whose calls nobody here sees."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from pytest_ragcheck.call_context import GENERATION_PRIORITY, current_question, place_scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pytest_ragcheck.gateway.limiter import AdmissionControl

__all__ = ["GradualStart", "Turns"]

FIRST_ANSWERS = 48
"""Answers that begin at once where no limit is set, in all processes together. Each one that ends lets two begin."""
FEWEST_ANSWERS = 8
"""Answers that may be in flight in any case: a slow pipeline at another server shall not keep the judge waiting."""
LANE = "answers of a pipeline"
"""Apart from the models: how long an answer takes says nothing about their limits."""


class Turns:
    """Places in flight for the answers of a user's pipeline, among the judge's calls: ``async with turns()``.

    An answer is taken for one call. It counts as no request of the limits by rate, which are the judge's. If it makes
    a call through the gateway, that call has a place of its own, and the answer gives its place back.
    ``limiter`` is called in the event loop of the answers.
    """

    def __init__(self, limiter: Callable[[], AdmissionControl]) -> None:
        self._limiter = limiter

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        from pytest_ragcheck.gateway.limiter import (  # a run that asks nothing imports no gateway
            Admission,
            AttemptReport,
            Outcome,
        )

        limiter = self._limiter()
        admission = Admission(
            lane=LANE,
            priority=GENERATION_PRIORITY - current_question(),
            number=limiter.number(),
            requests=0.0,
        )
        permit = await limiter.admit(admission)
        with ExitStack() as place:  # which gives it back once, however often it is closed
            place.callback(limiter.settle, permit, AttemptReport(outcome=Outcome.NEUTRAL))
            with place_scope(place.close):
                yield


class GradualStart:
    """Lets answers of a user's pipeline begin where no limit is set: ``async with start()``.

    Nobody here sees whether a server refuses the pipeline's calls. But if it refuses the judge's, it probably refuses
    the pipeline's as well, which often go to the same one: then no more answers are in flight than calls of the judge.
    ``limiter`` is the judge's; it is called in the event loop of the answers. ``processes`` answer at the same time.
    """

    def __init__(self, limiter: Callable[[], AdmissionControl], *, processes: int = 1) -> None:
        self._limiter = limiter
        self._most = max(FEWEST_ANSWERS, FIRST_ANSWERS // processes)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Wait until the answer may begin."""
        begins: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(begins)
        self._let_in()
        try:
            await begins
            yield
        finally:
            if not begins.cancelled():
                self._in_flight -= 1
                self._most += 1
                self._let_in()

    def _let_in(self) -> None:
        most = self._most_in_flight()
        while self._waiting and self._in_flight < most:
            begins = self._waiting.popleft()
            if not begins.done():
                self._in_flight += 1
                begins.set_result(None)

    def _most_in_flight(self) -> int:
        judging = self._limiter().state()
        return max(FEWEST_ANSWERS, judging.in_flight) if judging.refused else self._most
