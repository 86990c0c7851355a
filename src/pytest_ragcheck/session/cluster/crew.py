"""The actors that answer: one in each seat, replaced when it is lost."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.gateway.limit_server import LimitServer
from pytest_ragcheck.gateway.limiter import LimiterState
from pytest_ragcheck.metrics import registry
from pytest_ragcheck.rag.importing import is_import_path
from pytest_ragcheck.session.cluster.answering import LIMITS, Answering
from pytest_ragcheck.session.cluster.embedding import ClusterEmbedder
from pytest_ragcheck.session.cluster.member import Batch, Member, MemberLostError
from pytest_ragcheck.session.cluster.messages import (
    Brief,
    EmbedderBrief,
    Greeting,
    Order,
    Report,
    SuiteBrief,
    fingerprint_of,
    module_path,
    told_environment,
)
from pytest_ragcheck.session.cluster.ray_cluster import RayCluster
from pytest_ragcheck.session.cluster.references import arriving
from pytest_ragcheck.session.cluster.remote_store import StoreHandler
from pytest_ragcheck.session.cluster.rpc import RpcBroker, RpcServer
from pytest_ragcheck.session.sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import pytest

    from pytest_ragcheck.engine import Engine, Slots
    from pytest_ragcheck.gateway import Snapshot
    from pytest_ragcheck.metrics.registry import MetricSpec
    from pytest_ragcheck.session.cluster.rpc import RpcHandler
    from pytest_ragcheck.session.jobs import JobMaker
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.suites import Suite

__all__ = ["Crew"]

CALLS_AT_ONCE = 1000
START_WITHIN = 300.0
"""Seconds until the first actor must have come up."""
FAILED_STARTS_ALLOWED = 3
MISSING_THERE = "; install pytest-ragcheck and the packages of your system on its nodes"
CLOSING = 5.0
"""Seconds that actors have to give back what their pipelines hold."""


class Crew:
    """The seats that there are in the cluster, and the actors in them.

    ``slots`` are those of the run, in which answers and scores are counted; ``maker`` learns how many actors there may
    be. Raises ConfigurationError where there is no cluster.
    """

    def __init__(self, options: Options, *, maker: JobMaker, slots: Slots, session: pytest.Session) -> None:
        self._options = options
        self._slots = slots
        self._maker = maker
        self._session = session
        self._cluster = RayCluster(options.engine)
        self.ray = self._cluster.ray
        self.size = 0
        """Seats; more where nodes join."""
        self.count()
        maker.before_set_up = self._embed_there
        self._numbers = count(1)
        self._batches = count(1)
        self._seats: dict[int, Member] = {}
        self._seating = threading.Lock()
        self._former: list[Member] = []
        self._failed_starts = 0
        self._started = asyncio.Event()
        self._handlers: dict[str, RpcHandler] = {LIMITS: LimitServer(options.max_cost)}
        beside = {"num_cpus": 0, "max_concurrency": CALLS_AT_ONCE, **self._cluster.beside_the_driver()}
        # What was asked while it was away is asked again.
        beside |= {"max_restarts": -1, "max_task_retries": -1}
        broker = self._broker = self.ray.remote(RpcBroker).options(**beside).remote()
        self._server = RpcServer(
            lambda replies: arriving(broker.trade.remote(replies)), broker.deliver.remote, self._handlers
        )
        self._answering = self.ray.remote(Answering).options(
            num_cpus=1, max_concurrency=CALLS_AT_ONCE, max_restarts=0, scheduling_strategy="SPREAD"
        )

    def count(self) -> int:
        """Look how many seats there are now; those that were are kept."""
        found = 1 if self._options.sequential else self._cluster.seats(self._options.actors)
        self.size = max(1, found, self.size)
        self._maker.sharing = Sharing(self.size)
        return self.size

    def engines(
        self,
        entries: Sequence[Entry],
        candidate: Any,
        system: str,
        given: Sequence[MetricSpec],
        *,
        least_before: Sequence[Mapping[str, float]],
    ) -> Callable[..., Engine]:
        """Makes engines for jobs of these questions; ConfigurationError where they cannot be sent.

        ``least_before``: of each question as in :attr:`~pytest_ragcheck.engine.Job.least_before`.
        """
        from pytest_ragcheck.session.cluster.remote_engine import RemoteEngine

        batch = self._batch(entries, candidate, system, given, least_before)
        places: dict[Hashable, int] = {entry.key: place for place, entry in enumerate(entries)}

        return partial(RemoteEngine, crew=self, batch=batch, places=places)

    def seats(self, batch: Batch) -> int:
        """How many actors may answer a batch: who could never call beside the others is not needed."""
        return min(self._maker.sharing.seats(self._maker.cap(suite)) for suite in batch.suites)

    def _batch(
        self,
        entries: Sequence[Entry],
        candidate: Any,
        system: str,
        given: Sequence[MetricSpec],
        least_before: Sequence[Mapping[str, float]],
    ) -> Batch:
        suites = list(dict.fromkeys(entry.suite for entry in entries))
        suites[0].gateways.elsewhere = self.snapshots
        for suite in suites:
            self._handlers.setdefault(_store_name(suite), StoreHandler(suite.store))
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
            least_before=least_before,
            candidate=candidate,
            system=system,
            given=tuple(given),
            registered=[spec for spec in registry.own_specs() if not is_import_path(spec.name)],
            invocation=self._session.config.invocation_params.dir,
        )
        return Batch(next(self._batches), self.ray.put(self._pickled(brief)), suites)

    def snapshots(self) -> list[Snapshot]:
        """The last that is known of the gateways of all actors, also of those that were lost."""
        found = [member.report.snapshots for member in [*self._seats.values(), *self._former]]
        # The limits are the same ones for all actors, and count once.
        found.sort(key=lambda snapshots: -sum(snapshot.limiter.limit or 0 for snapshot in snapshots))
        others = [
            replace(snapshot, limiter=replace(snapshot.limiter, limit=None, held_by=""))
            for snapshots in found[1:]
            for snapshot in snapshots
        ]
        return [*found[0], *others] if found else []

    @property
    def patience(self) -> float | None:
        """Seconds to wait for the first sign of an actor; None where there was one."""
        return None if self._started.is_set() else START_WITHIN

    def has_started(self) -> None:
        """Note that an actor has come up."""
        self._started.set()

    async def watch(self) -> None:
        """Raise ConfigurationError if no actor comes up."""
        try:
            await asyncio.wait_for(self._started.wait(), self.patience)
        except TimeoutError:
            raise self.no_room() from None

    @staticmethod
    def no_room() -> ConfigurationError:
        """The error for a cluster in which no actor comes up."""
        return ConfigurationError(
            f"the Ray cluster has had no free CPU for {START_WITHIN:g} s; end what occupies it, or add a node"
        )

    def seated(self, seat: int) -> Member:
        """The actor in a seat, which may not have started yet."""
        with self._seating:
            if seat not in self._seats:
                number = next(self._numbers)
                actor = self._answering.remote(self._broker, number)
                errors = self.ray.exceptions
                self._seats[seat] = Member(number, actor, errors.RayError, errors.RayTaskError)
            return self._seats[seat]

    async def member(self, seat: int, batch: Batch) -> Member:
        """The actor in a seat, ready for a batch; waits where the cluster has no room for it.

        Raises MemberLostError where it has ended, ConfigurationError where the batch cannot be answered there.
        """
        member = self.seated(seat)
        try:
            await member.opened(batch, self._greeting(batch.suites))
        except MemberLostError as problem:
            self.dismiss(seat, member)
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS_ALLOWED:
                hint = MISSING_THERE if "ModuleNotFoundError" in str(problem) else ""
                raise ConfigurationError(f"the Ray cluster cannot run the questions: {problem}{hint}") from None
            raise
        self._failed_starts = 0
        self._started.set()
        return member

    async def exchange(self, seat: int, member: Member, batch: Batch, orders: Sequence[Order]) -> Report:
        """Give the actor in a seat questions and get results, at least one; MemberLostError where it has ended."""
        try:
            report = await member.exchange(batch, orders)
        except MemberLostError:
            self.dismiss(seat, member)
            raise
        self._note(member, report)
        return report

    def _note(self, member: Member, report: Report) -> None:
        before, member.report = member.report, report
        self._slots.answers += report.answers - before.answers
        self._slots.scores += report.scores - before.scores
        self._maker.notices += [notice for notice in report.notices if notice not in self._maker.notices]

    def dismiss(self, seat: int, member: Member) -> None:
        """Give up an actor, so that another one takes its seat."""
        if self._seats.get(seat) is member:
            del self._seats[seat]
            member.report = _of_the_past(member.report)
            self._former.append(member)
            self.ray.kill(member.actor)
            member.dismissed()
            self._server.forget(member.number)

    async def close(self) -> None:
        """End the actors, and the cluster where it was started here."""
        if self._cluster.is_joined:
            with suppress(Exception):  # the connection may be lost only now
                await self._end_actors()
        self._server.close()
        if self._cluster.is_joined:
            with suppress(Exception):
                await self._end_broker()
        self._cluster.close()

    async def _end_actors(self) -> None:
        closing = [member.actor.close.remote() for member in self._seats.values()]
        if closing:
            await asyncio.wait([asyncio.ensure_future(_quietly(one)) for one in closing], timeout=CLOSING)
        for member in self._seats.values():
            member.dismissed()
            self.ray.kill(member.actor)

    async def _end_broker(self) -> None:
        # Ray complains where it is killed while something is asked of it.
        await asyncio.wait_for(_quietly(self._broker.end.remote()), CLOSING)
        self.ray.kill(self._broker)

    def told(self, problem: Exception) -> Exception:
        """An error of a call of Ray's as the user should read it."""
        is_cut_off = isinstance(problem, ConnectionError) or "closed channel" in str(problem)
        if isinstance(problem, ConfigurationError) or (self._cluster.is_joined and not is_cut_off):
            return problem
        return ConfigurationError(
            "the connection to the Ray cluster is lost; run again when it is back: what had arrived is in the store"
        )

    def _embed_there(self, suite: Suite) -> None:
        """Have the actors do the work of a suite's embedder."""
        brief = EmbedderBrief(
            settings=suite.settings,
            fingerprint=suite.embedder.fingerprint,
            invocation=self._session.config.invocation_params.dir,
        )
        greeting = self._greeting([suite])
        suite.embedder.replace_embedder(
            lambda here: (
                here
                if isinstance(here, ClusterEmbedder)
                else ClusterEmbedder(here, crew=self, brief=brief, greeting=greeting)
            )
        )

    def _greeting(self, suites: Sequence[Suite]) -> Greeting:
        return Greeting(
            version=version("pytest-ragcheck"),
            options=self._options,
            elapsed=self._slots.clock.now(),
            run_started=suites[0].gateways.run_started,
            path=module_path(),
            environment=told_environment(suite.settings for suite in suites),
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
        replace(snapshot, limiter=LimiterState(refused=snapshot.limiter.refused), asked=snapshot.done + snapshot.failed)
        for snapshot in report.snapshots
    ]
    return replace(report, snapshots=ended)


async def _quietly(reference: Any) -> None:
    with suppress(Exception):
        await arriving(reference)


def _store_name(suite: Suite) -> str:
    return str(suite.store.path or f"memory {id(suite.store)}")
