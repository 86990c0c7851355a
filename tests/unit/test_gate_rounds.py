"""Looking after each round of trials: the level of each look against published constants, and when rounds end."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from pytest_ragcheck.baseline.sequential import half_that_moved_most, is_futile, level_of_each
from pytest_ragcheck.baseline.statistics import LEVEL, MetricScores, PairedScores, decide, undecided
from pytest_ragcheck.baseline.swaps import evidence
from pytest_ragcheck.comparison import Verdict

LEVELS = [random.Random(7 + number).uniform(0.6, 0.9) for number in range(40)]


@pytest.mark.parametrize(("looks", "bound"), [(1, 1.960), (2, 2.178), (3, 2.289), (4, 2.361), (5, 2.413), (10, 2.555)])
def test_levels_are_pococks(looks, bound):
    """C. Jennison, B. W. Turnbull, "Group Sequential Methods" (2000), table 2.1: two-sided 5 %."""
    special = pytest.importorskip("scipy.special")

    assert -special.ndtri(level_of_each(looks, 0.025)) == pytest.approx(bound, abs=0.002)


def session(rng, *, drop, trials=5, noise=0.12):
    return [[level - drop + rng.gauss(0, noise) for _ in range(trials)] for level in LEVELS]


def after(baseline, run, trials, *, looks=5):
    """The scores after so many rounds, of each question or of all; the baseline has all of its trials."""
    counts = [trials] * len(run) if isinstance(trials, int) else trials
    pairs = tuple(
        PairedScores(question=f"q{n}", baseline=tuple(before), run=tuple(now[:count]))
        for n, (before, now, count) in enumerate(zip(baseline, run, counts, strict=True))
    )
    return MetricScores(metric="m", pairs=pairs, looks=looks)


def rounds_of(baseline, run):
    """How many trials each question has until all is decided, and whether the mean fell."""
    trials = [1] * len(run)
    for _ in range(5):
        scores = after(baseline, run, trials)
        if max(trials) == 5 or not (further := undecided([scores])):
            return sum(trials) / len(trials), decide([scores])[0].change.mean_fell
        trials = [count + (f"q{n}" in further) for n, count in enumerate(trials)]
    raise AssertionError


def test_rounds_keep_the_error_rate_and_end_early_where_nothing_or_much_changed():
    rng = random.Random(4)
    unchanged = [rounds_of(session(rng, drop=0.0), session(rng, drop=0.0)) for _ in range(60)]
    dropped = [rounds_of(session(rng, drop=0.0), session(rng, drop=0.1)) for _ in range(30)]

    assert sum(fell for _, fell in unchanged) <= 7  # more with a probability of 1 in 100 where the true share is 5 %
    assert sum(trials for trials, _ in unchanged) / 60 < 1.6
    assert sum(fell for _, fell in dropped) >= 29
    assert sum(trials for trials, _ in dropped) / 30 < 1.4


def test_a_further_round_is_of_the_half_that_moved_most_whichever_way():
    baseline = [[0.6] * 5] * 8
    moved = [0.61, 0.59, 0.62, 0.58, 0.5, 0.7, 0.51, 0.685]
    run = [[score] * 5 for score in moved]

    assert undecided([after(baseline, run, 1)]) == {"q4", "q5", "q6", "q7"}
    one, other = [[0.5], [0.6], [0.7], [0.8]], [[0.4], [0.9], [0.6], [0.8]]
    moves, swapped = (
        dict(zip("abcd", evidence(after(*sides, 1).pairs), strict=True)) for sides in ((one, other), (other, one))
    )
    assert swapped == pytest.approx({name: -move for name, move in moves.items()})
    assert half_that_moved_most([moves]) == half_that_moved_most([swapped]) == {"a", "b"}


def test_where_most_did_not_move_at_all_each_is_asked_further():
    """As with scores of 0 and 1: what has not moved yet may still."""
    baseline = [[1.0] * 5] * 40
    run = [[float(n > 2)] * 5 for n in range(40)]

    assert undecided([after(baseline, run, 1)]) == {f"q{n}" for n in range(40)}


def test_a_question_without_a_further_trial_in_the_baseline_is_asked_further_each_time():
    """Its next score has none to be swapped with, so that whether it moved must not matter."""
    run = [[0.55], [0.56], [0.5], [0.62], [0.5]]
    baseline = [[0.55], [0.55] * 5, [0.6] * 5, [0.6] * 5, [0.6] * 5]

    assert undecided([after(baseline, run, 1)]) == {"q0", "q2", "q3", "q4"}


def test_half_of_the_questions_by_the_metric_in_which_each_moved_most():
    coarse = {"a": 4.0, "b": -4.0, "c": 0.0, "d": 0.0, "e": 0.0}
    fine = {"b": 0.01, "c": -0.03, "d": 0.0, "e": 0.001}

    assert half_that_moved_most([fine]) == {"b", "c"}
    assert half_that_moved_most([coarse]) == {"a", "b", "c", "d", "e"}, "the middle one did not move"
    assert half_that_moved_most([coarse, fine]) == {"a", "b", "c"}
    assert half_that_moved_most([]) == set()


def test_the_limit_of_the_p_value_is_halved_with_each_round():
    assert [is_futile(0.3, rounds) for rounds in (1, 2, 3)] == [False, True, True]
    assert [is_futile(0.2, rounds) for rounds in (1, 2, 3)] == [False, False, True]


def test_same_is_said_by_the_trials_that_all_questions_have():
    """Those asked further moved back to where they were, but the first round of all leaves a drop possible."""
    rng = random.Random(5)
    baseline = [[level] * 5 for level in LEVELS]
    first = [level - 0.03 + rng.gauss(0, 0.1) for level in LEVELS]
    run = [[score, *[level] * 4] for score, level in zip(first, LEVELS, strict=True)]
    trials = [5 if abs(score - level) > 0.08 else 1 for score, level in zip(first, LEVELS, strict=True)]

    once, further = (decide([after(baseline, run, counts)])[0].change for counts in ([1] * 40, trials))

    assert (once.verdict, further.verdict) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert once.interval[0] < -0.05 < further.interval[0]


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


def test_without_rounds_a_trial_that_is_missing_takes_nothing_from_the_others():
    baseline = [[level + move for move in (0.09, -0.09, 0.0)] for level in LEVELS]
    run = [[level + move for move in (-0.09, 0.09, 0.0)] for level in LEVELS]

    whole = decide([after(baseline, run, 3, looks=1)])[0].change
    lacking = decide([after(baseline, run, [*[3] * 39, 1], looks=1)])[0].change

    assert (whole.verdict, lacking.verdict) == (Verdict.SAME, Verdict.SAME)


def test_one_metric_that_fell_decides_and_one_that_did_not_waits_for_the_others():
    still, fell = after([[0.9] * 5] * 12, [[0.9]] * 12, 1), after([[0.9] * 5] * 12, [[0.7]] * 12, 1)
    unsure = replace(after([[0.9] * 5, [0.5] * 5] * 6, [[0.5], [0.89]] * 6, 1), metric="unsure")

    assert undecided([still]) == set()
    assert undecided([fell, unsure]) == set()
    assert undecided([still, unsure]) == {f"q{number}" for number in range(0, 12, 2)}
    assert undecided([]) == set()
