"""Questions in, results out as they are ready. Knows nothing of pytest.

One engine serves both ways to run: the concurrent one has many slots, the sequential one has a
single slot and prepares one question at a time. Whatever goes wrong for one question is a value in
that question's result.
"""

from __future__ import annotations

import asyncio
import math
import time
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_ragcheck.errors import MeasurementError, NotRunError, RagcheckError
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.model import Answer, Context, Failure, Question, Result, Score, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence

    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.rag.pipeline import Pipeline

__all__ = ["Engine", "Job", "Slots"]

T = TypeVar("T")
QUESTIONS_AT_ONCE = 256
"""Live questions; the gateway alone decides how many model calls are in flight."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One question, who answers it, and how the answer is measured."""

    key: Hashable
    question: Question
    pipeline: Pipeline
    metrics: Sequence[Metric]
    thresholds: Mapping[str, float]
    """Least values by metric name; a metric without one is only reported."""


class Slots:
    """How much goes on at once, shared by the engines of one session.

    Sequential: one question, and of it one step (retrieval, generation or a metric), at a time.
    """

    def __init__(self, *, sequential: bool) -> None:
        self.sequential = sequential
        self._questions = asyncio.Semaphore(1 if sequential else QUESTIONS_AT_ONCE)
        self._steps = asyncio.Semaphore(1) if sequential else None

    @property
    def questions(self) -> asyncio.Semaphore:
        """Held while a question is live."""
        return self._questions

    async def step(self, work: Coroutine[Any, Any, T], clock: _Clock) -> tuple[T, float]:
        """Do one step in its turn; its outcome and its seconds, waiting for the turn left out."""
        if self._steps is None:
            started = clock.now()
            return await work, clock.now() - started
        try:
            await self._steps.acquire()
        except BaseException:
            work.close()
            raise
        try:
            started = clock.now()
            return await work, clock.now() - started
        finally:
            self._steps.release()


@dataclass(frozen=True)
class _Clock:
    origin: float = field(default_factory=time.perf_counter)

    def now(self) -> float:
        """Seconds since the run's start."""
        return time.perf_counter() - self.origin


class Engine:
    """Answers and measures all its jobs concurrently and hands out each result when it is there.

    To be used in one event loop: :meth:`start`, then :meth:`result` for each key, then :meth:`close`.
    ``on_result`` is called in the loop for each result, as it comes.
    """

    def __init__(
        self, jobs: Sequence[Job], *, slots: Slots, on_result: Callable[[Hashable, Result], None] | None = None
    ) -> None:
        self._jobs = jobs
        self._slots = slots
        self._on_result = on_result
        self._clock = _Clock()
        self._results: dict[Hashable, asyncio.Future[Result]] = {}
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start every job; returns at once."""
        loop = asyncio.get_running_loop()
        self._results = {job.key: loop.create_future() for job in self._jobs}
        self._main = loop.create_task(self._run(), name="ragcheck-engine")

    async def result(self, key: Hashable) -> Result:
        """The result for one job's key, as soon as it is there."""
        return await asyncio.shield(self._results[key])

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
        prepared, seconds = await self._slots.step(_guarded(jobs[0].pipeline.prepare(questions)), self._clock)
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                await self._slots.questions.acquire()
                task = tasks.create_task(self._settle(job, prepared, seconds / len(jobs)))
                task.add_done_callback(lambda _: self._slots.questions.release())

    async def _settle(self, job: Job, prepared: _Outcome[None], preparation: float) -> None:
        if prepared.stopped is not None:
            result = prepared.stopped.result(job.question)
        else:
            result = await self._answer_and_measure(job, preparation)
        self._results[job.key].set_result(result)
        if self._on_result is not None:
            self._on_result(job.key, result)

    async def _answer_and_measure(self, job: Job, preparation: float) -> Result:
        started = self._clock.now() - preparation
        contexts, retrieval = await self._slots.step(_guarded(job.pipeline.retrieve(job.question)), self._clock)
        if contexts.stopped is not None:
            return contexts.stopped.result(job.question)
        early = [metric for metric in job.metrics if not metric.needs_answer and contexts.value is not None]
        async with asyncio.TaskGroup() as tasks:
            scoring = [tasks.create_task(self._measure(job, metric, contexts.value, None)) for metric in early]
            answer, generation = await self._slots.step(
                _guarded(job.pipeline.generate(job.question, contexts.value)), self._clock
            )
            if answer.value is not None:
                scoring += [
                    tasks.create_task(self._measure(job, metric, answer.value.contexts, answer.value))
                    for metric in job.metrics
                    if metric not in early
                ]
        scored = [task.result() for task in scoring]
        scores = {score.metric: score for score, _ in scored}
        timing = Timing(
            retrieval=preparation + retrieval,
            generation=generation,
            evaluation=sum(seconds for _, seconds in scored),
            started=started,
            finished=self._clock.now(),
        )
        in_order = {metric.name: scores[metric.name] for metric in job.metrics if metric.name in scores}
        base = answer.stopped.result(job.question) if answer.stopped else Result(question=job.question)
        return replace(base, answer=answer.value, scores=in_order, timing=timing)

    async def _measure(
        self, job: Job, metric: Metric, contexts: tuple[Context, ...] | None, answer: Answer | None
    ) -> tuple[Score, float]:
        case = Case(question=job.question, contexts=contexts or (), answer=answer)
        outcome, seconds = await self._slots.step(_guarded(metric.measure(case)), self._clock)
        threshold = job.thresholds.get(metric.name)
        if outcome.stopped is not None:
            failure = outcome.stopped.failure or Failure(message=outcome.stopped.not_run or "", kind="not-run")
            return Score(metric=metric.name, threshold=threshold, error=failure), seconds
        return _checked(outcome.value, metric.name, threshold), seconds


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
        return Failure(message=str(problem), kind=problem.kind, details=problem.details)
    if isinstance(problem, RagcheckError):
        return Failure(message=str(problem), kind=type(problem).__name__)
    frames = traceback.extract_tb(problem.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    text = "".join(traceback.format_exception(problem))
    first_line = str(problem).partition("\n")[0]
    return Failure(
        message=f"{type(problem).__name__}: {first_line}{where}", kind="exception", details={"traceback": text}
    )


def _checked(score: Score | None, name: str, threshold: float | None) -> Score:
    """A metric's score with its threshold; a value that is no number from 0 to 1 is an error."""
    if not isinstance(score, Score):
        failure = Failure(message=f"the metric returned {type(score).__name__}, not a Score", kind="wrong-return")
        return Score(metric=name, threshold=threshold, error=failure)
    if score.value is not None and not (math.isfinite(score.value) and 0.0 <= score.value <= 1.0):
        failure = Failure(message=f"the metric returned {score.value!r}, not a number from 0 to 1", kind="wrong-value")
        return Score(metric=name, threshold=threshold, error=failure)
    return replace(score, metric=name, threshold=threshold)


def _by_pipeline(jobs: Sequence[Job]) -> list[list[Job]]:
    groups: dict[int, list[Job]] = {}
    for job in jobs:
        groups.setdefault(id(job.pipeline), []).append(job)
    return list(groups.values())
