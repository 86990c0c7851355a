"""Calls from actors to the driver: an :class:`RpcClient` asks the :class:`RpcBroker`, the :class:`RpcServer` answers.

What all actors share is kept by the driver: the stores and the limits. So a store has one process that writes it,
wherever its file is, a limit is one limit, and both outlive any node. The broker itself keeps nothing that is lost with
it: it is started again, and what was asked and not answered is asked again.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.session.cluster.references import arriving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["RpcBroker", "RpcClient", "RpcHandler", "RpcServer"]

IDLE = 5.0
"""Seconds that a request for requests may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call of a method of something that the driver keeps."""

    number: str
    """"" where nobody waits for a reply."""
    caller: int
    """The actor that asks."""
    target: str
    """Whose method: a store's name, or the limits."""
    method: str
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the method returned, or raised."""

    number: str
    value: Any = None
    problem: Exception | None = None


class RpcBroker:
    """Runs as a Ray actor: takes requests from all nodes, hands them to the driver, and its replies back."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._replies: dict[str, asyncio.Future[Any]] = {}
        self._arrived = asyncio.Event()
        self._life = secrets.token_hex(4)
        self._count = 0

    async def ask(
        self, caller: int, target: str, method: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> Any:
        """What the method of ``target`` returns; raises what it raises."""
        self._count += 1
        number = f"{self._life} {self._count}"  # a former broker may have given the same count
        future = self._replies[number] = asyncio.get_running_loop().create_future()
        self._take(
            Request(number=number, caller=caller, target=target, method=method, arguments=arguments, keywords=keywords)
        )
        return await future

    async def tell(
        self, caller: int, target: str, method: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> None:
        """Like :meth:`ask`, without waiting for what comes of it."""
        self._take(
            Request(number="", caller=caller, target=target, method=method, arguments=arguments, keywords=keywords)
        )

    async def trade(self, replies: Sequence[Reply]) -> list[Request]:
        """Hand out replies, and return what was asked meanwhile, as soon as there is anything."""
        await self.deliver(replies)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), IDLE)
        self._arrived.clear()
        requests, self._requests = self._requests, []
        return requests

    async def end(self) -> None:
        """Let the server's request for requests come back."""
        self._arrived.set()

    async def deliver(self, replies: Sequence[Reply]) -> None:
        """Hand out replies."""
        for reply in replies:
            future = self._replies.pop(reply.number, None)
            if future is None or future.done():
                continue
            if reply.problem is None:
                future.set_result(reply.value)
            else:
                future.set_exception(reply.problem)

    def _take(self, request: Request) -> None:
        self._requests.append(request)
        self._arrived.set()


class RpcHandler(Protocol):
    """Answers the requests to one target, in the server's event loop."""

    def handle(self, caller: int, method: str, *arguments: Any, **keywords: Any) -> Any:
        """Return what the method returns, or a future of it; raise what it raises."""

    def forget(self, caller: int) -> None:
        """An actor is lost: give back what it held, and give it nothing more."""


class RpcServer:
    """Answers the broker's requests in a thread of the driver, each by the handler of its target.

    ``trade`` and ``deliver`` are the broker's. ``handlers`` may grow.
    """

    def __init__(
        self,
        trade: Callable[[Sequence[Reply]], Awaitable[Sequence[Request]]],
        deliver: Callable[[Sequence[Reply]], Any],
        handlers: Mapping[str, RpcHandler],
    ) -> None:
        self._trade = trade
        self._deliver = deliver
        self._handlers = handlers
        self._late: list[Reply] = []
        self._under_way: set[asyncio.Future[Any]] = set()
        self._serving: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ragcheck-rpc", daemon=True)
        self._thread.start()

    def forget(self, caller: int) -> None:
        """End all claims of an actor that is lost: its machine may be lost with it, and cannot be asked."""

        async def forget() -> None:
            for handler in list(self._handlers.values()):
                handler.forget(caller)

        if self._thread.is_alive():
            with suppress(RuntimeError):  # it ended just now
                asyncio.run_coroutine_threadsafe(forget(), self._loop).result()

    def close(self) -> None:
        """Answer no more."""

        def stop() -> None:
            if self._serving is not None:
                self._serving.cancel()

        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(stop)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, suppress(asyncio.CancelledError):
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._serving = asyncio.current_task()
        replies: list[Reply] = []
        while True:
            try:
                requests = await self._trade(replies)
            except Exception:  # noqa: BLE001 (the broker is gone: whoever waits for a result learns it from there)
                return
            replies = [reply for request in requests if (reply := self._reply(request)) is not None]

    def _reply(self, request: Request) -> Reply | None:
        """The reply; None where it comes later, or is not waited for."""
        try:
            value = self._handlers[request.target].handle(
                request.caller, request.method, *request.arguments, **request.keywords
            )
        except Exception as problem:  # noqa: BLE001 (who asked gets it)
            return Reply(request.number, problem=problem) if request.number else None
        if asyncio.isfuture(value):
            self._under_way.add(value)
            value.add_done_callback(lambda done: self._done(request, done))
            return None
        return Reply(request.number, value) if request.number else None

    def _done(self, request: Request, done: asyncio.Future[Any]) -> None:
        self._under_way.discard(done)
        if done.cancelled() or not request.number:
            return
        problem = done.exception()
        if not self._late:
            self._loop.call_soon(self._deliver_late)
        if isinstance(problem, Exception):
            self._late.append(Reply(request.number, problem=problem))
        else:
            self._late.append(Reply(request.number, done.result()))

    def _deliver_late(self) -> None:
        late, self._late = self._late, []
        with suppress(Exception):  # the broker is gone
            self._deliver(late)


class RpcClient:
    """An actor's way to the driver: ``broker`` is the actor that leads there, ``caller`` this one's number."""

    def __init__(self, broker: Any, caller: int) -> None:
        self._broker = broker
        self._caller = caller

    def call(self, target: str, method: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        """Return what the method of the driver's ``target`` returns; raise what it raises."""
        import ray

        try:
            # A store's interface is a synchronous one, and what it says must be durable on return.
            return ray.get(self._broker.ask.remote(self._caller, target, method, arguments, keywords))
        except ray.exceptions.RayTaskError as problem:
            raise getattr(problem, "cause", problem) from None

    def channel(self, target: str) -> RpcChannel:
        """Return a :class:`~pytest_ragcheck.gateway.limit_client.Channel` to a target."""
        return RpcChannel(self._broker, self._caller, target)


class RpcChannel:
    """Asks one target of the driver's while other work goes on."""

    def __init__(self, broker: Any, caller: int, target: str) -> None:
        self._broker = broker
        self._to = caller, target

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Return what the method returns; raise what it raises, or MeasurementError where nobody answers."""
        import ray

        try:
            return await arriving(self._broker.ask.remote(*self._to, method, arguments, {}))
        except ray.exceptions.RayTaskError as problem:
            raise getattr(problem, "cause", problem) from None
        except ray.exceptions.RayError as problem:
            text = f"the Ray cluster: its driver does not answer ({type(problem).__name__})"
            raise MeasurementError(text, kind="connection") from None

    def tell(self, method: str, *arguments: Any) -> None:
        """Call the method without waiting for it."""
        self._broker.tell.remote(*self._to, method, arguments, {})
