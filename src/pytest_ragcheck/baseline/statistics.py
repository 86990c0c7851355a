"""The statistics of the gate: for each metric whether a run is worse than the baseline, by two guards.

The guard of the mean asks whether the mean over all questions dropped, more than chance and more than the practical
minimum. The guard of the questions asks whether single questions broke. Each metric has one verdict from both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.breaks import score_changes
from pytest_ragcheck.baseline.differences import MetricScores, PairedScores, differences
from pytest_ragcheck.baseline.power import remedy, smallest_visible_drop
from pytest_ragcheck.baseline.sequential import alike, half_that_moved_most, is_futile, level_of_each
from pytest_ragcheck.baseline.swaps import evidence, swap_test
from pytest_ragcheck.comparison import MetricChange, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.baseline.differences import Differences
    from pytest_ragcheck.comparison import ScoreChange

__all__ = ["MetricDecision", "MetricScores", "PairedScores", "decide", "holm", "undecided"]

LEVEL = 0.0425
"""One-sided, of the mean's guard over all metrics together. The rest of 5 % is left to the guard of the questions."""
MEANINGFUL_DROP = 0.05
"""``same`` means that a mean drop as large as this is excluded, or as the practical minimum where that is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDecision:
    """What became of one metric."""

    change: MetricChange
    scores: Mapping[str, ScoreChange]
    """Each question's change, by the name it was given; ``broke`` tells which ones broke."""
    found: Differences | None = None
    """Mean difference and its error; None where nothing was measured."""


def decide(metrics: Sequence[MetricScores]) -> list[MetricDecision]:
    """Decide about all metrics of a comparison together, in their order.

    The p-values are adjusted over the metrics, so a metric's verdict depends on which others are given. The order of
    metrics and of questions is irrelevant, and the same input gives the same output.

    A metric without questions is ``not comparable``, with means of 0.
    """
    given = [scores for scores in metrics if scores.pairs]
    measured = [_Measured.of(*each) for each in zip(given, score_changes(given), strict=True)]
    drops = dict(zip((one.name for one in measured), holm([one.drop for one in measured]), strict=True))
    rises = dict(zip((one.name for one in measured), holm([one.rise for one in measured]), strict=True))
    decided = {one.name: one.decision(drops[one.name], rises[one.name], metrics=len(measured)) for one in measured}
    return [decided[scores.metric] if scores.pairs else _nothing_measured(scores) for scores in metrics]


def undecided(metrics: Sequence[MetricScores]) -> set[str]:
    """Return the questions to ask in a further round of trials; none where a mean fell, or none is likely to fall.

    A question with fewer trials in the baseline than there may be rounds is always among them: its next score could not
    be swapped with one of the baseline.
    """
    if any(decision.change.mean_fell for decision in decide(metrics)):
        return set()
    measured = [_Measured.of(scores, {}) for scores in metrics if scores.pairs]
    doubtful = [one for one in measured if not is_futile(one.drop, one.rounds)]
    moved = half_that_moved_most(one.moves for one in doubtful)
    pairs = (pair for one in doubtful for pair in one.input.pairs if len(pair.baseline) < one.input.looks)
    return moved | {pair.question for pair in pairs}


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the given order: the family-wise error rate is at most the level they are held against.

    The i-th smallest of m is multiplied by m - i + 1, is at least as large as the one before, and at most 1: S. Holm,
    "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted


@dataclass(frozen=True, slots=True)
class _Measured:
    """A metric before the adjustment over all."""

    input: MetricScores
    pairs: Sequence[PairedScores]
    """What is tested: after rounds of trials as many of the baseline as of the run."""
    found: Differences
    """With the error of what moves a whole run, where that is known."""
    drop: float
    """One-sided p-value, as is ``rise``."""
    rise: float
    method: str
    changes: Mapping[str, ScoreChange]

    @classmethod
    def of(cls, scores: MetricScores, changes: Mapping[str, ScoreChange]) -> _Measured:
        pairs = scores.pairs if scores.looks == 1 else tuple(map(alike, scores.pairs))
        found, test = _differences(pairs, scores), swap_test(pairs)
        if scores.shift is None or not scores.shift.variance:
            return cls(scores, pairs, found, test.drop, test.rise, test.method, changes)
        drop, rise = found.p_values()
        method = f"{test.method}; t with the spread of earlier runs"
        return cls(scores, pairs, found, max(test.drop, drop), max(test.rise, rise), method, changes)

    @property
    def name(self) -> str:
        return self.input.metric

    @property
    def rounds(self) -> int:
        """How many rounds of trials there were."""
        return max(len(pair.run) for pair in self.pairs)

    @property
    def moves(self) -> dict[str, float]:
        """What each question says of a change."""
        return dict(zip((pair.question for pair in self.pairs), evidence(self.pairs), strict=True))

    @property
    def level(self) -> float:
        """What adjusted p-values are held against."""
        return level_of_each(self.input.looks, LEVEL)

    @property
    def margin(self) -> float:
        """A drop of the mean by so much matters."""
        return max(self.input.practical_minimum, MEANINGFUL_DROP)

    def decision(self, drop: float, rise: float, *, metrics: int) -> MetricDecision:
        """With the p-values adjusted over so many metrics."""
        scores, found, margin = self.input, self.found, self.margin
        verdict, level = self._verdict(drop, rise, margin), self.level / metrics
        change = MetricChange(
            metric=self.name,
            verdict=verdict,
            questions=found.questions,
            clusters=found.clusters,
            baseline=found.baseline,
            value=found.run,
            difference=found.mean,
            interval=_within_the_scale(found.interval()),
            p_value=drop,
            practical_minimum=scores.practical_minimum,
            smallest_visible_drop=smallest_visible_drop(found, level=level, practical_minimum=scores.practical_minimum),
            method=self.method,
            remedy=remedy(scores, differences(scores.pairs), margin=margin) if verdict is Verdict.INCONCLUSIVE else "",
            mean_fell=self._mean_fell(drop),
            run_spread=None if scores.shift is None else math.sqrt(scores.shift.variance / 2),
        )
        return MetricDecision(change=change, scores=self.changes, found=found)

    def _verdict(self, drop: float, rise: float, margin: float) -> Verdict:
        mean, least = self.found.mean, self.input.practical_minimum
        if any(change.broke for change in self.changes.values()) or self._mean_fell(drop):
            return Verdict.REGRESSED
        if rise <= self.level and mean > least:
            return Verdict.BETTER
        return Verdict.SAME if self._excludes(margin) else Verdict.INCONCLUSIVE

    def _mean_fell(self, drop: float) -> bool:
        return drop <= self.level and self.found.mean < -self.input.practical_minimum

    def _excludes(self, drop: float) -> bool:
        """Whether the interval excludes a mean drop so large; nothing that stood still to the last digit dropped.

        After rounds of trials it is that of the trials which all questions have: those that are asked further because
        they moved move back a little by chance, so that the mean of all trials leans towards no change.
        """
        if self.found.unmoved:
            return True
        found = self.found
        if self.input.looks > 1:
            shared = min(len(pair.run) for pair in self.pairs)
            found = _differences([alike(pair, shared) for pair in self.pairs], self.input)
        interval = found.interval()
        return interval is not None and interval[0] > -drop


def _differences(pairs: Sequence[PairedScores], scores: MetricScores) -> Differences:
    """With the error of what moves a whole run, where that is known."""
    found, shift = differences(pairs), scores.shift
    if shift is None or not shift.variance:
        return found
    return found.beyond(shift.variance, observed=shift.observed, freedom=shift.freedom)


def _within_the_scale(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Few questions have intervals that are longer than differences of scores can be."""
    return interval and (max(interval[0], -1.0), min(interval[1], 1.0))


def _nothing_measured(scores: MetricScores) -> MetricDecision:
    change = MetricChange(
        metric=scores.metric,
        verdict=Verdict.NOT_COMPARABLE,
        questions=0,
        clusters=0,
        baseline=0.0,
        value=0.0,
        difference=0.0,
        interval=None,
        p_value=None,
        practical_minimum=scores.practical_minimum,
        smallest_visible_drop=None,
        remedy="measure the same questions as in the baseline: none was measured in both",
    )
    return MetricDecision(change=change, scores={})
