"""A gateway that looks at the key first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.gateway import CacheMode, LazyGateway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_ragcheck.gateway import Gateway, ModelReply, ModelRequest

__all__ = ["CheckedGateway"]


class CheckedGateway(LazyGateway):
    """Asks the server whether it takes the key before the first call that the store cannot answer.

    So a refused key is found before dozens of calls are under way with it. ``shared`` gives, at the first call, the
    settings that are not known before: what this gateway shares with others.
    """

    def __init__(self, *, shared: Callable[[], Mapping[str, Any]] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._shared = shared
        self._admission: asyncio.Task[None] | None = None

    async def complete(self, request: ModelRequest) -> ModelReply:
        """See :meth:`~pytest_ragcheck.gateway.Gateway.complete`."""
        gateway = self._made()
        if not self._is_admitted and gateway.cache is not CacheMode.ONLY and not gateway.is_cached(request):
            await self._admitted(gateway)
        return await gateway.complete(request)

    async def open(self) -> None:
        """Do now what the first call would have to wait for; ConfigurationError where no call can work."""
        await self._admitted(self._made())

    async def close(self) -> None:
        """Close the gateway, if it was made."""
        if self._admission is not None:
            self._admission.cancel()
            await asyncio.gather(self._admission, return_exceptions=True)
        await super().close()

    @property
    def _is_admitted(self) -> bool:
        done = self._admission
        return done is not None and done.done() and not done.cancelled() and done.exception() is None

    def _made(self) -> Gateway:
        if self._shared is not None:
            shared, self._shared = self._shared, None
            self._settings |= shared()
        return super()._made()

    async def _admitted(self, gateway: Gateway) -> None:
        """Raises ConfigurationError, to every call, where there is no key or the server refuses it."""
        if self._admission is None:
            self._admission = asyncio.create_task(_admission(gateway))
        try:
            await asyncio.shield(self._admission)
        except ConfigurationError as problem:
            raise ConfigurationError(str(problem)) from None  # each gets its own: a traceback grows with every raise


async def _admission(gateway: Gateway) -> None:
    await gateway.open()  # imports the SDK, which must not count as the server's latency
    await gateway.check_access()
