"""Paired differences: each question's run against its own baseline, averaged over trials first.

Only plain numbers come in and go out, and nothing depends on the order of the questions: sums are exact
(:func:`math.fsum`).

Formulas of the paired and of the clustered standard error: E. Miller, "Adding Error Bars to Evals" (2024),
arXiv:2411.00640.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_ragcheck.distributions import student_cdf, student_quantile

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

__all__ = [
    "Differences",
    "MetricScores",
    "PairedScores",
    "Shift",
    "by_cluster",
    "differences",
    "mean_of",
    "pooled_variance",
]


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
    confirmations: tuple[float, ...] = ()
    """What the question got when it was asked again because it had fallen. They decide whether it broke, and count
    nowhere else: they were not drawn like the others."""
    history: tuple[float, ...] = ()
    """What it got in earlier runs of the baseline's system, by which its record is longer."""

    def __post_init__(self) -> None:
        if not self.baseline or not self.run:
            raise ValueError(f"{self.question!r} has no score in the baseline or in the run")
        if not all(map(math.isfinite, (*self.baseline, *self.run, *self.confirmations, *self.history))):
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

    @cached_property
    def squares_within(self) -> float:
        """Sum of the trials' squared deviations from the means of the baseline and of the run."""
        if not self.freedom:
            return 0.0
        sides = ((self.baseline, self.baseline_mean), (self.run, self.run_mean))
        return math.fsum((value - mean) ** 2 for values, mean in sides for value in values)

    @property
    def samples_of_run(self) -> int:
        """How often it was measured in the run, the confirmations included."""
        return len(self.run) + len(self.confirmations)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of :attr:`squares_within`."""
        return len(self.baseline) + len(self.run) - 2

    @property
    def per_trial(self) -> float:
        """Variance of the difference where that of one trial is 1."""
        return 1 / len(self.baseline) + 1 / len(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far the means of two runs lie apart because all scores of a run move together, as earlier runs show it."""

    variance: float
    """Of the difference of two runs' means, beyond their questions' noise."""
    observed: float
    """The same with that noise: what the estimate rests on."""
    freedom: float
    """Degrees of freedom of what was observed."""


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
    shift: Shift | None = None
    """What moves a whole run; None: not known, as two runs alone cannot show it."""
    looks: int = 1
    """How often the scores may have been looked at, after as many rounds of trials, to end these."""

    def __post_init__(self) -> None:
        names = {pair.question for pair in self.pairs}
        if len(names) != len(self.pairs):
            raise ValueError(f"{self.metric}: a question is given twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Means, differences and their standard error."""

    baseline: float
    run: float
    mean: float
    """Mean difference, run minus baseline."""
    questions: int
    clusters: int
    unmoved: bool
    """Whether every difference is 0."""
    standard_error: float | None
    """Of the mean difference, by clusters; None where there are fewer than two clusters."""
    freedom: float = 1.0
    """Degrees of freedom of the standard error: clusters - 1, fewer where it rests on few earlier runs too."""

    def beyond(self, variance: float, *, observed: float, freedom: float, mean: float = 0.0) -> Differences:
        """The difference less another ``mean`` with such a ``variance``, which rests on what was ``observed``.

        Degrees of freedom by F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110-114.
        """
        if self.standard_error is None:
            return replace(self, mean=self.mean - mean)
        own = self.standard_error**2
        spread = own**2 / self.freedom + observed**2 / freedom
        return replace(
            self,
            mean=self.mean - mean,
            standard_error=math.sqrt(own + variance),
            freedom=max(1.0, (own + variance) ** 2 / spread) if spread else self.freedom,
        )

    def p_values(self) -> tuple[float, float]:
        """One-sided, of a drop and of a rise, by Student's t; 1 where nothing is known of the error."""
        if self.standard_error is None:
            return 1.0, 1.0
        if not self.standard_error:
            return float(self.mean >= 0), float(self.mean <= 0)
        t = self.mean / self.standard_error
        return student_cdf(self.freedom, t), student_cdf(self.freedom, -t)

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Two-sided interval of the mean difference, by Student's t."""
        if self.standard_error is None:
            return None
        half = student_quantile(self.freedom, (1 + confidence) / 2) * self.standard_error
        return (self.mean - half, self.mean + half)


def differences(pairs: Sequence[PairedScores]) -> Differences:
    """Mean difference and clustered standard error; raises ValueError without pairs.

    With d_ic the difference of question i in cluster c, n questions and G clusters,
    SE^2 = G / (G - 1) * sum_c (sum_i (d_ic - mean))^2 / n^2: Miller's clustered error with the correction for few
    clusters. Where every question is its own cluster that is the ordinary s^2 / n.
    """
    if not pairs:
        raise ValueError("there are no questions to compare")
    mean = mean_of(pair.difference for pair in pairs)
    clusters = by_cluster(pairs, [pair.difference for pair in pairs])
    return Differences(
        baseline=mean_of(pair.baseline_mean for pair in pairs),
        run=mean_of(pair.run_mean for pair in pairs),
        mean=mean,
        standard_error=_clustered_error(clusters, mean),
        questions=len(pairs),
        clusters=len(clusters),
        freedom=max(1.0, len(clusters) - 1),
        unmoved=not any(pair.difference for pair in pairs),
    )


def by_cluster(pairs: Sequence[PairedScores], values: Sequence[float]) -> list[list[float]]:
    """The questions' values, grouped by cluster."""
    grouped: dict[Hashable, list[float]] = {}
    for pair, value in zip(pairs, values, strict=True):
        label = ("question", pair.question) if pair.cluster is None else ("cluster", pair.cluster)
        grouped.setdefault(label, []).append(value)
    return list(grouped.values())


def pooled_variance(pairs: Sequence[PairedScores]) -> float:
    """Variance of one trial within a question, pooled over all that have several; 0 where none has."""
    freedom = sum(pair.freedom for pair in pairs)
    return math.fsum(pair.squares_within for pair in pairs) / freedom if freedom else 0.0


def mean_of(values: Iterable[float]) -> float:
    """The mean, whatever the order; of equal values just that value, so that it is not rounded below a threshold."""
    listed = list(values)
    return listed[0] if min(listed) == max(listed) else math.fsum(listed) / len(listed)


def _clustered_error(clusters: Sequence[Sequence[float]], mean: float) -> float | None:
    if len(clusters) < 2:  # noqa: PLR2004 (one cluster has no spread)
        return None
    n, count = sum(map(len, clusters)), len(clusters)
    squares = math.fsum(math.fsum(value - mean for value in cluster) ** 2 for cluster in clusters)
    return math.sqrt(count / (count - 1) * squares) / n
