"""Limits that the processes of a run keep together, each place and each dollar asked for where all are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_ragcheck.gateway.budget import BudgetControl
    from pytest_ragcheck.gateway.limiter import AdmissionControl, Ticket
    from pytest_ragcheck.session.config import Settings

__all__ = ["SharedLimits", "Turns"]


class SharedLimits(Protocol):
    """Leads to the limiters and the budget of all processes."""

    @property
    def budget(self) -> BudgetControl | None:
        """That of the run; None where it has none."""

    def limiter(
        self,
        settings: Settings,
        name: str,
        *,
        concurrency: int | None,
        requests_per_minute: float | None,
        tokens_per_minute: float | None = None,
    ) -> AdmissionControl:
        """The one limiter of this name under a configuration."""


class Turns:
    """Places in flight for calls of which only their number is limited: ``async with turns``, any number at a time."""

    def __init__(self, limiter: AdmissionControl) -> None:
        self._limiter = limiter
        self._tickets: list[Ticket] = []

    async def __aenter__(self) -> None:
        self._tickets.append(await self._limiter.admit())

    async def __aexit__(self, *_: object) -> None:
        from pytest_ragcheck.gateway.limiter import Outcome  # a run that asks nothing imports no gateway

        self._limiter.settle(self._tickets.pop(), Outcome.NEUTRAL)
