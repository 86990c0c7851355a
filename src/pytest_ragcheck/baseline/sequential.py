"""Looking at the scores after each round of trials, at one error rate for all looks together.

In a round every question of a suite is asked once more. Who looks again and again finds something by chance more often
than who looks once, so each look is held against a stricter level, the same for all: S. J. Pocock, Biometrika 64 (1977)
191-199. Rounds end too where nothing is left to be found: by A. Wald's sequential probability ratio test ("Sequential
Analysis", 1947) of a meaningful drop against none. That end alone calls nothing a drop, so that it costs no error rate.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.distributions import find_root, normal_cdf, normal_quantile

if TYPE_CHECKING:
    from pytest_ragcheck.baseline.differences import Differences, PairedScores

__all__ = ["alike", "excludes_a_drop", "level_of_each"]

MISSED = 0.2
"""Probability of ending the rounds although a meaningful drop is there: its test has a power of 80 %."""
_POINTS = 400


def alike(pair: PairedScores) -> PairedScores:
    """The pair with no more trials of the baseline than of the run, so that the two can be swapped after each round."""
    return replace(pair, baseline=pair.baseline[: len(pair.run)])


def excludes_a_drop(found: Differences, drop: float, level: float) -> bool:
    """Whether no change is so much likelier than a drop of the mean by so much that the rounds end."""
    if found.unmoved or not found.standard_error:
        return found.unmoved
    log_ratio = drop * (-found.mean - drop / 2) / found.standard_error**2
    return log_ratio <= math.log(MISSED / (1 - level))


@cache
def level_of_each(looks: int, level: float) -> float:
    """The one-sided level of each of so many looks, after equal rounds, so that all together have ``level``."""
    if looks == 1:
        return level
    bound = find_root(lambda z: 1 - _never_beyond(z, looks) - level, normal_quantile(1 - level), 6.0)
    return normal_cdf(-bound)


def _never_beyond(bound: float, looks: int) -> float:
    """Probability that a normal walk of so many equal steps never exceeds so many of its standard deviations.

    By recursive integration: P. Armitage, C. K. McPherson, B. C. Rowe, JRSS A 132 (1969) 235-244.
    """
    import numpy as np

    lowest = -8.0 * math.sqrt(looks)
    grid = np.linspace(lowest, bound, _POINTS)
    density = _normal(grid)
    for look in range(2, looks + 1):
        further = np.linspace(lowest, bound * math.sqrt(look), _POINTS)
        density = _integral(_normal(further[:, None] - grid) * density, grid)
        grid = further
    return float(_integral(density, grid))


def _normal(x: Any) -> Any:
    import numpy as np

    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _integral(values: Any, grid: Any) -> Any:
    """Over equally spaced points, by the trapezoidal rule."""
    step = grid[1] - grid[0]
    return (values.sum(axis=-1) - (values[..., 0] + values[..., -1]) / 2) * step
