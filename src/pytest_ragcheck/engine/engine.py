"""What runs when."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.call_context import collect_calls, question_scope, scope_of_calls_before, trial_scope
from pytest_ragcheck.engine.outcomes import guarded
from pytest_ragcheck.engine.slots import Done
from pytest_ragcheck.engine.steps import generate, measure, measure_without_contexts
from pytest_ragcheck.metrics.base import BeginsEarly, Case, calls_in_a_row
from pytest_ragcheck.model import NOT_RUN, Answer, Context, Failure, Result, Score, Timing
from pytest_ragcheck.trials import combined, confirmations_wanted, confirmed, next_round

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterable, Sequence

    from pytest_ragcheck.engine.job import Job
    from pytest_ragcheck.engine.outcomes import Outcome
    from pytest_ragcheck.engine.slots import Slots
    from pytest_ragcheck.metrics.base import Begun, Metric

__all__ = ["Engine", "combined_in_rounds"]

MOST_CONFIRMED = 20
"""Questions of a process that are asked again because they fell; where more fall, it is not by a flip."""
MOST_PURSUED = 10
"""Those of them that are asked as often as it takes to tell one question that broke from one that flips."""


@dataclass(frozen=True)
class _Preparation:
    """When all questions were prepared, and the seconds of it that one question has to answer for."""

    span: tuple[float, float]
    share: float


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
        prepared = await self._slots.step(guarded(jobs[0].pipeline.prepare(questions)))
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                await self._slots.questions.acquire()
                task = tasks.create_task(self._settle(job, prepared, prepared.seconds / len(jobs)))
                task.add_done_callback(lambda _: self._slots.questions.release())

    async def _settle(self, job: Job, prepared: Done[Outcome[None]], share: float) -> None:
        if (stopped := prepared.outcome.stopped) is not None:
            result = stopped.result(job.question)
        else:
            with question_scope(self._turns[job.key]):
                result = await self._ask(job, _Preparation(prepared.span, share))
        self._hand_out(job.key, result)

    def _hand_out(self, key: Hashable, result: Result) -> None:
        self._results[key].set_result(result if self._keep is None else self._keep(result))
        if self._on_result is not None:
            self._on_result(key, result)

    async def _ask(self, job: Job, preparation: _Preparation) -> Result:
        """Ask a question as often as wanted, and put its trials together."""
        if job.trial is not None:
            return (await self._trials(job, range(job.trial, job.trial + 1), preparation))[0]
        if job.done:
            result = combined_in_rounds(job)
        else:
            result = combined(await self._all_trials(job, preparation), planned=job.trials)
        again = await self._ask_again(job, result, preparation)
        return confirmed(result, again) if again else result

    async def _all_trials(self, job: Job, preparation: _Preparation) -> list[Result]:
        done: list[Result] = []
        while count := _next_trials(job, done):
            done += await self._trials(job, range(len(done), len(done) + count), preparation)
        return done

    async def _ask_again(self, job: Job, result: Result, preparation: _Preparation) -> list[Result]:
        """Ask a question that fell in rounds, until it passes or was asked often enough."""
        again: list[Result] = []
        first = max(1, len(result.trials))
        number = self._slots.confirmed
        while further := confirmations_wanted(result, job.least_before, again):
            if number >= (MOST_PURSUED if again else MOST_CONFIRMED):
                break
            self._slots.confirmed += not again
            start = first + len(again)
            again += await self._trials(job, range(start, start + further), preparation)
        return again

    async def _trials(self, job: Job, numbers: range, preparation: _Preparation) -> list[Result]:
        async with asyncio.TaskGroup() as tasks:
            trials = [tasks.create_task(self._trial(job, number, preparation)) for number in numbers]
        return [trial.result() for trial in trials]

    async def _trial(self, job: Job, number: int, preparation: _Preparation) -> Result:
        async with self._slots.trials:
            with collect_calls() as calls, trial_scope(number):
                measured = await self._answer_and_measure(job, preparation if number == 0 else None)
        return replace(measured, calls=tuple(calls))

    async def _answer_and_measure(self, job: Job, preparation: _Preparation | None) -> Result:
        """One trial; ``preparation`` is what belongs to the first of a question."""
        judging = max((calls_in_a_row(metric) for metric in job.metrics), default=0)
        with scope_of_calls_before(1 + judging):
            retrieved = await self._slots.step(guarded(job.pipeline.retrieve(job.question)))
        if (stopped := retrieved.outcome.stopped) is not None:
            return stopped.result(job.question)
        contexts = retrieved.outcome.value
        early = [metric for metric in job.metrics if not metric.needs_answer and contexts is not None]
        begun = _begin(job, contexts)
        async with _closing(begun.values()), asyncio.TaskGroup() as tasks:
            scoring = [tasks.create_task(self._measure(job, metric, contexts, None)) for metric in early]
            with scope_of_calls_before(judging):
                generated = await self._slots.step(guarded(generate(job, contexts)))
            answer, stopped = generated.outcome.value, generated.outcome.stopped
            if answer is not None:
                self._slots.answers += 1
                late = [begun.get(metric.name, metric) for metric in job.metrics if metric not in early]
                scoring += [tasks.create_task(self._measure(job, metric, answer.contexts, answer)) for metric in late]
        scored = {task.result().outcome.metric: task.result() for task in scoring}
        share = 0.0 if preparation is None else preparation.share
        timing = Timing(
            retrieval=share + retrieved.seconds,
            generation=generated.seconds,
            evaluation=sum(done.seconds for done in scored.values()),
            started=retrieved.started - share,
            finished=self._slots.clock.now(),
            retrieval_span=_span_of_retrieval(retrieved, preparation),
            generation_span=generated.span,
            evaluation_span=_around(scored.values()),
        )
        base = stopped.result(job.question) if stopped else Result(question=job.question)
        in_order = {metric.name: scored[metric.name].outcome for metric in job.metrics if metric.name in scored}
        return replace(base, answer=answer, scores=in_order, timing=timing)

    async def _measure(
        self, job: Job, metric: Metric, contexts: tuple[Context, ...] | None, answer: Answer | None
    ) -> Done[Score]:
        case = Case(question=job.question, contexts=contexts or (), answer=answer)
        are_missing = answer is not None and not answer.contexts_known and metric.name in job.contexts_needed_by
        measuring = measure_without_contexts() if are_missing else measure(metric, case)
        done = await self._slots.step(guarded(measuring))
        self._slots.scores += 1
        threshold = job.thresholds.get(metric.name)
        score, stopped = done.outcome.value, done.outcome.stopped
        if score is None:
            reason = Failure(message=(stopped and stopped.not_run) or "", kind=NOT_RUN)
            score = Score(metric=metric.name, error=(stopped and stopped.failure) or reason)
        return Done(replace(score, metric=metric.name, threshold=threshold), done.started, done.ended)


def combined_in_rounds(job: Job) -> Result:
    """One result for the trials of a question that a test over all questions may have ended."""
    return replace(combined(job.done, planned=job.trials), looks=job.trials)


def _next_trials(job: Job, done: Sequence[Result]) -> int:
    """How many trials of a question to ask at once now."""
    remaining = job.trials - len(done)
    if not job.stops_when_settled:
        return remaining
    measured = {metric.name for metric in job.metrics}
    return next_round(done, remaining, {name: least for name, least in job.thresholds.items() if name in measured})


def _begin(job: Job, contexts: tuple[Context, ...] | None) -> dict[str, Begun]:
    """What metrics can do before there is an answer, by their names."""
    if contexts is None:
        return {}
    case = Case(question=job.question, contexts=contexts)
    begun = {metric.name: metric.begin(case) for metric in job.metrics if isinstance(metric, BeginsEarly)}
    return {name: each for name, each in begun.items() if each is not None}


@asynccontextmanager
async def _closing(begun: Collection[Begun]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for each in begun:
            await each.close()


def _span_of_retrieval(retrieved: Done[Any], preparation: _Preparation | None) -> tuple[float, float]:
    """Of the batch where that did the work, so that a question's turn in the event loop does not count as search."""
    if preparation is not None and preparation.share > retrieved.seconds:
        return preparation.span
    return retrieved.span


def _around(steps: Iterable[Done[Any]]) -> tuple[float, float] | None:
    spans = [step.span for step in steps]
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


def _first_cause(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _by_pipeline(jobs: Sequence[Job]) -> list[list[Job]]:
    groups: dict[int, list[Job]] = {}
    for job in jobs:
        groups.setdefault(id(job.pipeline), []).append(job)
    return list(groups.values())
