"""What a comparison could have seen, and how much more would have to be measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.differences import mean_of, pooled_variance
from pytest_ragcheck.distributions import normal_quantile, student_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.baseline.differences import Differences, MetricScores, PairedScores

__all__ = ["remedy", "smallest_visible_drop"]

POWER = 0.8
EVEN_DROP = 1.05
"""The test by swaps sees a drop that hits some questions more sharply, and one that hits all alike as if errors were
so many times as large (benchmarks/gate.py)."""
MOST_TRIALS = 10
"""More are not proposed: questions are worth more."""


def smallest_visible_drop(found: Differences, *, level: float, practical_minimum: float) -> float | None:
    """The mean drop that is called a regression with a probability of 80 %, were it there; None for one cluster.

    Both conditions count: the drop must be significant at the one-sided ``level``, which it is in 80 % of the cases
    from (t_level + t_power) SE on (Miller, arXiv:2411.00640), and larger than the practical minimum, which it is from
    that plus t_power SE on.
    """
    if found.standard_error is None:
        return None
    error, freedom = EVEN_DROP * found.standard_error, found.freedom
    significant = student_quantile(freedom, 1 - level) * error
    return max(significant, practical_minimum) + student_quantile(freedom, POWER) * error


def remedy(scores: MetricScores, found: Differences, *, margin: float) -> str:
    """How many questions, or trials of each, would settle it: the half width of the interval with 80 % power.

    Without a change the lower end of the 95 % interval lies above -margin with a probability of 80 % where
    (z_0.975 + z_0.8) SE <= margin.
    """
    error = found.standard_error
    if not error:
        return f"measure more questions: {_questions(found.questions)} cannot tell change from noise"
    wanted = margin / (normal_quantile(0.975) + normal_quantile(POWER))
    questions = math.ceil(found.questions * (error / wanted) ** 2)
    trials = _trials(scores.pairs, error, wanted)
    by_trials = "" if trials is None else f", or {trials} trials of each in the baseline and in the run,"
    return f"measure about {_rounded_up(questions)} questions{by_trials} to tell no change from a drop of {margin:.2g}"


def _questions(count: int) -> str:
    return "1 question" if count == 1 else f"{count} questions"


def _rounded_up(count: int) -> int:
    """To two digits, upward: an estimate."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / unit) * unit


def _trials(pairs: Sequence[PairedScores], error: float, wanted: float) -> int | None:
    """Trials on both sides that bring the standard error down to ``wanted``; None where no reasonable number does.

    Only the noise of trials shrinks. It is measured where there are several; with one trial each all of the
    differences' spread is taken for it.
    """
    now = mean_of(pair.per_trial for pair in pairs)
    shared = _share_of_noise(pairs, error)
    needed = wanted**2 - (1 - shared) * error**2
    if needed <= 0 or not shared:
        return None
    trials: int = math.ceil(2 / now * shared * error**2 / needed)
    return trials if trials <= MOST_TRIALS else None


def _share_of_noise(pairs: Sequence[PairedScores], error: float) -> float:
    """Share of the mean difference's variance that is noise of trials."""
    if not any(pair.freedom for pair in pairs):
        return 1.0
    noise = pooled_variance(pairs) * math.fsum(pair.per_trial for pair in pairs) / len(pairs) ** 2
    return min(1.0, noise / error**2)
