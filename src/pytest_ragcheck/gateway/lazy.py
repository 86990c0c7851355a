"""A gateway for code that is put together before its event loop runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.gateway.client import Gateway
from pytest_ragcheck.gateway.cost_estimate import estimate_cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.gateway.call_stats import Snapshot
    from pytest_ragcheck.gateway.prices import PriceList
    from pytest_ragcheck.gateway.requests import ModelReply, ModelRequest
    from pytest_ragcheck.model import Call, Planned

__all__ = ["LazyGateway"]


class LazyGateway:
    """Makes its :class:`~pytest_ragcheck.gateway.Gateway` in the event loop of the first call.

    ``settings`` are the gateway's keyword arguments.
    """

    def __init__(self, *, prices: PriceList, **settings: Any) -> None:
        self._prices = prices
        self._settings = settings
        self._gateway: Gateway | None = None
        self._closed = False

    async def complete(self, request: ModelRequest) -> ModelReply:
        """See :meth:`Gateway.complete`."""
        return await self._made().complete(request)

    def is_cached(self, request: ModelRequest) -> bool:
        """See :meth:`Gateway.is_cached`."""
        return self._made().is_cached(request)

    async def plan(self, requests: Iterable[ModelRequest], earlier: Sequence[Call] = ()) -> Planned:
        """What the requests would call and cost, if calls are like the ``earlier`` ones."""
        limits = {
            name: self._settings.get(name) for name in ("concurrency", "requests_per_minute", "tokens_per_minute")
        }
        return estimate_cost(requests, self._made(), prices=self._prices, earlier=earlier, **limits)

    def snapshot(self) -> Snapshot | None:
        """The state of this moment; None before the first call."""
        return None if self._gateway is None else self._gateway.snapshot()

    async def close(self) -> None:
        """Close the gateway, if it was made."""
        if self._gateway is not None and not self._closed:
            self._closed = True
            await self._gateway.close()

    def _made(self) -> Gateway:
        if self._gateway is None:
            self._gateway = Gateway(prices=self._prices, **self._settings)
        return self._gateway
