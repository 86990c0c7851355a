"""Places of a limiter for answers whose calls nobody here sees."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from pytest_ragcheck.call_context import current_calls_after, current_question, place_scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pytest_ragcheck.gateway.limiter import AdmissionControl

__all__ = ["Turns"]

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
            question=current_question(),
            calls_after=current_calls_after(),
            number=limiter.number(),
            requests=0.0,
        )
        permit = await limiter.admit(admission)
        with ExitStack() as place:  # which gives it back once, however often it is closed
            place.callback(limiter.settle, permit, AttemptReport(outcome=Outcome.NEUTRAL))
            with place_scope(place.close):
                yield
