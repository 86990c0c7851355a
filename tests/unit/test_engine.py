from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from fractions import Fraction

import pytest

from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.engine.outcomes import guarded
from pytest_ragcheck.engine.slots import QUESTIONS_AT_ONCE
from pytest_ragcheck.errors import MeasurementError, NotRunError
from pytest_ragcheck.model import Answer, Context, Question, Score, State
from pytest_ragcheck.rag.pipeline import as_pipeline

pytestmark = pytest.mark.asyncio


class InFlight:
    """Counts what goes on at the same time."""

    def __init__(self):
        self.now = 0
        self.peak = 0
        self.order = []

    async def during(self, name, turns=3):
        self.now += 1
        self.peak = max(self.peak, self.now)
        self.order.append(f"+{name}")
        for _ in range(turns):
            await asyncio.sleep(0)
        self.order.append(f"-{name}")
        self.now -= 1


class StubMetric:
    def __init__(self, name="quality", *, needs_answer=True, measure=None):
        self.name = name
        self.needs_answer = needs_answer
        self._measure = measure

    async def measure(self, case):
        if self._measure is not None:
            return await self._measure(case)
        return Score(metric=self.name, value=1.0)


class TwoStep:
    """A pipeline whose steps tell an InFlight."""

    def __init__(self, in_flight):
        self.in_flight = in_flight
        self.prepared = []

    async def prepare(self, questions):
        self.prepared.append([question.id for question in questions])
        await self.in_flight.during("prepare")

    async def retrieve(self, question):
        await self.in_flight.during(f"retrieve {question.id}")
        return (Context(text="about it", rank=1),)

    async def generate(self, question, contexts):
        await self.in_flight.during(f"generate {question.id}")
        return Answer(text=question.question.upper(), contexts=contexts)


def jobs(pipeline, count=3, metrics=(), thresholds=None):
    return [
        Job(
            key=f"q{number}",
            question=Question(id=f"q{number}", question=f"question {number}"),
            pipeline=pipeline,
            metrics=metrics,
            thresholds=thresholds or {},
        )
        for number in range(count)
    ]


async def run(all_jobs, *, sequential=False, on_result=None):
    engine = Engine(all_jobs, slots=Slots(sequential=sequential), on_result=on_result)
    engine.start()
    try:
        return {job.key: await engine.result(job.key) for job in all_jobs}
    finally:
        await engine.close()


async def test_all_questions_are_in_flight_at_once():
    in_flight = InFlight()

    async def answer(question):
        await in_flight.during(question)
        return question, ()

    results = await run(jobs(as_pipeline(answer), count=50))

    assert in_flight.peak == 50
    assert [results[f"q{n}"].answer.text for n in range(50)] == [f"question {n}" for n in range(50)]


async def test_the_window_bounds_the_live_questions():
    in_flight = InFlight()

    async def answer(question):
        await in_flight.during(question)
        return question, ()

    results = await run(jobs(as_pipeline(answer, at_once=2 * QUESTIONS_AT_ONCE), count=QUESTIONS_AT_ONCE + 50))

    assert in_flight.peak == QUESTIONS_AT_ONCE
    assert all(result.state is State.PASSED for result in results.values())


async def test_sequential_does_one_step_at_a_time_in_order():
    in_flight = InFlight()
    pipeline = TwoStep(in_flight)

    async def measure(case):
        await in_flight.during(f"measure {case.question.id}")
        return Score(metric="quality", value=1.0)

    metrics = [StubMetric(measure=measure), StubMetric("early", needs_answer=False, measure=measure)]
    await run(jobs(pipeline, metrics=metrics), sequential=True)

    assert in_flight.peak == 1
    assert pipeline.prepared == [["q0"], ["q1"], ["q2"]]
    finished = [step for step in in_flight.order if step.startswith("-")]
    assert finished == [
        step
        for n in range(3)
        for step in ("-prepare", f"-retrieve q{n}", f"-generate q{n}", f"-measure q{n}", f"-measure q{n}")
    ]


async def test_two_sequential_engines_share_one_slot():
    in_flight = InFlight()
    slots = Slots(sequential=True)
    engines = [Engine(jobs(TwoStep(in_flight)), slots=slots) for _ in range(2)]
    for engine in engines:
        engine.start()
    for engine in engines:
        await engine.result("q2")

    assert in_flight.peak == 1


async def test_concurrent_prepares_all_questions_in_one_batch():
    pipeline = TwoStep(InFlight())

    await run(jobs(pipeline, count=7))

    assert pipeline.prepared == [[f"q{n}" for n in range(7)]]


async def test_a_metric_that_needs_no_answer_starts_beside_the_generation():
    in_flight = InFlight()

    async def measure(case):
        assert case.answer is None
        assert [context.text for context in case.contexts] == ["about it"]
        await in_flight.during("early")
        return Score(metric="early", value=1.0)

    await run(jobs(TwoStep(in_flight), count=1, metrics=[StubMetric("early", needs_answer=False, measure=measure)]))

    assert in_flight.order.index("+early") < in_flight.order.index("-generate q0")


async def test_the_metrics_of_one_question_run_side_by_side():
    in_flight = InFlight()

    async def measure(case):
        await in_flight.during("metric")
        return Score(metric="x", value=1.0)

    async def answer(question):
        return "yes", ["a context"]

    metrics = [StubMetric(f"m{n}", measure=measure) for n in range(4)]
    results = await run(jobs(as_pipeline(answer), count=1, metrics=metrics))

    assert in_flight.peak == 4
    assert list(results["q0"].scores) == ["m0", "m1", "m2", "m3"]


async def test_each_result_is_released_as_soon_as_it_is_there():
    gate = asyncio.Event()

    async def answer(question):
        if question != "question 0":
            await gate.wait()
        return question, ()

    engine = Engine(jobs(as_pipeline(answer)), slots=Slots(sequential=False))
    engine.start()
    first = await engine.result("q0")
    assert first.answer.text == "question 0"

    gate.set()
    assert (await engine.result("q2")).answer.text == "question 2"
    await engine.close()


async def test_one_failed_question_is_one_error():
    async def answer(question):
        if question == "question 1":
            raise KeyError("missing")
        return question, ()

    results = await run(jobs(as_pipeline(answer)))

    assert [result.state for result in results.values()] == [State.PASSED, State.ERROR, State.PASSED]
    failure = results["q1"].error
    assert failure.message.startswith("KeyError: 'missing'")
    assert "test_engine.py:" in failure.message
    assert "raise KeyError" in failure.details["traceback"]


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


PROBLEMS = pytest.mark.parametrize(
    "problem",
    [
        SystemExit(3),
        asyncio.CancelledError(),
        pytest.fail.Exception("inner"),
        GeneratorExit("a stream was closed"),
        StopAsyncIteration(),
        BaseExceptionGroup("two", [GeneratorExit(), SystemExit(1)]),
        UnprintableError(),
    ],
    ids=lambda problem: type(problem).__name__,
)


@PROBLEMS
@pytest.mark.parametrize("in_thread", [False, True], ids=["async", "sync"])
async def test_not_even_a_base_exception_of_a_pipeline_stops_the_others(problem, in_thread):
    def answer(question):
        if question == "question 1":
            raise problem
        return question, ()

    async def answer_in_the_loop(question):
        return answer(question)

    results = await run(jobs(as_pipeline(answer if in_thread else answer_in_the_loop)))

    assert [result.state for result in results.values()] == [State.PASSED, State.ERROR, State.PASSED]
    assert type(problem).__name__ in results["q1"].error.message or results["q1"].error.kind == "cancelled"


@PROBLEMS
async def test_not_even_a_base_exception_of_a_metric_stops_the_others(problem):
    async def measure(case):
        if case.question.id == "q1":
            raise problem
        return Score(metric="x", value=1.0)

    async def answer(question):
        return question, ()

    results = await run(jobs(as_pipeline(answer), metrics=[StubMetric("x", measure=measure)], thresholds={"x": 0}))

    assert [result.state for result in results.values()] == [State.PASSED, State.ERROR, State.PASSED]
    assert results["q1"].scores["x"].error is not None


async def test_a_step_that_is_closed_from_outside_ends():
    """As at the end of an event loop: nothing may be made of that, or Python says that it was ignored."""

    async def wait():
        await asyncio.Event().wait()

    step = asyncio.create_task(guarded(wait()))
    await asyncio.sleep(0)
    step.get_coro().close()
    step.cancel()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await step


async def test_a_preparation_that_fails_is_the_error_of_each_question():
    class Broken(TwoStep):
        async def prepare(self, questions):
            raise MeasurementError("no vectors", kind="embedding")

    results = await run(jobs(Broken(InFlight())))

    assert {result.error.message for result in results.values()} == {"no vectors"}


async def test_not_run_is_no_error():
    async def answer(question):
        raise NotRunError("the budget is spent")

    results = await run(jobs(as_pipeline(answer), count=1))

    assert results["q0"].state is State.NOT_RUN
    assert results["q0"].not_run == "the budget is spent"


async def test_an_unmeasured_metric_leaves_the_others_intact():
    async def fail(case):
        raise MeasurementError("the judge is silent", kind="timeout", attempts=3)

    async def answer(question):
        return question, ()

    metrics = [StubMetric("a"), StubMetric("b", measure=fail)]
    results = await run(jobs(as_pipeline(answer), count=1, metrics=metrics, thresholds={"a": 0.5, "b": 0.5}))

    result = results["q0"]
    assert result.scores["a"].value == 1.0
    assert result.scores["b"].error.message == "the judge is silent"
    assert result.scores["b"].error.details == {"attempts": 3}
    assert result.state is State.ERROR


async def test_an_unmeasured_metric_without_threshold_fails_nothing():
    async def fail(case):
        raise MeasurementError("the judge is silent")

    async def answer(question):
        return question, ()

    results = await run(jobs(as_pipeline(answer), count=1, metrics=[StubMetric(measure=fail)]))

    assert results["q0"].state is State.PASSED


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.01])
async def test_a_value_that_is_no_share_is_an_error(value):
    async def measure(case):
        return Score(metric="x", value=value)

    async def answer(question):
        return question, ()

    results = await run(
        jobs(as_pipeline(answer), count=1, metrics=[StubMetric("x", measure=measure)], thresholds={"x": 0})
    )

    assert results["q0"].state is State.ERROR
    assert "not a number from 0 to 1" in results["q0"].scores["x"].error.message


async def test_a_metric_that_returns_no_score_is_an_error():
    async def measure(case):
        return None

    async def answer(question):
        return question, ()

    results = await run(jobs(as_pipeline(answer), count=1, metrics=[StubMetric(measure=measure)]))

    assert results["q0"].scores["quality"].error.kind == "wrong-return"


class Unkeepable:
    pass


class OddFloat(float):
    pass


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (Answer(text=None), "Answer.text"),
        (Answer(text="x", contexts=["a"]), "Answer.contexts[0]"),
        (Answer(text="x", contexts=[Context(text="x", rank=1, score=1j)]), "Answer.contexts[0].score"),
        (Answer(text="x", metadata={"raw": [Unkeepable()]}), "Answer.metadata['raw'][0]"),
        ("only text", "not an Answer"),
    ],
)
async def test_an_answer_that_cannot_be_kept_is_an_error_that_names_the_place(answer, place):
    class Careless(TwoStep):
        async def generate(self, question, contexts):
            return answer

    results = await run(jobs(Careless(InFlight()), count=1, metrics=[StubMetric()]))

    assert results["q0"].error.kind == "wrong-return"
    assert place in results["q0"].error.message


async def test_an_answer_and_a_score_become_plain_values():
    context = Context(text="half \ud800 character", rank=1, score=OddFloat(0.5))

    async def answer(question):
        return Answer(text="x\udfff", contexts=[context], metadata={1: ("a", Decimal("0.5"), 3, {True})})

    async def measure(case):
        return Score(metric="x", value=Fraction(1, 2), details={"missing": ("a", "b")})

    result = (await run(jobs(as_pipeline(answer), count=1, metrics=[StubMetric("x", measure=measure)])))["q0"]

    assert result.answer.text == "x\ufffd"
    assert result.answer.contexts[0].text == "half \ufffd character"
    assert type(result.answer.contexts[0].score) is float
    assert result.answer.metadata == {"1": ["a", 0.5, 3, [True]]}
    assert (result.scores["x"].value, result.scores["x"].details) == (0.5, {"missing": ["a", "b"]})


@pytest.mark.parametrize("value", ["good", Unkeepable(), [0.5]])
async def test_a_value_that_is_no_number_is_an_error(value):
    async def measure(case):
        return Score(metric="x", value=value)

    async def answer(question):
        return question, ()

    results = await run(jobs(as_pipeline(answer), metrics=[StubMetric("x", measure=measure), StubMetric("y")]))

    assert [result.scores["x"].error.kind for result in results.values()] == ["wrong-return"] * 3
    assert results["q2"].scores["y"].value == 1.0


async def test_when_the_engine_itself_breaks_nobody_waits_for_ever():
    def full(key, result):
        raise OSError("No space left on device")

    engine = Engine(jobs(TwoStep(InFlight())), slots=Slots(sequential=True), on_result=full)
    engine.start()

    with pytest.raises(OSError, match="No space left"):
        await asyncio.wait_for(engine.result("q2"), 60)
    await engine.close()


async def test_a_traceback_starts_in_the_code_that_failed():
    async def answer(question):
        raise LookupError("no such page")

    result = (await run(jobs(as_pipeline(answer), count=1)))["q0"]

    told = result.error.details["traceback"]
    assert "test_engine.py" in told
    assert "pytest_ragcheck" not in told
    assert "^^^" not in told


async def test_close_cancels_what_is_in_flight():
    cancelled = []

    async def answer(question):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(question)
            raise

    engine = Engine(jobs(as_pipeline(answer)), slots=Slots(sequential=False))
    engine.start()
    while len(asyncio.all_tasks()) < 5:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await engine.close()

    assert sorted(cancelled) == ["question 0", "question 1", "question 2"]


async def test_results_are_told_as_they_come():
    told = []

    async def answer(question):
        return question, ()

    await run(jobs(as_pipeline(answer)), on_result=lambda key, result: told.append((key, result.answer.text)))

    assert sorted(told) == [(f"q{n}", f"question {n}") for n in range(3)]


async def test_the_search_for_all_questions_is_over_for_each_when_it_is_over():
    """However long a question then waits for its turn in the event loop."""

    class Batch(TwoStep):
        async def prepare(self, questions):
            await asyncio.sleep(0.02)

    results = await run(jobs(Batch(InFlight()), count=3))

    assert len({result.timing.retrieval_span for result in results.values()}) == 1
    assert all(result.timing.begun == result.timing.retrieval_span[0] for result in results.values())


async def test_phases_are_timed_apart():
    async def slow(case):
        await asyncio.sleep(0.02)
        return Score(metric="x", value=1.0)

    results = await run(jobs(TwoStep(InFlight()), count=1, metrics=[StubMetric("x", measure=slow)]))

    timing = results["q0"].timing
    assert timing.evaluation >= 0.02
    assert timing.retrieval_span[1] <= timing.generation_span[0] <= timing.generation_span[1] <= timing.finished
    assert timing.retrieval >= 0
    assert timing.total >= timing.evaluation


# ---- What begins before there is an answer ---------------------------------------------------


class EarlyMetric(StubMetric):
    """Begins in a task, and tells an InFlight."""

    def __init__(self, in_flight):
        super().__init__("early")
        self.in_flight = in_flight
        self.closed = 0

    def begin(self, case):
        assert (case.answer, case.contexts[0].text) == (None, "about it")
        return BegunMetric(self)


class BegunMetric(StubMetric):
    def __init__(self, metric):
        super().__init__(metric.name)
        self.metric = metric
        self.task = asyncio.create_task(metric.in_flight.during("begin", turns=100))

    async def measure(self, case):
        await self.task
        return Score(metric=self.name, value=0.5)

    async def close(self):
        self.metric.closed += 1
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_metric_begins_beside_the_generation():
    in_flight = InFlight()
    metric = EarlyMetric(in_flight)

    results = await run(jobs(TwoStep(in_flight), count=1, metrics=[metric]))

    assert in_flight.order[-4:] == ["+generate q0", "+begin", "-generate q0", "-begin"]
    assert (results["q0"].scores["early"].value, metric.closed) == (0.5, 1)


async def test_what_was_begun_ends_where_there_is_no_answer():
    class Failing(TwoStep):
        async def generate(self, question, contexts):
            await super().generate(question, contexts)
            raise MeasurementError("no answer")

    in_flight = InFlight()
    metric = EarlyMetric(in_flight)

    results = await run(jobs(Failing(in_flight), count=1, metrics=[metric]))

    assert results["q0"].state is State.ERROR
    assert "-begin" not in in_flight.order
    assert metric.closed == 1
