"""Limits and a budget that the workers of a run meet together, through the store of that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.gateway.partner import Partner
from pytest_ragcheck.gateway.pooled import PooledBudget, PooledLimiter
from pytest_ragcheck.store import digest, is_alive

if TYPE_CHECKING:
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.store import Store

__all__ = ["PooledLimits"]

_POOL = "pool"
_THE_ONE = digest("limits")


class PooledLimits:
    """The way of one worker to them; see :class:`~pytest_ragcheck.session.shared_limits.SharedLimits`."""

    def __init__(self, store: Store, owner: str, *, max_cost: float | None, seconds: float) -> None:
        self.partner = Partner(
            lambda new: store.change(_POOL, _THE_ONE, new), owner, is_alive=is_alive, seconds=seconds
        )
        self.budget = None if max_cost is None else PooledBudget(max_cost, self.partner)

    def limiter(
        self,
        settings: Settings,
        name: str,
        *,
        concurrency: int | None,
        requests_per_minute: float | None,
        tokens_per_minute: float | None = None,
    ) -> PooledLimiter:
        """The one limiter of this name under a configuration."""
        return PooledLimiter(
            f"{settings.root} {name}",
            self.partner,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        )
