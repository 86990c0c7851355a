"""The actors that answer: one in each seat, replaced when it is lost."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics import registry
from pytest_ragcheck.rag.importing import is_import_path
from pytest_ragcheck.session.cluster.answering import Answering
from pytest_ragcheck.session.cluster.messages import (
    Brief,
    Greeting,
    Report,
    SuiteBrief,
    fingerprint_of,
    module_path,
    told_environment,
)
from pytest_ragcheck.session.cluster.ray_cluster import RayCluster
from pytest_ragcheck.session.cluster.store_relay import StoreDesk, StoreRelay
from pytest_ragcheck.session.sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import pytest

    from pytest_ragcheck.engine import Engine, Job, Slots
    from pytest_ragcheck.gateway import Snapshot
    from pytest_ragcheck.metrics.registry import MetricSpec
    from pytest_ragcheck.model import Result
    from pytest_ragcheck.session.jobs import JobMaker
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.suites import Suite
    from pytest_ragcheck.store import Store

__all__ = ["Batch", "Crew", "Member", "MemberLostError"]

CALLS_AT_ONCE = 1000
START_WITHIN = 300.0
"""Seconds until the first actor must have come up."""
FAILED_STARTS_ALLOWED = 3
CLOSING = 5.0
"""Seconds that actors have to give back what their pipelines hold."""


class MemberLostError(Exception):
    """An actor has ended, or its node has, or what it returned is lost."""


class Batch:
    """The brief of a batch, as it is sent to each actor."""

    def __init__(self, number: int, brief: Any, suites: Sequence[Suite]) -> None:
        self.number = number
        self.brief = brief
        """The pickled brief in the cluster's object store."""
        self.suites = suites


class Member:
    """One actor."""

    def __init__(self, number: int, actor: Any, lost: type[Exception], broken: type[Exception]) -> None:
        self.number = number
        self.actor = actor
        self._lost = lost
        self._broken = broken
        self._opened: dict[int, asyncio.Task[None]] = {}
        self.report = Report()
        """The last that it told."""

    async def opened(self, batch: Batch, greeting: Greeting) -> None:
        """Make a batch ready there, once; ConfigurationError where that cannot be."""
        if batch.number not in self._opened:
            self._opened[batch.number] = asyncio.create_task(self._open(batch, greeting))
        await asyncio.shield(self._opened[batch.number])

    async def exchange(self, batch: Batch, places: Sequence[int]) -> Report:
        """Give it questions, get results; MemberLostError where it has ended."""
        report: Report = await self._told(self.actor.exchange.remote(batch.number, list(places)))
        return report

    async def _open(self, batch: Batch, greeting: Greeting) -> None:
        problem = await self._told(self.actor.open.remote(batch.number, batch.brief, greeting))
        if problem is not None:
            raise ConfigurationError(f"on a node of the Ray cluster: {problem}")

    async def _told(self, reference: Any) -> Any:
        try:
            return await reference
        except self._broken:
            raise
        except self._lost as problem:
            raise MemberLostError(_cause(problem)) from None

    def dismissed(self) -> None:
        """Wait for nothing of it any more."""
        for task in self._opened.values():
            task.cancel()


class Crew:
    """As many seats as the cluster has nodes, and the actors in them.

    ``slots`` are those of the run, in which answers and scores are counted; ``maker`` learns among how many limits are
    shared. Raises ConfigurationError where there is no cluster.
    """

    def __init__(self, options: Options, *, maker: JobMaker, slots: Slots, session: pytest.Session) -> None:
        self._options = options
        self._slots = slots
        self._maker = maker
        self._session = session
        self._cluster = RayCluster(options.engine)
        self._ray = self._cluster.ray
        self._size = 1 if options.sequential else max(1, self._cluster.nodes)
        maker.sharing = Sharing(self._size)
        self._numbers = count(1)
        self._batches = count(1)
        self._seats: dict[int, Member] = {}
        self._former: list[tuple[int, Member]] = []
        self._failed_starts = 0
        self._started = asyncio.Event()
        self._stores: dict[str, Store] = {}
        beside = {"num_cpus": 0, "max_concurrency": CALLS_AT_ONCE, **self._cluster.beside_the_driver()}
        self._relay = self._ray.remote(StoreRelay).options(**beside).remote()
        relay, get = self._relay, self._ray.get
        self._desk = StoreDesk(lambda replies: get(relay.trade.remote(replies)), self._stores)
        self._answering = self._ray.remote(Answering).options(
            num_cpus=1, max_concurrency=CALLS_AT_ONCE, max_restarts=0, scheduling_strategy="SPREAD"
        )

    def engines(
        self,
        entries: Sequence[Entry],
        candidate: Any,
        system: str,
        given: Sequence[MetricSpec],
        *,
        on_result: Callable[[Hashable, Result], None],
    ) -> Callable[[Sequence[Job]], Engine]:
        """Makes engines for jobs of these questions; ConfigurationError where they cannot be sent."""
        from pytest_ragcheck.session.cluster.remote_engine import RemoteEngine

        batch = self._batch(entries, candidate, system, given)
        places: dict[Hashable, int] = {entry.key: place for place, entry in enumerate(entries)}
        seats = min(self._maker.sharing.seats(self._maker.cap(suite)) for suite in batch.suites)

        def engine(jobs: Sequence[Job]) -> Engine:
            return RemoteEngine(
                jobs, slots=self._slots, on_result=on_result, crew=self, batch=batch, places=places, seats=seats
            )

        return engine

    def _batch(self, entries: Sequence[Entry], candidate: Any, system: str, given: Sequence[MetricSpec]) -> Batch:
        suites = list(dict.fromkeys(entry.suite for entry in entries))
        suites[0].gateways.elsewhere = self.snapshots
        for suite in suites:
            self._stores[_store_name(suite)] = suite.store
        brief = Brief(
            suites=[
                SuiteBrief(
                    settings=suite.settings,
                    metrics=suite.own_metrics,
                    store=_store_name(suite),
                    store_path=suite.store.path,
                    fingerprint=fingerprint_of(suite),
                )
                for suite in suites
            ],
            questions=[(suites.index(entry.suite), entry.question) for entry in entries],
            candidate=candidate,
            system=system,
            given=tuple(given),
            registered=[spec for spec in registry.own_specs() if not is_import_path(spec.name)],
            invocation=self._session.config.invocation_params.dir,
        )
        return Batch(next(self._batches), self._ray.put(self._pickled(brief)), suites)

    def snapshots(self) -> list[Snapshot]:
        """The last that is known of the gateways of all actors, also of those that were lost."""
        members = [*self._seats.values(), *(member for _, member in self._former)]
        return [snapshot for member in members for snapshot in member.report.snapshots]

    async def watch(self) -> None:
        """Raise ConfigurationError if no actor comes up."""
        try:
            await asyncio.wait_for(self._started.wait(), START_WITHIN)
        except TimeoutError:
            raise ConfigurationError(
                f"the Ray cluster has had no free CPU for {START_WITHIN:g} s; end what occupies it, or add a node"
            ) from None

    async def member(self, seat: int, batch: Batch) -> Member:
        """The actor in a seat, ready for a batch; waits where the cluster has no room for it.

        Raises MemberLostError where it has ended, ConfigurationError where the batch cannot be answered there.
        """
        if seat not in self._seats:
            number = next(self._numbers)
            actor = self._answering.remote(self._relay, number)
            errors = self._ray.exceptions
            self._seats[seat] = Member(number, actor, errors.RayError, errors.RayTaskError)
        member = self._seats[seat]
        try:
            await member.opened(batch, self._greeting(seat, batch))
        except MemberLostError as problem:
            self._dismiss(seat, member)
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS_ALLOWED:
                raise ConfigurationError(f"the Ray cluster cannot run the questions: {problem}") from None
            raise
        self._failed_starts = 0
        self._started.set()
        return member

    async def exchange(self, seat: int, member: Member, batch: Batch, places: Sequence[int]) -> Report:
        """Give the actor in a seat questions and get results, at least one; MemberLostError where it has ended."""
        try:
            report = await member.exchange(batch, places)
        except MemberLostError:
            self._dismiss(seat, member)
            raise
        self._note(member, report)
        return report

    def _note(self, member: Member, report: Report) -> None:
        before, member.report = member.report, report
        self._slots.answers += report.answers - before.answers
        self._slots.scores += report.scores - before.scores
        self._maker.notices += [notice for notice in report.notices if notice not in self._maker.notices]

    def _dismiss(self, seat: int, member: Member) -> None:
        """Give up an actor, so that another one takes its seat."""
        if self._seats.get(seat) is member:
            del self._seats[seat]
            member.report = _of_the_past(member.report)
            self._former.append((seat, member))
            self._ray.kill(member.actor)
            member.dismissed()
            self._desk.forget(member.number)

    async def close(self) -> None:
        """End the actors, and the cluster where it was started here."""
        closing = [member.actor.close.remote() for member in self._seats.values()]
        if closing:
            await asyncio.wait([asyncio.ensure_future(_quietly(one)) for one in closing], timeout=CLOSING)
        for member in self._seats.values():
            member.dismissed()
            self._ray.kill(member.actor)
        self._desk.close()
        self._ray.kill(self._relay)
        self._cluster.close()

    def _greeting(self, seat: int, batch: Batch) -> Greeting:
        options = self._options
        if options.max_cost is not None:
            # What an actor's predecessor has spent is gone, and each seat has an equal part.
            spent = sum(one.cost for place, member in self._former if place == seat for one in member.report.snapshots)
            options = replace(options, max_cost=max(0.0, options.max_cost - spent * self._size))
        return Greeting(
            version=version("pytest-ragcheck"),
            options=options,
            seats=self._size,
            elapsed=self._slots.clock.now(),
            run_started=batch.suites[0].gateways.run_started,
            path=module_path(),
            environment=told_environment(suite.settings for suite in batch.suites),
        )

    def _pickled(self, brief: Brief) -> bytes:
        from ray import cloudpickle

        # Test modules and conftest files are not to be found by their names on another machine.
        modules = self._test_modules()
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            pickled: bytes = cloudpickle.dumps(brief)
        except Exception as problem:  # noqa: BLE001 (whatever a user's objects raise)
            cause = f"{type(problem).__name__}: {problem}".partition("\n")[0]
            raise ConfigurationError(
                f"what the fixtures gave cannot be sent to a Ray cluster ({cause}); make clients and locks where they "
                'are used, or name the system by its import path: generator = "package.module:name"'
            ) from None
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)
        return pickled

    def _test_modules(self) -> list[ModuleType]:
        """Those that pytest has imported by their files."""
        plugins = self._session.config.pluginmanager.get_plugins()
        candidates = [*plugins, *(getattr(item, "module", None) for item in self._session.items)]
        found = {
            id(one): one for one in candidates if isinstance(one, ModuleType) and sys.modules.get(one.__name__) is one
        }
        return [one for one in found.values() if self._is_of_the_tests(one)]

    def _is_of_the_tests(self, module: ModuleType) -> bool:
        """Whether it is a test module or a conftest file, and no installed plugin."""
        items = {getattr(item, "module", None) for item in self._session.items}
        file = Path(getattr(module, "__file__", None) or "")
        return module in items or file.name == "conftest.py"


def _of_the_past(report: Report) -> Report:
    """Without the calls that had no outcome yet: whoever takes over asks for them."""
    ended = [
        replace(snapshot, in_flight=0, limit=0, queued=0, asked=snapshot.done + snapshot.failed)
        for snapshot in report.snapshots
    ]
    return replace(report, snapshots=ended)


async def _quietly(reference: Any) -> None:
    with suppress(Exception):
        await reference


def _store_name(suite: Suite) -> str:
    return str(suite.store.path or f"memory {id(suite.store)}")


def _cause(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {lines[-1] if lines else ''}"
