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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

__all__ = ["MAX_BODY_BYTES", "Connection", "LoopbackServer", "ProtocolError", "Request", "RequestParser", "encode_head"]

HOST = "127.0.0.1"
MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024
"""The Messages API refuses larger requests as well."""
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


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


class ProtocolError(Exception):
    """The bytes are no HTTP request that this server takes; ``status`` is what to answer before closing."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class _Head:
    method: str
    path: str
    headers: dict[str, str]
    keep_alive: bool
    length: int
    chunked: bool


class RequestParser:
    """Takes bytes as they come and gives whole requests."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._chunks = bytearray()
        self._last_chunk_seen = False
        self._continue_asked = False

    @property
    def buffered(self) -> int:
        """Bytes that are not part of a returned request yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add bytes from the socket."""
        self._buffer += data

    def continue_wanted(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends the body; true once a request."""
        wanted, self._continue_asked = self._continue_asked, False
        return wanted

    def next_request(self) -> Request | None:
        """The next whole request, or None where more bytes are needed; raises :class:`ProtocolError`."""
        if self._head is None:
            self._head = self._take_head()
        head = self._head
        if head is None:
            return None
        body = self._take_chunked_body() if head.chunked else self._take_body(head.length)
        if body is None:
            return None
        self._head = None
        self._continue_asked = False
        return Request(head.method, head.path, head.headers, body, head.keep_alive)

    def _take_head(self) -> _Head | None:
        while self._buffer.startswith(b"\r\n"):  # RFC 9112 2.2: empty lines before a request are skipped
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
            raise ProtocolError("the request's headers are too large")
        if end < 0:
            return None
        head = _parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        self._continue_asked = head.headers.get("expect", "").lower() == "100-continue"
        return head

    def _take_body(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _take_chunked_body(self) -> bytes | None:
        while not self._last_chunk_seen:
            chunk = self._take_chunk()
            if chunk is None:
                return None
            self._chunks += chunk
            if len(self._chunks) > MAX_BODY_BYTES:
                raise ProtocolError("the request's body is too large", status=413)
        if not self._take_trailers():
            return None
        body = bytes(self._chunks)
        self._chunks.clear()
        self._last_chunk_seen = False
        return body

    def _take_chunk(self) -> bytes | None:
        """One chunk's bytes, empty for the last; None where it is not whole yet."""
        line_end = self._buffer.find(b"\r\n")
        if line_end < 0:
            return None
        size = _parse_chunk_size(bytes(self._buffer[:line_end]))
        start = line_end + 2
        if size == 0:
            del self._buffer[:start]
            self._last_chunk_seen = True
            return b""
        if len(self._buffer) < start + size + 2:
            return None
        chunk = bytes(self._buffer[start : start + size])
        if self._buffer[start + size : start + size + 2] != b"\r\n":
            raise ProtocolError("a chunk is longer than it says")
        del self._buffer[: start + size + 2]
        return chunk

    def _take_trailers(self) -> bool:
        while True:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                return False
            del self._buffer[: line_end + 2]
            if line_end == 0:
                return True


def _parse_chunk_size(line: bytes) -> int:
    digits = line.split(b";", 1)[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise ProtocolError("a chunk's size is no hexadecimal number")
    size = int(digits, 16)
    if size > MAX_BODY_BYTES:
        raise ProtocolError("the request's body is too large", status=413)
    return size


def _parse_head(raw: bytes) -> _Head:
    request_line, *lines = raw.decode("latin-1").split("\r\n")
    parts = request_line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004 (method, target, version)
        raise ProtocolError("the first line is no HTTP/1 request line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ProtocolError("a header line has no name")
        headers[name.lower()] = value.strip()
    connection = headers.get("connection", "").lower()
    keep_alive = connection != "close" if parts[2] == "HTTP/1.1" else connection == "keep-alive"
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    return _Head(parts[0], parts[1], headers, keep_alive, 0 if chunked else _content_length(headers), chunked)


def _content_length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise ProtocolError("the only transfer encoding taken is chunked")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise ProtocolError("content-length is no number")
    length = int(text)
    if length > MAX_BODY_BYTES:
        raise ProtocolError("the request's body is too large", status=413)
    return length


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

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Called by the loop."""
        self._others.members.discard(self)
        self._transport = None
        if self._task is not None:
            self._task.cancel()

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
