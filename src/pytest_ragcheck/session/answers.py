"""The batch: every selected question at once, each item its own result."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.engine import Engine, RoundsEngine, Slots, rounds_of
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import Failure, Result
from pytest_ragcheck.rag.pipeline import close_pipeline
from pytest_ragcheck.session.cluster.target import LOCAL
from pytest_ragcheck.session.confirmations import Confirmations
from pytest_ragcheck.session.fixtures import ASKED_TOO_LATE
from pytest_ragcheck.session.jobs import JobMaker
from pytest_ragcheck.session.pipelines import METRICS, PIPELINE, PipelineNames
from pytest_ragcheck.session.progress import Progress, progress_state
from pytest_ragcheck.session.selection import catalog_of, selected_items
from pytest_ragcheck.session.sharing import sharing_of
from pytest_ragcheck.session.spool import SPOOL
from pytest_ragcheck.session.user_metrics import specs_of_fixture
from pytest_ragcheck.session.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    import pytest

    from pytest_ragcheck.engine import Job, Rounds
    from pytest_ragcheck.gateway.limit_client import RemoteLimits
    from pytest_ragcheck.metrics.registry import MetricSpec
    from pytest_ragcheck.model import Call, Planned
    from pytest_ragcheck.report.progress import ProgressState
    from pytest_ragcheck.session.cluster.crew import Crew
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.suites import Suite

__all__ = ["LiveAnswers"]

RUNS_LEARNED_FROM = 5
"""Those that show a plan how long calls are."""
OUTCOME = "_ragcheck_outcome"
"""The fixture that awaits an item's result in the event loop that answers, and returns what gives it."""


class LiveAnswers:
    """Answers and measures the selected questions in this process.

    Items that see the same ``ragcheck_pipeline`` form one batch, known by that pipeline's name. A batch starts
    when the first of its items needs its result, with every selected question of the batch; or, where several
    processes divide it, share by share.
    """

    def __init__(
        self,
        session: pytest.Session,
        options: Options,
        *,
        origin: float | None = None,
        on_result: Callable[[str, Entry, Result], None] = lambda _batch, _entry, _result: None,
        limits: RemoteLimits | None = None,
    ) -> None:
        self._session = session
        self._options = options
        self._slots = Slots(sequential=options.sequential, origin=origin)
        self._maker = JobMaker(options, sharing_of(session.config, options))
        self._confirmations = Confirmations(options, catalog_of(session.config).baselines)
        self._maker.limits = limits
        self._on_result = on_result
        self._batches: dict[str, _Batch] = {}
        self._pipelines = PipelineNames(session)
        self._variants = Variants(session, self._pipelines)
        self.setup = 0.0
        """Seconds spent on reading, building and loading before questions could be asked."""
        self.plans: list[Planned] = []
        """Under ``--ragcheck-plan``: what the reference pipeline would have called."""
        self._done = 0
        self._crew: Crew | None = None
        self._no_crew: str | None = None
        self._progress = Progress(session.config, self._state)

    @property
    def suites(self) -> list[Suite]:
        """The suites whose questions were asked here."""
        return self._maker.suites

    @property
    def unforeseen(self) -> int:
        """Under ``--ragcheck-plan``: questions whose calls only their own pipeline knows."""
        return self._maker.unforeseen

    @property
    def notices(self) -> list[str]:
        """What the user should know of how the questions were asked."""
        told = (notice for suite in self.suites for notice in (*suite.store.notices, *suite.notices))
        return list(dict.fromkeys((*self._maker.notices, *told)))

    def obtain(self, request: pytest.FixtureRequest, entry: Entry) -> Result:
        """The result of the requesting item's question, as soon as it is there."""
        __tracebackhide__ = True
        self.open_batch(request, entry)
        result: Result = request.getfixturevalue(OUTCOME)()
        assert result.question == entry.question  # noqa: S101
        return result

    def batch_of(self, item: pytest.Item) -> str:
        """The name of the item's batch, the same in every process."""
        return self._pipelines.of(item)

    def variant_of(self, item: pytest.Item, entry: Entry) -> str:
        """What tells the item's result apart from others for its question."""
        return self._variants.of(item, entry)

    def open_batch(self, request: pytest.FixtureRequest, entry: Entry) -> None:
        """Make the requesting item's batch ready to start.

        Raises ConfigurationError where its pipeline cannot serve a batch, or the item asked for an answer too late.
        """
        __tracebackhide__ = True
        name = self.batch_of(request.node)
        if name not in self._batches:
            self._pipelines.check(request.node)
            self._pipelines.check_reach(item for item, _ in self._selected(name))
            candidate = request.getfixturevalue(PIPELINE)
            given = specs_of_fixture(request.getfixturevalue(METRICS))
            started = time.perf_counter()
            batch = self._batches[name] = self._batch(name, candidate, given)
            self.setup += time.perf_counter() - started
            # Finalizers run last in, first out: what is in flight ends before the pipeline's own clients do.
            self._pipelines.owner(request.node).addfinalizer(batch.end)
        if entry.key not in self._batches[name]:
            raise ConfigurationError(ASKED_TOO_LATE)

    async def result(self, item: pytest.Item, entry: Entry) -> Result:
        """The result, in the event loop that answers; the first one starts the whole batch."""
        with self._progress.told():
            await self._open_models()
            batch = self._batches[self.batch_of(item)]
            if not batch.is_started:
                batch.start()
            return await batch.result(entry.key)

    def open_keys(self, batch: str) -> Sequence[Hashable]:
        """The questions of an open batch that may be asked now, in item order."""
        return self._batches[batch].open_keys

    def rounds(self, batch: str) -> Sequence[Rounds]:
        """Those that an open batch is asked in; who takes their results opens the next round."""
        return self._batches[batch].rounds if batch in self._batches else ()

    def finish(self, batch: str, key: Hashable, result: Result) -> None:
        """Note the result of a question of an open batch that was asked in rounds."""
        self._note(batch, self._batches[batch].entries[key], result)

    async def answer(self, batch: str, keys: Iterable[Hashable]) -> None:
        """Return when these questions of an open batch have their results, of the round that is open."""
        with self._progress.told():
            await self._open_models()
            await self._batches[batch].start_open(keys).settled()

    def seats(self, batch: str) -> int:
        """How many processes may answer an open batch at the same time."""
        return min(self._maker.sharing.seats(self._maker.cap(suite)) for suite in self._batches[batch].suites)

    async def _open_models(self) -> None:
        """Part of the set-up: what importing a client takes says nothing about an answer."""
        if self._crew is not None:
            return
        started = time.perf_counter()
        while self._maker.to_open:
            with suppress(ConfigurationError):  # each question will say so
                await self._maker.to_open.pop().open()
        self.setup += time.perf_counter() - started

    async def close(self) -> None:
        """Cancel what is in flight."""
        await self._progress.close()
        for batch in self._batches.values():
            await batch.close()
        for pipeline in self._maker.to_close:
            await close_pipeline(pipeline)
        if self._crew is not None:
            await self._crew.close()
        if self.suites:
            gateways = self.suites[0].gateways  # of the session
            if self._options.plan:
                self.plans += await gateways.plans(self._earlier_calls())
            await gateways.close()

    def _earlier_calls(self) -> list[Call]:
        """The calls of the last runs."""
        from pytest_ragcheck.session.runs import RunFolder

        config = self._session.config
        runs = islice(RunFolder.of(catalog_of(config), config.rootpath).newest("concurrent"), RUNS_LEARNED_FROM)
        return [call for run in runs for result in run.results for call in result.calls]

    def _selected(self, batch: str) -> list[tuple[pytest.Item, Entry]]:
        return [(item, entry) for item, entry in selected_items(self._session) if self.batch_of(item) == batch]

    def _batch(self, name: str, candidate: Any, given: Sequence[MetricSpec]) -> _Batch:
        selected = self._selected(name)
        entries = [entry for _, entry in selected]
        system = next((self._pipelines.variant(item).long for item, _ in selected), "")
        by_key: dict[Hashable, Entry] = {entry.key: entry for entry in entries}
        variants: dict[Hashable, str] = {entry.key: self.variant_of(item, entry) for item, entry in selected}
        crew = self._crew_of_session()
        jobs: list[Job] = []
        failed: dict[Hashable, Result] = {}
        for suite, own in _by_suite(list(by_key.values())).items():
            suite.gateways.run_clock = self._slots.clock.now
            suite.gateways.sharing = self._maker.sharing
            suite.gateways.limits = self._maker.limits
            try:
                made = self._maker.jobs(suite, own, candidate, system, given)
                jobs += self._confirmations.wanted(made, suite, variants)
            except Exception as problem:  # noqa: BLE001 (each item tells it as its own error)
                failure = Failure(message=str(problem), kind=type(problem).__name__)
                failed |= {entry.key: Result(question=entry.question, error=failure) for entry in own}
        for key, result in failed.items():
            self._on_result(name, by_key[key], result)

        def note(key: Hashable, result: Result) -> None:
            self._note(name, by_key[key], result)

        new_engine: Callable[..., Engine] = Engine
        if crew is not None and jobs:
            reached = [job.least_before for job in jobs]
            new_engine = crew.engines([by_key[job.key] for job in jobs], candidate, system, given, least_before=reached)
        keep = self._session.config.stash[SPOOL].spooled
        return _Batch(by_key, jobs, failed, new_engine, {"slots": self._slots, "on_result": note, "keep": keep})

    def _crew_of_session(self) -> Crew | None:
        """The actors of a cluster that answer in place of this process; ConfigurationError where there are none."""
        if self._options.engine == LOCAL or self._options.plan:
            return None
        if self._crew is None:
            from pytest_ragcheck.session.cluster.crew import Crew

            if self._no_crew is not None:
                raise ConfigurationError(self._no_crew)
            try:
                self._crew = Crew(self._options, maker=self._maker, slots=self._slots, session=self._session)
            except ConfigurationError as problem:
                self._no_crew = str(problem)  # connecting takes long enough once
                raise
        return self._crew

    def _note(self, name: str, entry: Entry, result: Result) -> None:
        self._done += not any(rounds.is_open(entry.key) for rounds in self.rounds(name))
        self._on_result(name, entry, result)

    def _state(self) -> ProgressState:
        snapshots = self.suites[0].gateways.snapshots() if self.suites else []
        total = sum(len(batch) for batch in self._batches.values())
        return progress_state(self._done, total, self._slots, snapshots)


class _Batch:
    """The questions that see one pipeline, and the engines that answer them."""

    def __init__(
        self,
        entries: Mapping[Hashable, Entry],
        jobs: Iterable[Job],
        failed: Mapping[Hashable, Result],
        new_engine: Callable[..., Engine],
        arguments: Mapping[str, Any],
    ) -> None:
        self.entries = entries
        self.suites = {entry.suite for entry in entries.values()}
        self._jobs = {job.key: job for job in jobs}
        self._failed = failed
        """Questions that could not even be given to an engine."""
        self._new_engine = new_engine
        self._arguments = arguments
        """Of an engine that hands out the results which items get."""
        self.rounds = rounds_of(self._jobs.values())
        self._engines: dict[Hashable, Engine] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __contains__(self, key: Hashable) -> bool:
        return key in self.entries

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def open_keys(self) -> Sequence[Hashable]:
        waiting = {job.key for rounds in self.rounds for job in rounds.jobs} - self._open_jobs().keys()
        return [key for key in self.entries if key not in waiting]

    @property
    def is_started(self) -> bool:
        return self._loop is not None

    def start(self) -> None:
        """Give all questions to engines."""
        alone = [job for job in self._jobs.values() if job.choose is None]
        if alone:
            self._start(alone, self._new_engine(alone, **self._arguments))
        for rounds in self.rounds:
            engine = RoundsEngine(rounds, new_engine=self._new_engine, **self._arguments)
            self._start(rounds.jobs, engine)

    def start_open(self, keys: Iterable[Hashable]) -> Engine:
        """Give these questions, of the round that is open, to an engine of their own."""
        jobs = self._jobs | self._open_jobs()
        wanted = [jobs[key] for key in keys if key in jobs]
        return self._start(wanted, self._new_engine(wanted, **self._arguments))

    def _open_jobs(self) -> dict[Hashable, Job]:
        return {job.key: job for rounds in self.rounds for job in rounds.open}

    def _start(self, jobs: Sequence[Job], engine: Engine) -> Engine:
        self._loop = asyncio.get_running_loop()
        self._engines |= {job.key: engine for job in jobs}
        engine.start()
        return engine

    async def result(self, key: Hashable) -> Result:
        return self._failed[key] if key in self._failed else await self._engines[key].result(key)

    async def close(self) -> None:
        """Cancel what is in flight."""
        for engine in dict.fromkeys(self._engines.values()):
            await engine.close()

    def end(self) -> None:
        """Cancel what is in flight; to be called while the loop stands still."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.run_until_complete(self.close())


def _by_suite(entries: Sequence[Entry]) -> dict[Suite, list[Entry]]:
    groups: dict[Suite, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.suite, []).append(entry)
    return groups
