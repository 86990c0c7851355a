"""The key, and whether the API answers."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.doctor.findings import Finding, failed, fine, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_ragcheck.commands.doctor.patient import Patient

__all__ = ["check_api", "check_key"]

_TOKENS = 10
_TIMEOUT = 20.0
"""Seconds for one attempt."""
_ATTEMPTS = 2
_OUTAGE = 3.0
"""Seconds without a reply after which one call is enough to tell."""
_NETWORK = "check the network, the proxy and ANTHROPIC_BASE_URL"


def check_key(patient: Patient) -> Iterator[Finding]:
    """Whether there is a key; it is never shown."""
    trouble = _trouble_with_key()
    if trouble is None:
        from pytest_ragcheck.gateway.anthropic_transport import endpoint, shown

        yield fine("key", f"there is one, for {shown(endpoint())}")
    elif patient.models:
        yield failed("key", trouble)
    else:
        yield skipped("key", "none is set, and the configuration asks no model")


def check_api(patient: Patient) -> Iterator[Finding]:
    """Whether each configured model answers, by a call of ten tokens."""
    from pytest_ragcheck.rag.claude import DEFAULT_MODEL

    if patient.offline:
        yield skipped("api", "--offline")
    elif _trouble_with_key() is not None:
        yield skipped("api", "no key")
    else:
        settings = patient.usable_settings
        for model in patient.models or (DEFAULT_MODEL,):
            yield asyncio.run(_asked(model, settings.prices if settings else {}))


def _trouble_with_key() -> str | None:
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.gateway import check_credentials

    try:
        check_credentials()
    except ConfigurationError as problem:
        return str(problem)
    return None


async def _asked(model: str, prices: Mapping[str, Mapping[str, float]]) -> Finding:
    from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError
    from pytest_ragcheck.gateway import CacheMode, Gateway, ModelRequest, PriceList
    from pytest_ragcheck.gateway.anthropic_transport import shown
    from pytest_ragcheck.gateway.retry import RetryPolicy

    message = {"role": "user", "content": "Say: ok"}
    request = ModelRequest(model=model, messages=[message], max_tokens=_TOKENS, purpose="doctor")
    async with Gateway(
        cache=CacheMode.OFF,
        concurrency=1,
        request_timeout=_TIMEOUT,
        call_deadline=2 * _TIMEOUT,
        retries=RetryPolicy(attempts=_ATTEMPTS, outage=_OUTAGE, unreachable=_OUTAGE),
        prices=PriceList(prices),
    ) as gateway:
        place = shown(gateway.endpoint)
        try:
            await gateway.open()  # imports the SDK, which is not the server's latency
            started = time.perf_counter()
            await gateway.complete(request)
        except (ConfigurationError, NotRunError) as problem:
            return failed("api", str(problem))
        except MeasurementError as problem:
            if problem.kind != "truncated":  # all that matters is that it said something
                return failed("api", f"{place}: {problem}", _remedy(problem))
        seconds = time.perf_counter() - started
        cost = gateway.snapshot().cost
    return fine("api", f"{place} answered in {seconds:.2f} s as {model}, for {_price(cost)}")


def _remedy(problem: Exception) -> str:
    kind = getattr(problem, "kind", "")
    status = getattr(problem, "details", {}).get("status")
    if kind in {"connection", "timeout"}:
        return _NETWORK
    if status == HTTPStatus.NOT_FOUND:
        return "is the model's name right? `generator` and `judge` in the configuration"
    return ""


def _price(cost: float) -> str:
    return f"${cost:.6f}" if cost else "an unknown price"
