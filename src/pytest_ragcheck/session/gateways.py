"""The session's doors to models: one for each configuration, and for each model of the user's under it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import ModelCalls
from pytest_ragcheck.session.sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pytest_ragcheck.gateway import ModelRequest, Snapshot
    from pytest_ragcheck.gateway.budget import Budget, BudgetControl
    from pytest_ragcheck.gateway.deepeval_transport import DeepEvalTransport
    from pytest_ragcheck.gateway.limit_client import RemoteLimits
    from pytest_ragcheck.gateway.limiter import AdmissionControl
    from pytest_ragcheck.model import Call, Planned
    from pytest_ragcheck.session.access import CheckedGateway
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.store import Store

__all__ = ["Gateways", "model_calls"]


class Gateways:
    """Makes gateways, lends them to suites, and closes them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._gateways: dict[tuple[Path, str], CheckedGateway] = {}
        self._limiters: dict[tuple[Path, str], AdmissionControl] = {}
        self._planned: dict[tuple[Path, str], list[ModelRequest]] = {}
        self._transports: dict[str, DeepEvalTransport] = {}
        self.sharing = Sharing()
        """Among how many processes the questions are divided."""
        self.limits: RemoteLimits | None = None
        """Limits and a budget that are shared with other processes of this run."""
        self._budget: Budget | None = None
        self.run_started = time.time()
        """Unix time; what ``--ragcheck-cache refresh`` reads from the store must be younger."""
        self.elsewhere: Callable[[], Iterable[Snapshot]] = lambda: ()
        """The gateways that other processes have for this run."""
        made = time.perf_counter()
        self.run_clock: Callable[[], float] = lambda: time.perf_counter() - made
        """Seconds since the run's start, in which calls are told; who keeps the run's time sets its own."""

    def of(self, settings: Settings, store: Store, transport: DeepEvalTransport | None = None) -> CheckedGateway:
        """The gateway under a configuration, to Anthropic or to a model of the user's.

        Raises ConfigurationError for prices that are none.
        """
        place = _place(settings, transport)
        if place not in self._gateways:
            self._gateways[place] = self._made(settings, store, transport)
        return self._gateways[place]

    def limiter(self, settings: Settings, transport: DeepEvalTransport | None = None) -> AdmissionControl:
        """The limiter of the gateway under a configuration; to be called in the event loop of its calls."""
        from pytest_ragcheck.gateway.limiter import Limiter

        place = _place(settings, transport)
        if place not in self._limiters:
            caps: dict[str, Any] = {
                "concurrency": self._cap(settings),
                "requests_per_minute": settings.requests_per_minute,
                "tokens_per_minute": settings.tokens_per_minute,
            }
            self._limiters[place] = Limiter(**caps) if self.limits is None else self.limits.limiter(*place, **caps)
        return self._limiters[place]

    def transport_to(self, model: Any) -> DeepEvalTransport:
        """The one transport to a model of the user's."""
        from pytest_ragcheck.gateway.deepeval_transport import DeepEvalTransport, fingerprint

        mark = fingerprint(model)
        if mark not in self._transports:
            self._transports[mark] = DeepEvalTransport(model)
        return self._transports[mark]

    def planned(self, settings: Settings, transport: DeepEvalTransport | None = None) -> list[ModelRequest]:
        """What ``--ragcheck-plan`` did not ask under a configuration."""
        return self._planned.setdefault(_place(settings, transport), [])

    async def plans(self, earlier: Sequence[Call]) -> list[Planned]:
        """What each gateway would have called; ``earlier`` calls show how long such are."""
        only = len(self._planned) == 1
        return [
            await self._gateways[place].plan(requests, earlier)
            for place, requests in self._planned.items()
            if requests or only
        ]

    def snapshots(self) -> list[Snapshot]:
        """The state of every gateway that was used, here and elsewhere."""
        snapshots = (gateway.snapshot() for gateway in self._gateways.values())
        return [*(snapshot for snapshot in snapshots if snapshot is not None), *self.elsewhere()]

    async def close(self) -> None:
        """Close the connections; the counts stay."""
        for gateway in self._gateways.values():
            await gateway.close()
        for limiter in self._limiters.values():
            limiter.close()

    def _made(self, settings: Settings, store: Store, transport: DeepEvalTransport | None) -> CheckedGateway:
        from pytest_ragcheck.gateway import CacheMode, PriceList
        from pytest_ragcheck.session.access import CheckedGateway

        try:
            prices = PriceList(settings.prices)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{settings.origin}: {problem}") from None
        own: dict[str, Any] = {} if transport is None else {"transport": transport, "base_url": transport.endpoint}
        return CheckedGateway(
            **own,
            prices=prices,
            store=store,
            cache=CacheMode(self._options.cache),
            concurrency=self._cap(settings),
            request_timeout=settings.request_timeout,
            call_deadline=settings.call_deadline,
            run_deadline=settings.run_deadline,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            shared=lambda: {"limiter": self.limiter(settings, transport), "budget": self._shared_budget()},
            run_started=self.run_started,
            run_clock=lambda: self.run_clock(),  # noqa: PLW0108 (it may be set later)
        )

    def _cap(self, settings: Settings) -> int | None:
        return 1 if self._options.sequential else self._options.concurrency or settings.concurrency

    def _shared_budget(self) -> BudgetControl | None:
        """The budget of this process or, where it shares limits with others, that of all."""
        from pytest_ragcheck.gateway.budget import Budget

        if self.limits is not None:
            return self.limits.budget
        self._budget = self._budget or Budget(self._options.max_cost)
        return self._budget


def _place(settings: Settings, transport: DeepEvalTransport | None) -> tuple[Path, str]:
    return settings.root, "" if transport is None else transport.endpoint


def model_calls(snapshots: Iterable[Snapshot]) -> list[ModelCalls]:
    """The counts of gateways, for the Run."""
    return [
        ModelCalls(
            asked=snapshot.asked,
            cached=snapshot.cached,
            failed=snapshot.failed,
            retries=snapshot.retries,
            refused=snapshot.limiter.refused,
            cost=snapshot.cost,
            unpriced=snapshot.unpriced,
            usage=snapshot.usage,
            saved=snapshot.saved,
        )
        for snapshot in snapshots
    ]
