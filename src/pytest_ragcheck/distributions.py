"""Probabilities and quantiles of a few distributions.

SciPy has them too, but takes 140 MB and is slow to import. ``tests/unit/test_distributions.py`` compares the two.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "binomial_tail",
    "find_root",
    "normal_cdf",
    "normal_quantile",
    "poisson_tail",
    "student_cdf",
    "student_quantile",
]

_PRECISION = 1e-15
_SMALLEST = 1e-300
"""Stands for 0 where a continued fraction would divide by it."""
_MOST_STEPS = 10_000


def normal_cdf(z: float) -> float:
    """Return the probability that a standard normal value is at most ``z``."""
    return math.erfc(-z / math.sqrt(2)) / 2


def normal_quantile(probability: float) -> float:
    """Return the inverse of :func:`normal_cdf`."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def student_cdf(freedom: float, t: float) -> float:
    """Return the probability that a value of Student's t distribution is at most ``t``."""
    tail = _student_tail(freedom, abs(t))
    return tail if t < 0 else 1 - tail


def student_quantile(freedom: float, probability: float) -> float:
    """Return the inverse of :func:`student_cdf`.

    Newton's method from 0: the tail is convex, so each step comes closer and none goes too far.
    """
    if probability < 0.5:  # noqa: PLR2004 (symmetric)
        return -student_quantile(freedom, 1 - probability)
    tail = 1 - probability
    t = 0.0
    for _ in range(_MOST_STEPS):
        step = (_student_tail(freedom, t) - tail) / _student_density(freedom, t)
        t += step
        if step <= 1e-13 * t:
            break
    return t


def binomial_tail(least: int, count: int, probability: float) -> float:
    """Return the probability of at least ``least`` successes, from 1 on, in ``count`` trials."""
    if least > count:
        return 0.0
    return _incomplete_beta(least, count - least + 1, probability, 1 - probability)


def poisson_tail(least: int, mean: float) -> float:
    """Return the probability of at least ``least`` events, from 1 on, where ``mean`` are expected."""
    if mean <= 0:
        return 0.0

    def chance(events: int) -> float:
        return math.exp(events * math.log(mean) - mean - math.lgamma(events + 1))

    if mean > least:
        return 1 - math.fsum(map(chance, range(least)))
    total, events, term = 0.0, least, chance(least)
    while term > total * _PRECISION:
        total += term
        events += 1
        term *= mean / events
    return total


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where ``function``, which has different signs at ``low`` and ``high``, is 0.

    Regula falsi by the Illinois rule: M. Dowell, P. Jarratt, BIT 11 (1971) 168-174.
    """
    at_low, at_high = function(low), function(high)
    while abs(high - low) > 1e-12 * max(1.0, abs(high)) and at_high:
        new = high - at_high * (high - low) / (at_high - at_low)
        at_new = function(new)
        if at_new * at_high < 0:
            low, at_low = high, at_high
        else:
            at_low /= 2
        high, at_high = new, at_new
    return high


def _student_tail(freedom: float, t: float) -> float:
    """Return the probability of a value above ``t``, which is not negative."""
    total = freedom + t * t
    return _incomplete_beta(freedom / 2, 0.5, freedom / total, t * t / total) / 2


def _student_density(freedom: float, t: float) -> float:
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    return math.exp(scale - (freedom + 1) / 2 * math.log1p(t * t / freedom)) / math.sqrt(freedom * math.pi)


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """Return the regularised incomplete beta function of ``x``, by a continued fraction (DLMF 8.17.22).

    ``rest`` is 1 - ``x``, which would be lost to rounding where ``x`` is close to 1.
    """
    if not x or not rest:
        return float(not rest)
    if x > (a + 1) / (a + b + 2):  # the fraction of the other side converges sooner
        return 1 - _incomplete_beta(b, a, rest, x)
    log_scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(log_scale) / (a * _beta_fraction(a, b, x))


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return 1 + d1/(1 + d2/(1 + ...)) by W. J. Lentz, Applied Optics 15 (1976) 668-671."""
    fraction = numerator = 1.0
    denominator = 0.0
    for step in range(1, _MOST_STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1 / (1 + term * denominator or _SMALLEST)
        numerator = 1 + term / numerator or _SMALLEST
        change = numerator * denominator
        fraction *= change
        if abs(change - 1) < _PRECISION:
            break
    return fraction
