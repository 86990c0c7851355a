"""Looking after each round of trials: the level of each look against published constants, and when rounds end."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from pytest_ragcheck.baseline.sequential import level_of_each
from pytest_ragcheck.baseline.statistics import LEVEL, MetricScores, PairedScores, decide, is_decided

LEVELS = [random.Random(7 + number).uniform(0.6, 0.9) for number in range(40)]


@pytest.mark.parametrize(("looks", "bound"), [(1, 1.960), (2, 2.178), (3, 2.289), (4, 2.361), (5, 2.413), (10, 2.555)])
def test_levels_are_pococks(looks, bound):
    """C. Jennison, B. W. Turnbull, "Group Sequential Methods" (2000), table 2.1: two-sided 5 %."""
    special = pytest.importorskip("scipy.special")

    assert -special.ndtri(level_of_each(looks, 0.025)) == pytest.approx(bound, abs=0.002)


def session(rng, *, drop, trials=5, noise=0.12):
    return [[level - drop + rng.gauss(0, noise) for _ in range(trials)] for level in LEVELS]


def after(baseline, run, trials, *, looks=5):
    """The scores after so many rounds; the baseline has all of its trials."""
    pairs = tuple(
        PairedScores(question=f"q{n}", baseline=tuple(before), run=tuple(now[:trials]))
        for n, (before, now) in enumerate(zip(baseline, run, strict=True))
    )
    return MetricScores(metric="m", pairs=pairs, looks=looks)


def rounds_of(baseline, run):
    """After how many rounds all is decided, and whether the mean fell."""
    for trials in range(1, 6):
        scores = after(baseline, run, trials)
        if trials == 5 or is_decided([scores]):
            return trials, decide([scores])[0].change.mean_fell
    raise AssertionError


def test_rounds_keep_the_error_rate_and_end_early_where_nothing_or_much_changed():
    rng = random.Random(4)
    unchanged = [rounds_of(session(rng, drop=0.0), session(rng, drop=0.0)) for _ in range(60)]
    dropped = [rounds_of(session(rng, drop=0.0), session(rng, drop=0.1)) for _ in range(30)]

    assert sum(fell for _, fell in unchanged) <= 7  # more with a probability of 1 in 100 where the true share is 5 %
    assert sum(trials for trials, _ in unchanged) / 60 < 2.2
    assert sum(fell for _, fell in dropped) >= 29
    assert sum(trials for trials, _ in dropped) / 30 < 1.5


def test_what_one_look_would_call_a_drop_needs_more_where_there_are_five():
    """Five questions of five fell: 1 in 32, and at each of five looks it would have to be 1 in 73."""
    baseline, run = [[0.9]] * 5, [[0.8]] * 5

    once, often = (decide([after(baseline, run, 1, looks=looks)])[0].change for looks in (1, 5))

    assert once.p_value == often.p_value == 1 / 32
    assert (once.mean_fell, often.mean_fell) == (True, False)
    assert level_of_each(5, LEVEL) < once.p_value < LEVEL


def test_after_each_round_as_many_trials_of_the_baseline_count_as_of_the_run():
    baseline = [[0.9, *[0.1] * 4]] * 12
    run = [[0.9]] * 12

    assert decide([after(baseline, run, 1)])[0].change.difference == 0
    assert decide([after(baseline, run, 1, looks=1)])[0].change.difference == pytest.approx(0.9 - 0.26)


def test_one_metric_that_fell_decides_and_one_that_did_not_waits_for_the_others():
    still, fell = after([[0.9]] * 12, [[0.9]] * 12, 1), after([[0.9]] * 12, [[0.7]] * 12, 1)
    unsure = replace(after([[0.9], [0.5]] * 6, [[0.5], [0.9]] * 6, 1), metric="unsure")

    assert is_decided([still])
    assert is_decided([fell, unsure])
    assert not is_decided([still, unsure])
    assert not is_decided([])
