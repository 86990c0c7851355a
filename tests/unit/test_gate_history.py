"""What moves a whole run together: earlier runs, and a judge that sees stored answers again."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import pytest

from pytest_ragcheck.baseline.differences import Shift, differences
from pytest_ragcheck.baseline.drift import Drift, Rejudged, movement, weighed
from pytest_ragcheck.baseline.entries import question_digest
from pytest_ragcheck.baseline.file import updated
from pytest_ragcheck.baseline.gate import compare, may_be_chance
from pytest_ragcheck.baseline.history import History, shift_between
from pytest_ragcheck.baseline.pairs import matched
from pytest_ragcheck.baseline.statistics import MetricScores, PairedScores, decide
from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.model import Answer, Call, Question, Result, Run, Score

DATASET = "questions.yaml"
SYSTEM = {"documents": "d1", "embedder": "e1", "prompt": "p1"}
LEVELS = [random.Random(7 + number).uniform(0.6, 0.9) for number in range(40)]


def run_of(values, *, day=1, fingerprint=SYSTEM, answer=None, calls=(), trials=1, threshold=None, **changes):
    """A run with a judged score for each question."""
    results = [
        result(number, value, answer or Answer(text="25 days."), calls, threshold)
        for number, value in enumerate(values)
    ]
    ids = tuple(one.question.id for one in results)
    fields = {
        "started_at": f"2026-03-{day:02}T05:06:07+00:00",
        "mode": "concurrent",
        "fingerprints": {DATASET: dict(fingerprint)},
        "setup": 0.0,
        "wall": 1.0,
        "versions": {},
        "results": tuple(results),
        "datasets": {DATASET: {one.question.id: question_digest(one.question) for one in results}},
        "selected": {DATASET: {"": ids}},
        "scoring": {DATASET: {"judged": "judge-1"}},
    }
    return Run(**(fields | changes))


def result(number, value, answer, calls, threshold):
    score = Score(metric="judged", value=value, threshold=threshold)
    question = Question(id=f"q{number:02}", question=f"What of {number}?", dataset=DATASET)
    return Result(question=question, answer=answer, scores={"judged": score}, calls=tuple(calls))


def drawn(seed, shift=0.0, noise=0.04):
    draw = random.Random(seed)
    return [min(1.0, max(0.0, level + draw.gauss(0, noise) + shift)) for level in LEVELS]


def judged(run, baseline, **options):
    return compare(run, updated(None, baseline), name="b", **options).metrics["judged"]


# ---- How far runs lie apart --------------------------------------------------------------------


def scores_of(values):
    return {("d", f"q{number}", ""): (value,) for number, value in enumerate(values)}


def test_the_spread_of_runs_by_hand():
    """Means 0.5, 0.6, 0.5, and each question moves with them: no noise, and the differences' mean square is 0.01."""
    runs = [scores_of([level + shift for level in (0.2, 0.4, 0.5, 0.6, 0.8)]) for shift in (0.0, 0.1, 0.0)]

    shift = shift_between([runs])

    assert (shift.variance, shift.observed) == (pytest.approx(0.01), pytest.approx(0.01))
    assert shift.freedom == pytest.approx(4 / 3)


def test_noise_of_questions_is_no_spread_of_runs():
    """Fifty suites: on average nothing is left where runs only differ by their questions' noise, and all where not."""
    draw = random.Random(3)

    def estimated(spread):
        runs = [scores_of(drawn(draw.random(), draw.gauss(0, spread))) for _ in range(6)]
        shift = shift_between([runs])
        return shift.observed - fmean(
            differences(
                [PairedScores(question=str(key), baseline=one[key], run=other[key]) for key in one]
            ).standard_error
            ** 2
            for one, other in pairwise(runs)
        )

    assert abs(fmean(estimated(0.0) for _ in range(50))) < 0.00002
    assert fmean(estimated(0.03) for _ in range(50)) == pytest.approx(2 * 0.03**2, rel=0.35)


def test_runs_with_few_questions_in_common_say_nothing():
    assert shift_between([[scores_of([0.5] * 4), scores_of([0.9] * 4)]]) is None
    assert shift_between([[scores_of([0.5] * 9)]]) is None
    assert shift_between([]) is None


def test_satterthwaites_degrees_of_freedom():
    """Equal variances with 9 and 4 degrees: (1 + 1)^2 / (1/9 + 1/4)."""
    found = replace(
        differences([PairedScores(question="q", baseline=(0.5,), run=(0.4,))]), standard_error=0.1, freedom=9.0
    )

    wider = found.beyond(0.01, observed=0.01, freedom=4.0, mean=-0.04)

    assert (wider.standard_error, wider.mean) == (pytest.approx(0.02**0.5), pytest.approx(-0.06))
    assert wider.freedom == pytest.approx(4 / (1 / 9 + 1 / 4))


def test_a_drop_as_large_as_runs_lie_apart_is_no_regression():
    pairs = [
        PairedScores(question=f"q{n}", baseline=(before,), run=(now,))
        for n, (before, now) in enumerate(zip(drawn(1), drawn(2, -0.04), strict=True))
    ]
    shift = Shift(variance=0.0018, observed=0.0019, freedom=6.0)

    def verdict(known):
        return decide([MetricScores(metric="m", pairs=tuple(pairs), shift=known)])[0].change

    alone, known, rare = verdict(None), verdict(shift), verdict(replace(shift, variance=0.0001, observed=0.0002))
    assert (alone.verdict, alone.run_spread) == (Verdict.REGRESSED, None)
    assert (known.verdict, known.run_spread) == (Verdict.INCONCLUSIVE, pytest.approx(0.03))
    assert rare.verdict is Verdict.REGRESSED
    assert known.interval[0] < alone.interval[0] < alone.interval[1] < known.interval[1]
    assert known.smallest_visible_drop > alone.smallest_visible_drop


# ---- Which runs count --------------------------------------------------------------------------

BASELINE = run_of(drawn(1))
WORSE = run_of(drawn(2, -0.04), day=28)
SHIFTS = (0.05, -0.03, 0.04, -0.05, 0.03, 0.0)


def earlier(**changes):
    return [run_of(drawn(10 + day, shift), day=2 + day, **changes) for day, shift in enumerate(SHIFTS)]


def test_earlier_runs_of_the_system_enter_the_decision_in_any_order():
    alone = compare(WORSE, updated(None, BASELINE), name="b")

    assert alone.verdict is Verdict.REGRESSED
    assert may_be_chance(alone)
    told = compare(WORSE, updated(None, BASELINE), name="b", history=earlier()).notes
    assert [note.partition(",")[0] for note in told] == [
        "judged: earlier runs of one system lie apart by a standard deviation of 0.055"
    ]
    for history in (earlier(), earlier()[::-1], [*earlier(), WORSE]):
        change = judged(WORSE, BASELINE, history=history)
        assert change.verdict is Verdict.INCONCLUSIVE
        assert 0.02 < change.run_spread < 0.06


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": {"generator": "ragcheck_pipeline"}},
        {"complete": False},
        {"answer": Answer(text="25 days.", cached=True)},
        {"calls": [Call(purpose="judged", model="m", started=0.0, cached=True)]},
        {"datasets": {DATASET: {f"q{number:02}": "reworded" for number in range(40)}}},
    ],
    ids=["a system that nobody knows", "stopped", "kept answers", "kept judgements", "reworded"],
)
def test_runs_that_say_nothing_of_the_system_do_not_count(changes):
    change = judged(WORSE, BASELINE, history=earlier(**changes))

    assert (change.verdict, change.run_spread) == (Verdict.REGRESSED, None)


def test_a_change_of_the_system_is_no_spread_of_its_runs():
    """Each of the earlier runs measured another prompt."""
    history = [
        run_of(drawn(10 + day, shift), day=2 + day, fingerprint=SYSTEM | {"prompt": f"p{day}"})
        for day, shift in enumerate(SHIFTS)
    ]

    assert judged(WORSE, BASELINE, history=history).run_spread is None


def test_what_a_question_got_before_belongs_to_its_record():
    """Of runs of the baseline's system, and not of another one."""
    baseline = run_of([1.0] * 20)
    fell = run_of([0.0, *[1.0] * 19], day=20)
    history = History(
        [
            run_of([0.25, *[1.0] * 19], day=2),
            run_of([0.5, *[1.0] * 19], day=3, fingerprint=SYSTEM | {"prompt": "p2"}),
            run_of([0.75, *[1.0] * 19], day=4),
        ],
        fell,
    )
    pair = matched(fell, updated(None, baseline)).pairs[0]

    assert history.scores("judged", pair) == (0.25, 0.75)


# ---- The judge ---------------------------------------------------------------------------------


def drop_of(change, seed=5):
    """A decision about scores that fell by so much, with some noise."""
    pairs = tuple(
        PairedScores(question=f"q{n}", baseline=(before,), run=(now,))
        for n, (before, now) in enumerate(zip(drawn(seed), drawn(seed + 1, -change), strict=True))
    )
    return decide([MetricScores(metric="m", pairs=pairs)])[0]


def moved_by(change, *, count=40, seed=9, noise=0.03):
    draw = random.Random(seed)
    scores = [
        Rejudged(key=(f"q{n}",), metric="m", baseline=before, value=before + change + draw.gauss(0, noise))
        for n, before in enumerate(drawn(5)[:count])
    ]
    return movement("m", Drift(scores=tuple(scores)))


@pytest.mark.parametrize(
    ("fell", "judge", "expected"),
    [
        (0.05, 0.0, Verdict.REGRESSED),
        (0.05, 0.02, Verdict.REGRESSED),
        (0.05, -0.05, Verdict.JUDGE_DRIFTED),
        (0.12, -0.04, Verdict.REGRESSED),
    ],
)
def test_what_is_left_without_the_judges_movement_decides(fell, judge, expected):
    decision, moved = drop_of(fell), moved_by(judge)

    change, _ = weighed(decision.change, decision.scores, decision.found, moved)

    assert decision.change.verdict is Verdict.REGRESSED
    assert (change.verdict, change.mean_fell) == (expected, expected is Verdict.REGRESSED)


def test_a_judge_of_whom_little_is_known_leaves_a_small_drop_undecided():
    """Eight answers got 0.08 less and 0.04 more in turn: that the judge moved is as unsure as that it did not."""
    scores = [
        Rejudged(key=(f"q{n}",), metric="m", baseline=0.7, value=0.7 + (0.04 if n % 2 else -0.08)) for n in range(8)
    ]
    decision, moved = drop_of(0.03), movement("m", Drift(scores=tuple(scores)))

    change, _ = weighed(decision.change, decision.scores, decision.found, moved)

    assert (decision.change.verdict, moved.beyond_chance) == (Verdict.REGRESSED, False)
    assert change.verdict is Verdict.INCONCLUSIVE
    assert "the judge itself may have moved" in change.remedy


def test_the_noise_of_the_baselines_own_scores_cancels():
    """The run's scores are just what the judge now gives the stored answers: nothing is left, and that is sure."""
    before = drawn(5, noise=0.2)
    now = [value - 0.05 + random.Random(n).gauss(0, 0.001) for n, value in enumerate(drawn(5, noise=0.0))]
    pairs = tuple(
        PairedScores(question=f"q{n}", baseline=(b,), run=(a,))
        for n, (b, a) in enumerate(zip(before, now, strict=True))
    )
    (decision,) = decide([MetricScores(metric="m", pairs=pairs)])
    scores = tuple(
        Rejudged(key=(f"q{n}",), metric="m", baseline=b, value=a + 0.1)
        for n, (b, a) in enumerate(zip(before, now, strict=True))
    )
    regressed = replace(decision.change, verdict=Verdict.REGRESSED, mean_fell=True)

    change, _ = weighed(regressed, decision.scores, decision.found, movement("m", Drift(scores=scores)))

    assert change.verdict is Verdict.REGRESSED, "a drop of 0.1 in each question against the same judge"


def test_few_answers_judged_again_say_nothing():
    assert moved_by(-0.5, count=4) is None
    assert moved_by(-0.5, count=5).beyond_chance
