"""The engine whose work is done by a crew of actors."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_ragcheck.engine import Engine
from pytest_ragcheck.model import Failure, Result
from pytest_ragcheck.rag.pipeline import ReferencePipeline
from pytest_ragcheck.run_file import dump, load
from pytest_ragcheck.session.cluster.member import MemberLostError
from pytest_ragcheck.session.cluster.messages import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from pytest_ragcheck.engine import Job, Slots
    from pytest_ragcheck.session.cluster.crew import Crew
    from pytest_ragcheck.session.cluster.member import Batch
    from pytest_ragcheck.session.cluster.messages import Report

__all__ = ["RemoteEngine"]

FEWEST, MOST = 4, 64
"""Questions that an actor has at once; it takes more as it finishes some, so that a slow node gets fewer."""
LOOK_EVERY = 5.0
"""Seconds between two looks for nodes that have joined."""
ALONE_FROM = 2
"""Losses from which a question is asked alone, so that it takes no others with it."""
LOSSES_ALONE = 2
"""Actors that may end over a question alone before it counts as the cause."""


class RemoteEngine(Engine):
    """An :class:`~pytest_ragcheck.engine.Engine` that gives its jobs' questions to ``crew``.

    ``places`` says where in the batch's brief the question of each key stands.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        slots: Slots,
        on_result: Callable[[Hashable, Result], None] | None = None,
        keep: Callable[[Result], Result] | None = None,
        crew: Crew,
        batch: Batch,
        places: Mapping[Hashable, int],
    ) -> None:
        super().__init__(jobs, slots=slots, on_result=on_result, keep=keep)
        self._crew = crew
        self._batch = batch
        self._by_place = {places[job.key]: job for job in jobs}
        self._seats = 0
        """Those that are served."""
        self._queue = deque(self._by_place)
        self._open = set(self._by_place)
        self._losses: Counter[int] = Counter()
        self._changed = asyncio.Event()
        """Set while there are questions that no actor has."""
        self._changed.set()
        self._all_done = asyncio.Event()
        self._most = 1

    async def _run(self) -> None:
        if not self._jobs:
            return
        await self._prepare()
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(self._crew.watch())]
            growing = tasks.create_task(self._grow(tasks, working))
            await self._all_done.wait()
            for task in (growing, *working):
                task.cancel()

    async def _grow(self, tasks: asyncio.TaskGroup, working: list[asyncio.Task[None]]) -> None:
        """Serve all seats, also those of nodes that join later."""
        while True:
            seats = min(self._crew.seats(self._batch), len(self._jobs))
            working += [tasks.create_task(self._serve(seat)) for seat in range(self._seats, seats)]
            self._seats = max(self._seats, seats)
            if not self._slots.sequential:
                self._most = _most_at_once(len(self._jobs), self._seats)
            await asyncio.sleep(LOOK_EVERY)
            with suppress(Exception):  # whoever serves a seat tells what is wrong with the cluster
                await asyncio.to_thread(self._crew.count)

    async def _prepare(self) -> None:
        """Search for all questions in one call here: the actors find it in the store, and load no embedder."""
        pipelines = {id(job.pipeline): job.pipeline for job in self._jobs}
        for pipeline in pipelines.values():
            if isinstance(pipeline, ReferencePipeline):
                with suppress(Exception):  # each question will say so
                    await pipeline.prepare([job.question for job in self._jobs if job.pipeline is pipeline])

    async def _serve(self, seat: int) -> None:
        try:
            await self._keep_busy(seat)
        except Exception as problem:  # noqa: BLE001 (whatever Ray raises where it is cut off)
            raise self._crew.told(problem) from None

    async def _keep_busy(self, seat: int) -> None:
        """Give the actor in a seat questions, and take its results."""
        held: set[int] = set()
        while True:
            while not self._queue and not held:
                await self._changed.wait()
            try:
                member = await self._crew.member(seat, self._batch)
                fresh = self._taken(held)
                held.update(fresh)
                if held:
                    orders = [self._order(place) for place in fresh]
                    report = await self._crew.exchange(seat, member, self._batch, orders)
                    self._settle_all(report, held)
            except MemberLostError as problem:
                self._put_back(held, str(problem))
                held.clear()

    def _order(self, place: int) -> Order:
        job = self._by_place[place]
        return Order(place=place, trial=job.trial, done=[dump(result) for result in job.done])

    def _taken(self, held: set[int]) -> list[int]:
        """Questions for an actor that is at ``held``."""
        taken: list[int] = []
        while self._queue and len(held) + len(taken) < self._most:
            others = {*held, *taken}
            if others and any(self._losses[place] >= ALONE_FROM for place in (self._queue[0], *others)):
                break
            taken.append(self._queue.popleft())
        if not self._queue:
            self._changed.clear()
        return taken

    def _put_back(self, held: set[int], cause: str) -> None:
        """Have the questions of a lost actor asked again."""
        for place in sorted(held, reverse=True):
            self._losses[place] += 1
            if self._losses[place] >= ALONE_FROM + LOSSES_ALONE:
                told = f"the process that answered it ended {self._losses[place]} times ({cause})"
                failure = Failure(message=told, kind="process-ended")
                self._settled_at(place, Result(question=self._by_place[place].question, error=failure))
            else:
                self._queue.appendleft(place)
                self._changed.set()

    def _settle_all(self, report: Report, held: set[int]) -> None:
        for place, plain in report.results:
            held.discard(place)
            self._settled_at(place, load(Result, plain))

    def _settled_at(self, place: int, result: Result) -> None:
        self._open.discard(place)
        key = self._by_place[place].key
        self._hand_out(key, result)
        if not self._open:
            self._all_done.set()


def _most_at_once(questions: int, seats: int) -> int:
    """Questions that an actor has at once: a quarter of its part, but where there are few no more than its part."""
    fewest = min(FEWEST, math.ceil(questions / seats))
    return min(MOST, max(fewest, math.ceil(questions / (4 * seats))))
