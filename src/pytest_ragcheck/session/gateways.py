"""The session's doors to models: one for each configuration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import ModelCalls

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_ragcheck.gateway import ModelRequest, Snapshot
    from pytest_ragcheck.model import Planned
    from pytest_ragcheck.session.access import CheckedGateway
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.store import Store

__all__ = ["Gateways", "model_calls"]


class Gateways:
    """Makes gateways, lends them to suites, and closes them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._gateways: dict[Path, CheckedGateway] = {}
        self._planned: dict[Path, list[ModelRequest]] = {}
        self.processes = 1
        """Processes of this run that may call models at the same time."""
        self.run_started = time.time()
        """Unix time; what ``--ragcheck-cache refresh`` reads from the store must be younger."""

    def of(self, settings: Settings, store: Store) -> CheckedGateway:
        """The gateway under a configuration; ConfigurationError for prices that are none."""
        if settings.root not in self._gateways:
            self._gateways[settings.root] = self._made(settings, store)
        return self._gateways[settings.root]

    def planned(self, settings: Settings) -> list[ModelRequest]:
        """What ``--ragcheck-plan`` did not ask under a configuration."""
        return self._planned.setdefault(settings.root, [])

    async def plans(self) -> list[Planned]:
        """What each gateway would have called."""
        return [await self._gateways[root].plan(requests) for root, requests in self._planned.items()]

    def snapshots(self) -> list[Snapshot]:
        """The state of every gateway that was used."""
        snapshots = (gateway.snapshot() for gateway in self._gateways.values())
        return [snapshot for snapshot in snapshots if snapshot is not None]

    async def close(self) -> None:
        """Close the connections; the counts stay."""
        for gateway in self._gateways.values():
            await gateway.close()

    def _made(self, settings: Settings, store: Store) -> CheckedGateway:
        from pytest_ragcheck.gateway import CacheMode, PriceList
        from pytest_ragcheck.session.access import CheckedGateway

        try:
            prices = PriceList(settings.prices)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{settings.origin}: {problem}") from None
        concurrency = 1 if self._options.sequential else self._options.concurrency or settings.concurrency
        return CheckedGateway(
            prices=prices,
            store=store,
            cache=CacheMode(self._options.cache),
            concurrency=concurrency,
            request_timeout=settings.request_timeout,
            call_deadline=settings.call_deadline,
            run_deadline=settings.run_deadline,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            max_cost=self._options.max_cost,
            sharers=lambda: self.processes * len(self._gateways),
            run_started=self.run_started,
        )


def model_calls(snapshots: Iterable[Snapshot]) -> list[ModelCalls]:
    """The counts of gateways, for the Run."""
    return [
        ModelCalls(
            asked=snapshot.asked,
            cached=snapshot.cached,
            failed=snapshot.failed,
            retries=snapshot.retries,
            refused=snapshot.refused,
            cost=snapshot.cost,
            unpriced=snapshot.unpriced,
            usage=snapshot.usage,
            saved=snapshot.saved,
        )
        for snapshot in snapshots
    ]
