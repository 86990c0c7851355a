"""What a run would call and cost, without calling anything.

Each request is taken to be between its shortest and its longest reply; where earlier runs have made calls for the same
purpose with the same model, to be about as long as those were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.model import Planned, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_ragcheck.gateway.client import Gateway
    from pytest_ragcheck.gateway.prices import PriceList
    from pytest_ragcheck.gateway.requests import ModelRequest
    from pytest_ragcheck.model import Call

__all__ = ["estimate_cost"]

LEAST_OUTPUT_SHARE = 0.1
"""Of ``max_tokens``: replies are seldom shorter."""
LEAST_OUTPUT = 12
"""Tokens, however large ``max_tokens`` is: a judge's shortest verdict."""
LEAST_INPUT_SHARE = 0.6
"""Of the estimate, which is made not to fall short."""
LEAST_JUDGED_SHARE = 0.3
"""The same of a judge's prompt, of which only the length of the longest is known."""
LEARNED_FROM = 5
"""Earlier calls; from fewer nothing is concluded."""
DEVIATIONS = 2.0
CHANGE = 1.25
"""By how much the mean may differ from earlier runs': questions and answers are not the same."""
LEAST_PAID_SHARE = 0.5
"""Where fewer calls of earlier runs were paid, most replies were in the store."""
SECONDS_PER_CALL = 3.0
TOKENS_PER_SECOND = 80.0
"""What a model writes: together with the fixed part a guess at a call's length."""
USUAL_CONCURRENCY = 32

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Expected:
    """What one call is likely to take, from and to."""

    input_tokens: Range
    output_tokens: Range
    cost: Range | None
    """None where the price is unknown."""


def estimate_cost(
    requests: Iterable[ModelRequest],
    gateway: Gateway,
    *,
    prices: PriceList,
    earlier: Sequence[Call] = (),
    concurrency: int | None = None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
) -> Planned:
    """Look each request up, count what is missing, and price it; ``earlier`` are calls of earlier runs."""
    every = list(requests)
    missing = {
        key: request for request in every if not gateway.is_cached(request) for key in [request.key(gateway.endpoint)]
    }
    expected = _expected_of(list(missing.values()), prices, earlier)
    costs = [one.cost for one in expected if one.cost is not None]
    return Planned(
        calls=len(missing),
        cached=len(every) - len(missing),
        input_tokens=_whole(_sum(one.input_tokens for one in expected)),
        output_tokens=_whole(_sum(one.output_tokens for one in expected)),
        cost=_sum(costs) if len(costs) == len(expected) else None,
        unpriced_models=tuple(
            sorted({request.model for request, one in zip(missing.values(), expected, strict=True) if one.cost is None})
        ),
        minutes=_minutes(expected, concurrency or USUAL_CONCURRENCY, requests_per_minute, tokens_per_minute),
    )


def _expected_of(requests: Sequence[ModelRequest], prices: PriceList, earlier: Sequence[Call]) -> list[_Expected]:
    groups: dict[tuple[str, str], list[ModelRequest]] = {}
    for request in requests:
        groups.setdefault((request.model, request.purpose), []).append(request)
    learned = {
        (model, purpose): _Learned(
            [call for call in earlier if call.purpose == purpose and call.model.startswith(model)],
            model,
            prices,
            count=len(group),
        )
        for (model, purpose), group in groups.items()
    }
    return [learned[request.model, request.purpose].narrowed(_possible(request, prices)) for request in requests]


def _possible(request: ModelRequest, prices: PriceList) -> _Expected:
    """From the shortest reply to the longest."""
    tokens, most = request.input_tokens(), request.max_tokens
    least_output = min(int(LEAST_OUTPUT_SHARE * most), LEAST_OUTPUT)
    share = LEAST_INPUT_SHARE if request.purpose == "generation" else LEAST_JUDGED_SHARE
    least, shared = int(share * tokens), int(share * request.shared_tokens())
    low = prices.cost(
        request.model,
        Usage(input_tokens=least - shared, cache_read_tokens=shared, output_tokens=least_output),
    )
    high = prices.cost(request.model, Usage(cache_write_tokens=tokens, output_tokens=most))
    cost = None if low is None or high is None else (low, high)
    return _Expected((share * tokens, tokens), (least_output, most), cost)


class _Learned:
    """What calls took in earlier runs, and so each of ``count`` others."""

    def __init__(self, calls: Sequence[Call], model: str, prices: PriceList, *, count: int) -> None:
        usages = [call.usage for call in calls if not call.cached]
        self._is_known = len(usages) >= LEARNED_FROM
        self._paid = max(LEAST_PAID_SHARE, len(usages) / max(1, len(calls)))
        """Share of the calls that were not the same as others."""
        self._count = count
        self._input = [
            float(usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens) for usage in usages
        ]
        self._output = [float(usage.output_tokens) for usage in usages]
        self._cost = [prices.cost(model, usage) or 0.0 for usage in usages]

    def narrowed(self, possible: _Expected) -> _Expected:
        """Return what is likely, where that is known, else what is possible."""
        if not self._is_known:
            return possible
        return _Expected(
            self._likely(self._input, possible.input_tokens[1]),
            self._likely(self._output, possible.output_tokens[1]),
            possible.cost and self._likely(self._cost, possible.cost[1]),
        )

    def _likely(self, values: Sequence[float], most: float) -> Range:
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        error = DEVIATIONS * math.sqrt(variance * (1 / self._count + 1 / len(values)))
        return min(most, max(0.0, (mean - error) / CHANGE)) * self._paid, min(most, (mean + error) * CHANGE)


def _sum(ranges: Iterable[Range]) -> Range:
    listed = list(ranges)
    return math.fsum(low for low, _ in listed), math.fsum(high for _, high in listed)


def _whole(tokens: Range) -> tuple[int, int]:
    return int(tokens[0]), math.ceil(tokens[1])


def _minutes(
    expected: Sequence[_Expected], concurrency: int, per_minute: float | None, tokens_per_minute: float | None
) -> Range:
    def minutes(bound: Callable[[Range], float]) -> float:
        seconds = [SECONDS_PER_CALL + bound(one.output_tokens) / TOKENS_PER_SECOND for one in expected]
        bounds = [max(seconds, default=0.0) / 60, sum(seconds) / concurrency / 60]
        if per_minute:
            bounds.append(len(expected) / per_minute - 1)
        if tokens_per_minute:
            tokens = sum(bound(one.input_tokens) + bound(one.output_tokens) for one in expected)
            bounds.append(tokens / tokens_per_minute - 1)
        return max(bounds)

    return minutes(min), minutes(max)
