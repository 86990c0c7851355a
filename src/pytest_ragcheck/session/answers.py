"""The batch: every selected question at once, each item its own result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.model import Failure, Result
from pytest_ragcheck.rag.pipeline import as_pipeline
from pytest_ragcheck.session.selection import selected_items

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import pytest

    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.suites import Suite

__all__ = ["ConfiguredPipeline", "LiveAnswers", "pipeline_home"]

PIPELINE = "ragcheck_pipeline"
OUTCOME = "_ragcheck_outcome"
"""The fixture that awaits an item's result in the event loop that answers."""


class ConfiguredPipeline:
    """What ``ragcheck_pipeline`` is when nobody overrides it: each suite's own reference pipeline."""


class LiveAnswers:
    """Answers and measures the selected questions in this process.

    Items that see the same ``ragcheck_pipeline`` form one batch, known by the place of that fixture. A batch
    starts when the first of its items needs its result, with every selected question of the batch.
    """

    def __init__(
        self,
        session: pytest.Session,
        options: Options,
        *,
        settled: Callable[[str, Entry], bool] = lambda _home, _entry: False,
        on_result: Callable[[str, Entry, Result], None] = lambda _home, _entry, _result: None,
    ) -> None:
        self._session = session
        self._options = options
        self._slots = Slots(sequential=options.sequential)
        self._is_settled = settled
        self._on_result = on_result
        self._batches: dict[str, _Batch] = {}
        self.setup = 0.0
        """Seconds spent on reading, building and loading before questions could be asked."""
        self.suites: list[Suite] = []
        """The suites whose questions were asked here."""

    def obtain(self, request: pytest.FixtureRequest, entry: Entry) -> Result:
        """The result of the requesting item's question, as soon as it is there."""
        self.open_batch(request)
        result: Result = request.getfixturevalue(OUTCOME)
        assert result.question == entry.question  # noqa: S101
        return result

    def open_batch(self, request: pytest.FixtureRequest) -> str:
        """Make the requesting item's batch ready to start; the batch's name."""
        home = pipeline_home(request.node)
        if home not in self._batches:
            candidate = request.getfixturevalue(PIPELINE)
            started = time.perf_counter()
            self._batches[home] = self._batch(home, candidate)
            self.setup += time.perf_counter() - started
        return home

    async def result(self, item: pytest.Item, entry: Entry) -> Result:
        """The result, in the event loop that answers."""
        return await self._batches[pipeline_home(item)].result(entry.key)

    async def whole_batch(self, item: pytest.Item) -> None:
        """Return when every question of the item's batch has its result."""
        await self._batches[pipeline_home(item)].all_results()

    async def close(self) -> None:
        """Cancel what is in flight."""
        for batch in self._batches.values():
            await batch.engine.close()

    def _batch(self, home: str, candidate: Any) -> _Batch:
        by_key: dict[Hashable, Entry] = {entry.key: entry for entry in batch_entries(self._session, home)}
        waiting = [entry for entry in by_key.values() if not self._is_settled(home, entry)]
        jobs: list[Job] = []
        failed: dict[Hashable, Result] = {}
        for suite, own in _by_suite(waiting).items():
            try:
                jobs += self._jobs(suite, own, candidate)
            except Exception as problem:  # noqa: BLE001 (each item tells it as its own error)
                failure = Failure(message=str(problem), kind=type(problem).__name__)
                failed |= {entry.key: Result(question=entry.question, error=failure) for entry in own}
        for key, result in failed.items():
            self._on_result(home, by_key[key], result)
        engine = Engine(
            jobs,
            slots=self._slots,
            on_result=lambda key, result: self._on_result(home, by_key[key], result),
        )
        return _Batch(engine, [job.key for job in jobs], failed)

    def _jobs(self, suite: Suite, entries: Sequence[Entry], candidate: Any) -> list[Job]:
        self.suites.append(suite)
        if isinstance(candidate, ConfiguredPipeline):
            pipeline = suite.pipeline
            suite.set_up([entry.question for entry in entries])
        else:
            at_once = self._options.concurrency or suite.settings.concurrency
            pipeline = as_pipeline(candidate, timeout=suite.settings.answer_timeout, at_once=at_once)
        return [
            Job(
                key=entry.key,
                question=entry.question,
                pipeline=pipeline,
                metrics=suite.metrics,
                thresholds=suite.thresholds(entry.question),
            )
            for entry in entries
        ]


class _Batch:
    """An engine with the questions that could not even be given to it."""

    def __init__(self, engine: Engine, keys: Sequence[Hashable], failed: Mapping[Hashable, Result]) -> None:
        self.engine = engine
        self._keys = keys
        self._failed = failed
        self._started = False

    async def result(self, key: Hashable) -> Result:
        if key in self._failed:
            return self._failed[key]
        self._start()
        return await self.engine.result(key)

    async def all_results(self) -> None:
        self._start()
        for key in self._keys:
            await self.engine.result(key)

    def _start(self) -> None:
        if not self._started:
            self.engine.start()
            self._started = True


def pipeline_home(item: pytest.Item) -> str:
    """Where the ``ragcheck_pipeline`` that an item sees is defined: a node id, empty for the plugin's own."""
    # pytest tells which fixture an item will get only through its fixture manager; items must be told apart
    # before their own set-up, or a module's override would be ignored for all but the first batch.
    definitions = item.session._fixturemanager.getfixturedefs(PIPELINE, item)  # noqa: SLF001
    return definitions[-1].baseid if definitions else ""


def batch_entries(session: pytest.Session, home: str) -> list[Entry]:
    """The selected questions whose items see the pipeline of ``home``, in item order."""
    homes: dict[object, str] = {}
    entries = []
    for item, entry in selected_items(session):
        parent = item.parent
        if parent not in homes:
            homes[parent] = pipeline_home(item)
        if homes[parent] == home:
            entries.append(entry)
    return entries


def _by_suite(entries: Sequence[Entry]) -> dict[Suite, list[Entry]]:
    groups: dict[Suite, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.suite, []).append(entry)
    return groups
