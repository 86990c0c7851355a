"""A process's part in a pool of limits: it meets the others a few times a second, and uses what it holds between."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from pytest_ragcheck.gateway.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_ragcheck.gateway.pool import Limit, Stake

__all__ = ["MEETING_EVERY", "Partner", "Party"]

MEETING_EVERY = 0.2
"""Seconds between two meetings."""
SOONEST = 0.04
"""Seconds from one meeting to the next where somebody here has nothing to go on with."""


class Party(Protocol):
    """Something in this process that draws on limits of the pool."""

    def confer(self, pool: Pool, owner: str) -> None:
        """Take in what the pool's notes say, and add what was learned here."""

    def stakes(self, pool: Pool, now: float) -> Mapping[str, tuple[Limit, Stake]]:
        """What it tells of its limits, by their names."""

    def dealt(self, pool: Pool, owner: str, held: Mapping[str, float], now: float) -> None:
        """Go on with what it holds now, all that was told being noted."""


class Partner:
    """Takes part in a pool from the first wish until :meth:`leave`; one event loop.

    ``change`` reads the pool's bytes, hands them to a function and stores what that returns, with nobody else in
    between. ``owner`` names this process; ``is_alive`` tells of another whether it is still there. What is held may be
    used for ``seconds`` without a meeting; the others have it after that.
    """

    def __init__(
        self,
        change: Callable[[Callable[[bytes | None], bytes]], None],
        owner: str,
        *,
        is_alive: Callable[[str], bool],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._change = change
        self._owner = owner
        self._is_alive = is_alive
        self._seconds = seconds
        self.clock = clock
        """The same in all processes of a machine."""
        self._until = -math.inf
        self._parties: list[Party] = []
        self._hurried = asyncio.Event()
        self._meetings: asyncio.Task[None] | None = None
        self._is_leaving = False

    @property
    def may_use(self) -> bool:
        """Whether what is held is still this process's own: it may have stood still for too long."""
        return self.clock() < self._until

    def add(self, party: Party) -> None:
        """Let a party draw on the pool from the next meeting on."""
        self._parties.append(party)

    def remove(self, party: Party) -> None:
        """A party draws no more."""
        if party in self._parties:
            self._parties.remove(party)

    def wish(self, *, hurry: bool = False) -> None:
        """Somebody waits for more than is held here; with ``hurry`` there is nothing to go on with meanwhile."""
        if self._is_leaving:
            return
        if self._meetings is None or self._meetings.done():
            self._meetings = asyncio.get_running_loop().create_task(self._keep_meeting(), name="ragcheck-partner")
        elif hurry:
            self._hurried.set()

    def meet(self) -> None:
        """Tell what is needed here, and go on with what is dealt."""
        pool, now, held = Pool(), 0.0, {}

        def met(data: bytes | None) -> bytes:
            nonlocal pool, now, held
            pool, now = Pool.of(data), self.clock()
            pool.expire(now, self._is_alive)
            held = pool.meet(self._owner, self._told(pool, now), now=now, until=now + self._seconds)
            return pool.to_bytes()

        self._change(met)
        self._until = now + self._seconds
        for party in list(self._parties):
            party.dealt(pool, self._owner, held, now)

    def renew(self) -> None:
        """Keep what is held, from whatever thread: an event loop that is blocked cannot meet."""
        until = -math.inf

        def renewed(data: bytes | None) -> bytes:
            nonlocal until
            pool, now = Pool.of(data), self.clock()
            if pool.renew(self._owner, now + self._seconds):
                until = now + self._seconds
            return pool.to_bytes()

        with suppress(sqlite3.OperationalError):
            self._change(renewed)
            self._until = max(self._until, until)

    async def leave(self) -> None:
        """Give all back; nothing is in flight any more."""
        if self._meetings is None:
            return
        self._is_leaving = True
        self._meetings.cancel()
        await asyncio.gather(self._meetings, return_exceptions=True)
        pool, now = Pool(), 0.0

        def left(data: bytes | None) -> bytes:
            nonlocal pool, now
            pool, now = Pool.of(data), self.clock()
            pool.leave(self._owner, self._told(pool, now), now=now)
            return pool.to_bytes()

        self._until = -math.inf
        with suppress(sqlite3.OperationalError):  # a full disk: the others have it when the time is over
            self._change(left)
            for party in list(self._parties):
                party.dealt(pool, self._owner, {}, now)
        self._meetings = None
        self._is_leaving = False

    def _told(self, pool: Pool, now: float) -> dict[str, tuple[Limit, Stake]]:
        told: dict[str, tuple[Limit, Stake]] = {}
        for party in self._parties:
            party.confer(pool, self._owner)
            told |= party.stakes(pool, now)
        return told

    async def _keep_meeting(self) -> None:
        while True:
            with suppress(sqlite3.OperationalError):  # what is held lasts until the next one
                self.meet()
            await asyncio.sleep(SOONEST)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), MEETING_EVERY - SOONEST)
            self._hurried.clear()
