"""JSON from files that anybody may have changed, without what Python's reader takes beyond the standard."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

__all__ = ["RepeatedKeyError", "mapping_of", "parse_json"]

_LARGEST = 2**63


class RepeatedKeyError(ValueError):
    """An object of JSON has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} is given twice")
        self.key = key


def parse_json(data: bytes | str) -> Any:
    """Parse JSON; ValueError (or RecursionError) also for NaN, repeated keys, and numbers that 64 bits cannot hold."""
    return json.loads(data, parse_constant=_refuse, parse_float=_finite, parse_int=_whole, object_pairs_hook=mapping_of)


def mapping_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the mapping of an object's pairs; RepeatedKeyError where one value would hide another."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise RepeatedKeyError(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return mapping


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _whole(digits: str) -> int:
    number = int(digits)  # ValueError for more than some thousand digits
    if abs(number) > _LARGEST:
        raise ValueError("a number is too large")
    return number
