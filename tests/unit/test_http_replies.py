"""Replies of any size, and redirects: what is read, and where the request goes."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from functools import cache

import pytest

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.gateway import Gateway, ModelRequest, anthropic_transport
from pytest_ragcheck.gateway.http_replies import limited_client
from pytest_ragcheck.gateway.retry import RetryPolicy
from pytest_ragcheck.gateway.transport import MOST_BYTES

httpx2 = pytest.importorskip("httpx2")
pytest.importorskip("anthropic")

MESSAGE = {
    "type": "message",
    "model": "m",
    "content": [{"type": "text", "text": "yes"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
SEVERAL = RetryPolicy(base=0.001, ceiling=0.002)


def reply(status=200, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} X", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


MESSAGE_REPLY = reply(body=json.dumps(MESSAGE).encode(), content_type="application/json")


class Server:
    """Answers each request with what ``answer`` gives for its number; keeps what was asked."""

    def __init__(self, answer):
        self._answer = answer
        self.requests = []
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (
                        int(line.partition(":")[2])
                        for line in head.split("\r\n")
                        if line.lower().startswith("content-length")
                    ),
                    0,
                )
                body = await reader.readexactly(length)
                self.requests.append((head.split("\r\n")[0], body))
                for part in self._answer(len(self.requests)):
                    writer.write(part)
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture(params=["aiohttp", "httpx2"])
def any_transport(request, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-unit-0123456789abcdef")
    if request.param == "aiohttp":
        pytest.importorskip("aiohttp")
    monkeypatch.setattr(anthropic_transport, "_has_aiohttp", lambda: request.param == "aiohttp")


async def ask(url):
    async with Gateway(base_url=url, retries=SEVERAL) as gateway:
        return await gateway.complete(ModelRequest(model="m", messages=[{"role": "user", "content": "secret prompt"}]))


def plain(size):
    yield reply(content_type="application/json").replace(b"content-length: 0", b"content-length: %d" % size)
    for _ in range(size // 65_536):
        yield b"x" * 65_536


@cache
def squeezed_body(coding, size):
    squeeze = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    body = b"".join([*(squeeze.compress(bytes(65_536)) for _ in range(size // 65_536)), squeeze.flush()])
    assert len(body) < size / 500
    return body


def squeezed(coding, size):
    yield reply(body=squeezed_body(coding, size), content_type="application/json", content_encoding=coding)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        lambda _: plain(200_000_000),
        lambda _: squeezed("gzip", 200_000_000),
        lambda _: squeezed("deflate", 200_000_000),
        lambda _: [part.replace(b" 200 ", b" 500 ") for part in squeezed("gzip", 200_000_000)],
    ],
    ids=["plain", "gzip", "deflate", "an error's"],
)
async def test_a_reply_of_any_size_takes_no_more_memory_than_the_limit(answer, any_transport):
    async with Server(answer) as server:
        await ask_once(server.url)  # imports
        tracemalloc.start()
        try:
            await ask_once(server.url)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 6 * MOST_BYTES


async def ask_once(url):
    with pytest.raises(MeasurementError):
        async with Gateway(base_url=url, retries=RetryPolicy(attempts=1)) as gateway:
            await gateway.complete(ModelRequest(model="m", messages=[{"role": "user", "content": "x"}]))


@pytest.mark.asyncio
async def test_a_reply_that_is_too_long_is_said_to_be(any_transport):
    async with Server(lambda _: squeezed("gzip", MOST_BYTES + 65_536)) as server:
        with pytest.raises(MeasurementError, match="it has more than 8 MB"):
            await ask(server.url)


@pytest.mark.asyncio
async def test_a_compressed_reply_of_usual_size_is_read(any_transport):
    body = gzip.compress(json.dumps(MESSAGE).encode())
    async with Server(lambda _: [reply(body=body, content_type="application/json", content_encoding="gzip")]) as server:
        assert (await ask(server.url)).text == "yes"


@pytest.mark.asyncio
async def test_a_redirect_within_the_host_is_followed(any_transport):
    def answer(number):
        return [reply(307, location="/elsewhere/v1/messages") if number == 1 else MESSAGE_REPLY]

    async with Server(answer) as server:
        assert (await ask(server.url)).text == "yes"
    assert [line for line, _ in server.requests] == [
        "POST /v1/messages HTTP/1.1",
        "POST /elsewhere/v1/messages HTTP/1.1",
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_is_refused_and_named(status, any_transport):
    async with Server(lambda _: [MESSAGE_REPLY]) as other:
        location = f"http://user:password@localhost:{other.port}/v1/messages?token=abcdef"
        async with Server(lambda _: [reply(status, location=location)]) as server:
            with pytest.raises((MeasurementError, ConfigurationError)) as caught:
                await ask(server.url)
    assert other.requests == []
    assert len(server.requests) == 1, "it would lead there again"
    assert f"leads to another address, http://localhost:{other.port}; " in str(caught.value)
    assert "password" not in str(caught.value)
    assert "abcdef" not in str(caught.value)


@pytest.mark.asyncio
async def test_redirects_that_never_end_do():
    server = Server(lambda _: [reply(307, location="/again")])
    async with server, limited_client(httpx2.AsyncClient, 100)() as client:
        response = await client.post(server.url)
    assert response.status_code == 307
    assert 1 < len(server.requests) < 10
