"""What tokens cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from pytest_ragcheck.model import Usage

__all__ = ["PriceList"]

Price = Mapping[str, float]
"""US dollars per million tokens by name of the kind of tokens."""
KINDS = ("input", "output", "cache_read", "cache_write")
CACHE_READ_FACTOR = 0.1
CACHE_WRITE_FACTOR = 1.25
"""Of the input price; Anthropic's, for the five-minute cache."""


class PriceList:
    """Prices by model: the user's own table first, then the ``genai-prices`` package's data, offline.

    ``own`` maps a model's name to ``{input, output, cache_read, cache_write}`` in US dollars per million tokens; the
    two for caching may be left out. A model that neither knows has no price, which is not a price of 0.
    """

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = {model: _checked(model, price) for model, price in (own or {}).items()}

    def load(self) -> None:
        """Import the package and its data now rather than with the first price."""
        _packaged_cost("", 0, 0, 0, 0)

    def cost(self, model: str, usage: Usage) -> float | None:
        """US dollars, or None where the price is unknown."""
        price = self._own.get(model)
        if price is None:
            return _packaged_cost(
                model, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens
            )
        millionths = (
            usage.input_tokens * price["input"]
            + usage.output_tokens * price["output"]
            + usage.cache_read_tokens * price["cache_read"]
            + usage.cache_write_tokens * price["cache_write"]
        )
        return millionths / 1_000_000


def _checked(model: str, price: Price) -> Price:
    for name, value in price.items():
        if name not in KINDS:
            raise ConfigurationError(f"prices of {model!r}: unknown key {name!r}{did_you_mean(name, KINDS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ConfigurationError(
                f"prices of {model!r}: {name} must be US dollars per million tokens, not {value!r}"
            )
    for name in ("input", "output"):
        if name not in price:
            raise ConfigurationError(f"prices of {model!r}: {name} is missing")
    read, write = CACHE_READ_FACTOR * price["input"], CACHE_WRITE_FACTOR * price["input"]
    return {"cache_read": read, "cache_write": write, **price}


Rates = tuple[float, float, float, float]
"""US dollars for one token: fresh input, output, read from and written to the prompt cache."""
PROBES = (1_000, 100_000)
"""Tokens at which a price is looked at. Up to the second it is in proportion, if it is between the two; some prices are
others for prompts that are longer still."""


def _packaged_cost(model: str, fresh: int, output: int, read: int, write: int) -> float | None:
    rates = _packaged_rates(model)
    if rates is None or fresh + output + read + write > PROBES[1]:
        return _looked_up_cost(model, fresh, output, read, write)
    return fresh * rates[0] + output * rates[1] + read * rates[2] + write * rates[3]


@lru_cache(maxsize=256)
def _packaged_rates(model: str) -> Rates | None:
    """The model's rates; None where it is not known, or where its price is not in proportion to a few tokens.

    To look a price up anew for each call takes longer than to read a reply.
    """
    few, many = PROBES
    kinds = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    costs = [[_looked_up_cost(model, *(count * one for one in kind)) for count in PROBES] for kind in kinds]
    costs.append([_looked_up_cost(model, *[count // 4] * 4) for count in PROBES])
    if any(cost is None for pair in costs for cost in pair):
        return None
    rates = [(low or 0.0) / few for low, _ in costs]
    together = sum(rates[:4]) / 4
    in_proportion = all(
        math.isclose((high or 0.0) / many, rate, rel_tol=1e-9)
        for (_, high), rate in zip(costs, [*rates[:4], together], strict=True)
    )
    return (rates[0], rates[1], rates[2], rates[3]) if in_proportion else None


@lru_cache(maxsize=4096)
def _looked_up_cost(model: str, fresh: int, output: int, read: int, write: int) -> float | None:
    try:
        from genai_prices import Usage as Tokens
        from genai_prices import calc_price
    except ImportError:
        return None
    tokens = Tokens(
        # The package counts all input here; the API's input_tokens leave out what the cache took.
        input_tokens=fresh + read + write,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
    )
    try:
        return float(calc_price(tokens, model, provider_id="anthropic").total_price)
    except (LookupError, ValueError):
        return None
