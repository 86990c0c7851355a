"""The gate's statistics: against SciPy by other routes, published examples, hard cases, and small simulations."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import product

import pytest

from pytest_ragcheck.baseline.differences import differences
from pytest_ragcheck.baseline.power import remedy, smallest_visible_drop
from pytest_ragcheck.baseline.statistics import LEVEL, MetricScores, PairedScores, decide, holm
from pytest_ragcheck.baseline.swaps import DRAWN, MOST_ENUMERATED, sign_flips, swap_test
from pytest_ragcheck.comparison import Verdict

DARWIN = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)
"""Heights of crossed minus self-fertilised maize, in eighths of an inch: Fisher 1935, section 17."""
SLEEP = ((0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0), (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4))
"""Hours of sleep gained with two drugs: Student 1908."""


def pairs_of(baseline, run, *, threshold=0.7, clusters=None):
    """A question for each two scores; a score is a number, or a tuple of trials."""
    return tuple(
        PairedScores(
            question=f"q{number}",
            baseline=before if isinstance(before, tuple) else (before,),
            run=now if isinstance(now, tuple) else (now,),
            threshold=threshold,
            cluster=None if clusters is None else clusters[number],
        )
        for number, (before, now) in enumerate(zip(baseline, run, strict=True))
    )


def decided(baseline, run, *, practical_minimum=0.02, repeatable=False, **pairs):
    given = MetricScores(
        metric="m",
        pairs=pairs_of(baseline, run, **pairs),
        practical_minimum=practical_minimum,
        repeatable=repeatable,
    )
    return decide([given])[0]


def broken(decision):
    return {name for name, score in decision.scores.items() if score.broke}


def noisy(seed, count, *, trials=1, drop=0.0, noise=0.15):
    """Scores of one session, of questions that only ``count`` decides."""
    quality = random.Random(count)
    rng = random.Random(seed)
    levels = [min(1.0, quality.gauss(0.8, 0.15)) for _ in range(count)]
    return [tuple(min(1.0, max(0.0, rng.gauss(level - drop, noise))) for _ in range(trials)) for level in levels]


# ---- Means, errors, intervals ----------------------------------------------------------------


def test_students_sleep():
    found = differences(pairs_of(*SLEEP))

    assert found.mean == pytest.approx(1.58)
    assert found.interval() == pytest.approx((0.7001142, 2.4598858))  # as R prints it for this data set


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_without_clusters_the_interval_is_that_of_the_paired_t_test(confidence):
    stats = pytest.importorskip("scipy.stats")
    baseline, run = noisy(1, 30, trials=3), noisy(2, 30, trials=3, drop=0.05)
    means = [[sum(trials) / 3 for trials in side] for side in (run, baseline)]

    interval = differences(pairs_of(baseline, run)).interval(confidence)

    assert interval == pytest.approx(tuple(stats.ttest_rel(*means).confidence_interval(confidence)))


def test_the_mean_is_over_trials_first():
    found = differences(pairs_of([(1.0, 0.0), (0.5,)], [(1.0,), (0.0, 0.0, 0.3)]))

    assert (found.baseline, found.run, found.mean) == (0.5, pytest.approx(0.55), pytest.approx(0.05))


def test_the_mean_of_equal_trials_is_just_their_value():
    [score] = decided([(0.7, 0.7, 0.7)], [(0.7, 0.7, 0.7)]).scores.values()

    assert (score.baseline, score.value, score.known) == (0.7, 0.7, False)


def test_clustered_error_by_hand():
    """Clusters (1, 0), (0, -1): sums of deviations from the mean 0 are 1 and -1, so SE^2 = 2/1 * 2 / 4^2."""
    found = differences(pairs_of([0, 0, 0, 1], [1, 0, 0, 0], clusters=["a", "a", "b", "b"]))

    assert found.standard_error == pytest.approx(0.5)
    assert (found.questions, found.clusters) == (4, 2)


def test_clustered_error_as_statsmodels_has_it():
    """An intercept alone, errors clustered; its factor for few clusters is G / (G - 1) there too."""
    change, groups = [0.1, -0.2, -0.3, 0.05, -0.4, -0.1, 0.0, 0.2], [0, 0, 1, 1, 1, 2, 3, 3]
    found = differences(pairs_of([0.5] * 8, [0.5 + step for step in change], clusters=groups))

    assert found.standard_error == pytest.approx(0.07914953)
    linear_model = pytest.importorskip("statsmodels.regression.linear_model")
    fitted = linear_model.OLS(change, [1.0] * 8).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert found.standard_error == pytest.approx(fitted.bse[0])


def test_clusters_of_one_are_no_clusters():
    baseline, run = noisy(1, 20), noisy(2, 20, drop=0.1)

    assert decided(baseline, run, clusters=list(range(20))) == decided(baseline, run)


def test_questions_that_move_together_widen_the_interval():
    """Ten clusters of five copies are ten observations, not fifty."""
    baseline, run = noisy(1, 10), noisy(2, 10, drop=0.1)
    alone = decided(baseline, run).change
    copied = decided(baseline * 5, run * 5, clusters=list(range(10)) * 5).change

    assert copied.interval == pytest.approx(alone.interval)
    assert copied.p_value == alone.p_value
    assert (copied.questions, copied.clusters) == (50, 10)


# ---- The test by swaps -----------------------------------------------------------------------


def test_fishers_maize():
    """863 of the 2^15 choices of signs have a sum as large: Fisher 1935, section 21."""
    test = sign_flips([(value,) for value in DARWIN])

    assert test.rise == 863 / 2**15
    assert test.method == "swaps, all 32,768"


def statistic(baseline, run):
    """The documented one, written anew."""
    everything = [*baseline, *run]
    mean = sum(everything) / len(everything)
    moments = sum((x - mean) ** 2 for x in everything)
    r = max(0.0, sum(2 * (x - mean) * (y - mean) for x, y in zip(baseline, run, strict=True)) / moments)

    def surprise(later, earlier):
        return (later - mean) - r * (earlier - mean)

    def signed_square(value):
        return math.copysign(value**2, value)

    return sum(
        signed_square(surprise(y, x)) - signed_square(surprise(x, y)) for x, y in zip(baseline, run, strict=True)
    )


@pytest.mark.parametrize("seed", range(3))
def test_p_values_as_counted_over_all_swaps(seed):
    """The whole statistic is computed anew for each swap, its mean and correlation included."""
    baseline, run = ([trials[0] for trials in noisy(9 * seed + side, 8)] for side in (1, 2))
    observed = statistic(baseline, run)
    swapped = []
    for choice in product((False, True), repeat=8):
        sides = [(y, x) if swap else (x, y) for swap, x, y in zip(choice, baseline, run, strict=True)]
        swapped.append(statistic(*zip(*sides, strict=True)))

    test = swap_test(pairs_of(baseline, run))

    assert test.drop == sum(value <= observed + 1e-9 for value in swapped) / 256
    assert test.rise == sum(value >= observed - 1e-9 for value in swapped) / 256


def test_p_value_of_the_plain_mean_as_scipy_has_it():
    """Where trials are unlike the plain differences are tested."""
    stats = pytest.importorskip("scipy.stats")
    baseline, run = noisy(1, 11, trials=3), noisy(2, 11, drop=0.1)
    change = [now[0] - sum(before) / 3 for before, now in zip(baseline, run, strict=True)]
    expected = stats.permutation_test(
        (change,), sum, permutation_type="samples", alternative="less", n_resamples=math.inf
    )

    assert swap_test(pairs_of(baseline, run)).drop == pytest.approx(expected.pvalue)


def test_drawn_swaps_come_near_all_of_them():
    rng = random.Random(3)
    values = [(rng.gauss(-0.05, 0.2),) for _ in range(MOST_ENUMERATED)]
    exact = sign_flips(values).drop
    # A value too small to matter takes the number of values over the limit.
    drawn = sign_flips([*values, (1e-12,)])

    assert drawn.method == "swaps, 9,999 drawn"
    assert drawn.drop == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / DRAWN))


def test_many_swaps_come_near_the_t_test():
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random(4)
    values = [rng.gauss(-0.03, 0.2) for _ in range(400)]
    expected = stats.ttest_1samp(values, 0, alternative="less").pvalue

    for count in (200, 400):
        expected = stats.ttest_1samp(values[:count], 0, alternative="less").pvalue
        assert sign_flips([(value,) for value in values[:count]]).drop == pytest.approx(expected, abs=0.01)


def test_clusters_are_swapped_as_one():
    """Two clusters that fell: one of four choices is as bad; the same questions alone: one of 2^6."""
    baseline, run = [0.9] * 6, [0.5] * 6

    assert swap_test(pairs_of(baseline, run, clusters=list("aaabbb"))).drop == 1 / 4
    assert swap_test(pairs_of(baseline, run)).drop == 1 / 64


def test_equal_sums_count_as_equal():
    """Of 0.1 + 0.2 and 0.3 one is rounded up: with differences -0.1, -0.2, +0.3 three of eight are as low or lower."""
    assert sign_flips([(-0.1,), (-0.2,), (0.3,)]).drop == 5 / 8


# ---- Holm ------------------------------------------------------------------------------------

# The fifteen p-values of Y. Benjamini, Y. Hochberg, JRSS B 57 (1995) 289-300, table 1.
FIFTEEN = (
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
    *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
)


def test_holm_as_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_as_statsmodels_has_it():
    expected = [0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.278, 0.278, 0.278, 0.3213, 1, 1, 1, 1, 1, 1]

    assert holm(FIFTEEN) == pytest.approx(expected)
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    assert holm(FIFTEEN) == pytest.approx(list(multitest.multipletests(FIFTEEN, method="holm")[1]))


def test_holm_of_nothing_and_of_one():
    assert (holm([]), holm([0.2])) == ([], [0.2])


def test_further_metrics_make_each_less_certain():
    """Six questions of six fell: 1 in 64, and so often by one of two metrics, but too often by one of three."""
    fell = MetricScores(metric="fell", pairs=pairs_of([0.9] * 6, [0.8] * 6))
    still = [MetricScores(metric=f"still {number}", pairs=pairs_of([0.9] * 6, [0.9] * 6)) for number in range(3)]

    verdicts = [decide([fell, *still[:count]])[0].change for count in (0, 1, 2)]

    assert [change.p_value for change in verdicts] == [1 / 64, 2 / 64, 3 / 64]
    assert [change.verdict for change in verdicts] == [
        Verdict.REGRESSED,
        Verdict.REGRESSED,
        Verdict.INCONCLUSIVE,
    ]


# ---- Verdicts --------------------------------------------------------------------------------


def test_a_drop_of_all_questions_is_a_regression_of_the_mean():
    decision = decided([0.9] * 20, [0.85] * 20)

    assert decision.change.verdict is Verdict.REGRESSED
    assert decision.change.p_value == pytest.approx(1 / (DRAWN + 1), abs=1e-3)
    assert broken(decision) == set()


def test_a_drop_within_the_practical_minimum_is_none():
    baseline, run = [0.9] * 20, [0.88] * 20

    assert decided(baseline, run, practical_minimum=0.03).change.verdict is Verdict.SAME
    assert decided(baseline, run, practical_minimum=0.01).change.verdict is Verdict.REGRESSED


def test_a_rise_is_better_unless_a_question_broke():
    baseline, run = [0.8] * 30, [0.9] * 30

    assert decided(baseline, run).change.verdict is Verdict.BETTER
    decision = decided([1.0, *baseline], [0.0, *run])
    assert decision.change.verdict is Verdict.REGRESSED
    assert broken(decision) == {"q0"}


def test_few_noisy_questions_are_inconclusive_and_many_quiet_ones_the_same():
    few = decided(noisy(3, 12), noisy(4, 12)).change
    many = decided(noisy(3, 100, trials=3), noisy(4, 100, trials=3)).change

    assert (few.verdict, many.verdict) == (Verdict.INCONCLUSIVE, Verdict.SAME)
    assert few.interval[0] < -0.05 < many.interval[0]
    assert few.remedy.startswith("measure about ")
    assert many.remedy == ""


def test_the_interval_must_exclude_the_practical_minimum_where_that_is_larger():
    baseline, run = noisy(3, 12), noisy(4, 12)

    assert decided(baseline, run, practical_minimum=0.4).change.verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("baseline", "run", "verdict"),
    [
        ([0.9], [0.9], Verdict.SAME),
        ([0.9], [0.8], Verdict.INCONCLUSIVE),
        ([0.9, 0.8], [0.9, 0.8], Verdict.SAME),
        ([0.9, 0.8], [0.8, 0.7], Verdict.INCONCLUSIVE),
        ([0.5] * 30, [0.5] * 30, Verdict.SAME),
        ([1.0], [0.0], Verdict.REGRESSED),
        ([1.0, 1.0], [0.0, 1.0], Verdict.REGRESSED),
    ],
    ids=["one", "one fell", "two", "two fell alike", "all equal", "one broke", "one of two broke"],
)
def test_degenerate_sets(baseline, run, verdict):
    change = decided(baseline, run).change

    assert change.verdict is verdict
    assert (change.interval is None) == (len(baseline) == 1)
    assert (change.smallest_visible_drop is None) == (len(baseline) == 1)
    assert (change.remedy != "") == (verdict is Verdict.INCONCLUSIVE)


def test_no_question_cannot_be_compared_and_weighs_on_no_other_metric():
    nothing = MetricScores(metric="nothing", pairs=())
    fell = MetricScores(metric="fell", pairs=pairs_of([0.9] * 6, [0.8] * 6))

    [first, second] = decide([nothing, fell])

    assert (first.change.verdict, first.change.questions) == (Verdict.NOT_COMPARABLE, 0)
    assert second == decide([fell])[0]
    assert decide([]) == []
    with pytest.raises(ValueError, match="no questions"):
        differences(())


@pytest.mark.parametrize(("baseline", "run"), [((), (1.0,)), ((1.0,), (math.nan,)), ((math.inf,), (1.0,))])
def test_what_is_no_score_is_refused(baseline, run):
    with pytest.raises(ValueError, match="'q'"):
        PairedScores(question="q", baseline=baseline, run=run)


def test_a_question_counts_once():
    with pytest.raises(ValueError, match="m: a question is given twice"):
        MetricScores(metric="m", pairs=pairs_of([1.0], [1.0]) * 2)


@pytest.mark.parametrize("count", [12, 60, 250])
def test_the_order_of_questions_and_metrics_does_not_matter(count):
    rng = random.Random(5)
    given = [
        MetricScores(
            metric=name,
            pairs=pairs_of(
                noisy(1, count, trials=trials),
                noisy(2, count, trials=trials, drop=drop),
                clusters=[number // 2 for number in range(count)],
            ),
        )
        for name, trials, drop in (("a", 1, 0.02), ("b", 3, 0.03))
    ]
    expected = {one.change.metric: one for one in decide(given)}

    for _ in range(3):
        mixed = [replace(scores, pairs=tuple(rng.sample(scores.pairs, count))) for scores in given]
        rng.shuffle(mixed)
        assert {one.change.metric: one for one in decide(mixed)} == expected


# ---- Questions that broke --------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 10, 11, 16, 25, 50, 100])
def test_one_complete_break_among_still_questions_is_named(count):
    decision = decided([1.0] * count, [0.0, *[1.0] * (count - 1)])

    assert broken(decision) == {"q0"}
    assert decision.change.verdict is Verdict.REGRESSED


@pytest.mark.parametrize("count", [10, 12, 25])
def test_so_is_it_where_another_question_failed_all_along(count):
    decision = decided([1.0, 0.0, *[1.0] * (count - 2)], [0.0, 0.0, *[1.0] * (count - 2)])

    assert broken(decision) == {"q0"}
    assert decision.scores["q1"].known


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize("count", [10, 25, 50, 100])
def test_one_complete_break_among_noisy_questions_is_named(count, trials):
    for seed in range(5):
        baseline, run = noisy(2 * seed, count, trials=trials), noisy(2 * seed + 1, count, trials=trials)
        baseline[0], run[0] = (1.0,) * trials, (0.0,) * trials

        assert "q0" in broken(decided(baseline, run))


def test_flips_to_and_fro_break_nothing():
    """Twelve down and ten up among fifty."""
    baseline = [1.0] * 12 + [0.0] * 10 + [1.0] * 28
    run = [0.0] * 12 + [1.0] * 10 + [1.0] * 28

    decision = decided(baseline, run)

    assert broken(decision) == set()
    assert decision.change.verdict is Verdict.INCONCLUSIVE
    assert decision.scores["q0"].noise == 1.0


def test_far_more_flips_down_than_up_do():
    baseline = [1.0] * 20 + [0.0] + [1.0] * 29
    run = [0.0] * 20 + [1.0] + [1.0] * 29

    assert broken(decided(baseline, run)) == {f"q{number}" for number in range(20)}


def test_several_breaks_do_not_hide_each_other():
    baseline, run = [0.9] * 30, [0.1] * 8 + [0.9] * 22

    assert broken(decided(baseline, run)) == {f"q{number}" for number in range(8)}


def test_where_ten_questions_fall_like_coins_one_trial_does_not_tell():
    """Four fell and none rose: coins do that now and then. Three trials of each tell."""
    baseline, run = [1.0] * 10, [0.0] * 4 + [1.0] * 6

    assert broken(decided(baseline, run)) == set()
    assert broken(decided([(one,) * 3 for one in baseline], [(one,) * 3 for one in run])) == {"q0", "q1", "q2", "q3"}


def test_a_fall_is_held_against_the_others_rises():
    baseline = [0.9] * 20
    quiet, loud = [0.92] * 5, [0.92] * 4 + [1.0]
    fell = [0.65, *[0.9] * 14]

    assert broken(decided(baseline, [*fell, *quiet])) == {"q0"}
    assert broken(decided(baseline, [*fell, *loud])) == set()


def test_a_questions_own_trials_tell_its_noise():
    """The flaky question falls below its threshold like the steady one, but its trials go to and fro."""
    still = [(1.0, 1.0, 1.0)] * 20
    baseline = [(1.0, 1.0, 1.0), (1.0, 1.0, 1.0), *still]
    run = [(0.3, 0.3, 0.3), (0.0, 0.9, 0.9), *still]

    decision = decided(baseline, run)

    assert broken(decision) == {"q0"}
    assert decision.scores["q0"].chance < 0.001 < decision.scores["q1"].chance


def test_many_flaky_questions_cast_doubt_on_a_clean_break():
    """A clean break is one of many flaky questions where trials of many others are mixed, and a break where few are."""
    mixed, still = [(1.0, 0.0, 1.0)], [(1.0, 1.0, 1.0)]
    for flaky, expected in ((2, {"q0"}), (10, set())):
        others = mixed * flaky + still * (49 - flaky)
        decision = decided([*still, *others], [(0.0, 0.0, 0.0), *others])
        assert broken(decision) == expected


def test_a_small_fall_below_the_threshold_breaks_nothing_unless_scores_are_repeatable():
    baseline, run = [0.72] * 20, [0.68, *[0.72] * 19]

    assert broken(decided(baseline, run)) == set()
    assert broken(decided(baseline, run, repeatable=True)) == {"q0"}


@pytest.mark.parametrize(
    ("confirmations", "repeatable", "broke"),
    [((), False, True), ((0.1,) * 8, False, True), ((0.1, 0.9), False, False), ((0.9,), True, True)],
)
def test_a_question_that_passes_when_asked_again_did_not_break(confirmations, repeatable, broke):
    """Nor does what it got then count in the mean: only questions that fell are asked again."""
    given = MetricScores(metric="m", pairs=pairs_of([1.0] * 20, [0.0, *[1.0] * 19]), repeatable=repeatable)
    fell = replace(given.pairs[0], confirmations=confirmations)
    (plain,) = decide([given])
    (decision,) = decide([replace(given, pairs=(fell, *given.pairs[1:]))])
    change = decision.scores["q0"]

    assert (change.broke, change.flipped, change.confirmations) == (broke, not broke, confirmations)
    assert (decision.change.verdict is Verdict.REGRESSED) is broke
    assert decision.change.p_value == plain.change.p_value
    assert decision.change.value == plain.change.value


@pytest.mark.parametrize(
    ("confirmations", "expected"), [((), set()), ((0.0, 0.3, *[0.0] * 6), {"q0"}), ((0.0, 0.9), set())]
)
def test_among_noise_of_long_tails_one_sample_of_a_complete_fall_does_not_count(confirmations, expected):
    moves = [0.01, -0.01] * 20 + [0.5, -0.3]
    first, *others = pairs_of([1.0] + [0.5] * 42, [0.0, *(0.5 + move for move in moves)])
    pairs = (replace(first, confirmations=confirmations), *others)
    (decision,) = decide([MetricScores(metric="m", pairs=pairs)])

    assert broken(decision) == expected


def test_what_stays_above_or_was_below_its_threshold_or_has_none_did_not_break():
    baseline, run = [1.0, 0.6, *[1.0] * 20], [0.7, 0.0, *[1.0] * 20]

    decision = decided(baseline, run)

    assert broken(decision) == set()
    assert (decision.scores["q0"].known, decision.scores["q1"].known) == (False, False)
    assert broken(decided([1.0] * 20, [0.0, *[1.0] * 19], threshold=None)) == set()


# ---- Power -----------------------------------------------------------------------------------


def found_with(error, questions=100):
    return replace(
        differences(pairs_of([0.5] * 3, [0.5] * 3)),
        standard_error=error,
        questions=questions,
        clusters=questions,
        freedom=questions - 1,
    )


def test_questions_needed_by_hand():
    """Of differences with variance 1/9 it takes ((1.96 + 0.84) / 0.03)^2 / 9 = 969 for 0.03."""
    scores = MetricScores(metric="m", pairs=pairs_of([1.0], [1.0]))

    told = remedy(scores, found_with(math.sqrt(1 / 9 / 100)), margin=0.03)

    assert told.startswith("measure about 970 questions")


def test_smallest_visible_drop_by_hand():
    """t with 24 degrees of freedom: 1.711 at 5 %, 0.857 at 20 %; the error counts 1.05 times."""
    found = found_with(0.01, questions=25)

    visible = smallest_visible_drop(found, level=0.05, practical_minimum=0.0)
    beyond = smallest_visible_drop(found, level=0.05, practical_minimum=0.1)

    assert visible == pytest.approx(1.05 * (0.01711 + 0.00857), abs=1e-4)
    assert beyond == pytest.approx(0.1 + 1.05 * 0.00857, abs=1e-4)


def test_an_interval_ends_where_the_scale_does():
    assert decided([(1.0,), (0.0,)], [(0.0,), (0.0,)]).change.interval == (-1.0, 1.0)


def test_more_metrics_hide_smaller_drops():
    one = MetricScores(metric="a", pairs=pairs_of(noisy(1, 30), noisy(2, 30)))
    other = replace(one, metric="b")

    alone, beside = decide([one])[0].change, decide([one, other])[0].change

    assert alone.smallest_visible_drop < beside.smallest_visible_drop


def test_trials_are_proposed_where_they_help():
    """With one trial all of the spread may be noise; where questions moved, and their trials do not, none help."""
    noise = decided(noisy(6, 40), noisy(7, 40)).change
    moved = decided([(0.5,) * 3] * 12, [(0.9,) * 3, (0.1,) * 3] * 6).change

    assert ", or 3 trials of each in the baseline and in the run, to tell" in noise.remedy
    # Variance 0.16 * 12 / 11 times ((1.96 + 0.84) / 0.05)^2 is 548.
    assert moved.remedy == "measure about 550 questions to tell no change from a drop of 0.05"


# ---- Simulations -----------------------------------------------------------------------------


def test_no_change_stays_quiet_and_a_drop_is_found():
    """A guard against gross faults; benchmarks/gate.py has the figures."""
    alarms = found = 0
    for seed in range(100):
        before, after, lower = (noisy(3 * seed + part, 25, trials=3, drop=0.1 * (part == 2)) for part in range(3))
        alarms += decided(before, after).change.verdict is Verdict.REGRESSED
        found += decided(before, lower).change.verdict is Verdict.REGRESSED

    assert alarms <= 12  # more with a probability of 1 in 800 where the true share is 5 %
    assert found >= 90
    assert LEVEL < 0.05
