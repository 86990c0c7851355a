"""Trials in rounds: which questions are asked again after each round, at one error rate for all looks together.

The test of the mean is made after each round. Who looks again and again finds something by chance more often than who
looks once, so each look is held against a stricter level, the same for all: S. J. Pocock, Biometrika 64 (1977) 191-199.
The rounds end early where nothing is left to be found. That end calls nothing a drop, so that it costs no error rate.

A further round is spent on the half of the questions that moved most, up or down, because the others say little. Which
ones these are does not depend on the direction, so that the test by swaps holds as it does for all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.distributions import find_root, normal_cdf, normal_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_ragcheck.baseline.differences import PairedScores

__all__ = ["alike", "half_that_moved_most", "is_futile", "level_of_each"]

_POINTS = 400


def alike(pair: PairedScores, trials: int | None = None) -> PairedScores:
    """Return the pair with equally many trials of baseline and run as far as there are, at most ``trials``.

    So the two can be swapped after each round.
    """
    run = pair.run[:trials]
    return replace(pair, baseline=pair.baseline[: len(run)], run=run)


def is_futile(drop: float, rounds: int) -> bool:
    """Whether the p-value of a drop after so many rounds is too large for further ones to be worth their calls.

    The limit is halved with each round: 0.5, as the scores do not look worse at all, 0.25, 0.125 and so on.
    """
    return drop > 0.5**rounds


def half_that_moved_most(moves: Iterable[Mapping[str, float]]) -> set[str]:
    """Return the questions that moved at least as much as the middle one, by what each says of a change.

    With several metrics the one counts in which the question has the largest share of all moves.
    """
    largest: dict[str, float] = {}
    for move in moves:
        total = math.fsum(map(abs, move.values())) or 1.0
        for question, value in move.items():
            largest[question] = max(abs(value) / total, largest.get(question, 0.0))
    middle = sorted(largest.values())[len(largest) // 2] if largest else 0.0
    return {question for question, value in largest.items() if value >= middle}


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
