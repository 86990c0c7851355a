"""One store for all nodes: the driver's, reached through an actor.

An actor's :class:`RemoteStore` asks the :class:`StoreRelay`; the driver's :class:`StoreDesk` fetches what was asked,
several requests at a time, and answers from the stores of its own process. So a store has one process that writes it,
wherever its file is, and what an actor has put outlives the actor's node.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partialmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.store import Store

__all__ = ["RemoteStore", "StoreDesk", "StoreRelay"]

IDLE = 0.5
"""Seconds that the desk waits for a request before it looks whether it is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call of a store's method."""

    number: int
    caller: int
    """The actor that asks."""
    store: str
    method: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the method returned, or raised."""

    number: int
    value: Any = None
    problem: Exception | None = None


class StoreRelay:
    """Runs as a Ray actor: takes requests from all nodes, hands them to the driver, and its replies back."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._arrived = asyncio.Event()
        self._count = 0

    async def ask(
        self, caller: int, store: str, method: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """What the driver's store returns; raises what it raises."""
        self._count += 1
        number = self._count
        future = self._replies[number] = asyncio.get_running_loop().create_future()
        self._requests.append(
            Request(number=number, caller=caller, store=store, method=method, arguments=arguments, keywords=keywords)
        )
        self._arrived.set()
        return await future

    async def trade(self, replies: Sequence[Reply]) -> list[Request]:
        """Hand out replies, and return what was asked meanwhile, as soon as there is anything."""
        for reply in replies:
            future = self._replies.pop(reply.number)
            if future.done():
                continue
            if reply.problem is None:
                future.set_result(reply.value)
            else:
                future.set_exception(reply.problem)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), IDLE)
        self._arrived.clear()
        requests, self._requests = self._requests, []
        return requests


@dataclass(kw_only=True)
class RemoteStore:
    """A :class:`~pytest_ragcheck.store.Store` of the driver's, as an actor sees it; each method is one round trip."""

    path: Path | None
    """The file's, on the driver's machine."""
    ask: Callable[..., Any]
    """``(method, arguments, keywords)`` to what the driver's store returns."""
    notices: list[str] = field(default_factory=list)

    def _call(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        return self.ask(method, arguments, keywords)

    # The methods and what they take are the Store's own.
    get = partialmethod(_call, "get")
    get_many = partialmethod(_call, "get_many")
    known = partialmethod(_call, "known")
    put = partialmethod(_call, "put")
    put_many = partialmethod(_call, "put_many")
    put_if_new = partialmethod(_call, "put_if_new")
    claim = partialmethod(_call, "claim")
    claim_many = partialmethod(_call, "claim_many")
    release = partialmethod(_call, "release")
    renew = partialmethod(_call, "renew")
    size = partialmethod(_call, "size")


METHODS = frozenset(name for name, member in vars(RemoteStore).items() if isinstance(member, partialmethod))


class StoreDesk:
    """Answers the relay's requests in a thread of the driver, from ``stores`` by name."""

    def __init__(self, trade: Callable[[Sequence[Reply]], Sequence[Request]], stores: Mapping[str, Store]) -> None:
        self._trade = trade
        self._stores = stores
        self._owners: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
        self._gone: set[int] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="ragcheck-store-desk", daemon=True)
        self._thread.start()

    def forget(self, caller: int) -> None:
        """End all claims of an actor that is lost: its machine may be lost with it, and cannot be asked."""
        with self._lock:
            self._gone.add(caller)
            for store, owner in self._owners.pop(caller, ()):
                self._stores[store].renew(owner=owner, seconds=0.0)

    def close(self) -> None:
        """Answer no more."""
        self._ended.set()
        self._thread.join()

    def _serve(self) -> None:
        replies: list[Reply] = []
        while not self._ended.is_set():
            try:
                requests = self._trade(replies)
            except Exception:  # noqa: BLE001 (the relay is gone: whoever waits for a result learns it from there)
                return
            replies = [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        try:
            if request.method not in METHODS:
                raise AttributeError(request.method)  # noqa: TRY301
            with self._lock:
                return Reply(request.number, self._answer(request))
        except Exception as problem:  # noqa: BLE001 (who asked gets it)
            return Reply(request.number, problem=problem)

    def _answer(self, request: Request) -> Any:
        if request.method in {"claim", "claim_many"}:
            if request.caller in self._gone:
                return False if request.method == "claim" else []
            self._owners[request.caller].add((request.store, request.keywords["owner"]))
        return getattr(self._stores[request.store], request.method)(*request.arguments, **request.keywords)
