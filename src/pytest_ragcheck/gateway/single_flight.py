"""The same call is made once: within this process, and between processes that share a store."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from pytest_ragcheck.gateway.replies import KIND, REPLIES, StoredReply
from pytest_ragcheck.store import process_identity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from pytest_ragcheck.store import Store

__all__ = ["PrefixWarmup", "SingleFlight", "StoreLeases"]

T = TypeVar("T")
CLAIM_SECONDS = 60.0
"""How long the claim of a process on another machine outlives it; on this one the end of a process ends its claims."""
_SHORTEST_POLL, _LONGEST_POLL = 0.02, 0.25
_MOST_FAILURES = 2


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiters: int = 0


class SingleFlight(Generic[T]):
    """Work by key; who asks for what is under way already joins it. It is cancelled when nobody waits any more."""

    def __init__(self) -> None:
        self._flights: dict[bytes, _Flight[T]] = {}

    async def join(self, key: bytes, start: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """The work's outcome, and whether this call started it."""
        flight = self._flights.get(key)
        first = flight is None
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(start()))
            flight.task.add_done_callback(lambda task: self._land(key, task))
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task), first
        finally:
            flight.waiters -= 1
            if flight.waiters == 0 and not flight.task.done():
                if self._flights.get(key) is flight:  # who comes now must not join what is being cancelled
                    del self._flights[key]
                flight.task.cancel()

    def _land(self, key: bytes, task: asyncio.Task[T]) -> None:
        if (flight := self._flights.get(key)) is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # where nobody waits any more, nobody else would look at it

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class StoreLeases:
    """The claims of this process on calls that it is making."""

    def __init__(self, store: Store, *, since: float | None) -> None:
        self._store = store
        self._since = since
        self._owner = f"{process_identity()}|{secrets.token_hex(8)}"
        self._held: set[bytes] = set()
        self._heartbeat: asyncio.Task[None] | None = None
        self.alone = store.path is None
        """Whether no other process can have the store."""

    def lookup(self, key: bytes) -> StoredReply | None:
        """The reply that is kept, if it is."""
        return REPLIES.get(self._store, key, since=self._since)

    def take(self, key: bytes) -> bool:
        """Whether the call is ours to make."""
        if self.alone:
            return True
        if not self._store.claim(KIND, key, owner=self._owner, seconds=CLAIM_SECONDS):
            return False
        self._held.add(key)
        if self._heartbeat is None:
            self._heartbeat = asyncio.create_task(self._renew())
        return True

    def fulfil(self, key: bytes, reply: StoredReply) -> None:
        """Keep the reply; it is durable, and the claim ended, on return."""
        REPLIES.put(self._store, key, reply.to_bytes())
        self._held.discard(key)

    def drop(self, key: bytes) -> None:
        """The call is not being made any more."""
        if key in self._held:
            self._held.discard(key)
            self._store.release(KIND, key, owner=self._owner)

    async def reply_of_other(self, key: bytes) -> StoredReply | None:
        """Wait for the process that holds the claim: its reply, or None where it gave up or ended."""
        pause = _SHORTEST_POLL
        while True:
            reply = self.lookup(key)
            if reply is not None:
                return reply
            if self.take(key):
                self.drop(key)
                return None
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_POLL)

    async def close(self) -> None:
        """End all claims."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
            self._heartbeat = None
        for key in list(self._held):
            self.drop(key)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(CLAIM_SECONDS / 4)
            if self._held:
                self._store.renew(owner=self._owner, seconds=CLAIM_SECONDS)


@dataclass(slots=True)
class _Group:
    is_open: bool = False
    has_leader: bool = False
    failures: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class PrefixWarmup:
    """Of requests with a common beginning the first goes alone, so that the rest read the prompt cache it wrote."""

    def __init__(self) -> None:
        self._groups: dict[bytes, _Group] = {}

    async def lead(self, group: bytes, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, as the first of the group, after the first has succeeded, or after two have failed.

        Where the server is in trouble, one after the other would wait through all of its retries.
        """
        state = self._groups.setdefault(group, _Group())
        while not state.is_open and state.has_leader:
            await state.changed.wait()
        if state.is_open:
            return await work()
        state.has_leader = True
        state.changed.clear()
        try:
            outcome = await work()
            state.is_open = True
            return outcome
        except Exception:
            state.failures += 1
            state.is_open = state.failures >= _MOST_FAILURES
            raise
        finally:
            state.has_leader = False
            state.changed.set()
