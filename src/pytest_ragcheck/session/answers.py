"""The batch: every selected question at once, each item its own result."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics.base import is_deterministic
from pytest_ragcheck.model import Failure, Result
from pytest_ragcheck.rag.pipeline import as_pipeline, repeats_itself
from pytest_ragcheck.session.pipelines import PIPELINE, PipelineNames
from pytest_ragcheck.session.planning import PlannedPipeline
from pytest_ragcheck.session.progress import Progress
from pytest_ragcheck.session.roles import worker_count
from pytest_ragcheck.session.selection import ASKED_TOO_LATE, selected_items
from pytest_ragcheck.session.variants import variant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import pytest

    from pytest_ragcheck.gateway import Snapshot
    from pytest_ragcheck.model import Planned
    from pytest_ragcheck.rag.pipeline import Pipeline
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.suites import Suite
    from pytest_ragcheck.session.variants import Variant

__all__ = ["ConfiguredPipeline", "LiveAnswers"]

OUTCOME = "_ragcheck_outcome"
"""The fixture that awaits an item's result in the event loop that answers."""


class ConfiguredPipeline:
    """What ``ragcheck_pipeline`` is when nobody overrides it: each suite's own reference pipeline."""


class LiveAnswers:
    """Answers and measures the selected questions in this process.

    Items that see the same ``ragcheck_pipeline`` form one batch, known by that pipeline's name. A batch starts
    when the first of its items needs its result, with every selected question of the batch.
    """

    def __init__(
        self,
        session: pytest.Session,
        options: Options,
        *,
        settled: Callable[[str, Entry], bool] = lambda _batch, _entry: False,
        on_result: Callable[[str, Entry, Result], None] = lambda _batch, _entry, _result: None,
    ) -> None:
        self._session = session
        self._options = options
        self._slots = Slots(sequential=options.sequential)
        self._is_settled = settled
        self._on_result = on_result
        self._batches: dict[str, _Batch] = {}
        self._pipelines = PipelineNames(session)
        self.setup = 0.0
        """Seconds spent on reading, building and loading before questions could be asked."""
        self.suites: list[Suite] = []
        """The suites whose questions were asked here."""
        self.plans: list[Planned] = []
        """Under ``--ragcheck-plan``: what the reference pipeline would have called."""
        self.unforeseen = 0
        """Under ``--ragcheck-plan``: questions whose calls only their own pipeline knows."""
        self.notices: list[str] = []
        """What the user should know of how the questions were asked."""
        self._done = 0
        self._to_open: list[Suite] = []
        self._progress = Progress(session.config, self._state)

    def obtain(self, request: pytest.FixtureRequest, entry: Entry) -> Result:
        """The result of the requesting item's question, as soon as it is there."""
        __tracebackhide__ = True
        self.open_batch(request, entry)
        result: Result = request.getfixturevalue(OUTCOME)
        assert result.question == entry.question  # noqa: S101
        return result

    def batch_of(self, item: pytest.Item) -> str:
        """The name of the item's batch, the same in every process."""
        return self._pipelines.of(item)

    def variant_of(self, item: pytest.Item, entry: Entry) -> Variant:
        """What tells the item's result apart from others for its question."""
        return variant_of(item, entry, self._pipelines.variant(item))

    def open_batch(self, request: pytest.FixtureRequest, entry: Entry) -> None:
        """Make the requesting item's batch ready to start.

        Raises ConfigurationError where its pipeline cannot serve a batch, or the item asked for an answer too late.
        """
        __tracebackhide__ = True
        name = self.batch_of(request.node)
        if name not in self._batches:
            self._pipelines.check(request.node)
            candidate = request.getfixturevalue(PIPELINE)
            started = time.perf_counter()
            batch = self._batches[name] = self._batch(name, candidate)
            self.setup += time.perf_counter() - started
            # Finalizers run last in, first out: what is in flight ends before the pipeline's own clients do.
            self._pipelines.owner(request.node).addfinalizer(batch.end)
        if entry.key not in self._batches[name] and not self._is_settled(name, entry):
            raise ConfigurationError(ASKED_TOO_LATE)

    async def result(self, item: pytest.Item, entry: Entry) -> Result:
        """The result, in the event loop that answers."""
        with self._progress.told():
            await self._open_models()
            return await self._batches[self.batch_of(item)].result(entry.key)

    async def whole_batch(self, item: pytest.Item) -> None:
        """Return when every question of the item's batch has its result."""
        await self._open_models()
        await self._batches[self.batch_of(item)].all_results()

    async def _open_models(self) -> None:
        """Part of the set-up: what importing a client takes says nothing about an answer."""
        started = time.perf_counter()
        while self._to_open:
            with suppress(ConfigurationError):  # each question will say so
                await self._to_open.pop().open()
        self.setup += time.perf_counter() - started

    async def close(self) -> None:
        """Cancel what is in flight."""
        await self._progress.close()
        for batch in self._batches.values():
            await batch.engine.close()
        if self.suites:
            gateways = self.suites[0].gateways  # of the session
            self.plans += await gateways.plans()
            await gateways.close()

    def _batch(self, name: str, candidate: Any) -> _Batch:
        named = [(self.batch_of(item), entry) for item, entry in selected_items(self._session)]
        entries = [entry for batch, entry in named if batch == name]
        for entry in entries[:1]:
            entry.suite.gateways.processes = min(len({batch for batch, _ in named}), worker_count(self._session.config))
        by_key: dict[Hashable, Entry] = {entry.key: entry for entry in entries}
        waiting = [entry for entry in by_key.values() if not self._is_settled(name, entry)]
        jobs: list[Job] = []
        failed: dict[Hashable, Result] = {}
        for suite, own in _by_suite(waiting).items():
            try:
                jobs += self._jobs(suite, own, candidate)
            except Exception as problem:  # noqa: BLE001 (each item tells it as its own error)
                failure = Failure(message=str(problem), kind=type(problem).__name__)
                failed |= {entry.key: Result(question=entry.question, error=failure) for entry in own}
        for key, result in failed.items():
            self._on_result(name, by_key[key], result)
        engine = Engine(
            jobs,
            slots=self._slots,
            on_result=lambda key, result: self._note(name, by_key[key], result),
        )
        return _Batch(engine, [job.key for job in jobs], failed)

    def _note(self, name: str, entry: Entry, result: Result) -> None:
        self._done += 1
        self._on_result(name, entry, result)

    def _state(self) -> tuple[int, int, Sequence[Snapshot]]:
        snapshots = self.suites[0].gateways.snapshots() if self.suites else []
        return self._done, sum(len(batch) for batch in self._batches.values()), snapshots

    def _jobs(self, suite: Suite, entries: Sequence[Entry], candidate: Any) -> list[Job]:
        self.suites.append(suite)
        pipeline: Pipeline
        if isinstance(candidate, ConfiguredPipeline):
            pipeline = suite.pipeline
            suite.set_up([entry.question for entry in entries])
        elif self._options.plan:
            pipeline = PlannedPipeline()
            self.unforeseen += len(entries)
        else:
            at_once = self._options.concurrency or suite.settings.concurrency
            pipeline = as_pipeline(candidate, timeout=suite.settings.answer_timeout, at_once=at_once)
        if suite.is_sure_to_ask(generates=isinstance(candidate, ConfiguredPipeline)):
            self._to_open.append(suite)
        trials = self._trials(suite, pipeline)
        return [
            Job(
                key=entry.key,
                question=entry.question,
                pipeline=pipeline,
                metrics=suite.metrics,
                thresholds=suite.thresholds(entry.question),
                trials=trials,
                stops_when_settled=self._options.stop_trials,
            )
            for entry in entries
        ]

    def _trials(self, suite: Suite, pipeline: Pipeline) -> int:
        """As many as wanted, but one where all would be the same."""
        if self._options.trials == 1 or not (
            repeats_itself(pipeline) and all(is_deterministic(metric) for metric in suite.metrics)
        ):
            return self._options.trials
        self.notices.append(
            f"{suite.name}: answers and scores are the same each time, so --ragcheck-trials asks each question once"
        )
        return 1


class _Batch:
    """An engine with the questions that could not even be given to it."""

    def __init__(self, engine: Engine, keys: Sequence[Hashable], failed: Mapping[Hashable, Result]) -> None:
        self.engine = engine
        self._keys = dict.fromkeys(keys)
        self._failed = failed
        self._loop: asyncio.AbstractEventLoop | None = None

    def __contains__(self, key: Hashable) -> bool:
        return key in self._failed or key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    async def result(self, key: Hashable) -> Result:
        if key in self._failed:
            return self._failed[key]
        self._start()
        return await self.engine.result(key)

    async def all_results(self) -> None:
        self._start()
        for key in self._keys:
            await self.engine.result(key)

    def end(self) -> None:
        """Cancel what is in flight; to be called while the loop stands still."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.run_until_complete(self.engine.close())

    def _start(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self.engine.start()


def _by_suite(entries: Sequence[Entry]) -> dict[Suite, list[Entry]]:
    groups: dict[Suite, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.suite, []).append(entry)
    return groups
