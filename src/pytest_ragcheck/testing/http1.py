"""A small HTTP/1.1 server on 127.0.0.1: one thread, one event loop, keep-alive, no dependency.

It is made to be measured against and to misbehave on purpose: a handler holds the connection itself, so that it
can send half an answer, reset the connection, or never answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pytest_ragcheck.testing.http1_requests import ProtocolError, RequestParser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from pytest_ragcheck.testing.http1_requests import Request

__all__ = ["Connection", "LoopbackServer", "encode_head"]

HOST = "127.0.0.1"
BACKLOG = 1024
ACCEPT_PAUSE = 0.05
"""Seconds."""
PAUSE_READING_AT = 256 * 1024
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    413: "Content Too Large", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
    504: "Gateway Timeout", 529: "Overloaded",
}  # fmt: skip
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def encode_head(status: int, headers: Iterable[tuple[str, str]], *, length: int) -> bytes:
    """A response's status line and headers, up to and including the empty line."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"content-length: {length}"]
    lines.extend(f"{name}: {value}" for name, value in headers)
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


@dataclass(slots=True)
class _OpenConnections:
    members: set[Connection] = field(default_factory=set)
    closing: bool = False
    """The server stops: whoever is let in now is sent away."""
    accepted: int = 0


class Connection(asyncio.Protocol):
    """One client's connection: reads requests, hands them over one at a time, and writes what the handler says.

    A handler whose client goes away is cancelled at once, so that nothing counts as in flight that nobody awaits.
    """

    def __init__(self, handle: Callable[[Request, Connection], Awaitable[None]], others: _OpenConnections) -> None:
        self._handle = handle
        self._others = others
        self._parser = RequestParser()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading_paused = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._others.members.add(self)
        self._others.accepted += 1
        if self._others.closing:
            self._transport.abort()

    def eof_received(self) -> None:
        """Called by the loop, before what arrived later on other connections is worked on."""
        self._cancel_handler()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Called by the loop."""
        self._others.members.discard(self)
        self._transport = None
        self._cancel_handler()

    def pause_writing(self) -> None:
        """Called by the loop."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by the loop."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._parser.feed(data)
        if self._task is None:
            self._advance()
        elif self._parser.buffered > PAUSE_READING_AT and self._transport is not None:
            self._transport.pause_reading()
            self._reading_paused = True

    def send(self, data: bytes) -> None:
        """Write bytes; nothing where the client is gone."""
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has read enough for more to be written."""
        await self._writable.wait()

    def close(self) -> None:
        """Close in good order, after what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close with a TCP reset instead of an orderly end."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _cancel_handler(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _advance(self) -> None:
        """Start on the next request where one is whole."""
        try:
            request = self._parser.next_request()
        except ProtocolError as error:
            self._refuse(error)
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))
            return
        if self._parser.continue_wanted():
            self.send(CONTINUE)
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()

    def _refuse(self, error: ProtocolError) -> None:
        body = f"{error}\n".encode()
        headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        self.send(encode_head(error.status, headers, length=len(body)) + body)
        self.close()

    async def _serve(self, request: Request) -> None:
        try:
            await self._handle(request, self)
        except Exception:  # the client must not wait for an answer that never comes; the loop reports the error
            self.abort()
            raise
        finally:
            self._task = None
        if not request.keep_alive:
            self.close()
        elif self._transport is not None and not self._transport.is_closing():
            self._advance()


class LoopbackServer:
    """Serves ``handle`` on ``127.0.0.1:port`` from a thread of its own until :meth:`close`; port 0 takes a free one.

    Raises ``OSError`` where the port is taken.
    """

    def __init__(self, handle: Callable[[Request, Connection], Awaitable[None]], *, port: int = 0) -> None:
        self._handle = handle
        self._connections = _OpenConnections()
        self._welcoming: set[asyncio.Task[Any]] = set()
        self._socket = socket.create_server((HOST, port), backlog=BACKLOG)
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name=f"loopback server {self.url}", daemon=True)
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread.start()
        try:
            self._loop, self._stop = self._started.result()
        except BaseException:
            self._socket.close()
            raise

    @property
    def open_connections(self) -> int:
        """Connections that clients hold open now."""
        return len(self._connections.members)

    @property
    def accepted_connections(self) -> int:
        """Connections that clients have opened so far."""
        return self._connections.accepted

    def close(self) -> None:
        """Stop listening, end every connection and the thread; safe to call again."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: somebody was here before
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._socket.setblocking(False)
        loop.add_reader(self._socket, self._accept, loop)
        self._started.set_result((loop, stop))
        await stop.wait()
        self._connections.closing = True
        loop.remove_reader(self._socket)
        self._socket.close()
        await self._send_everybody_away()

    def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let in who waits at the door.

        asyncio's own server leaks the sockets that it has accepted but not wrapped when it is closed (CPython 3.11).
        """
        for _ in range(BACKLOG):
            try:
                client, _address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no file descriptor is left: those at the door wait until one is
                loop.remove_reader(self._socket)
                loop.call_later(ACCEPT_PAUSE, self._accept_again, loop)
                return
            client.setblocking(False)
            welcome = loop.connect_accepted_socket(lambda: Connection(self._handle, self._connections), client)
            task = loop.create_task(welcome)
            self._welcoming.add(task)
            task.add_done_callback(self._welcoming.discard)

    def _accept_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._connections.closing:
            loop.add_reader(self._socket, self._accept, loop)

    async def _send_everybody_away(self) -> None:
        """Abort connections until none is left; the other tasks are requests, and connections being accepted."""
        this = asyncio.current_task()
        while self._connections.members or asyncio.all_tasks() != {this}:
            for connection in list(self._connections.members):
                connection.abort()
            await asyncio.sleep(0)
