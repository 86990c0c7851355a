"""Geometry of the page's charts, computed here so that the page draws them without a script."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.model import Score

__all__ = ["Bar", "area", "histogram", "occupancy"]

_BINS = 10
_LEAST_SHARE = 0.04
"""Height of the lowest bar that is not empty, as a share of the highest: one value is seen beside a thousand."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram of values from 0 to 1."""

    low: float
    high: float
    count: int
    height: float
    """Share of the highest bar."""
    below: float
    """Share of this bar that is below its threshold."""


def histogram(scores: Iterable[Score]) -> list[Bar]:
    """Ten bars of equal width from 0 to 1; the last one holds 1 too. What was not measured stands in none."""
    bins: list[list[Score]] = [[] for _ in range(_BINS)]
    for score in scores:
        if score.value is not None:
            bins[min(max(int(score.value * _BINS), 0), _BINS - 1)].append(score)
    highest = max(map(len, bins)) or 1
    return [_bar(index / _BINS, held, highest) for index, held in enumerate(bins)]


def _bar(low: float, scores: Sequence[Score], highest: int) -> Bar:
    count = len(scores)
    height = max(count / highest, _LEAST_SHARE) if count else 0.0
    below = sum(score.below_threshold for score in scores)
    return Bar(low, low + 1 / _BINS, count, height, below / max(count, 1))


def occupancy(spans: Sequence[tuple[float, float]], end: float, steps: int) -> list[float]:
    """How many of ``spans`` are under way, on average, in each of ``steps`` equal parts of the time from 0 on."""
    width = end / steps
    if width <= 0:
        return [0.0] * steps
    covered = _Covered([start for start, _ in spans]), _Covered([stop for _, stop in spans])
    totals = [covered[0].until(step * width) - covered[1].until(step * width) for step in range(steps + 1)]
    return [max(after - before, 0.0) / width for before, after in pairwise(totals)]


class _Covered:
    """Of moments, the sum of the times that have passed since each of them."""

    def __init__(self, moments: Sequence[float]) -> None:
        self._moments = sorted(moments)
        self._sums = [0.0, *accumulate(self._moments)]

    def until(self, now: float) -> float:
        passed = bisect_left(self._moments, now)
        return passed * now - self._sums[passed]


def area(lower: Sequence[float], upper: Sequence[float], highest: float, width: float, height: float) -> str:
    """The path of the area between two step curves, of equally wide steps; ``highest`` is at the top."""
    step = width / max(len(upper), 1)
    scale = height / (highest or 1.0)
    top = _steps(upper, step, scale, height)
    bottom = _steps(lower, step, scale, height)
    return "M" + "L".join([*top, *reversed(bottom)]) + "Z"


def _steps(values: Sequence[float], step: float, scale: float, height: float) -> list[str]:
    points = []
    for index, value in enumerate(values):
        y = f"{height - value * scale:.2f}"
        points += [f"{index * step:.2f} {y}", f"{(index + 1) * step:.2f} {y}"]
    return points
