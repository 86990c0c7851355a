"""HTTP/1.1 requests out of bytes as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BODY_BYTES", "ProtocolError", "Request", "RequestParser"]

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 32 * 1024 * 1024
"""The Messages API refuses larger requests as well."""


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
    match request_line.split(" "):
        case [method, target, version] if version.startswith("HTTP/1."):
            pass
        case _:
            raise ProtocolError("the first line is no HTTP/1 request line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ProtocolError("a header line has no name")
        headers[name.lower()] = value.strip()
    connection = headers.get("connection", "").lower()
    keep_alive = connection != "close" if version == "HTTP/1.1" else connection == "keep-alive"
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    return _Head(method, target, headers, keep_alive, 0 if chunked else _content_length(headers), chunked)


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
