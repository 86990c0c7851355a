"""What runs on a node: suites made again from the driver's brief, and the engine that everybody uses."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_ragcheck.engine import Engine, Slots
from pytest_ragcheck.errors import ConfigurationError, RagcheckError
from pytest_ragcheck.gateway.limit_client import RemoteLimits
from pytest_ragcheck.metrics import registry
from pytest_ragcheck.model import Result
from pytest_ragcheck.rag.pipeline import close_pipeline
from pytest_ragcheck.run_file import dump, load
from pytest_ragcheck.session.cluster.messages import Report, fingerprint_of
from pytest_ragcheck.session.cluster.remote_store import RemoteStore
from pytest_ragcheck.session.cluster.rpc import RpcClient
from pytest_ragcheck.session.embedders import configured_embedder
from pytest_ragcheck.session.gateways import Gateways
from pytest_ragcheck.session.jobs import JobMaker
from pytest_ragcheck.session.selection import Entry
from pytest_ragcheck.session.suites import Suite

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from pytest_ragcheck.engine import Job
    from pytest_ragcheck.rag.embedding import Embedder
    from pytest_ragcheck.session.cluster.messages import Brief, EmbedderBrief, Greeting, Order, SuiteBrief
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.store import Store

__all__ = ["LIMITS", "Answering", "relocated"]

LIMITS = "limits"
"""The name of the limits among what the driver keeps; stores have paths."""

OTHER_FILES = (
    "its questions or documents are not those of the machine that pytest runs on; bring them up to date there, or "
    'send them along: ray.init(runtime_env={"working_dir": "."}) in conftest.py'
)


class Answering:
    """Runs as an async Ray actor: answers what it is given, and hands out results as they come.

    ``broker`` is the actor that leads to the driver, ``caller`` this one's number there.
    """

    def __init__(self, broker: Any, caller: int) -> None:
        self._client = RpcClient(broker, caller)
        self._post: _Post | None = None
        self._batches: dict[int, _Batch] = {}
        self._embedding = asyncio.Lock()

    async def ping(self) -> None:
        """Tell that its event loop turns."""

    async def embed(self, told: EmbedderBrief, greeting: Greeting, texts: Sequence[str]) -> Any:
        """What the suite's embedder makes of the texts; without texts it is loaded.

        Raises ConfigurationError where it is not the driver's, and what it raises itself.
        """
        embedder = self._greeted(greeting).embedder(told)
        async with self._embedding:  # a model need not bear more
            if not texts:
                return await asyncio.to_thread(embedder.load)
            return await asyncio.to_thread(embedder.embed, texts)

    async def open(self, number: int, brief: bytes, greeting: Greeting) -> str | None:
        """Make a batch ready; what is wrong where that cannot be."""
        from ray import cloudpickle

        try:
            post = self._greeted(greeting)
            try:
                told: Brief = cloudpickle.loads(brief)
            except Exception as problem:  # noqa: BLE001 (whatever a user's modules raise)
                cause = f"{type(problem).__name__}: {problem}".partition("\n")[0]
                raise ConfigurationError(f"what the fixtures gave cannot be made again there: {cause}") from None
            self._batches[number] = post.batch(told)
        except RagcheckError as problem:
            return str(problem)
        return None

    async def exchange(self, number: int, orders: Sequence[Order]) -> Report:
        """Take questions of a batch; return when there is a result of any, with all that are there."""
        assert self._post is not None  # noqa: S101 (opened before)
        results = await self._batches[number].exchange(orders)
        return replace(self._post.report(), results=[(place, dump(result)) for place, result in results])

    async def close(self) -> Report:
        """Cancel what is in flight, and give back what pipelines hold; the last counts."""
        for batch in self._batches.values():
            await batch.close()
        return Report() if self._post is None else await self._post.close()

    def _greeted(self, greeting: Greeting) -> _Post:
        if self._post is None:
            self._post = _Post(greeting, self._client)
        return self._post


class _Post:
    """What the batches of one actor share."""

    def __init__(self, greeting: Greeting, client: RpcClient) -> None:
        own = version("pytest-ragcheck")
        if own != greeting.version:
            raise ConfigurationError(f"pytest-ragcheck {own} is installed there, and {greeting.version} here")
        sys.path += [entry for entry in greeting.path if entry not in sys.path and Path(entry).exists()]
        os.environ.update(greeting.environment)
        self._client = client
        self._options = greeting.options
        self._slots = Slots(sequential=greeting.options.sequential, origin=time.perf_counter() - greeting.elapsed)
        self._limits = RemoteLimits(client.channel(LIMITS), greeting.options.max_cost)
        self._gateways = Gateways(greeting.options)
        self._gateways.limits = self._limits
        self._gateways.run_started = greeting.run_started
        self._gateways.run_clock = self._slots.clock.now
        self._maker = JobMaker(greeting.options, self._gateways.sharing)
        self._maker.limits = self._limits
        self._stores: dict[str, Store] = {}
        self._embedders: dict[tuple[Path, str], Embedder] = {}

    def embedder(self, told: EmbedderBrief) -> Embedder:
        """The suite's own, without a store before it: the driver has looked there."""
        settings = relocated(told.settings, told.invocation)
        place = settings.root, settings.embedder
        if place not in self._embedders:
            embedder = configured_embedder(settings)
            if embedder.fingerprint != told.fingerprint:
                raise ConfigurationError(
                    f"on a node of the Ray cluster: embedder = {settings.embedder!r} is {embedder.fingerprint} there, "
                    f"and {told.fingerprint} here"
                )
            self._embedders[place] = embedder
        return self._embedders[place]

    def batch(self, brief: Brief) -> _Batch:
        """Its suites and jobs, made again."""
        for spec in brief.registered:
            registry.replace_metric(spec)
        jobs: dict[int, Job] = {}
        for number, told in enumerate(brief.suites):
            suite = self._suite(told, brief.invocation)
            places = [place for place, (owner, _) in enumerate(brief.questions) if owner == number]
            entries = [Entry(suite, brief.questions[place][1]) for place in places]
            made = self._maker.jobs(suite, entries, brief.candidate, brief.system, brief.given)
            jobs |= {
                place: replace(job, key=place, least_before=brief.least_before[place])
                for place, job in zip(places, made, strict=True)
            }
        return _Batch(jobs, self._slots)

    def report(self) -> Report:
        """What there is to tell beside results."""
        told = [*self._maker.notices, *(notice for store in self._stores.values() for notice in store.notices)]
        return Report(
            snapshots=self._gateways.snapshots(),
            answers=self._slots.answers,
            scores=self._slots.scores,
            notices=tuple(dict.fromkeys(told)),
        )

    async def close(self) -> Report:
        """Give back what pipelines and gateways hold."""
        for pipeline in self._maker.to_close:
            await close_pipeline(pipeline)
        await self._gateways.close()
        return self.report()

    def _suite(self, told: SuiteBrief, invocation: Path) -> Suite:
        settings = relocated(told.settings, invocation)
        self._limits.folders[settings.root] = told.settings.root
        suite = Suite(
            settings,
            options=self._options,
            store=self._store(told),
            gateways=self._gateways,
            metrics=told.metrics,
        )
        if fingerprint_of(suite) != told.fingerprint:
            raise ConfigurationError(f"{told.settings.origin}: {OTHER_FILES}")
        loaded = self._embedders.get((settings.root, settings.embedder))
        if loaded is not None:
            suite.embedder.replace_embedder(lambda _: loaded)  # one model in memory is enough
        return suite

    def _store(self, told: SuiteBrief) -> Store:
        if told.store not in self._stores:
            ask = partial(self._client.call, told.store)
            self._stores[told.store] = cast("Store", RemoteStore(path=told.store_path, ask=ask))
        return self._stores[told.store]


class _Batch:
    """The jobs of a batch by place, and the engines that answer those that were asked for."""

    def __init__(self, jobs: dict[int, Job], slots: Slots) -> None:
        self._jobs = jobs
        self._slots = slots
        self._engines: list[Engine] = []
        self._done: list[tuple[int, Result]] = []
        self._watching: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._problem: Exception | None = None

    async def exchange(self, orders: Sequence[Order]) -> list[tuple[int, Result]]:
        if orders:
            self._start([self._job(order) for order in orders])
        await self._news.wait()
        self._news.clear()
        if self._problem is not None:
            raise self._problem
        done, self._done = self._done, []
        return done

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    def _job(self, order: Order) -> Job:
        done = tuple(load(Result, plain) for plain in order.done)
        return replace(self._jobs[order.place], trial=order.trial, done=done)

    def _start(self, jobs: Sequence[Job]) -> None:
        engine = Engine(jobs, slots=self._slots, on_result=self._note)
        self._engines.append(engine)
        engine.start()
        watch = asyncio.create_task(self._watch(engine))
        self._watching.add(watch)
        watch.add_done_callback(self._watching.discard)

    def _note(self, place: Hashable, result: Result) -> None:
        self._done.append((cast("int", place), result))
        self._news.set()

    async def _watch(self, engine: Engine) -> None:
        try:
            await engine.settled()
        except Exception as problem:  # noqa: BLE001 (who waits for a result gets it)
            self._problem = problem
            self._news.set()
        self._engines.remove(engine)


def relocated(settings: Settings, invocation: Path) -> Settings:
    """The settings for this machine: where the files are not at the same place, they are in the working directory."""
    if settings.questions is not None and settings.questions.exists():
        return settings

    def here(path: Path) -> Path:
        return Path.cwd() / path.relative_to(invocation) if path.is_relative_to(invocation) else path

    def pattern_here(pattern: str) -> str:
        name = pattern.removeprefix("!")
        return pattern.replace(name, str(here(Path(name)))) if Path(name).is_absolute() else pattern

    return replace(
        settings,
        root=here(settings.root),
        questions=None if settings.questions is None else here(settings.questions),
        answers=None if settings.answers is None else here(settings.answers),
        documents=tuple(pattern_here(each) for each in settings.documents),
    )
