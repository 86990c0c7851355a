"""Questions in, results out as they are ready. Knows nothing of pytest.

One engine serves both ways to run: the concurrent one has many slots, the sequential one has a
single slot and prepares one question at a time. Whatever goes wrong for one question is a value in
that question's result.
"""

from __future__ import annotations

import asyncio
import math
import re
import sys
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_ragcheck.calls import in_trial, recorded_calls, taking_turn
from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError, RagcheckError
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.model import Answer, Context, Failure, Question, Result, Score, Timing
from pytest_ragcheck.run_file import normalised, whole_characters
from pytest_ragcheck.trials import combined, confirmations_wanted, confirmed, next_round

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence

    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.rag.pipeline import Pipeline

__all__ = ["Engine", "Job", "Slots"]

T = TypeVar("T")
NO_CONTEXTS = (
    "the pipeline does not tell which contexts it used; let it return them: (text, contexts), "
    "or a mapping with answer and contexts"
)
QUESTIONS_AT_ONCE = 256
"""Live questions; the gateway alone decides how many model calls are in flight."""
MOST_CONFIRMED = 20
"""Questions of a process that are asked again because they fell; where more fall, it is not by a flip."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One question, who answers it, and how the answer is measured."""

    key: Hashable
    question: Question
    pipeline: Pipeline
    metrics: Sequence[Metric]
    thresholds: Mapping[str, float]
    """Least values by metric name; a metric without one is only reported."""
    trials: int = 1
    """How often the question is asked."""
    contexts_needed_by: frozenset[str] = frozenset()
    """Metrics that look at contexts: they cannot be measured where the pipeline does not tell its contexts."""
    stops_when_settled: bool = False
    """Whether trials that can no longer change the verdict are left out."""
    least_before: Mapping[str, float] = field(default_factory=dict)
    """Metrics that reached these values in the baseline; where one is below now, the question is asked again."""


class Slots:
    """How much goes on at once, and the clock, shared by the engines of one session.

    Sequential: one question, and of it one step (retrieval, generation or a metric), at a time. ``origin`` is the
    reading of :func:`time.perf_counter` from which the clock counts; None: now.
    """

    def __init__(self, *, sequential: bool, origin: float | None = None) -> None:
        self.sequential = sequential
        self.clock = _Clock() if origin is None else _Clock(origin)
        self.answers = 0
        """Answers that there are so far, those of each trial."""
        self.scores = 0
        """Scores that there are so far, or that could not be had."""
        self.confirmed = 0
        """Questions that were asked again because they had fallen."""
        self._questions = asyncio.Semaphore(1 if sequential else QUESTIONS_AT_ONCE)
        self._trials = asyncio.Semaphore(1 if sequential else QUESTIONS_AT_ONCE)
        self._steps = asyncio.Semaphore(1 if sequential else sys.maxsize)

    @property
    def questions(self) -> asyncio.Semaphore:
        """Held while a question is live."""
        return self._questions

    @property
    def trials(self) -> asyncio.Semaphore:
        """Held while a trial of a question is live; who waits for it holds a question already."""
        return self._trials

    async def step(self, work: Coroutine[Any, Any, T]) -> _Done[T]:
        """Do one step in its turn; waiting for the turn is not part of its span."""
        try:
            await self._steps.acquire()
        except BaseException:
            work.close()
            raise
        try:
            started = self.clock.now()
            return _Done(await work, started, self.clock.now())
        finally:
            self._steps.release()


@dataclass(frozen=True)
class _Clock:
    origin: float = field(default_factory=time.perf_counter)

    def now(self) -> float:
        """Seconds since the run's start."""
        return time.perf_counter() - self.origin


@dataclass(frozen=True)
class _Preparation:
    """When the preparation of all questions began, and the seconds of it that one question has to answer for."""

    started: float
    share: float


@dataclass(frozen=True)
class _Done(Generic[T]):
    """A step's outcome and when it was done."""

    outcome: T
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def span(self) -> tuple[float, float]:
        return self.started, self.ended


class Engine:
    """Answers and measures all its jobs concurrently and hands out each result when it is there.

    To be used in one event loop: :meth:`start`, then :meth:`result` for each key, then :meth:`close`.
    ``on_result`` is called in the loop for each result, as it comes. ``keep`` makes of a result what the engine holds
    and hands out in its place.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        slots: Slots,
        on_result: Callable[[Hashable, Result], None] | None = None,
        keep: Callable[[Result], Result] | None = None,
    ) -> None:
        self._jobs = jobs
        self._slots = slots
        self._on_result = on_result
        self._keep = keep
        self._results: dict[Hashable, asyncio.Future[Result]] = {}
        self._turns = {job.key: number for number, job in enumerate(jobs)}
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start every job; returns at once."""
        loop = asyncio.get_running_loop()
        self._results = {job.key: loop.create_future() for job in self._jobs}
        self._main = loop.create_task(self._run(), name="ragcheck-engine")
        self._main.add_done_callback(self._fail_what_is_left)

    def _fail_what_is_left(self, main: asyncio.Task[None]) -> None:
        """Whoever waits for a result must not wait for ever, even where the engine itself broke."""
        problem = None if main.cancelled() else main.exception()
        for future in self._results.values():
            if problem is not None and not future.done():
                future.set_exception(_first_cause(problem))
                future.exception()  # nobody has to ask for it

    async def result(self, key: Hashable) -> Result:
        """The result for one job's key, as soon as it is there."""
        return await asyncio.shield(self._results[key])

    async def settled(self) -> None:
        """Return when every job has its result; raises what broke the engine itself."""
        if self._main is not None:
            await asyncio.shield(self._main)

    async def close(self) -> None:
        """Cancel what is still in flight and wait until it has ended."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        for future in self._results.values():
            future.cancel()

    async def _run(self) -> None:
        size = 1 if self._slots.sequential else max(1, len(self._jobs))
        for start in range(0, len(self._jobs), size):
            group = self._jobs[start : start + size]
            async with asyncio.TaskGroup() as tasks:
                for jobs in _by_pipeline(group):
                    tasks.create_task(self._prepare_and_answer(jobs))

    async def _prepare_and_answer(self, jobs: Sequence[Job]) -> None:
        questions = [job.question for job in jobs]
        prepared = await self._slots.step(_guarded(jobs[0].pipeline.prepare(questions)))
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                await self._slots.questions.acquire()
                task = tasks.create_task(self._settle(job, prepared, prepared.seconds / len(jobs)))
                task.add_done_callback(lambda _: self._slots.questions.release())

    async def _settle(self, job: Job, prepared: _Done[_Outcome[None]], share: float) -> None:
        if (stopped := prepared.outcome.stopped) is not None:
            result = stopped.result(job.question)
        else:
            with taking_turn(self._turns[job.key]):
                result = await self._ask(job, _Preparation(prepared.started, share))
        self._hand_out(job.key, result)

    def _hand_out(self, key: Hashable, result: Result) -> None:
        self._results[key].set_result(result if self._keep is None else self._keep(result))
        if self._on_result is not None:
            self._on_result(key, result)

    async def _ask(self, job: Job, preparation: _Preparation) -> Result:
        """Ask a question as often as wanted, and put its trials together."""
        done: list[Result] = []
        while count := _next_round(job, done):
            done += await self._trials(job, range(len(done), len(done) + count), preparation)
        result = combined(done, planned=job.trials)
        further = confirmations_wanted(result, job.least_before)
        if not further or self._slots.confirmed >= MOST_CONFIRMED:
            return result
        self._slots.confirmed += 1
        return confirmed(result, await self._trials(job, range(len(done), len(done) + further), preparation))

    async def _trials(self, job: Job, numbers: range, preparation: _Preparation) -> list[Result]:
        async with asyncio.TaskGroup() as tasks:
            trials = [tasks.create_task(self._trial(job, number, preparation)) for number in numbers]
        return [trial.result() for trial in trials]

    async def _trial(self, job: Job, number: int, preparation: _Preparation) -> Result:
        async with self._slots.trials:
            with recorded_calls() as calls, in_trial(number):
                measured = await self._answer_and_measure(job, preparation if number == 0 else None)
        return replace(measured, calls=tuple(calls))

    async def _answer_and_measure(self, job: Job, preparation: _Preparation | None) -> Result:
        """One trial; ``preparation`` is what belongs to the first of a question."""
        retrieved = await self._slots.step(_guarded(job.pipeline.retrieve(job.question)))
        if (stopped := retrieved.outcome.stopped) is not None:
            return stopped.result(job.question)
        contexts = retrieved.outcome.value
        early = [metric for metric in job.metrics if not metric.needs_answer and contexts is not None]
        async with asyncio.TaskGroup() as tasks:
            scoring = [tasks.create_task(self._measure(job, metric, contexts, None)) for metric in early]
            work = _guarded(_generated(job, contexts))
            generated = await self._slots.step(work)
            answer, stopped = generated.outcome.value, generated.outcome.stopped
            if answer is not None:
                self._slots.answers += 1
                late = [metric for metric in job.metrics if metric not in early]
                scoring += [tasks.create_task(self._measure(job, metric, answer.contexts, answer)) for metric in late]
        scored = {task.result().outcome.metric: task.result() for task in scoring}
        share = 0.0 if preparation is None else preparation.share
        timing = Timing(
            retrieval=share + retrieved.seconds,
            generation=generated.seconds,
            evaluation=sum(done.seconds for done in scored.values()),
            started=retrieved.started - share,
            finished=self._slots.clock.now(),
            retrieval_span=(retrieved.started if preparation is None else preparation.started, retrieved.ended),
            generation_span=generated.span,
            evaluation_span=_around(scored.values()),
        )
        base = stopped.result(job.question) if stopped else Result(question=job.question)
        in_order = {metric.name: scored[metric.name].outcome for metric in job.metrics if metric.name in scored}
        return replace(base, answer=answer, scores=in_order, timing=timing)

    async def _measure(
        self, job: Job, metric: Metric, contexts: tuple[Context, ...] | None, answer: Answer | None
    ) -> _Done[Score]:
        case = Case(question=job.question, contexts=contexts or (), answer=answer)
        are_missing = answer is not None and not answer.contexts_known and metric.name in job.contexts_needed_by
        measuring = _without_contexts() if are_missing else _measured(metric, case)
        done = await self._slots.step(_guarded(measuring))
        self._slots.scores += 1
        threshold = job.thresholds.get(metric.name)
        score, stopped = done.outcome.value, done.outcome.stopped
        if score is None:
            reason = Failure(message=(stopped and stopped.not_run) or "", kind="not-run")
            score = Score(metric=metric.name, error=(stopped and stopped.failure) or reason)
        return _Done(replace(score, metric=metric.name, threshold=threshold), done.started, done.ended)


def _next_round(job: Job, done: Sequence[Result]) -> int:
    """How many trials of a question to ask at once now."""
    remaining = job.trials - len(done)
    if not job.stops_when_settled:
        return remaining
    measured = {metric.name for metric in job.metrics}
    return next_round(done, remaining, {name: least for name, least in job.thresholds.items() if name in measured})


async def _generated(job: Job, contexts: tuple[Context, ...] | None) -> Answer:
    answer = await job.pipeline.generate(job.question, contexts)
    if not isinstance(answer, Answer):
        raise MeasurementError(f"the pipeline returned {type(answer).__name__}, not an Answer", kind="wrong-return")
    unmeasurable = [metric.name for metric in job.metrics if metric.needs_answer]
    if not answer.generated and unmeasurable:
        raise ConfigurationError(
            f"the pipeline gives contexts alone, and there is no answer for {', '.join(unmeasurable)} to measure; "
            "configure metrics that look at contexts: [metrics] hit_rate = 1.0, say"
        )
    return normalised(answer, "the pipeline's answer cannot be kept")


async def _without_contexts() -> Score:
    raise MeasurementError(NO_CONTEXTS, kind="no-contexts")


async def _measured(metric: Metric, case: Case) -> Score:
    """The metric's score; a value that is no number from 0 to 1 is an error."""
    score = await metric.measure(case)
    if not isinstance(score, Score):
        raise MeasurementError(f"the metric returned {type(score).__name__}, not a Score", kind="wrong-return")
    score = normalised(score, "the metric's score cannot be kept")
    if score.value is not None and not (math.isfinite(score.value) and 0.0 <= score.value <= 1.0):
        raise MeasurementError(f"the metric returned {score.value!r}, not a number from 0 to 1", kind="wrong-value")
    return score


def _around(steps: Iterable[_Done[Any]]) -> tuple[float, float] | None:
    spans = [step.span for step in steps]
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


@dataclass(frozen=True)
class _Stopped:
    """Why a step gave nothing."""

    failure: Failure | None = None
    not_run: str | None = None

    def result(self, question: Question) -> Result:
        return Result(question=question, error=self.failure, not_run=self.not_run)


@dataclass(frozen=True)
class _Outcome(Generic[T]):
    value: T | None = None
    stopped: _Stopped | None = None


async def _guarded(work: Coroutine[Any, Any, T]) -> _Outcome[T]:
    """Turn whatever a step raises into data; only our own cancellation and Ctrl-C pass."""
    try:
        return _Outcome(value=await work)
    except NotRunError as reason:
        return _Outcome(stopped=_Stopped(not_run=str(reason)))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return _Outcome(stopped=_Stopped(failure=Failure(message="it was cancelled from within", kind="cancelled")))
    except BaseException as problem:  # noqa: BLE001 (pytest's own outcomes and SystemExit are BaseExceptions)
        return _Outcome(stopped=_Stopped(failure=_failure(problem)))


def _failure(problem: BaseException) -> Failure:
    if isinstance(problem, MeasurementError):
        details = {
            key: detail if detail is None or type(detail) in {int, float} else whole_characters(str(detail))
            for key, detail in problem.details.items()
        }
        return Failure(message=whole_characters(str(problem)), kind=problem.kind, details=details)
    if isinstance(problem, RagcheckError):
        return Failure(message=whole_characters(str(problem)), kind=type(problem).__name__)
    outside = _outside_frames(problem)
    frames = traceback.extract_tb(outside.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    text = _MARKERS.sub("", "".join(traceback.format_exception(outside)))
    first_line = str(problem).partition("\n")[0]
    return Failure(
        message=whole_characters(f"{type(problem).__name__}: {first_line}{where}"),
        kind="exception",
        details={"traceback": whole_characters(text)},
    )


_MARKERS = re.compile(r"^[ ^~]+\n", re.MULTILINE)
"""The lines of a traceback that underline a part of the line above."""


def _outside_frames(problem: BaseException) -> BaseException:
    """The exception with a traceback that starts where our own frames end, if it was raised outside of them."""
    rest = problem.__traceback__
    while rest is not None and _is_ours(rest.tb_frame.f_code.co_filename):
        rest = rest.tb_next
    return problem if rest is None else problem.with_traceback(rest)


def _is_ours(filename: str) -> bool:
    return Path(filename).is_relative_to(Path(__file__).parent)


def _first_cause(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _by_pipeline(jobs: Sequence[Job]) -> list[list[Job]]:
    groups: dict[int, list[Job]] = {}
    for job in jobs:
        groups.setdefault(id(job.pipeline), []).append(job)
    return list(groups.values())
