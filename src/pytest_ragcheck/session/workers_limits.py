"""Limits under pytest-xdist: the controller keeps them, its workers ask over a loopback connection.

A connection begins with the token that the controller handed to its workers. Then each line is a JSON value: requests
are ``[number, method, *arguments]``, with number 0 where no reply is wanted, and replies ``[number, value, problem]``.
A problem is ``[kind, text]``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_ragcheck.errors import MeasurementError, NotRunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ragcheck.gateway.limit_server import LimitServer

__all__ = ["LimitConnection", "LimitListener", "WorkersLimits"]

WORKER_INPUT = "ragcheck_limits"
LOOPBACK = "127.0.0.1"
LONGEST_LINE = 65536
"""Bytes; messages are far shorter."""
NOT_RUN = "not-run"
LOST = (
    "the limits that workers share: the connection to pytest's main process is lost; run again: replies that had "
    "arrived are in the store"
)


class WorkersLimits:
    """A plugin of the controller; does nothing as long as no worker is started."""

    def __init__(self, max_cost: float | None) -> None:
        self._max_cost = max_cost
        self._listener: LimitListener | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand a worker that is about to start what it needs to connect."""
        if self._listener is None:
            self._listener = LimitListener(self._max_cost)
        node.workerinput[WORKER_INPUT] = self._listener.address

    def pytest_unconfigure(self) -> None:
        """End; the workers have ended."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class _Line(asyncio.Protocol):
    """One end of a connection; what is sent in one turn of the event loop goes out together."""

    def __init__(self, receive: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._outgoing: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See the base class."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See the base class."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            self.close()
        for line in lines:
            self._receive(line)

    def connection_lost(self, problem: Exception | None) -> None:  # noqa: ARG002 (see the base class)
        """See the base class."""
        self._transport = None
        self._lost()

    def send(self, line: str) -> None:
        """Send before the event loop waits or stops."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self.flush)
        self._outgoing.append(line)

    def flush(self) -> None:
        """Send now."""
        if self._transport is not None and self._outgoing:
            self._transport.write("\n".join([*self._outgoing, ""]).encode())
        self._outgoing.clear()

    def close(self) -> None:
        """Send what is left, and close the connection."""
        self.flush()
        if self._transport is not None:
            self._transport.close()


class LimitListener:
    """Serves the limits to processes of this machine, in a thread of its own.

    Closing a connection frees what its process held, whatever ended it: a permit when the server should be done with
    the call.
    """

    def __init__(self, max_cost: float | None) -> None:
        self._max_cost = max_cost
        self._socket = socket.create_server((LOOPBACK, 0))
        self._token = secrets.token_hex(16)
        self.address = [self._socket.getsockname()[1], self._token]
        """Port and token, for :class:`LimitConnection`; secret."""
        self._server: LimitServer | None = None
        self._callers = itertools.count(1)
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="ragcheck-limits", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        listening = await self._loop.create_server(self._line, sock=self._socket)
        await self._ended.wait()
        listening.close()
        for line in self._lines:
            line.close()
        await asyncio.sleep(0)  # they close in the next turn
        if self._server is not None:
            self._server.close()

    def _line(self) -> _Line:
        caller = next(self._callers)
        is_known = False

        def receive(message: bytes) -> None:
            nonlocal is_known
            if is_known:
                self._handle(line, caller, *json.loads(message))
            elif secrets.compare_digest(message, self._token.encode()):
                is_known = True
            else:
                line.close()

        def lost() -> None:
            self._lines.discard(line)
            if self._server is not None:
                self._server.forget(caller)

        line = _Line(receive, lost)
        self._lines.add(line)
        return line

    def _handle(self, line: _Line, caller: int, number: int, method: str, *arguments: Any) -> None:
        try:
            value = self._limits().handle(caller, method, *arguments)
        except Exception as problem:  # noqa: BLE001 (who asked gets it)
            _reply(line, number, problem=problem)
            return
        if isinstance(value, asyncio.Task):
            value.add_done_callback(lambda task: _reply_with(line, number, task))
        elif number:
            _reply(line, number, value)

    def _limits(self) -> LimitServer:
        if self._server is None:
            from pytest_ragcheck.gateway.limit_server import LimitServer  # a run that asks nothing imports no gateway

            self._server = LimitServer(self._max_cost)
        return self._server


def _reply_with(line: _Line, number: int, task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        return
    problem = task.exception()
    _reply(line, number, None if problem else task.result(), problem)


def _reply(line: _Line, number: int, value: Any = None, problem: BaseException | None = None) -> None:
    kind = NOT_RUN if isinstance(problem, NotRunError) else "error"
    line.send(json.dumps([number, value, problem and [kind, str(problem)]]))


class LimitConnection:
    """A worker's :class:`~pytest_ragcheck.gateway.limit_client.Channel` to the controller, in one event loop.

    It opens with the first request. Once lost it stays lost: the permits of this process have gone to others.
    """

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._line: _Line | None = None
        self._opening: asyncio.Task[_Line] | None = None
        self._is_lost = False
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Return what the method returns; NotRunError or MeasurementError where it raises, or nobody answers."""
        line = self._line or await self._open()
        if self._is_lost:
            raise _lost_error()
        number = next(self._numbers)
        reply = self._waiting[number] = asyncio.get_running_loop().create_future()
        line.send(json.dumps([number, method, *arguments]))
        try:
            return await reply
        finally:
            del self._waiting[number]

    def tell(self, method: str, *arguments: Any) -> None:
        """Call the method without waiting for it."""
        if self._line is not None and not self._is_lost:
            self._line.send(json.dumps([0, method, *arguments]))

    def close(self) -> None:
        """Send what is left, and close the connection."""
        if self._line is not None:
            self._line.close()

    async def _open(self) -> _Line:
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
        return await asyncio.shield(self._opening)

    async def _connect(self) -> _Line:
        line = _Line(self._receive, self._lose)
        try:
            await asyncio.get_running_loop().create_connection(lambda: line, LOOPBACK, self._port)
        except OSError:
            self._lose()
        else:
            line.send(self._token)
            self._line = line
        return line

    def _receive(self, message: bytes) -> None:
        number, value, problem = json.loads(message)
        reply = self._waiting.get(number)
        if reply is None or reply.done():
            return
        if problem is None:
            reply.set_result(value)
        else:
            kind, text = problem
            reply.set_exception(NotRunError(text) if kind == NOT_RUN else MeasurementError(text, kind=kind))

    def _lose(self) -> None:
        self._is_lost = True
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(_lost_error())


def _lost_error() -> MeasurementError:
    return MeasurementError(LOST, kind="connection")
