"""Sends an answer, rightly or as a fault wants it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pytest_ragcheck.testing.http1 import encode_head

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pytest_ragcheck.testing.faults import Behaviour
    from pytest_ragcheck.testing.http1 import Connection

__all__ = ["DELIVERIES", "Answer"]

HTML_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Please sign in</title></head>"
    b"<body><h1>Please sign in to the network</h1></body></html>\n"
)
HUGE_PIECE = b"All work and no play makes a long reply. " * 1600


class Answer:
    """An HTTP response on its way to one client.

    ``finished`` is called with the status just before the last byte leaves: a client that holds its answer never finds
    the request still counted as in flight.
    """

    def __init__(
        self,
        connection: Connection,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        finished: Callable[[int], None],
    ) -> None:
        self.connection = connection
        self.status = status
        self.headers = headers
        self.body = body
        self._finished = finished

    def send(self) -> None:
        """Send it whole."""
        data = self.head() + self.body
        self.finish()
        self.connection.send(data)

    def head(self, *, length: int | None = None) -> bytes:
        """Status line and headers; ``length`` where it is not the body's."""
        return encode_head(self.status, self.headers, length=len(self.body) if length is None else length)

    def half_of_body(self) -> bytes:
        """The first half."""
        return self.body[: len(self.body) // 2]

    def finish(self) -> None:
        """The last byte is about to leave."""
        self._finished(self.status)


async def _hang(_answer: Answer, _behaviour: Behaviour) -> None:
    await asyncio.get_running_loop().create_future()  # ends by cancellation, when the client goes or the server closes


async def _reset(answer: Answer, _behaviour: Behaviour) -> None:
    answer.finish()
    answer.connection.send(answer.head() + answer.half_of_body())
    answer.connection.reset()


async def _short_body(answer: Answer, _behaviour: Behaviour) -> None:
    answer.finish()
    answer.connection.send(answer.head() + answer.half_of_body())
    answer.connection.close()


async def _truncated_json(answer: Answer, _behaviour: Behaviour) -> None:
    answer.body = answer.half_of_body()
    answer.send()


async def _wrong_content_type(answer: Answer, _behaviour: Behaviour) -> None:
    answer.headers = [("content-type", "text/html; charset=utf-8")]
    answer.body = HTML_PAGE
    answer.send()


async def _drip(answer: Answer, behaviour: Behaviour) -> None:
    answer.connection.send(answer.head())
    for at in range(len(answer.body)):
        await asyncio.sleep(behaviour.drip_interval)
        if at == len(answer.body) - 1:
            answer.finish()
        answer.connection.send(answer.body[at : at + 1])


async def _huge_body(answer: Answer, behaviour: Behaviour) -> None:
    """The message's text is drawn out; never more than a piece of it is in memory."""
    before, mark, after = answer.body.partition(b'"text": "')
    missing = max(0, behaviour.huge_bytes - len(answer.body))
    answer.connection.send(answer.head(length=len(answer.body) + missing) + before + mark)
    while missing:
        piece = HUGE_PIECE[:missing]
        missing -= len(piece)
        answer.connection.send(piece)
        await answer.connection.drain()
    answer.finish()
    answer.connection.send(after)


DELIVERIES: Mapping[str, Callable[[Answer, Behaviour], Awaitable[None]]] = {
    "hang": _hang,
    "reset": _reset,
    "short_body": _short_body,
    "truncated_json": _truncated_json,
    "wrong_content_type": _wrong_content_type,
    "drip": _drip,
    "huge_body": _huge_body,
}
"""The faults of sending, by name."""
