"""Questions that broke, by their record: the chances against brute force, and what a suite's flakiness makes of them."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from pytest_ragcheck.baseline.flakiness import Flakiness, Record
from pytest_ragcheck.baseline.statistics import MetricScores, PairedScores, decide
from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.trials import FIRST_CONFIRMATIONS, SAMPLES_OF_A_FALL

STEADY = Counter({(2, 2): 49})


def session(rng, rates, trials, *, broken):
    """One comparison of 0/1 scores; question 0 falls from 1 to 0 where ``broken``."""
    return decide([MetricScores(metric="m", pairs=tuple(pairs_of(rng, rates, trials, broken=broken)))])[0]


def pairs_of(rng, rates, trials, *, broken):
    for number, rate in enumerate(rates):
        breaks = broken and number == 0
        before, *now = (
            tuple(float(rng.random() < (1 - side if breaks else rate)) for _ in range(count))
            for side, count in ((0, trials), (1, trials), (1, FIRST_CONFIRMATIONS), (1, again_after_first(trials)))
        )
        fell = sum(before) >= 0.7 * trials and sum(now[0]) < 0.7 * trials
        further = now[1] if any(now[1]) else now[1] + now[2]
        yield PairedScores(
            question=f"q{number}", baseline=before, run=now[0], threshold=0.7, confirmations=further if fell else ()
        )


def again_after_first(trials):
    return SAMPLES_OF_A_FALL - 2 * trials - FIRST_CONFIRMATIONS


def broken(decision):
    return {name for name, score in decision.scores.items() if score.broke}


# ---- The model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [1, 3])
@pytest.mark.parametrize("now", [1, 2, 9])
def test_all_outcomes_together_are_certain(before, now):
    flakiness = Flakiness.fit(Counter({(2, 2): 40, (1, 2): 3, (0, 2): 2}))

    assert flakiness.chance(Record(0, before, now, now)) == pytest.approx(1)


def test_the_chance_is_that_of_a_coin_where_the_suite_is_all_coins():
    """A thousand questions of ten samples each, as coins give them: of nine further samples none passes.

    A little likelier, since no suite is known to be all alike.
    """
    coins = Counter({(passed, 10): math.comb(10, passed) for passed in range(11)})

    assert Flakiness.fit(coins).chance(Record(1, 1, 0, 9)) == pytest.approx(2**-9, rel=0.4)


def test_the_chance_is_that_of_questions_which_pass_at_any_rate_where_the_suite_has_such():
    """Of rates uniform from 0 to 1 every number of passes is as likely; the integral of 2p (1-p)^9 is 1/55."""
    uniform = Counter({(passed, 10): 100 for passed in range(11)})

    assert Flakiness.fit(uniform).chance(Record(1, 1, 0, 9)) == pytest.approx(1 / 55, rel=0.15)


def test_questions_that_always_fail_make_no_break_likelier():
    known_failures = STEADY + Counter({(0, 2): 10})

    assert Flakiness.fit(known_failures).chance(Record(1, 1, 0, 9)) < 0.0001


@pytest.mark.parametrize("flaky", [0, 1, 5, 20])
def test_a_further_failure_makes_chance_less_likely_and_a_further_flaky_question_more(flaky):
    suites = [STEADY + Counter({(1, 2): count}) for count in (flaky, flaky + 1)]
    fewer, more = (
        [
            Flakiness.fit(suite).chance(Record(before, before, 0, now))
            for before, now in ((1, 2), (1, 5), (3, 5), (3, 7))
        ]
        for suite in suites
    )

    assert fewer == sorted(fewer, reverse=True)
    assert all(one < other for one, other in zip(fewer, more, strict=True))


# ---- What is named -----------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize(
    ("rates", "least"),
    [([1.0] * 50, 40), ([0.98] * 50, 40), ([0.95] * 50, 39), ([1.0] * 45 + [0.5] * 5, 33)],
    ids=["steady", "98 %", "95 %", "five coins"],
)
def test_a_complete_break_is_named_whatever_the_others_do_now_and_then(rates, least, trials):
    """Before, of 0/1 scores, 42 %, 12 % and 22 % were named with one trial, and fewer with three."""
    rng = random.Random(7)

    named = sum("q0" in broken(session(rng, rates, trials, broken=True)) for _ in range(40))

    assert named >= (least if trials == 1 else 39)


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize("rates", [[0.95] * 50, [1.0] * 45 + [0.5] * 5], ids=["95 %", "five coins"])
def test_an_unchanged_suite_of_questions_that_flip_stays_quiet(rates, trials):
    rng = random.Random(8)

    alarms = sum(session(rng, rates, trials, broken=False).change.verdict is Verdict.REGRESSED for _ in range(60))

    assert alarms <= 7  # more with a probability of 1 in 100 where the true share is 5 %


def test_false_names_are_controlled_over_all_metrics():
    """What is named in one metric is not where many others could have shown the like; but where all of them fell it is."""
    fell = PairedScores(question="q0", baseline=(1.0,), run=(0.0,), confirmations=(0.0,) * 4, threshold=0.7)
    still = tuple(
        PairedScores(
            question=f"q{n}", baseline=(1.0,), run=(float(n > 2),), confirmations=(1.0,) * (n < 3), threshold=0.7
        )
        for n in range(1, 30)
    )
    same = PairedScores(question="q0", baseline=(1.0,), run=(1.0,), threshold=0.7)
    for metrics, falls, expected in ((1, 1, True), (20, 1, False), (20, 20, True)):
        given = [MetricScores(metric=f"m{n}", pairs=(fell if n < falls else same, *still)) for n in range(metrics)]
        assert (broken(decide(given)[0]) == {"q0"}) is expected


def test_each_question_is_judged_by_its_own_record_too():
    """Nothing else moved: one that always passed broke, and one that failed before now and then may have not."""
    still = tuple(PairedScores(question=f"q{n}", baseline=(1.0,), run=(1.0,), threshold=0.7) for n in range(1, 50))
    chances = []
    for history in ((), (1.0,) * 5, (1.0, 0.0, 1.0, 0.0, 1.0)):
        fell = PairedScores(
            question="q0", baseline=(1.0,), run=(0.0,), confirmations=(0.0,) * 2, threshold=0.7, history=history
        )
        decision = decide([MetricScores(metric="m", pairs=(fell, *still))])[0]
        chances.append(decision.scores["q0"].chance)
        assert (broken(decision) == {"q0"}) is (0.0 not in history)

    assert chances[1] < chances[0] < chances[2]


def test_many_questions_that_fell_from_below_their_threshold_are_counted_once():
    """They fell as far as the one that is looked at, and lie below it too."""
    pairs = zip([1.0, 0.6, 0.6, *[0.1] * 5], [0.6, 0.2, 0.2, *[0.1] * 5], strict=True)
    given = [
        PairedScores(question=f"q{number}", baseline=(before,), run=(now,), threshold=0.7)
        for number, (before, now) in enumerate(pairs)
    ]

    assert broken(decide([MetricScores(metric="m", pairs=tuple(given))])[0]) == {"q0"}


# ---- Several that fell together ----------------------------------------------------------------


def suite_with(fallen, flaky=12, count=50):
    """Some questions fell and passed in none of three samples; some others fell and passed when asked again."""
    for number in range(count):
        confirmations = (0.0, 0.0) if number < fallen else (0.0, 1.0) if number < fallen + flaky else ()
        now = (0.0,) if confirmations else (1.0,)
        yield PairedScores(question=f"q{number}", baseline=(1.0,), run=now, threshold=0.7, confirmations=confirmations)


@pytest.mark.parametrize(("fallen", "named"), [(1, 0), (3, 0), (8, 8)])
def test_so_many_may_fall_together_that_chance_does_not_explain_it_though_it_explains_each(fallen, named):
    decision = decide([MetricScores(metric="m", pairs=tuple(suite_with(fallen)))])[0]

    chance = decision.scores["q0"].chance
    assert chance * 50 > 0.3, "one of them alone is nothing that chance does not do"
    assert broken(decision) == {f"q{number}" for number in range(named)}
