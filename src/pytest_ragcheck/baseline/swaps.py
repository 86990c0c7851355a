"""The test of the mean, by swapping baseline and run.

Where nothing changed, the two scores of a question could as well have come the other way round. So every choice of
questions whose scores are swapped is as likely as the observed one, and the p-value is the share of choices that look
at least as bad: R. A. Fisher's randomisation test for pairs ("The Design of Experiments", 1935, section 21). It holds
for any distribution of the scores and for any statistic. Questions of one cluster are swapped together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.baseline.differences import by_cluster, mean_of
from pytest_ragcheck.distributions import normal_cdf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.baseline.differences import PairedScores

__all__ = ["SwapTest", "sign_flips", "swap_test"]

MOST_ENUMERATED = 15
"""Up to so many clusters that differ all 2^n choices are looked at."""
DRAWN = 9_999
"""Choices that are drawn where there are more; with the observed one 10,000."""
MOST_DRAWN = 200
"""With more clusters the sum is taken as normal (its central limit)."""
SEED = 20_240_901
_UNITS = 2**24 - 2 * MOST_DRAWN
"""All values together, as whole numbers: single precision adds these exactly, in any order and on any machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapTest:
    """One-sided p-values."""

    drop: float
    rise: float
    method: str


def swap_test(pairs: Sequence[PairedScores]) -> SwapTest:
    """The test of a drop, and of a rise, over all questions of a metric."""
    return sign_flips(by_cluster(pairs, evidence(pairs)))


def evidence(pairs: Sequence[PairedScores]) -> list[float]:
    """What each question says of a change: negative of a drop, and the opposite were its scores swapped.

    With e = (run - mean) - r (baseline - mean), and f the same with run and baseline swapped, e |e| - f |f|. The mean
    is that of all scores, r their intraclass correlation: e is how far the run's score lies from what one would expect
    after the baseline's, as a very high score falls back a little without any change. Squares let the few questions
    count that lost much, as is the way of a change that hits some questions and spares the others (W. J. Conover,
    D. S. Salsburg, Biometrics 44 (1988) 189-196; P. R. Rosenbaum, Biometrics 63 (2007) 1164-1171).

    Just the differences where baseline and run were not repeated alike: means over more trials scatter less, so that
    swapping them would not leave all as it was; their mean difference hardly suffers from that, squares do.
    """
    if max(len(pair.baseline) for pair in pairs) != max(len(pair.run) for pair in pairs):
        return [pair.difference for pair in pairs]
    before, now = [pair.baseline_mean for pair in pairs], [pair.run_mean for pair in pairs]
    mean = mean_of([*before, *now])
    before, now = [value - mean for value in before], [value - mean for value in now]
    r = _intraclass_correlation(before, now)
    return [_squared(y - r * x) - _squared(x - r * y) for x, y in zip(before, now, strict=True)]


def _squared(value: float) -> float:
    return value * abs(value)


def _intraclass_correlation(before: Sequence[float], now: Sequence[float]) -> float:
    """Of pairs of deviations from the common mean (Fisher 1925, section 38); at least 0; 1 where nothing varies."""
    squares = math.fsum(value * value for value in (*before, *now))
    products = math.fsum(2 * x * y for x, y in zip(before, now, strict=True))
    return min(1.0, max(0.0, products / squares)) if squares else 1.0


# ---- Choices ---------------------------------------------------------------------------------


def sign_flips(clusters: Sequence[Sequence[float]]) -> SwapTest:
    """One-sided p-values of the sum of all values, each cluster's values with their signs or with the opposite ones."""
    sums = sorted(value for value in map(math.fsum, clusters) if value)
    if not sums:
        return SwapTest(drop=1.0, rise=1.0, method="nothing differs")
    if len(sums) <= MOST_ENUMERATED:
        return _counted(sums, _all_signs(len(sums)), drawn=False)
    if len(sums) <= MOST_DRAWN:
        return _counted(sums, _drawn_signs()[: len(sums)], drawn=True)
    z = math.fsum(sums) / math.sqrt(math.fsum(value * value for value in sums))
    return SwapTest(drop=normal_cdf(z), rise=normal_cdf(-z), method="swaps, normal limit")


def _counted(values: Sequence[float], signs: Any, *, drawn: bool) -> SwapTest:
    import numpy as np

    scale = _UNITS / math.fsum(map(abs, values))
    units = np.rint(np.asarray(values) * scale).astype(signs.dtype)
    sums = units @ signs
    observed, rounding = float(units.sum()), len(values)
    low = int(np.count_nonzero(sums <= observed + rounding))
    high = int(np.count_nonzero(sums >= observed - rounding))
    count = signs.shape[1]
    # The observed choice is one of all, and stands beside those that were drawn.
    return SwapTest(
        drop=(low + drawn) / (count + drawn),
        rise=(high + drawn) / (count + drawn),
        method=f"swaps, {count:,} drawn" if drawn else f"swaps, all {count:,}",
    )


@cache
def _all_signs(n: int) -> Any:
    """Every choice of n signs, one in each column."""
    import numpy as np

    return 1 - 2 * (np.arange(2**n)[None, :] >> np.arange(n)[:, None] & 1).astype(np.float32)


@cache
def _drawn_signs() -> Any:
    """Signs for up to MOST_DRAWN values; from raw bits, because these are the same in every version of NumPy."""
    import numpy as np

    size = MOST_DRAWN * DRAWN
    raw = np.random.PCG64(SEED).random_raw(-(-size // 64))
    bits = np.unpackbits(raw.astype("<u8").view(np.uint8))[:size].reshape(MOST_DRAWN, DRAWN)
    return bits.astype(np.float32) * 2 - 1
