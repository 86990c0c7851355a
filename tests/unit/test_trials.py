"""Trials put together, when they can stop, how they reach the keys of what is kept, and how the engine asks them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import product
from statistics import stdev

import pytest

from pytest_ragcheck.call_context import current_trial, record_call, trial_scope
from pytest_ragcheck.engine import Engine, Job, RoundsEngine, Slots, rounds_of
from pytest_ragcheck.engine.engine import MOST_CONFIRMED, MOST_PURSUED
from pytest_ragcheck.engine.slots import QUESTIONS_AT_ONCE
from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.requests import ModelRequest
from pytest_ragcheck.metrics.judged.scores import Scores
from pytest_ragcheck.model import NOT_RUN, Answer, Call, Failure, Question, Result, Run, Score, State, Timing
from pytest_ragcheck.rag.pipeline import as_pipeline
from pytest_ragcheck.report.markdown import markdown_report
from pytest_ragcheck.report.question import first_line, question_report
from pytest_ragcheck.report.terminal import metrics_table
from pytest_ragcheck.run_file import dump, load
from pytest_ragcheck.trials import ANSWER_DEPENDENT, combined, next_round, shown_trial, tally

QUESTION = Question(id="leave", question="How many days?")
FAILED_CALL = Failure(message="the connection failed", kind="connection")


def trial(text="an answer", *, threshold=0.6, **values):
    """A trial's result; a value may be a number, a Failure or the reason why the metric does not apply."""
    scores = {}
    for name, value in values.items():
        if isinstance(value, Failure):
            scores[name] = Score(metric=name, threshold=threshold, error=value)
        elif isinstance(value, str):
            scores[name] = Score(metric=name, threshold=threshold, reason=value)
        else:
            scores[name] = Score(metric=name, threshold=threshold, value=value, reason=f"because {value}")
    return Result(question=QUESTION, answer=Answer(text=text), scores=scores)


def unanswered(failure=FAILED_CALL, **values):
    return Result(question=QUESTION, error=failure, scores=trial(**values).scores)


# ---- Means, errors, the shown answer ---------------------------------------------------------


def test_an_error_is_not_hidden_by_calls_that_were_not_made():
    spent = Failure(message="budget spent", kind=NOT_RUN)
    refused = combined([trial(support=spent) for _ in range(3)], planned=3)
    mixed = combined([trial(support=spent), trial(support=spent), trial(support=FAILED_CALL)], planned=3)

    assert refused.state is State.NOT_RUN
    assert mixed.state is State.ERROR
    assert mixed.scores["support"].error.message == (
        "measured in 0 of 3 trials; the connection failed (and 2 for other causes)"
    )


def test_a_score_is_the_mean_and_tells_what_it_is_made_of():
    values = [0.5, 0.9, 1.0]

    whole = combined([trial(support=value) for value in values], planned=3)

    score = whole.scores["support"]
    assert score.value == pytest.approx(0.8)
    assert score.details["trials"] == values
    assert score.details["spread"] == pytest.approx(stdev(values))
    assert score.details["pass_rate"] == pytest.approx(2 / 3)
    assert whole.state is State.PASSED
    assert (len(whole.trials), whole.planned_trials) == (3, 3)


def test_a_question_that_is_asked_once_stays_as_it_is():
    one = trial(support=0.5)
    assert combined([one]) is one


@pytest.mark.parametrize("value", [0.7, 0.1, 1 / 3, 0.6, 0.9999999999999999])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_mean_of_equal_values_reaches_a_threshold_of_that_value(value, count):
    whole = combined([trial(support=value, threshold=value)] * count, planned=count)
    assert whole.scores["support"].value == value
    assert whole.state is State.PASSED


@pytest.mark.parametrize(
    ("trials", "state"),
    [
        pytest.param([trial(a=0.5), trial(a=0.8)], State.PASSED, id="the mean passes, one trial does not"),
        pytest.param([trial(a=0.5), trial(a=0.6)], State.FAILED, id="the mean misses"),
        pytest.param([trial(a=0.9), trial(a=FAILED_CALL)], State.PASSED, id="half measured"),
        pytest.param([trial(a=0.9), unanswered()], State.PASSED, id="half answered"),
        pytest.param([trial(a=0.9), trial(a=FAILED_CALL), unanswered()], State.ERROR, id="fewer than half measured"),
        pytest.param([trial(a=0.1), unanswered(), unanswered()], State.ERROR, id="too few for a miss"),
        pytest.param([trial(a=0.1), trial(a=0.1), unanswered()], State.FAILED, id="an error does not hide a miss"),
        pytest.param([unanswered(), unanswered()], State.ERROR, id="no answer at all"),
        pytest.param([trial(a="no reference"), trial(a="no reference")], State.PASSED, id="does not apply"),
        pytest.param([trial(a="no reference"), unanswered()], State.PASSED, id="does not apply, one answer missing"),
        pytest.param([trial(a="refusal"), trial(a="refusal"), trial(a=0.9)], State.PASSED, id="applies to one"),
        pytest.param([trial(a="refusal"), trial(a=0.9), unanswered()], State.PASSED, id="half of those it applies to"),
        pytest.param(
            [trial(a=0.9), trial(a=0.9), Result(question=QUESTION, not_run="too dear")], State.NOT_RUN, id="not run"
        ),
    ],
)
def test_states(trials, state):
    assert combined(trials, planned=len(trials)).state is state


def test_errors_are_told_and_never_count_as_values():
    trials = [trial(a=0.9), trial(a=FAILED_CALL), unanswered(Failure(message="too slow", kind="timeout"))]

    whole = combined(trials, planned=3)

    error = whole.scores["a"].error
    assert error.message == "measured in 1 of 3 trials; the connection failed (and 1 for other causes)"
    assert error.kind == "connection"
    assert whole.scores["a"].value is None
    assert whole.answer is not None

    enough = combined([*trials, trial(a=0.7)], planned=4).scores["a"]
    assert enough.value == pytest.approx(0.8)
    assert enough.details["trials"] == [0.9, None, None, 0.7]
    assert enough.details["pass_rate"] == 1.0


def test_without_any_answer_the_cause_is_told_and_early_scores_stay():
    same = combined([unanswered(recall=1.0)] * 3, planned=3)
    other = Failure(message="too slow", kind="timeout")
    mixed = combined([unanswered(other), unanswered(), unanswered()], planned=3)

    assert same.error == FAILED_CALL
    assert same.scores["recall"].value == 1.0
    assert (mixed.error.kind, mixed.error.message) == (
        "connection",
        "the connection failed (and 1 for other causes)",
    )
    assert shown_trial(same) is None


def test_a_question_is_not_run_where_a_trial_was_not_run():
    missing = Result(question=QUESTION, not_run="not in the store")

    assert combined([missing, missing], planned=2).not_run == "not in the store"
    partly = combined([trial(a=0.1), missing], planned=2)
    assert partly.not_run == "1 of 2 trials: not in the store"
    assert partly.scores == {}
    assert partly.answer is None
    assert len(partly.trials) == 2


@pytest.mark.parametrize(
    ("trials", "shown"),
    [
        pytest.param([trial("1", a=0.9), trial("2", a=0.1), trial("3", a=0.2)], "2", id="first that failed"),
        pytest.param([trial("1", a=0.1), trial("2", a=0.9), trial("3", a=0.9)], "2", id="first that passed"),
        pytest.param(
            [trial("1", a=0.9, b=0.5), trial("2", a=0.1, b=0.9), trial("3", a=0.1, b=0.9)], "2", id="same metric"
        ),
        pytest.param([trial("1", a=0.2, b=1.0), trial("2", a=1.0, b=0.2)], "1", id="each failed, the means pass"),
        pytest.param([unanswered(), trial("2", a=0.9), trial("3", a=0.9)], "2", id="first with an answer"),
        pytest.param([trial("1", a=0.9), unanswered(), unanswered()], "1", id="error, though one was answered"),
    ],
)
def test_the_shown_answer_came_out_as_the_question_did(trials, shown):
    whole = combined(trials, planned=len(trials))

    assert whole.answer.text == shown
    assert trials[shown_trial(whole)].answer == whole.answer
    assert whole.scores["a"].error or whole.scores["a"].reason == trials[shown_trial(whole)].scores["a"].reason


def test_times_span_all_trials_and_calls_are_those_of_all():
    def timed(start, end):
        call = Call(purpose="generation", model="m", started=start)
        timing = Timing(generation=end - start, started=start, finished=end, generation_span=(start, end))
        return Result(question=QUESTION, answer=Answer(text="x"), timing=timing, calls=(call,))

    whole = combined([timed(1.0, 4.0), timed(2.0, 6.0), unanswered()], planned=3)

    assert (whole.timing.started, whole.timing.finished, whole.timing.generation) == (1.0, 6.0, 7.0)
    assert whole.timing.generation_span == (1.0, 6.0)
    assert whole.timing.retrieval_span is None
    assert [call.started for call in whole.calls] == [1.0, 2.0]


def test_a_result_with_trials_is_plain_json_and_back():
    whole = combined([trial(a=0.5), unanswered(), trial(a="refusal")], planned=5)
    assert load(Result, dump(whole)) == whole


# ---- Stopping --------------------------------------------------------------------------------


def asked(values, threshold):
    """What is asked, round by round, of trials that would give ``values``."""
    done = []
    while count := next_round(done, len(values) - len(done), {"a": threshold}):
        done += [trial(a=value, threshold=threshold) for value in values[len(done) : len(done) + count]]
    return done


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.7, 1.0])
def test_stopping_is_exact_and_asks_no_trial_in_vain(threshold):
    def state(values):
        trials = [trial(a=value, threshold=threshold) for value in values]
        return combined(trials, planned=4).state

    for values in product([0.0, 0.5, 1.0], repeat=4):
        done = asked(values, threshold)
        assert combined(done, planned=4).state is state(values)
        for count in range(1, len(done)):  # before, the rest could still have changed it
            open_states = {state([*values[:count], *[rest] * (4 - count)]) for rest in (0.0, 1.0)}
            assert open_states == {State.PASSED, State.FAILED}


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([0.0] * 5, 2),  # two misses of five leave a mean of 0.6 at most
        ([1.0] * 5, 4),
        ([1.0, 0.0, 0.0, 1.0, 1.0], 3),
        ([0.8] * 5, 5),
    ],
)
def test_how_many_trials_are_asked(values, count):
    assert len(asked(values, 0.8)) == count


def test_what_is_no_verdict_yet_does_not_stop():
    assert next_round([], 3, {}) == 3
    assert next_round([trial(b=0.1, threshold=None)], 2, {}) == 2
    assert next_round([unanswered()], 2, {"a": 0.6}) > 0
    assert next_round([trial(a=FAILED_CALL)], 2, {"a": 0.6}) > 0
    assert next_round([trial(a=1.0, b=0.6)] * 2, 1, {"a": 0.6, "b": 0.6}) > 0
    assert next_round([trial(a=1.0, b=1.0)] * 2, 1, {"a": 0.6, "b": 0.6}) == 0
    assert next_round([trial(a=0.0, b=1.0)] * 2, 1, {"a": 0.6, "b": 0.6}) == 0


def test_a_metric_that_may_yet_apply_keeps_the_verdict_open():
    never = Score(metric="b", threshold=0.6, reason="no reference")
    refusal = Score(metric="b", threshold=0.6, reason="a refusal", details={ANSWER_DEPENDENT: True})

    def done(other):
        one = trial(a=1.0)
        return [Result(question=QUESTION, answer=one.answer, scores={**one.scores, "b": other})] * 2

    thresholds = {"a": 0.6, "b": 0.6}
    assert next_round(done(never), 1, thresholds) == 0
    assert next_round(done(refusal), 1, thresholds) == 1


# ---- pass@N and pass^N -----------------------------------------------------------------------

PASS, FAIL, ERROR = trial(a=1.0), trial(a=0.0), unanswered()


@pytest.mark.parametrize(
    ("trials", "planned", "rate", "any_passed", "all_passed"),
    [
        ([PASS, PASS, PASS], 3, 1.0, True, True),
        ([PASS, FAIL, FAIL], 3, 1 / 3, True, False),
        ([FAIL, FAIL, FAIL], 3, 0.0, False, False),
        ([PASS, PASS, ERROR], 3, 1.0, True, None),
        ([FAIL, FAIL, ERROR], 3, 0.0, None, False),
        ([ERROR, ERROR, ERROR], 3, None, None, None),
        ([PASS, PASS], 3, 1.0, True, None),
        ([FAIL, FAIL], 3, 0.0, None, False),
    ],
)
def test_tally(trials, planned, rate, any_passed, all_passed):
    counted = tally(combined(trials, planned=planned))
    if counted is None:
        assert rate is None
        return
    assert counted.pass_rate == (None if rate is None else pytest.approx(rate))
    assert (counted.any_passed, counted.all_passed) == (any_passed, all_passed)


def test_without_a_threshold_or_trials_there_is_nothing_to_pass():
    assert tally(trial(a=1.0)) is None
    assert tally(combined([trial(a=1.0, threshold=None)] * 2, planned=2)) is None


# ---- Reports ---------------------------------------------------------------------------------


def test_the_question_report_shows_each_trial():
    slow = Failure(message="gave up\x1b[31m after 3 attempts", kind="timeout")
    whole = combined(
        [trial("fine", a=1.0, b="no gold"), trial("wrong", a=0.1, b="no gold"), unanswered(slow)], planned=3
    )

    assert first_line(whole) == "a 0.55 < 0.60 (mean of 3 trials) [leave]"
    report = question_report(whole)
    assert "answer (trial 2 of 3, 5 characters)\n  wrong" in report
    assert "metrics (mean of 3 trials)\n  FAIL   a  0.55 < 0.60\n         because 0.1" in report
    assert (
        "trials (3)\n"
        "  1 passed, 1 failed, 1 could not be measured; pass@3 yes, pass^3 no\n"
        "  metric  mean    sd  passed  each trial\n"
        "  a       0.55  0.64  1 of 2  1.00 0.10 error\n"
        "  trial 3: no answer: gave up\\x1b[31m after 3 attempts\n"
    ) in report
    for width in (40, 60):
        assert max(map(len, question_report(whole, width=width).splitlines())) <= width
    assert "trials" not in question_report(trial(a=0.5))


def test_the_summary_counts_trials_and_questions():
    def run(*results):
        return Run(
            started_at="2026-01-01T00:00:00+00:00",
            mode="concurrent",
            fingerprints={},
            setup=0.0,
            wall=1.0,
            versions={},
            results=results,
        )

    whole = run(combined([PASS, PASS], planned=2), combined([PASS, FAIL], planned=2), combined([PASS], planned=2))
    assert metrics_table(whole).splitlines()[-3:] == [
        "5 of 6 trials (the others could change no verdict): 4 of 5 passed",
        "pass@2 1.00 (3 of 3 questions passed in any trial)",
        "pass^2 0.50 (1 of 2 questions passed in all trials; 1 not known)",
    ]
    assert "trial" not in metrics_table(run(PASS, FAIL))
    assert "4 of 5 passed, pass@2 1.00 (3 of 3 questions passed in any trial), pass^2 0.50" in markdown_report(whole)


# ---- Keys ------------------------------------------------------------------------------------


def test_the_first_trial_has_the_key_of_a_question_that_is_asked_once():
    def request():
        return ModelRequest(model="m", messages=[{"role": "user", "content": "x"}])

    def score_key():
        return Scores.key(metric="faithfulness", model="m")

    plain, plain_score = request().key("endpoint"), score_key()
    with trial_scope(0):
        assert (request().key("endpoint"), score_key()) == (plain, plain_score)
    with trial_scope(1):
        second, second_score = request().key("endpoint"), score_key()
    with trial_scope(2):
        third, third_score = request().key("endpoint"), score_key()
    assert len({plain, second, third}) == len({plain_score, second_score, third_score}) == 3
    # What is in the users' stores was paid for; a change here throws it away.
    assert plain.hex().startswith("613aeff10a1b50da")
    assert plain_score.hex().startswith("63adefa3470b9be6")


# ---- The engine ------------------------------------------------------------------------------


class Counting:
    """A system whose answers differ from time to time, and how many were in flight."""

    def __init__(self, say=lambda question, number: f"{question} {number}"):
        self.say = say
        self.seen = []
        self.now = self.peak = 0

    async def __call__(self, question):
        number = sum(name == question for name, _ in self.seen)
        self.seen.append((question, current_trial()))
        self.now += 1
        self.peak = max(self.peak, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        record_call(Call(purpose="generation", model="m", started=float(number)))
        self.now -= 1
        return self.say(question, number), ()


class Quality:
    """Reads the value from the answer's last word."""

    name = "quality"
    needs_answer = True

    async def measure(self, case):
        return Score(metric=self.name, value=float(case.answer.text.split()[-1]))


async def ask(system, *, sequential=False, **wanted):
    return await results_of(jobs_for(system, **wanted), sequential=sequential)


def jobs_for(system, *, count=2, trials=3, stops=False, least_before=None):
    pipeline = as_pipeline(system, at_once=2 * QUESTIONS_AT_ONCE)
    return [
        Job(
            key=f"q{number}",
            question=Question(id=f"q{number}", question=f"question {number}"),
            pipeline=pipeline,
            metrics=[Quality()],
            thresholds={"quality": 0.5, "not measured": 1.0},
            trials=trials,
            stops_when_settled=stops,
            least_before=least_before or {},
        )
        for number in range(count)
    ]


async def results_of(jobs, *, sequential=False):
    engine = Engine(jobs, slots=Slots(sequential=sequential))
    engine.start()
    try:
        return [await engine.result(job.key) for job in jobs]
    finally:
        await engine.close()


def values(result):
    return [one.scores["quality"].value for one in result.trials]


@pytest.mark.asyncio
async def test_all_trials_of_all_questions_are_in_flight_together():
    system = Counting(lambda question, number: f"{question} {number / 2}")

    results = await ask(system)

    assert system.peak == 6
    assert sorted(system.seen) == [(f"question {n}", number) for n in range(2) for number in range(3)]
    for result in results:
        assert values(result) == [0.0, 0.5, 1.0]
        assert result.scores["quality"].value == 0.5
        assert [[call.started for call in one.calls] for one in result.trials] == [[0.0], [1.0], [2.0]]
        assert len(result.calls) == 3


@pytest.mark.asyncio
async def test_one_by_one_gives_the_same():
    say = "{} {}".format
    concurrent, sequential = Counting(lambda q, n: say(q, n / 2)), Counting(lambda q, n: say(q, n / 2))

    side_by_side = await ask(concurrent)
    one_by_one = await ask(sequential, sequential=True)

    assert sequential.peak == 1
    assert sequential.seen == [(f"question {n}", number) for n in range(2) for number in range(3)]
    for one, other in zip(one_by_one, side_by_side, strict=True):
        assert (one.scores, one.answer.text, values(one)) == (other.scores, other.answer.text, values(other))


@pytest.mark.asyncio
async def test_a_trial_that_goes_wrong_is_that_trials_error():
    def say(question, number):
        if number == 1:
            raise ValueError("no such page")
        return f"{question} 1.0"

    result, *_ = await ask(Counting(say), count=1)

    assert result.state is State.PASSED
    assert [one.state for one in result.trials] == [State.PASSED, State.ERROR, State.PASSED]
    assert result.trials[1].error.message.startswith("ValueError: no such page")
    assert result.scores["quality"].details["trials"] == [1.0, None, 1.0]


@pytest.mark.asyncio
async def test_what_is_not_run_in_one_trial_is_not_run():
    def say(question, number):
        if number == 2:
            raise NotRunError("the budget is spent")
        return f"{question} 1.0"

    result, *_ = await ask(Counting(say), count=1)

    assert result.not_run == "1 of 3 trials: the budget is spent"


@pytest.mark.asyncio
@pytest.mark.parametrize("sequential", [False, True])
async def test_trials_stop_where_the_verdict_is_settled(sequential):
    system = Counting(lambda question, number: f"{question} {1.0 if question.endswith('0') else float(number == 4)}")

    sure, doubtful = await ask(system, trials=5, stops=True, sequential=sequential)

    assert values(sure) == [1.0] * 3
    assert (sure.planned_trials, sure.state) == (5, State.PASSED)
    assert values(doubtful) == [0.0] * 3
    assert doubtful.state is State.FAILED
    assert len(system.seen) == 6
    assert system.peak == (1 if sequential else 6)  # the first round asks as many as it takes at least


@pytest.mark.asyncio
@pytest.mark.parametrize(("trials", "further"), [(1, [1, 2]), (2, [2, 3]), (5, [5, 6]), (6, [])])
async def test_a_question_that_fell_is_asked_until_it_passes(trials, further):
    """The other one reached what it reached before; and neither score nor state rests on what came after."""
    system = Counting(lambda question, number: f"{question} {float(question.endswith('1') or number >= trials)}")

    fell, stayed = await ask(system, trials=trials, least_before={"quality": 0.5})

    assert [number for name, number in system.seen if name == "question 0"] == [*range(trials), *further]
    assert [one.scores["quality"].value for one in fell.confirmations] == [1.0] * len(further)
    assert (fell.scores["quality"].value, fell.state) == (0.0, State.FAILED)
    assert len(fell.calls) == trials + len(further)
    assert fell.timing.finished >= max((one.timing.finished for one in fell.confirmations), default=0.0)
    assert (stayed.confirmations, len(stayed.calls)) == ((), trials)


@pytest.mark.asyncio
@pytest.mark.parametrize(("trials", "again"), [(1, 10), (2, 8), (3, 6), (4, 4), (5, 2), (6, 0)])
async def test_a_question_that_keeps_failing_is_asked_until_there_are_twelve_samples_in_baseline_and_run(trials, again):
    system = Counting(lambda *_: "0.0")

    (fell,) = await ask(system, count=1, trials=trials, least_before={"quality": 0.5})

    assert [number for _, number in system.seen] == [*range(trials + again)]
    assert len(fell.confirmations) == again


def every(trials):
    """Choose all questions for the next round."""
    return trials


async def results_in_rounds(jobs, choose, *, sequential=False):
    slots, kept = Slots(sequential=sequential), []
    (rounds,) = rounds_of([replace(job, choose=choose) for job in jobs])
    engine = RoundsEngine(
        rounds, new_engine=Engine, slots=slots, on_result=lambda key, _: kept.append(key), keep=lambda result: result
    )
    engine.start()
    try:
        results = [await engine.result(job.key) for job in jobs]
    finally:
        await engine.close()
    assert sorted(kept) == sorted(job.key for job in jobs)
    return results


@pytest.mark.asyncio
@pytest.mark.parametrize(("count", "sequential"), [(2, False), (2, True), (QUESTIONS_AT_ONCE + 3, False)])
async def test_questions_go_on_round_by_round_until_a_test_of_all_of_them_is_decided(count, sequential):
    """Also more of them than may be live at once."""
    seen = []

    def choose(trials):
        seen.append((len(trials), {len(done) for done in trials.values()}))
        return () if len(seen) == 3 else trials

    system = Counting(lambda question, number: f"{question} {float(number != 1)}")
    jobs = jobs_for(system, count=count, trials=5)

    results = await results_in_rounds(jobs, choose, sequential=sequential)

    assert seen == [(count, {1}), (count, {2}), (count, {3})]
    assert {(len(one.trials), one.planned_trials, one.looks) for one in results} == {(3, 5, 5)}
    assert {tuple(values(one)) for one in results} == {(1.0, 0.0, 1.0)}
    assert system.peak <= (1 if sequential else QUESTIONS_AT_ONCE)


@pytest.mark.asyncio
async def test_rounds_end_with_the_last_trial():
    jobs = jobs_for(Counting(lambda *_: "1.0"), count=3, trials=3)

    results = await results_in_rounds(jobs, every)

    assert [len(one.trials) for one in results] == [3] * 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("chosen", "asked"),
    [
        ([[0], [1], [0]], [3, 2, 1]),
        ([[0], [0], [0, 1]], [4, 2, 1]),
        ([[0], [0], [0, 1], [0]], [5, 2, 1]),
        ([[0], [0], [0], [1, 2]], [4, 2, 2]),
        ([[0], ["not in these rounds"]], [2, 1, 1]),
    ],
)
async def test_a_question_may_sit_out_a_round(chosen, asked):
    """And none waits for a round that does not come: after the last one, or where only questions that are done are left."""
    jobs = jobs_for(Counting(lambda *_: "1.0"), count=3, trials=5)
    keys, rounds_chosen = [job.key for job in jobs], iter(chosen)

    def choose(_):
        return [keys[one] if one in range(3) else one for one in next(rounds_chosen, ())]

    results = await asyncio.wait_for(results_in_rounds(jobs, choose), 60)

    assert [len(one.trials) for one in results] == asked


@pytest.mark.asyncio
@pytest.mark.parametrize("problem", [NotRunError("the budget is spent"), RuntimeError("down")])
async def test_a_round_without_any_answer_is_the_last(problem):
    def say(question, number):
        if number:
            raise problem
        return "1.0"

    (result,) = await results_in_rounds(jobs_for(Counting(say), count=1, trials=5), every)

    assert len(result.trials) == 2


@pytest.mark.asyncio
async def test_a_pipeline_that_cannot_be_prepared_is_tried_once():
    class Unprepared:
        count = 0

        async def prepare(self, questions):
            self.count += 1
            raise RuntimeError("no model")

        retrieve = generate = None

    pipeline = Unprepared()
    jobs = [replace(job, pipeline=pipeline) for job in jobs_for(Counting(lambda *_: "1.0"), trials=5)]

    results = await results_in_rounds(jobs, every)

    assert [one.state for one in results] == [State.ERROR] * 2
    assert pipeline.count == 1


@pytest.mark.asyncio
async def test_questions_that_fell_in_rounds_are_asked_again_after_them_and_the_others_are_not():
    system = Counting(lambda question, number: "0.0" if "1" in question else "1.0")
    jobs = jobs_for(system, count=3, trials=2, least_before={"quality": 0.5})

    results = await results_in_rounds(jobs, every)

    assert [len(one.confirmations) for one in results] == [0, 8, 0]
    assert [number for question, number in system.seen if "1" in question] == [*range(10)]


@pytest.mark.asyncio
async def test_an_engine_that_breaks_in_a_round_ends_the_wait_for_its_results():
    with pytest.raises(ZeroDivisionError):
        await results_in_rounds(jobs_for(Counting(), trials=3), lambda _: 1 / 0)


def test_processes_that_take_the_same_results_open_the_same_jobs():
    """In any order, and where one learns of all rounds only after the others."""
    jobs = [replace(job, choose=every) for job in jobs_for(Counting(lambda *_: "1.0"), trials=2)]
    first, late = rounds_of(jobs)[0], rounds_of(jobs)[0]
    while opened := first.open:
        results = [(job.key, trial(quality=float(first.round))) for job in opened]
        assert [job.trial for job in late.open] == [job.trial for job in opened]
        for key, result in results:
            first.take(key, result)
        for key, result in reversed(results):
            late.take(key, result)
    assert late.open == []
    assert late.finished == first.finished
    assert {values(one) == [0.0, 1.0] for one in late.finished.values()} == {True}


@pytest.mark.asyncio
async def test_no_more_than_a_few_questions_are_asked_again():
    results = await ask(Counting(lambda *_: "0.0"), count=MOST_CONFIRMED + 5, trials=1, least_before={"quality": 0.5})

    counts = [len(one.confirmations) for one in results]
    assert [counts.count(number) for number in (10, 2, 0)] == [MOST_PURSUED, MOST_CONFIRMED - MOST_PURSUED, 5]


@pytest.mark.asyncio
async def test_what_could_not_be_asked_again_is_not_tried_once_more():
    def say(_, number):
        if number:
            raise NotRunError("the budget is spent")
        return "0.0"

    (fell,) = await ask(Counting(say), count=1, trials=1, least_before={"quality": 0.5})

    assert [one.not_run for one in fell.confirmations] == ["the budget is spent"] * 2


@pytest.mark.asyncio
async def test_the_window_bounds_live_trials():
    system = Counting(lambda question, number: "1.0")

    await ask(system, count=QUESTIONS_AT_ONCE // 2, trials=3)

    assert system.peak == QUESTIONS_AT_ONCE


@pytest.mark.asyncio
async def test_a_function_that_is_not_async_knows_its_trial_too():
    seen = []

    def system(question):
        seen.append(current_trial())
        return "1.0", ()

    await ask(system, count=1, trials=2)

    assert sorted(seen) == [0, 1]
