"""Agreement between a judge and people: worked examples, other implementations, and what cannot be told."""

from __future__ import annotations

import math
from random import Random

import pytest

from pytest_ragcheck.metrics.judged.agreement import agreement


def of_table(both_pass, judge_fails, judge_passes, both_fail):
    people = [1.0] * (both_pass + judge_fails) + [0.0] * (judge_passes + both_fail)
    judge = [1.0] * both_pass + [0.0] * judge_fails + [1.0] * judge_passes + [0.0] * both_fail
    return agreement(people, judge, threshold=0.5)


def drawn(seed, total):
    draw = Random(seed)
    people = [round(draw.random(), 1) for _ in range(total)]
    return people, [min(1.0, max(0.0, round(score + draw.gauss(0, 0.3), 1))) for score in people]


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ((20, 5, 10, 15), 0.4),  # "Cohen's kappa", Wikipedia: two readers of fifty proposals
        ((45, 15, 25, 15), 0.1304),  # the same: equal agreement, other kappas
        ((25, 35, 5, 35), 0.2593),
        ((22, 2, 4, 11), 0.67),  # J. Sim, C. C. Wright, Physical Therapy 85 (2005)
        ((0, 10, 10, 0), -1.0),
        ((10, 10, 10, 10), 0.0),
    ],
)
def test_published_kappas(table, kappa):
    found = of_table(*table)
    assert found.kappa == pytest.approx(kappa, abs=0.005)
    assert (found.both_pass, found.judge_fails, found.judge_passes, found.both_fail) == table
    assert found.answers == sum(table)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_kappa_and_rho_of_other_implementations(threshold):
    sklearn = pytest.importorskip("sklearn.metrics")
    np = pytest.importorskip("numpy")
    from scipy.stats import rankdata

    for seed in range(20):
        people, judge = drawn(seed, 60)
        found = agreement(people, judge, threshold=threshold)
        passing = [[score >= threshold for score in scores] for scores in (people, judge)]
        assert found.kappa == pytest.approx(sklearn.cohen_kappa_score(*passing), abs=1e-12)
        assert found.rho == pytest.approx(np.corrcoef(rankdata(people), rankdata(judge))[0, 1], abs=1e-12)


def test_the_interval_of_kappa_is_that_of_the_delta_method():
    """The gradient of kappa, taken in small steps, over the covariance of the multinomial distribution."""

    def kappa(p):
        by_chance = (p[0] + p[1]) * (p[0] + p[2]) + (p[2] + p[3]) * (p[1] + p[3])
        return (p[0] + p[3] - by_chance) / (1 - by_chance)

    for table in [(20, 5, 10, 15), (45, 15, 25, 15), (3, 40, 9, 8)]:
        total = sum(table)
        shares = [count / total for count in table]
        step = 1e-6
        slopes = []
        for place in range(4):
            up, down = ([share + sign * step * (n == place) for n, share in enumerate(shares)] for sign in (1, -1))
            slopes.append((kappa(up) - kappa(down)) / (2 * step))
        mean = sum(slope * share for slope, share in zip(slopes, shares, strict=True))
        variance = sum(share * (slope - mean) ** 2 for slope, share in zip(slopes, shares, strict=True)) / total
        low, high = of_table(*table).kappa_interval
        assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt(variance), abs=1e-5)


def test_the_intervals_are_about_those_of_the_bootstrap():
    np = pytest.importorskip("numpy")

    people, judge = map(np.array, drawn(3, 400))
    found = agreement(list(people), list(judge), threshold=0.5)
    draw = np.random.default_rng(1)
    again = [draw.integers(0, 400, 400) for _ in range(200)]
    resampled = [agreement(list(people[rows]), list(judge[rows]), threshold=0.5) for rows in again]
    for name in ("kappa", "rho"):
        expected = np.percentile([getattr(one, name) for one in resampled], [2.5, 97.5])
        assert list(getattr(found, f"{name}_interval")) == pytest.approx(list(expected), abs=0.04)


def test_perfect_agreement_of_a_few_is_no_certainty():
    few, many = of_table(5, 0, 0, 5), of_table(100, 0, 0, 100)
    assert few.kappa == many.kappa == 1.0
    assert few.kappa_interval == (pytest.approx(2 * 0.025**0.1 - 1), 1.0)
    assert few.kappa_interval[0] < 0.5
    assert many.kappa_interval[0] > 0.95


def test_what_cannot_be_told():
    alike = agreement([1.0, 1.0], [0.9, 0.8], threshold=0.5)
    assert (alike.kappa, alike.kappa_interval, alike.rho, alike.rho_interval) == (None, None, None, None)
    in_order = agreement([0.1, 0.2, 0.3, 0.4, 0.9], [0.0, 0.1, 0.5, 0.6, 0.7], threshold=0.5)
    assert (in_order.rho, in_order.rho_interval) == (pytest.approx(1.0), None)
    assert agreement([0.1, 0.9], [0.1, 0.9], threshold=0.5).rho_interval is None


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ((3, 0, 0, 1), "people pass 3 and fail 1; score at least 5 answers of each kind, better 15"),
        ((7, 1, 1, 6), "15 answers are few; score at least 30"),
        ((20, 10, 10, 20), "the interval of kappa is wide; about 86 answers would bring it down to ±0.2"),
        ((45, 2, 3, 50), None),
    ],
)
def test_few_answers_are_told(table, told):
    assert of_table(*table).caution == told
