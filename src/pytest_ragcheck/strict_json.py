"""JSON from files that anybody may have changed, without what Python's reader takes beyond the standard."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["parse_json"]

_LARGEST = 2**63


def parse_json(data: bytes | str) -> Any:
    """Parse JSON; ValueError (or RecursionError) also for NaN, and for numbers that 64 bits cannot hold."""
    return json.loads(data, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)


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
