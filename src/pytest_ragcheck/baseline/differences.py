"""Paired differences: each question's run against its own baseline, averaged over trials first.

Only plain numbers come in and go out. Nothing depends on the order of the questions: sums are exact
(:func:`math.fsum`), and what is drawn is drawn for sorted values from a fixed seed.

Formulas of the mean, the paired and the clustered standard error: E. Miller, "Adding Error Bars to Evals"
(2024), arXiv:2411.00640, sections 2 and 4. Fixed-seed and exact sign flips: the one-sample randomisation test of
R. A. Fisher, "The Design of Experiments" (1935), section 21.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

__all__ = ["Differences", "MetricScores", "PairedScores", "SignFlips", "differences", "mean_of", "sign_flips"]

EXACT_FLIPS = 14
"""Up to so many differences other than 0 all 2^n flips of their signs are enumerated."""
DRAWN_FLIPS = 9_999
"""Flips drawn where they are not enumerated; with the observed one 10,000."""
MOST_DRAWN = 200
"""Above so many differences the flips' sum is taken as normal (its central limit)."""
SEED = 20_240_901
POWER = 1.5
"""A difference counts in the test with its size to this power: regressions are uncommon but large."""
_ROUNDING = 1e-6
"""Sums that differ by less than this share of the largest one are equal."""


@dataclass(frozen=True, kw_only=True)
class PairedScores:
    """One question's scores under one metric: every trial of the baseline and of the run, each 0 to 1."""

    question: str
    """Tells the question from all others of the metric (with dataset and variant where there are several)."""
    baseline: tuple[float, ...]
    run: tuple[float, ...]
    cluster: int | str | None = None
    """Questions with the same label share a source and move together; None: a cluster of its own."""
    threshold: float | None = None
    """The least score that passes; None: the metric is only reported."""

    def __post_init__(self) -> None:
        if not self.baseline or not self.run:
            raise ValueError(f"{self.question!r} has no score in the baseline or in the run")
        if not all(map(math.isfinite, (*self.baseline, *self.run))):
            raise ValueError(f"{self.question!r} has a score that is not a number")

    @cached_property
    def baseline_mean(self) -> float:
        """Mean over the baseline's trials."""
        return mean_of(self.baseline)

    @cached_property
    def run_mean(self) -> float:
        """Mean over the run's trials."""
        return mean_of(self.run)

    @cached_property
    def difference(self) -> float:
        """Run minus baseline, of the means over trials."""
        return self.run_mean - self.baseline_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricScores:
    """All questions that were measured under one metric in the baseline and in the run.

    Raises ValueError where two of them have the same name.
    """

    metric: str
    pairs: tuple[PairedScores, ...]
    practical_minimum: float = 0.02
    """A mean drop that is not larger is no regression."""
    repeatable: bool = False
    """The same system gets the same scores again (retrieval, for example): no difference is noise of a repetition."""

    def __post_init__(self) -> None:
        names = {pair.question for pair in self.pairs}
        if len(names) != len(self.pairs):
            raise ValueError(f"{self.metric}: a question is given twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlips:
    """What the sign flips say."""

    drop: float
    """One-sided p-value of a drop."""
    rise: float
    """One-sided p-value of a rise."""
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Means, differences and their standard error."""

    baseline: float
    run: float
    mean: float
    """Mean difference, run minus baseline."""
    by_cluster: tuple[tuple[float, ...], ...]
    """The differences of each cluster."""
    standard_error: float | None
    """Of the mean difference, by clusters; None where there are fewer than two clusters."""

    @property
    def questions(self) -> int:
        """How many there are."""
        return sum(map(len, self.by_cluster))

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return len(self.by_cluster)

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Two-sided interval of the mean difference, Student's t with clusters - 1 degrees of freedom."""
        if self.standard_error is None:
            return None
        from scipy.stats import t

        half = float(t.ppf((1 + confidence) / 2, self.clusters - 1)) * self.standard_error
        return (self.mean - half, self.mean + half)


def differences(pairs: Sequence[PairedScores]) -> Differences:
    """Mean difference and clustered standard error; raises ValueError without pairs.

    With d_ic the difference of question i in cluster c, n questions and G clusters,
    SE^2 = G / (G - 1) * sum_c (sum_i (d_ic - mean))^2 / n^2: Miller's clustered error with the correction for few
    clusters. Where every question is its own cluster that is the ordinary s^2 / n.
    """
    if not pairs:
        raise ValueError("there are no questions to compare")
    grouped: dict[Hashable, list[float]] = {}
    for pair in pairs:
        label = ("question", pair.question) if pair.cluster is None else ("cluster", pair.cluster)
        grouped.setdefault(label, []).append(pair.difference)
    clusters = tuple(sorted(tuple(sorted(group)) for group in grouped.values()))
    mean = mean_of(pair.difference for pair in pairs)
    return Differences(
        baseline=mean_of(pair.baseline_mean for pair in pairs),
        run=mean_of(pair.run_mean for pair in pairs),
        mean=mean,
        by_cluster=clusters,
        standard_error=_clustered_error(clusters, mean),
    )


def mean_of(values: Iterable[float]) -> float:
    """The mean, whatever the order; of equal values just that value, so that it is not rounded below a threshold."""
    listed = list(values)
    return listed[0] if min(listed) == max(listed) else math.fsum(listed) / len(listed)


def _clustered_error(clusters: tuple[tuple[float, ...], ...], mean: float) -> float | None:
    if len(clusters) < 2:  # noqa: PLR2004 (one cluster has no spread)
        return None
    n, count = sum(map(len, clusters)), len(clusters)
    squares = math.fsum(math.fsum(value - mean for value in cluster) ** 2 for cluster in clusters)
    return math.sqrt(count / (count - 1) * squares) / n


def sign_flips(clusters: Sequence[Sequence[float]], *, power: float = POWER) -> SignFlips:
    """One-sided p-values under the hypothesis that baseline and run could be swapped, cluster by cluster.

    Nothing changed means that the two scores of a question could as well have come the other way round, so that each
    cluster's differences could as well have the other signs. The statistic is sum sign(d) |d|^power over all questions,
    its p-value the share of flips with a sum as extreme as the observed one. With ``power`` above 1 a few large
    drops weigh more than many small ones, as suits changes that hit some of the questions and spare the others:
    W. J. Conover, D. S. Salsburg, Biometrics 44 (1988) 189-196; P. R. Rosenbaum, Biometrics 63 (2007) 1164-1171.
    """
    sums = (math.fsum(math.copysign(abs(value) ** power, value) for value in cluster) for cluster in clusters)
    values = sorted(value for value in sums if value)
    if not values:
        return SignFlips(drop=1.0, rise=1.0, method="nothing differs")
    if len(values) <= EXACT_FLIPS:
        return _flipped(values, _all_signs(len(values)), drawn=False)
    if len(values) <= MOST_DRAWN:
        return _flipped(values, _drawn_signs()[: len(values)], drawn=True)
    from scipy.stats import norm

    z = math.fsum(values) / math.sqrt(math.fsum(value * value for value in values))
    return SignFlips(drop=float(norm.cdf(z)), rise=float(norm.sf(z)), method="sign flips (normal limit)")


def _flipped(values: list[float], signs: Any, *, drawn: bool) -> SignFlips:
    """Count the flips whose sum is as low, and as high, as the observed one."""
    import numpy as np

    array = np.asarray(values, dtype=signs.dtype)
    sums = array @ signs
    observed = math.fsum(values)
    rounding = _ROUNDING * math.fsum(map(abs, values))
    low = int(np.count_nonzero(sums <= observed + rounding))
    high = int(np.count_nonzero(sums >= observed - rounding))
    count = signs.shape[1]
    method = f"sign flips ({count} drawn)" if drawn else f"sign flips (all {count})"
    # The observed signs are one of the flips: among all of them already, beside the drawn ones.
    return SignFlips(drop=(low + drawn) / (count + drawn), rise=(high + drawn) / (count + drawn), method=method)


@cache
def _all_signs(n: int) -> Any:
    """Every choice of n signs, one in each column."""
    import numpy as np

    return np.where(np.arange(2**n)[None, :] >> np.arange(n)[:, None] & 1, -1.0, 1.0)


@cache
def _drawn_signs() -> Any:
    """Signs for MOST_DRAWN values; from raw bits, because these are the same in every version of NumPy."""
    import numpy as np

    words = -(-MOST_DRAWN * DRAWN_FLIPS // 64)
    bits = np.unpackbits(np.random.PCG64(SEED).random_raw(words).astype("<u8").view(np.uint8))
    signs = bits[: MOST_DRAWN * DRAWN_FLIPS].reshape(MOST_DRAWN, DRAWN_FLIPS)
    return signs.astype(np.float32) * 2 - 1
