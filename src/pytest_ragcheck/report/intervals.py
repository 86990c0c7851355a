"""How sure a mean over questions is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_ragcheck.distributions import student_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["mean_interval"]

_LEAST_VALUES = 2
_Z = 1.959963984540054
"""The normal distribution's quantile for 97.5 %; importing ``statistics`` for it costs more than all the rest."""


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The two-sided 95 % confidence interval of the mean of values from 0 to 1; None for fewer than two values.

    Where every value is 0 or 1, Wilson's score interval of a proportion (E. B. Wilson, JASA 22 (1927) 209-212); else
    Student's t interval of a mean, cut off at 0 and 1. Both take the questions as drawn independently of each other.
    """
    count = len(values)
    if count < _LEAST_VALUES:
        return None
    mean = math.fsum(values) / count
    low, high = _wilson(mean, count) if all(value in {0.0, 1.0} for value in values) else _student(values, mean)
    return max(low, 0.0), min(high, 1.0)


def _wilson(share: float, count: int) -> tuple[float, float]:
    scale = 1 + _Z**2 / count
    middle = (share + _Z**2 / (2 * count)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return middle - half, middle + half


def _student(values: Sequence[float], mean: float) -> tuple[float, float]:
    count = len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = student_quantile(count - 1, 0.975) * deviation / math.sqrt(count)
    return mean - half, mean + half
