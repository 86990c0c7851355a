"""Under pytest-xdist: the workers divide a batch between them, and each reads the results of all."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_ragcheck.gateway.limit_client import RemoteLimits
from pytest_ragcheck.model import Result
from pytest_ragcheck.run_file import dump, load
from pytest_ragcheck.session.answers import OUTCOME, LiveAnswers
from pytest_ragcheck.session.gateways import model_calls
from pytest_ragcheck.session.workers_limits import WORKER_INPUT, LimitConnection
from pytest_ragcheck.session.workers_watch import ANSWERING, CALLS, RESULTS
from pytest_ragcheck.store import Store, digest, process_identity

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from pathlib import Path

    import pytest

    from pytest_ragcheck.engine import Rounds
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry

__all__ = ["SharedAnswers", "share_of"]

POLL = 0.02
"""Seconds between two looks for a result that another worker is at."""
LARGEST_SHARE = 512
"""Questions that a worker answers before it runs items again."""
SMALLEST_SHARE = 16
"""Fewer would leave calls waiting for the slowest of them, again and again."""
CLAIM_SECONDS = 60.0
"""A worker that stands still for longer loses its questions to the others."""
RENEW_SECONDS = 5.0
_RESULT = "result"
_SEAT = "seat"
_ORIGIN = "origin"
_THE_ONE = b"\0"


class SharedAnswers:
    """Answers shared by the workers of one run through a store of this run alone.

    A worker that needs a result claims its share of what nobody answers yet, answers it to the end and publishes
    each result as it comes; then it waits for the others' results, or takes over what a dead worker left. Nothing is
    in flight while a worker runs items, since its event loop stands still then. As many workers answer at a time
    as there are *seats*: no more than calls may be in flight.

    Where a test over all questions ends their trials, shares are of one round, whose results are published too: every
    worker reads those of all, and so opens the same next round by itself.
    """

    def __init__(self, session: pytest.Session, options: Options, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._shared = Store(folder / RESULTS)
        self._worker: str = session.config.workerinput["workerid"]  # type: ignore[attr-defined]
        self._owner = f"{process_identity()}|ragcheck"
        self._open: dict[str, tuple[list[int], dict[bytes, Hashable]]] = {}
        """By batch, the numbers of its open rounds, and the questions that were not published when this worker looked
        last, by their places in the store: a worker that waits for others looks often."""
        self._connection = LimitConnection(*session.config.workerinput[WORKER_INPUT])  # type: ignore[attr-defined]
        limits = RemoteLimits(self._connection, options.max_cost)
        origin = self._shared.put_if_new(_ORIGIN, _THE_ONE, str(time.perf_counter()).encode())
        # The clock counts from the same moment in every process of a machine.
        self.live = LiveAnswers(session, options, origin=float(origin), on_result=self._publish, limits=limits)

    def obtain(self, request: pytest.FixtureRequest, entry: Entry) -> Result:
        """The result of the requesting item's question, as soon as any worker has it."""
        __tracebackhide__ = True
        result = self._published(self.live.batch_of(request.node), entry)
        if result is None:
            self.live.open_batch(request, entry)
            result = request.getfixturevalue(OUTCOME)()
        assert result is not None  # noqa: S101
        return result

    def batch_of(self, item: pytest.Item) -> str:
        """The name of the item's batch."""
        return self.live.batch_of(item)

    def variant_of(self, item: pytest.Item, entry: Entry) -> str:
        """What tells the item's result apart from others for its question."""
        return self.live.variant_of(item, entry)

    async def result(self, item: pytest.Item, entry: Entry) -> Result:
        """The result, in the event loop that answers."""
        batch = self.live.batch_of(item)
        while (result := self._published(batch, entry)) is None:
            if not self._advance(batch) and not await self._answer_share(batch, entry):
                await asyncio.sleep(POLL)
        return result

    async def close(self) -> None:
        """Cancel what is in flight."""
        await self.live.close()
        self._connection.close()
        self._shared.close()

    async def _answer_share(self, batch: str, wanted: Entry) -> bool:
        """Answer some questions that nobody answers; False where there are none, or no seat is free."""
        seats = self.live.seats(batch)
        with self._seat(seats) as is_seated:
            share = self._claimed(batch, wanted, seats) if is_seated else {}
            if not share:
                return False
            try:
                with self._kept_claims():
                    await self.live.answer(batch, share.values())
            finally:
                for place in share:
                    self._shared.release(_RESULT, place, owner=self._owner)
        return True

    def _claimed(self, batch: str, wanted: Entry, seats: int) -> dict[bytes, Hashable]:
        """A share of the batch by its place in the shared store, the wanted question first if it is free."""
        rounds = [rounds.round for rounds in self.live.rounds(batch)]
        if self._open.get(batch, ([-1], {}))[0] != rounds:
            self._open[batch] = rounds, {self._place(batch, key): key for key in self.live.open_keys(batch)}
        _, places = self._open[batch]
        total = len(places)
        for place in self._shared.known(_RESULT, list(places)):
            del places[place]
        in_order = list(places)
        first = next((number for number, place in enumerate(in_order) if places[place] == wanted.key), 0)
        free = self._shared.unclaimed(_RESULT, in_order[first:] + in_order[:first], owner=self._owner)
        most = share_of(len(free), total=total, seats=seats)
        claimed = self._shared.claim_many(_RESULT, free, owner=self._owner, seconds=CLAIM_SECONDS, most=most)
        # Whatever was published between the two looks had its claim ended, and could be claimed once more.
        still_open = self._unpublished(claimed)
        for place in set(claimed).difference(still_open):
            self._shared.release(_RESULT, place, owner=self._owner)
        return {place: places[place] for place in still_open}

    def _unpublished(self, places: Sequence[bytes]) -> list[bytes]:
        known = self._shared.known(_RESULT, places)
        return [place for place in places if place not in known]

    @contextmanager
    def _seat(self, seats: int) -> Iterator[bool]:
        places = [digest(str(number)) for number in range(seats)]
        taken = self._shared.claim_many(_SEAT, places, owner=self._owner, seconds=CLAIM_SECONDS)
        try:
            yield bool(taken)
        finally:
            for place in taken:
                self._shared.release(_SEAT, place, owner=self._owner)

    @contextmanager
    def _kept_claims(self) -> Iterator[None]:
        """Renew the claims from a thread: an event loop that a user's code blocks is slow, not dead."""
        ended = threading.Event()
        answering = digest(self._owner)
        self._shared.claim(ANSWERING, answering, owner=self._owner, seconds=CLAIM_SECONDS)

        def renew() -> None:
            while not ended.wait(RENEW_SECONDS):
                self._shared.renew(owner=self._owner, seconds=CLAIM_SECONDS)

        thread = threading.Thread(target=renew, name="ragcheck-claims", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._shared.release(ANSWERING, answering, owner=self._owner)

    def _advance(self, batch: str) -> bool:
        """Take what was published of the open rounds; whether that ended one."""
        has_ended = False
        for rounds in self.live.rounds(batch):
            before = rounds.round
            places = {self._place(batch, job.key): job.key for job in rounds.open}
            for place in self._shared.known(_RESULT, list(places)):
                if (result := self._at(place)) is not None:
                    rounds.take(places[place], result)
            if rounds.round > before:
                has_ended = True
                self._publish_finished(batch, rounds)
        return has_ended

    def _publish_finished(self, batch: str, rounds: Rounds) -> None:
        places = {self._final_place(batch, key): key for key in rounds.finished}
        for place in self._unpublished(list(places)):
            self.live.finish(batch, places[place], rounds.finished[places[place]])

    def _place(self, batch: str, key: Hashable) -> bytes:
        """Where the next result of a question is published: that of its open round, or the final one."""
        number = next((rounds.round for rounds in self.live.rounds(batch) if rounds.is_open(key)), None)
        return self._final_place(batch, key) if number is None else digest(batch, f"round {number}", *key)  # type: ignore[misc]

    def _final_place(self, batch: str, key: Hashable) -> bytes:
        return digest(batch, *key)  # type: ignore[misc]  # a tuple of texts, see Entry.key

    def _publish(self, batch: str, entry: Entry, result: Result) -> None:
        # A second result of the same question changes nothing: others may have read the first.
        self._shared.put_if_new(_RESULT, self._place(batch, entry.key), json.dumps(dump(result)).encode())
        if calls := model_calls(entry.suite.gateways.snapshots()):
            self._shared.put(CALLS, digest(self._worker), json.dumps([asdict(one) for one in calls]).encode())

    def _published(self, batch: str, entry: Entry) -> Result | None:
        return self._at(self._final_place(batch, entry.key))

    def _at(self, place: bytes) -> Result | None:
        stored = self._shared.get(_RESULT, place)
        return None if stored is None else load(Result, json.loads(stored))


def share_of(free: int, *, total: int, seats: int) -> int:
    """How many of ``free`` questions a worker answers next, of ``total`` that ``seats`` workers divide.

    Half of an equal part of what is left: ever smaller shares let all end at about the same time, however long single
    questions take (guided self-scheduling, Polychronopoulos and Kuck 1987).
    """
    if seats == 1:
        return free
    least = min(SMALLEST_SHARE, math.ceil(total / seats))
    return min(LARGEST_SHARE, max(least, math.ceil(free / (2 * seats))))
