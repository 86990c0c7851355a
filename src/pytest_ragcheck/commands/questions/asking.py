"""The calls, through the gateway."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError
from pytest_ragcheck.gateway import CacheMode, PriceList
from pytest_ragcheck.session.access import CheckedGateway
from pytest_ragcheck.session.gateways import model_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.gateway import ModelReply, ModelRequest
    from pytest_ragcheck.model import ModelCalls, Planned
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.store import Store

__all__ = ["Replies", "ask_all", "plan_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """What came back, in the order of the requests."""

    texts: Sequence[str | None]
    """None where there is no reply."""
    failures: Sequence[str]
    """Why calls failed, each reason once."""
    not_made: Sequence[str]
    """Why calls were not made, each reason once."""
    calls: ModelCalls | None


async def plan_all(requests: Sequence[ModelRequest], settings: Settings, store: Store) -> Planned:
    """What the calls would come to; nothing is called."""
    gateway = _gateway(settings, store, max_cost=None)
    try:
        return await gateway.plan(requests)
    finally:
        await gateway.close()


async def ask_all(
    requests: Sequence[ModelRequest], settings: Settings, store: Store, *, max_cost: float | None
) -> Replies:
    """Make all calls at once; ConfigurationError where none can work (no key, a refused one, an unknown price)."""
    gateway = _gateway(settings, store, max_cost=max_cost)
    try:
        outcomes = await asyncio.gather(*(_asked(gateway, request) for request in requests))
        snapshot = gateway.snapshot()
    except ConfigurationError as problem:
        raise ConfigurationError(_in_our_words(problem)) from None
    finally:
        await gateway.close()
    return Replies(
        texts=[None if isinstance(outcome, Exception) else outcome.text for outcome in outcomes],
        failures=_reasons(outcomes, MeasurementError),
        not_made=_reasons(outcomes, NotRunError),
        calls=next(iter(model_calls([snapshot])), None) if snapshot else None,
    )


async def _asked(gateway: CheckedGateway, request: ModelRequest) -> ModelReply | MeasurementError | NotRunError:
    try:
        return await gateway.complete(request)
    except (MeasurementError, NotRunError) as problem:
        return problem


def _reasons(outcomes: Sequence[object], kind: type[Exception]) -> list[str]:
    return list(dict.fromkeys(_in_our_words(outcome) for outcome in outcomes if isinstance(outcome, kind)))


def _in_our_words(problem: Exception) -> str:
    """The gateway names pytest's options; this command has its own."""
    return str(problem).replace("--ragcheck-max-cost", "--max-cost")


def _gateway(settings: Settings, store: Store, *, max_cost: float | None) -> CheckedGateway:
    try:
        prices = PriceList(settings.prices)
    except ConfigurationError as problem:
        raise ConfigurationError(f"{settings.origin}: {problem}") from None
    return CheckedGateway(
        prices=prices,
        store=store,
        cache=CacheMode.USE,
        concurrency=settings.concurrency,
        request_timeout=settings.request_timeout,
        call_deadline=settings.call_deadline,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        max_cost=max_cost,
    )
