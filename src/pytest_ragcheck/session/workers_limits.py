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
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.errors import MeasurementError, NotRunError

if TYPE_CHECKING:
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
        listening = await asyncio.start_server(self._talk, sock=self._socket, limit=LONGEST_LINE)
        await self._ended.wait()
        listening.close()  # without waiting for connections: they end with this loop
        if self._server is not None:
            self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = next(self._callers)
        try:
            with suppress(ConnectionError, ValueError):  # ValueError: a line that is too long
                if secrets.compare_digest(await reader.readline(), f"{self._token}\n".encode()):
                    async for message in reader:
                        self._handle(writer, caller, *json.loads(message))
        finally:
            writer.close()
            if self._server is not None:
                self._server.forget(caller)

    def _handle(self, line: asyncio.StreamWriter, caller: int, number: int, method: str, *arguments: Any) -> None:
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


def _reply_with(line: asyncio.StreamWriter, number: int, task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        return
    problem = task.exception()
    _reply(line, number, None if problem else task.result(), problem)


def _reply(line: asyncio.StreamWriter, number: int, value: Any = None, problem: BaseException | None = None) -> None:
    kind = NOT_RUN if isinstance(problem, NotRunError) else "error"
    _send(line, [number, value, problem and [kind, str(problem)]])


def _send(line: asyncio.StreamWriter, message: Any) -> None:
    """Send before the event loop waits or stops."""
    if not line.is_closing():
        line.write(f"{json.dumps(message)}\n".encode())


class LimitConnection:
    """A worker's :class:`~pytest_ragcheck.gateway.limit_client.Channel` to the controller, in one event loop.

    It opens with the first request. Once lost it stays lost: the permits of this process have gone to others.
    """

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._line: asyncio.StreamWriter | None = None
        self._opening: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._is_lost = False
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Return what the method returns; NotRunError or MeasurementError where it raises, or nobody answers."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        await asyncio.shield(self._opening)
        if self._line is None or self._is_lost:
            raise _lost_error()
        number = next(self._numbers)
        reply = self._waiting[number] = asyncio.get_running_loop().create_future()
        _send(self._line, [number, method, *arguments])
        try:
            return await reply
        finally:
            del self._waiting[number]

    def tell(self, method: str, *arguments: Any) -> None:
        """Call the method without waiting for it."""
        if self._line is not None:
            _send(self._line, [0, method, *arguments])

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()

    async def _open(self) -> None:
        with suppress(OSError):
            reader, self._line = await asyncio.open_connection(LOOPBACK, self._port, limit=LONGEST_LINE)
            self._line.write(f"{self._token}\n".encode())
            self._listening = asyncio.create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError, ValueError):
            async for message in reader:
                self._receive(*json.loads(message))
        self._is_lost = True
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(_lost_error())

    def _receive(self, number: int, value: Any, problem: list[str] | None) -> None:
        reply = self._waiting.get(number)
        if reply is None or reply.done():
            return
        if problem is None:
            reply.set_result(value)
        else:
            kind, text = problem
            reply.set_exception(NotRunError(text) if kind == NOT_RUN else MeasurementError(text, kind=kind))


def _lost_error() -> MeasurementError:
    return MeasurementError(LOST, kind="connection")
