"""A service that answers, and its client. They stand in for your deployed system and its client library."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Self

NOTICES = [
    "The reading room is open from 9:00 to 20:00 on weekdays and from 10:00 to 16:00 on Saturdays.",
    "Books are lent for 28 days. A loan can be renewed twice, unless another reader waits for the book.",
    "An overdue book costs 0.20 euros a day, at most 10 euros.",
]
COMMON = {"a", "an", "be", "can", "is", "the", "there"}


async def serve() -> asyncio.Server:
    """A server on a free port of this machine: one question in a line, one JSON object in a line."""
    return await asyncio.start_server(_converse, "127.0.0.1", 0)


class LibraryClient:
    """Keeps connections open between questions. Like most such clients it belongs to one event loop."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()

    async def ask(self, question: str) -> dict:
        """``{"answer": text, "notices": [text, ...]}``"""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
        writer.write(question.encode() + b"\n")
        reply = json.loads(await reader.readline())
        self._idle.append((reader, writer))
        return reply


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(json.dumps(_answer(line.decode())).encode() + b"\n")
        await writer.drain()
    writer.close()


def _answer(question: str) -> dict:
    shared = {notice: len(_words(question) & _words(notice)) for notice in NOTICES}
    found = sorted((notice for notice in NOTICES if shared[notice]), key=lambda notice: -shared[notice])
    return {"answer": found[0] if found else "I could not find that in the notices.", "notices": found[:2]}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower())) - COMMON
