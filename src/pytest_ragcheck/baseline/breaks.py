"""Questions that broke: they passed in the baseline, and are below their threshold by more than chance can explain.

A question that was measured more than once in the run is judged by its record: how often it passed before and passes
now, against what the suite's questions do by chance (:mod:`~pytest_ragcheck.baseline.flakiness`). False names are
controlled over all questions. Where there is one sample of the run alone, the size of the fall must decide. Then upward
moves are the yardstick, because a regression cannot stretch them: where nothing changed a question rises as often and
as far as it falls, and nothing that breaks makes a score rise.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.differences import mean_of, pooled_variance
from pytest_ragcheck.baseline.flakiness import Flakiness, Record
from pytest_ragcheck.comparison import ScoreChange
from pytest_ragcheck.distributions import binomial_tail, poisson_tail, student_quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pytest_ragcheck.baseline.differences import MetricScores, PairedScores

__all__ = ["score_changes"]

FALSE_NAMES = 0.02
"""Share of comparisons of an unchanged suite that may name a question."""
TOGETHER = 0.005
"""Share of comparisons of an unchanged suite in which so many questions together may fall and not pass again."""
DOUBT = 2.0
"""So many times as many are expected as the model says, which is fitted without questions that may have broken."""
CUTS = (0.25, 1.0)
"""A sample fails where it lies below such a share of its threshold. The samples of a complete fall lie below the first,
where ordinary noise seldom gets; the second is what passing means. Both are known before anything is measured."""
CHANCE = 1e-6
"""With one sample a fall that normal noise exceeds with at least this probability is noise. Far less than a normal tail
needs, because scores have longer ones."""
RISE_MULTIPLE, LONG_TAILED_MULTIPLE = 2.5, 4.0
"""So is a fall that is not so many times as large as every rise; with long tails the second."""
LEAST_FALL = 0.1
"""A fall that is not larger than this breaks nothing, where scores are not repeatable."""
COMPLETE_FALL = 0.99
"""A fall by more than this, as good as the whole scale, stands out of any noise of ordinary tails."""
COMPLETE_RISE = 0.9
"""But not where questions rise by as much."""
LONG_TAILS = 0.77
"""Mean over root mean square of moves whose tails are somewhat longer than normal ones."""
SIGN_LEVEL = 0.005
"""Where questions rose all the way too, complete falls count if they outnumber the rises beyond this level."""
STEADY_LEVEL = 0.05
"""How likely questions that flip like coins may look as steady as these."""
FEW_QUESTIONS, FEW_LEVEL = 10, 0.2
"""With fewer questions no picture is unlikely enough; then this level holds."""
ALIKE = 0.8
"""A move of at least this share of a fall is as large as it."""
_UP, _MOVE, _DOWN = 7 / 12, 1 / 6, 1 / 12
"""A coin with probability p, uniform from 1/2 to 1, is up both times (E p^2), falls (E p(1-p)), is down both times."""
_MAD_TO_DEVIATION = 1.4826
"""Of a normal distribution: standard deviation over median absolute deviation."""


def score_changes(metrics: Sequence[MetricScores]) -> list[dict[str, ScoreChange]]:
    """Return for each metric each question's change, its noise, and whether it broke, by the question's name.

    A question broke where its mean over trials reached the threshold in the baseline and does not now, beyond chance;
    without a threshold there is nothing that it could break. One that reached the threshold when it was asked again did
    not break: it flips.
    """
    records = [_Records.of(() if scores.repeatable else scores.pairs) for scores in metrics]
    chances = [each.chances() for each in records]
    named = _named(chances, sum(len(each.passed) for each in records))
    level = TOGETHER / max(1, sum(bool(each.passed) for each in records))
    named = [alone | each.fallen_together(level) for alone, each in zip(named, records, strict=True)]
    return [_changes(*each) for each in zip(metrics, chances, named, strict=True)]


def _changes(scores: MetricScores, chances: Mapping[str, float], named: AbstractSet[str]) -> dict[str, ScoreChange]:
    if scores.repeatable:
        return {pair.question: _change(scores.metric, pair, noise=0.0, broke=_fell(pair)) for pair in scores.pairs}
    noise = _Noise(scores.pairs)
    found = {}
    for pair in scores.pairs:
        by_record = pair.question in named
        within = LEAST_FALL if by_record else noise.of(pair)
        by_size = pair.samples_of_run == 1 and -pair.difference > within
        found[pair.question] = _change(
            scores.metric,
            pair,
            noise=within,
            broke=_fell(pair) and (by_record or by_size),
            flipped=_fell(pair) and _cleared(pair) and -pair.difference > min(within, COMPLETE_FALL),
            chance=chances.get(pair.question),
        )
    return found


def _change(
    metric: str, pair: PairedScores, *, noise: float, broke: bool, flipped: bool = False, chance: float | None = None
) -> ScoreChange:
    before, now, least = pair.baseline_mean, pair.run_mean, pair.threshold
    return ScoreChange(
        metric=metric,
        baseline=before,
        value=now,
        threshold=least,
        noise=noise,
        confirmations=pair.confirmations,
        broke=broke,
        flipped=flipped,
        chance=chance,
        known=least is not None and max(before, now) < least and before - now <= noise,
    )


def _passed(pair: PairedScores) -> bool:
    """Whether it passed in the baseline."""
    return pair.threshold is not None and pair.baseline_mean >= pair.threshold


def _fell(pair: PairedScores) -> bool:
    return pair.threshold is not None and pair.baseline_mean >= pair.threshold > pair.run_mean


def _cleared(pair: PairedScores) -> bool:
    """Whether it passed when it was asked again."""
    return pair.threshold is not None and any(value >= pair.threshold for value in pair.confirmations)


# ---- By the record ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Records:
    """How often the questions of a suite pass, by where the line between passing and failing is drawn."""

    pairs: Sequence[PairedScores]
    passed: Sequence[PairedScores]
    """Those that passed in the baseline."""
    fallen: Mapping[str, PairedScores]
    """Those that fell and did not pass when they were asked again."""

    @classmethod
    def of(cls, pairs: Sequence[PairedScores]) -> _Records:
        """The records of all questions of a metric."""
        fallen = (pair for pair in pairs if _fell(pair) and not _cleared(pair) and -pair.difference > LEAST_FALL)
        return cls(pairs, [pair for pair in pairs if _passed(pair)], {pair.question: pair for pair in fallen})

    def chances(self) -> dict[str, float]:
        """How likely an unchanged question looks as bad, for each that fell and was measured repeatedly."""
        return {name: self._chance(pair) for name, pair in self.fallen.items() if pair.samples_of_run > 1}

    def fallen_together(self, level: float) -> set[str]:
        """The questions that fell and never passed since, where chance does not explain that there are so many.

        Their number is held against a Poisson distribution, whose mean is how many unchanged questions are expected.
        """
        repeated = {name: pair for name, pair in self.fallen.items() if pair.samples_of_run > 1}
        down = {name: pair for name, pair in repeated.items() if not _record(pair, 1.0).passed_now}
        if len(down) < 2:  # noqa: PLR2004 (one is judged by its own record)
            return set()
        samples = min(pair.samples_of_run for pair in down.values())
        suite = Flakiness.fit(self._kept[1.0])
        failing = Counter(_record(pair, 1.0).failing(samples) for pair in self.passed)
        expected = math.fsum(count * suite.chance(record) for record, count in failing.items())
        return set(down) if poisson_tail(len(down), DOUBT * expected) <= level else set()

    def _chance(self, pair: PairedScores) -> float:
        """The smallest over the cuts, times how many of them sort the samples differently."""
        tests = {(own := _record(pair, cut), self._others(own, cut)) for cut in CUTS}
        return min(1.0, len(tests) * min(others.chance(own) for own, others in tests))

    def _others(self, own: Record, cut: float) -> Flakiness:
        """Fitted to the records of the other questions, but for those that may have broken themselves."""
        kept = self._kept[cut]
        return Flakiness.fit(kept if own.fell_completely else kept - Counter([own.totals]))

    @cached_property
    def _kept(self) -> dict[float, Counter[tuple[int, int]]]:
        return {cut: Counter(self._totals(cut)) for cut in CUTS}

    def _totals(self, cut: float) -> Iterator[tuple[int, int]]:
        for pair in self.pairs:
            if pair.threshold is not None:
                record = _record(pair, cut)
                if pair.question not in self.fallen or not record.fell_completely:
                    yield record.totals


def _record(pair: PairedScores, cut: float) -> Record:
    least = cut * (pair.threshold or 0.0)
    before, now = (*pair.history, *pair.baseline), (*pair.run, *pair.confirmations)
    passed_before, passed_now = (sum(value >= least for value in values) for values in (before, now))
    return Record(passed_before, len(before), passed_now, len(now))


def _named(chances: Sequence[Mapping[str, float]], scores: int) -> list[set[str]]:
    """The questions of each metric that chance does not explain, of all ``scores`` that passed in the baseline.

    Y. Benjamini, Y. Hochberg, JRSS B 57 (1995) 289-300: as far as the chances are right, any score of an unchanged
    suite is named with a probability of at most :data:`FALSE_NAMES`, and where some broke, such a share of those named
    did not.
    """
    smallest_first = sorted(chance for each in chances for chance in each.values())
    ranked = enumerate(smallest_first, start=1)
    limit = max((chance for rank, chance in ranked if chance * scores <= rank * FALSE_NAMES), default=-1.0)
    return [{question for question, chance in each.items() if chance <= limit} for each in chances]


# ---- By the size of the fall -----------------------------------------------------------------


@dataclass(frozen=True)
class _Noise:
    """What the questions of one metric tell of its noise."""

    pairs: Sequence[PairedScores]

    def of(self, pair: PairedScores) -> float:
        """The largest fall of this question that noise can explain; 1 where it can explain any."""
        limit = max(LEAST_FALL, self._multiple * self._deviation(pair), self._rise_multiple * self._largest_rise)
        if limit > COMPLETE_FALL and self._stands_out_if_complete:
            limit = COMPLETE_FALL
        may_flip = pair.samples_of_run == 1 and -pair.difference > limit and not self._is_steady(pair)
        return 1.0 if may_flip else min(limit, 1.0)

    # ---- Spread ------------------------------------------------------------------------------

    @cached_property
    def _multiple(self) -> float:
        """Standard deviations that are noise, by Student's t: more where little is known of the deviation.

        Degrees of freedom are those of the trials; with one trial each, the questions that did not fall.
        """
        of_trials = sum(pair.freedom for pair in self.pairs)
        others = sum(pair.difference >= 0 for pair in self.pairs)
        return student_quantile(max(1, of_trials or others), 1 - CHANCE)

    def _deviation(self, pair: PairedScores) -> float:
        """Standard deviation of a difference under no change: the largest that anything tells."""
        own = pair.squares_within / pair.freedom if pair.freedom else 0.0
        of_trials = math.sqrt(max(own, self._pooled_variance) * pair.per_trial)
        return max(of_trials, self._rise_deviation, _MAD_TO_DEVIATION * self._typical_move(pair))

    @cached_property
    def _pooled_variance(self) -> float:
        return pooled_variance(self.pairs)

    @cached_property
    def _rises(self) -> list[float]:
        return [pair.difference for pair in self.pairs if pair.difference > 0]

    @cached_property
    def _largest_rise(self) -> float:
        return max(self._rises, default=0.0)

    @cached_property
    def _rise_multiple(self) -> float:
        return LONG_TAILED_MULTIPLE if self._has_long_tails else RISE_MULTIPLE

    @cached_property
    def _rise_deviation(self) -> float:
        """Root of the mean square of the rises: of symmetric noise its standard deviation."""
        return math.sqrt(mean_of(rise**2 for rise in self._rises)) if self._rises else 0.0

    @cached_property
    def _moves(self) -> list[float]:
        return sorted(abs(pair.difference) for pair in self.pairs)

    def _typical_move(self, pair: PairedScores) -> float:
        """Median of how far the other questions moved; up to half of them may have changed in truth."""
        moves = self._moves
        own = bisect_left(moves, abs(pair.difference))
        count = len(moves) - 1
        if not count:
            return 0.0
        middle = [place + (place >= own) for place in {(count - 1) // 2, count // 2}]
        return mean_of(moves[place] for place in middle)

    # ---- Flips -------------------------------------------------------------------------------

    @cached_property
    def _stands_out_if_complete(self) -> bool:
        """Whether a complete fall stands out: no question rose all the way, or far fewer than fell."""
        return self._falls_outnumber_rises if self._complete_rises else not self._has_long_tails

    @cached_property
    def _complete_rises(self) -> int:
        return sum(rise >= COMPLETE_RISE for rise in self._rises)

    @cached_property
    def _falls_outnumber_rises(self) -> bool:
        falls = sum(-pair.difference > COMPLETE_FALL for pair in self.pairs)
        return falls > 0 and binomial_tail(falls, falls + self._complete_rises, 0.5) <= SIGN_LEVEL

    @cached_property
    def _has_long_tails(self) -> bool:
        """Whether moves, complete falls apart, are clearly more unequal than normal noise makes them.

        Mean over root mean square is 0.80 of normal noise, with a standard deviation of 0.21 / sqrt(n), and less where
        tails are longer: R. C. Geary, Biometrika 27 (1935) 310-332.
        """
        moves = [abs(pair.difference) for pair in self.pairs if pair.difference and -pair.difference <= COMPLETE_FALL]
        if not moves:
            return False
        ratio = mean_of(moves) / math.sqrt(mean_of(move**2 for move in moves))
        return ratio < LONG_TAILS - 0.8 / math.sqrt(len(moves))

    def _is_steady(self, pair: PairedScores) -> bool:
        """Whether the others are too steady for this to be one of many flips: few fell as far, or were down before."""
        count = len(self.pairs)
        level = STEADY_LEVEL if count >= FEW_QUESTIONS else FEW_LEVEL
        if (1 - _MOVE) ** count <= level:
            return True  # So many coins do not all fail to rise.
        alike = ALIKE * -pair.difference
        fallen = sum(-one.difference >= alike for one in self.pairs)
        low = sum(max(one.baseline_mean, one.run_mean) <= pair.baseline_mean - alike for one in self.pairs)
        return _chance_of_steady_coins(count, max(0, count - fallen - low)) <= level


def _chance_of_steady_coins(count: int, high: int) -> float:
    """How likely ``count`` coins look so: none rises, at least one falls, and at least ``high`` are up both times.

    Each coin has its own probability of being up, all from 1/2 to 1 equally likely: a suite passes more often than not.
    """
    return math.fsum(
        math.comb(count, ups) * _UP**ups * ((_MOVE + _DOWN) ** (count - ups) - _DOWN ** (count - ups))
        for ups in range(high, count + 1)
    )
