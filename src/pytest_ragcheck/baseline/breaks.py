"""Questions that broke: they passed in the baseline, and are below their threshold by more than noise can explain.

A question's noise is told by its own trials, by the other questions' trials, and by how far the other questions
moved. Upward moves are the yardstick that a regression cannot stretch: where nothing changed a question rises as
often and as far as it falls, and nothing that breaks makes a score rise.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.differences import mean_of, pooled_variance
from pytest_ragcheck.comparison import ScoreChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.baseline.differences import MetricScores, PairedScores

__all__ = ["score_changes"]

CHANCE = 1e-6
"""A fall that normal noise exceeds with at least this probability is noise. Far less than a normal tail needs, because
scores have longer ones."""
RISE_MULTIPLE, LONG_TAILED_MULTIPLE = 2.5, 4.0
"""So is a fall that is not so many times as large as every rise; with long tails the second."""
LEAST_FALL = 0.1
"""And one that is not larger than this, where scores are not repeatable."""
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
ALIKE, FLAKY = 0.8, 0.95
"""A move of at least the first share of a fall is as large as it; trials spread by at least the second could be it."""
_UP, _MOVE, _DOWN = 7 / 12, 1 / 6, 1 / 12
"""A coin with probability p, uniform from 1/2 to 1, is up both times (E p^2), falls (E p(1-p)), is down both times."""
_MAD_TO_DEVIATION = 1.4826
"""Of a normal distribution: standard deviation over median absolute deviation."""


def score_changes(scores: MetricScores) -> dict[str, ScoreChange]:
    """Each question's change, its noise, and whether it broke, by the question's name.

    A question broke where its mean over trials reached the threshold in the baseline and does not now, and fell by more
    than its noise; without a threshold there is nothing that it could break. One that reached the threshold when it was
    asked again did not break: it flips.
    """
    noise = _Noise(scores.pairs)
    return {pair.question: _change(scores, pair, noise) for pair in scores.pairs}


def _change(scores: MetricScores, pair: PairedScores, noise: _Noise) -> ScoreChange:
    within = 0.0 if scores.repeatable else noise.of(pair)
    before, now, least = pair.baseline_mean, pair.run_mean, pair.threshold
    passed_before = least is not None and before >= least
    fails_now = least is not None and now < least
    looks_broken = passed_before and fails_now and before - now > within
    cleared = not scores.repeatable and least is not None and any(value >= least for value in pair.confirmations)
    return ScoreChange(
        metric=scores.metric,
        baseline=before,
        value=now,
        threshold=least,
        noise=within,
        confirmations=pair.confirmations,
        broke=looks_broken and not cleared,
        flipped=looks_broken and cleared,
        known=fails_now and not passed_before and before - now <= within,
    )


@dataclass(frozen=True)
class _Noise:
    """What the questions of one metric tell of its noise."""

    pairs: Sequence[PairedScores]

    def of(self, pair: PairedScores) -> float:
        """The largest fall of this question that noise can explain; 1 where it can explain any."""
        fall = -pair.difference
        limit = max(LEAST_FALL, self._multiple * self._deviation(pair), self._rise_multiple * self._largest_rise)
        if limit > COMPLETE_FALL and self._stands_out_if_complete(pair):
            limit = COMPLETE_FALL
        if fall > limit and not self._is_steady(pair):
            limit = 1.0
        return min(limit, 1.0)

    # ---- Spread ------------------------------------------------------------------------------

    @cached_property
    def _multiple(self) -> float:
        """Standard deviations that are noise, by Student's t: more where little is known of the deviation.

        Degrees of freedom are those of the trials; with one trial each, the questions that did not fall.
        """
        from scipy.special import stdtrit

        of_trials = sum(pair.freedom for pair in self.pairs)
        others = sum(pair.difference >= 0 for pair in self.pairs)
        return float(stdtrit(max(1, of_trials or others), 1 - CHANCE))

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

    def _stands_out_if_complete(self, pair: PairedScores) -> bool:
        """Whether a complete fall stands out: no question rose all the way, or far fewer than fell.

        Where tails are long and none rose, it does if it was complete each time that the question was asked again.
        """
        if self._complete_rises:
            return self._falls_outnumber_rises
        return not self._has_long_tails or _fell_completely_again(pair)

    @cached_property
    def _complete_rises(self) -> int:
        return sum(rise >= COMPLETE_RISE for rise in self._rises)

    @cached_property
    def _falls_outnumber_rises(self) -> bool:
        from scipy.special import bdtrc

        falls = sum(-pair.difference > COMPLETE_FALL for pair in self.pairs)
        return falls > 0 and bool(bdtrc(falls - 1, falls + self._complete_rises, 0.5) <= SIGN_LEVEL)

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
        """Whether the other questions are too steady for this fall to be one of many flips to and fro."""
        if len(pair.baseline) == len(pair.run) == 1:
            return self._steady_between(pair)
        least = FLAKY * -pair.difference
        flaky = len(self._spreads) - bisect_left(self._spreads, least) - (_widest_spread(pair) >= least)
        return flaky * _missed_for_each_seen(len(pair.baseline), len(pair.run)) <= STEADY_LEVEL

    @cached_property
    def _spreads(self) -> list[float]:
        return sorted(map(_widest_spread, self.pairs))

    def _steady_between(self, pair: PairedScores) -> bool:
        """With one trial each only baseline and run tell: few others fell as far, and few were down there before."""
        count = len(self.pairs)
        level = STEADY_LEVEL if count >= FEW_QUESTIONS else FEW_LEVEL
        if (1 - _MOVE) ** count <= level:
            return True  # So many coins do not all fail to rise.
        alike = ALIKE * -pair.difference
        fallen = sum(-one.difference >= alike for one in self.pairs)
        low = sum(max(one.baseline_mean, one.run_mean) <= pair.baseline_mean - alike for one in self.pairs)
        return _chance_of_steady_coins(count, count - fallen - low) <= level


def _fell_completely_again(pair: PairedScores) -> bool:
    falls = [pair.baseline_mean - value for value in pair.confirmations]
    return bool(falls) and min(falls) > COMPLETE_FALL


def _widest_spread(pair: PairedScores) -> float:
    return max(max(values) - min(values) for values in (pair.baseline, pair.run))


@cache
def _missed_for_each_seen(baseline: int, run: int) -> float:
    """How many flaky questions look like a clean break, for each one whose trials show that it is flaky, at most.

    With n trials in the baseline and m in the run a question that passes with probability p breaks cleanly with
    p^n (1-p)^m and shows mixed trials with 1 - (p^n + (1-p)^n) (p^m + (1-p)^m); the largest ratio for p from 1/2 to 1.
    """

    def ratio(p: float) -> float:
        q = 1 - p
        return p**baseline * q**run / (1 - (p**baseline + q**baseline) * (p**run + q**run))

    return max(ratio(0.5 + step / 200) for step in range(100))


def _chance_of_steady_coins(count: int, high: int) -> float:
    """How likely ``count`` coins look so: none rises, at least one falls, and at least ``high`` are up both times.

    Each coin has its own probability of being up, all from 1/2 to 1 equally likely: a suite passes more often than not.
    """
    return math.fsum(
        math.comb(count, ups) * _UP**ups * ((_MOVE + _DOWN) ** (count - ups) - _DOWN ** (count - ups))
        for ups in range(high, count + 1)
    )
