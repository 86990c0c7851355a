"""An actor's line to the driver."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.session.cluster.limits import Caps, RemoteBudget, RemoteLimiter
from pytest_ragcheck.session.cluster.references import arriving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_ragcheck.session.config import Settings

__all__ = ["LIMITS", "Line", "RemoteLimits"]

LIMITS = "limits"
"""The name of the limits among what the driver keeps; stores have paths."""


class Line:
    """``relay`` is the actor that leads to the driver, ``caller`` this one's number there."""

    def __init__(self, relay: Any, caller: int) -> None:
        self._relay = relay
        self._caller = caller

    def ask(self, target: str, method: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        """What the method of the driver's ``target`` returns; raises what it raises."""
        import ray

        try:
            # A store's interface is a synchronous one, and what it says must be durable on return.
            return ray.get(self._relay.ask.remote(self._caller, target, method, arguments, keywords))
        except ray.exceptions.RayTaskError as problem:
            raise getattr(problem, "cause", problem) from None

    async def ask_soon(self, target: str, method: str, *arguments: Any, **keywords: Any) -> Any:
        """Like :meth:`ask`, while other work goes on."""
        import ray

        try:
            return await arriving(self._relay.ask.remote(self._caller, target, method, arguments, keywords))
        except ray.exceptions.RayTaskError as problem:
            raise getattr(problem, "cause", problem) from None

    def tell(self, target: str, method: str, *arguments: Any, **keywords: Any) -> None:
        """Have the method called, without waiting for what comes of it."""
        self._relay.tell.remote(self._caller, target, method, arguments, keywords)


class RemoteLimits:
    """The run's limits; see :class:`~pytest_ragcheck.session.shared_limits.SharedLimits`."""

    def __init__(self, line: Line, max_cost: float | None) -> None:
        self._line = line
        self._numbers = itertools.count(1)
        self.known_as: dict[Path, Path] = {}
        """The driver's folder for a configuration's folder here: limiters have one name on all nodes."""
        self.budget: RemoteBudget | None = None
        if max_cost is not None:
            self.budget = RemoteBudget(max_cost, ask=self._ask, tell=self._tell, numbers=self._numbers)

    def limiter(
        self,
        settings: Settings,
        name: str,
        *,
        concurrency: int | None,
        requests_per_minute: float | None,
        tokens_per_minute: float | None = None,
    ) -> RemoteLimiter:
        """The one limiter of this name under a configuration."""
        root = self.known_as.get(settings.root, settings.root)
        caps = Caps(
            concurrency=concurrency, requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute
        )
        return RemoteLimiter(f"{root}|{name}", caps, ask=self._ask, tell=self._tell, numbers=self._numbers)

    async def _ask(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        return await self._line.ask_soon(LIMITS, method, *arguments, **keywords)

    def _tell(self, method: str, *arguments: Any, **keywords: Any) -> None:
        self._line.tell(LIMITS, method, *arguments, **keywords)
