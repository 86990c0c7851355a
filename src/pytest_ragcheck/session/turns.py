"""Permits for calls of which only the number in flight is limited."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ragcheck.gateway.limiter import AdmissionControl, Permit

__all__ = ["Turns"]


class Turns:
    """Permits of a limiter as a context: ``async with turns``, any number at a time."""

    def __init__(self, limiter: AdmissionControl) -> None:
        self._limiter = limiter
        self._permits: list[Permit] = []

    async def __aenter__(self) -> None:
        from pytest_ragcheck.gateway.limiter import Admission  # a run that asks nothing imports no gateway

        self._permits.append(await self._limiter.admit(Admission(number=self._limiter.number())))

    async def __aexit__(self, *_: object) -> None:
        from pytest_ragcheck.gateway.limiter import AttemptReport, Outcome

        self._limiter.settle(self._permits.pop(), AttemptReport(outcome=Outcome.NEUTRAL))
