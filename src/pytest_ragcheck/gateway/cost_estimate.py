"""What a run would call and cost, without calling anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.model import Planned, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_ragcheck.gateway.client import Gateway
    from pytest_ragcheck.gateway.prices import PriceList
    from pytest_ragcheck.gateway.requests import ModelRequest

__all__ = ["estimate_cost"]

LEAST_OUTPUT_SHARE = 0.1
"""Of ``max_tokens``: replies are seldom shorter."""
LEAST_OUTPUT = 12
"""Tokens, however large ``max_tokens`` is: a judge's shortest verdict."""
LEAST_INPUT_SHARE = 0.6
"""Of the estimate, which is made not to fall short."""
SECONDS_PER_CALL = 3.0
TOKENS_PER_SECOND = 80.0
"""What a model writes: together with the fixed part a guess at a call's length."""
USUAL_CONCURRENCY = 32


def estimate_cost(
    requests: Iterable[ModelRequest],
    gateway: Gateway,
    *,
    prices: PriceList,
    concurrency: int | None = None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
) -> Planned:
    """Look each request up, count what is missing, and price it."""
    every = list(requests)
    missing = {
        key: request for request in every if not gateway.is_cached(request) for key in [request.key(gateway.endpoint)]
    }
    wanted = list(missing.values())
    most_in = sum(request.input_tokens() for request in wanted)
    most_out = sum(request.max_tokens for request in wanted)
    least_out = sum(map(_least_output, wanted))
    ranges = [_price_range(request, prices) for request in wanted]
    known = [price for price in ranges if price is not None]
    return Planned(
        calls=len(wanted),
        cached=len(every) - len(wanted),
        input_tokens=(int(LEAST_INPUT_SHARE * most_in), most_in),
        output_tokens=(least_out, most_out),
        cost=(sum(low for low, _ in known), sum(high for _, high in known)) if len(known) == len(ranges) else None,
        unpriced_models=tuple(
            sorted({request.model for request, price in zip(wanted, ranges, strict=True) if price is None})
        ),
        minutes=_minutes(wanted, concurrency or USUAL_CONCURRENCY, requests_per_minute, tokens_per_minute),
    )


def _price_range(request: ModelRequest, prices: PriceList) -> tuple[float, float] | None:
    tokens, most = request.input_tokens(), request.max_tokens
    least, shared = int(LEAST_INPUT_SHARE * tokens), int(LEAST_INPUT_SHARE * request.shared_tokens())
    low = prices.cost(
        request.model,
        Usage(input_tokens=least - shared, cache_read_tokens=shared, output_tokens=_least_output(request)),
    )
    high = prices.cost(request.model, Usage(cache_write_tokens=tokens, output_tokens=most))
    return None if low is None or high is None else (low, high)


def _least_output(request: ModelRequest) -> int:
    return min(int(LEAST_OUTPUT_SHARE * request.max_tokens), LEAST_OUTPUT)


def _minutes(
    wanted: list[ModelRequest], concurrency: int, per_minute: float | None, tokens_per_minute: float | None
) -> tuple[float, float]:
    def minutes(output: Callable[[ModelRequest], int], input_share: float) -> float:
        seconds = [SECONDS_PER_CALL + output(request) / TOKENS_PER_SECOND for request in wanted]
        bounds = [max(seconds, default=0.0) / 60, sum(seconds) / concurrency / 60]
        if per_minute:
            bounds.append(len(wanted) / per_minute - 1)
        if tokens_per_minute:
            tokens = sum(input_share * request.input_tokens() + output(request) for request in wanted)
            bounds.append(tokens / tokens_per_minute - 1)
        return max(bounds)

    return minutes(_least_output, LEAST_INPUT_SHARE), minutes(lambda request: request.max_tokens, 1.0)
