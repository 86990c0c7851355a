"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["change", "comparison", "interval", "move", "plural", "ratio", "seconds", "size", "value", "values"]

_MOST_DECIMALS = 6
_MOST_REPEATED = 2
_MINUTE, _HOUR = 60, 3600
_KILOBYTES_UP_TO = 100_000

_UNDER_A_MINUTE = ((0.000_05, 1000, 0, "ms"), (0.009_95, 1000, 1, "ms"), (0.9995, 1000, 0, "ms"), (9.995, 1, 2, "s"))
"""Under how many seconds; factor, decimals and unit: three digits or so, chosen by the rounded number."""

_AS_FAST_FROM, _AS_FAST_TO = 0.95, 1.05
_TENFOLD = 9.95


def seconds(duration: float) -> str:
    """A duration from fractions of a millisecond to hours: ``0.4 ms``, ``5.82 s``, ``5 min 33 s``, ``1 h 02 min``."""
    if not math.isfinite(duration):
        return "?"
    duration = max(duration, 0.0)
    for limit, factor, decimals, unit in _UNDER_A_MINUTE:
        if duration < limit:
            return f"{duration * factor:.{decimals}f} {unit}"
    return f"{duration:.1f} s" if round(duration, 1) < _MINUTE else _long(duration)


def _long(duration: float) -> str:
    whole = round(duration)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    minutes = round(duration / _MINUTE)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def ratio(before: float, after: float) -> str:
    """How fast ``after`` is: ``3.4 x faster``, ``1.2 x slower``, ``as fast``; ``-`` where nothing was measured."""
    if not (0 < before < math.inf and 0 < after < math.inf):
        return "-"
    faster = before / after
    if _AS_FAST_FROM <= faster < _AS_FAST_TO:
        return "as fast"
    return f"{_factor(faster)} x faster" if faster > 1 else f"{_factor(1 / faster)} x slower"


def _factor(factor: float) -> str:
    return f"{factor:.1f}" if factor < _TENFOLD else f"{factor:,.0f}"


def value(number: float) -> str:
    """A metric's value."""
    return f"{number:.2f}"


def values(numbers: Sequence[float]) -> str:
    """``0.00, 0.50``; of many equal ones how many: ``8 times 0.00``."""
    shown = list(map(value, numbers))
    return (
        f"{len(shown):,} times {shown[0]}" if len(shown) > _MOST_REPEATED and len(set(shown)) == 1 else ", ".join(shown)
    )


def move(before: float | None, now: float | None, again: Sequence[float] = ()) -> str:
    """``0.90 -> 0.31``, with what was measured once more: ``0.90 -> 0.31 (again 0.30, 0.28)``."""
    shown = ["not measured" if number is None else value(number) for number in (before, now)]
    return " -> ".join(shown) + (f" (again {values(again)})" if again else "")


def interval(bounds: tuple[float, float] | None) -> str:
    """``0.55-0.86``; ``-`` where there is none."""
    return "-" if bounds is None else f"{bounds[0]:.2f}-{bounds[1]:.2f}"


def change(difference: float) -> str:
    """``+0.02``, ``-0.05``, ``0.00``; one that two decimals do not show, with more: ``-0.004``."""
    for decimals in range(2, _MOST_DECIMALS + 1):
        if round(difference, decimals):
            return f"{difference:+.{decimals}f}"
    return "0.00"


def comparison(measured: float, threshold: float) -> str:
    """``0.85 >= 0.80`` or ``0.41 < 0.70``; a miss with as many decimals as show it: ``0.699 < 0.700``."""
    if not measured < threshold:
        return f"{measured:.2f} >= {threshold:.2f}"
    for decimals in range(2, _MOST_DECIMALS + 1):
        shown, limit = f"{measured:.{decimals}f}", f"{threshold:.{decimals}f}"
        if shown != limit:
            return f"{shown} < {limit}"
    return f"just < {threshold:.2f}"


def size(count: int) -> str:
    """Bytes: ``23 kB``, ``0.4 MB``."""
    return f"{count / 1e6:.1f} MB" if count >= _KILOBYTES_UP_TO else f"{math.ceil(count / 1e3)} kB"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``1 question``, ``2 questions``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
