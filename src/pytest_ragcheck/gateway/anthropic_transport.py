"""Transport over the anthropic SDK: one client per endpoint, no retries of its own. The only module that imports it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import re
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.gateway.http_replies import limited_client
from pytest_ragcheck.gateway.transport import MOST_BYTES, RUN_ENDING, Response, RetryAction, TransportError
from pytest_ragcheck.heavy_imports import without_collections
from pytest_ragcheck.timeouts import attempt_timeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anthropic import AsyncAnthropic

__all__ = ["AnthropicTransport", "Secrets", "check_access", "check_credentials", "endpoint", "import_sdk"]

DEFAULT_ENDPOINT = "https://api.anthropic.com"
NOWHERE = "http://rehearsal.invalid"
CONNECT_TIMEOUT = 10.0
KEY_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
NO_KEY = (
    "no API key for {endpoint}: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN, or an anthropic profile); "
    "with --ragcheck-cache only nothing is called"
)
_KEY_PATTERN = re.compile(r"sk-ant-[A-Za-z0-9_\-]{8,}")
_SHORTEST_SECRET = 6


def endpoint(base_url: str | None = None) -> str:
    """Where calls go: the argument, ``ANTHROPIC_BASE_URL``, or Anthropic's own."""
    return (base_url or os.environ.get("ANTHROPIC_BASE_URL") or DEFAULT_ENDPOINT).rstrip("/")


class Secrets:
    """What must never be written anywhere."""

    def __init__(self, values: Iterable[str | None] = ()) -> None:
        found = [*values, *(os.environ.get(name) for name in KEY_VARIABLES)]
        self._values = tuple({value for value in found if value and len(value) >= _SHORTEST_SECRET})

    def scrub(self, text: str) -> str:
        """The text without any of them."""
        for value in self._values:
            text = text.replace(value, "[key]")
        return _KEY_PATTERN.sub("[key]", text)

    def __repr__(self) -> str:
        return "Secrets()"


def check_credentials(base_url: str | None = None, *, api_key: str | None = None) -> None:
    """Raise :class:`ConfigurationError` where no key or token is to be found; asks no server.

    The environment is looked at first, so that the SDK is imported only where it alone can tell (profiles).
    """
    if api_key or any(os.environ.get(name) for name in KEY_VARIABLES):
        return
    from anthropic import Anthropic, AnthropicError

    with suppress(AnthropicError, ValueError, OSError), Anthropic() as client:
        if client.api_key or client.auth_token or client.credentials is not None:
            return
    raise ConfigurationError(NO_KEY.format(endpoint=shown(endpoint(base_url))))


async def check_access(base_url: str | None = None, *, api_key: str | None = None) -> None:
    """Raise ConfigurationError if the server refuses the key; see :meth:`AnthropicTransport.check_access`."""
    check_credentials(base_url, api_key=api_key)
    wire = AnthropicTransport(base_url, api_key=api_key, connections=1)
    try:
        await wire.check_access()
    finally:
        await wire.close()


class AnthropicTransport:
    """Posts to ``/v1/messages`` through ``AsyncAnthropic(max_retries=0)``; to be used in one event loop.

    The client is made at the first call, in a thread: importing the SDK takes seconds.
    """

    def __init__(self, base_url: str | None = None, *, api_key: str | None = None, connections: int = 256) -> None:
        self._base_url = endpoint(base_url)
        self._api_key = api_key
        self._connections = connections
        self._client: AsyncAnthropic | None = None
        self._opening = asyncio.Lock()

    async def send(self, body: Mapping[str, Any], *, seconds: float) -> Response:
        """See :class:`~pytest_ragcheck.gateway.transport.Transport`."""
        return await self._request("post", "/v1/messages", body, seconds)

    async def get(self, path: str, *, seconds: float) -> Response:
        """A plain GET."""
        return await self._request("get", path, None, seconds)

    async def check_access(self, seconds: float = 10.0) -> None:
        """Raise :class:`ConfigurationError` where the server refuses the key. Costs nothing: it lists models.

        A server that cannot be reached, or has no such list, is no finding: the calls themselves will tell.
        """
        try:
            reply = await self.get("/v1/models?limit=1", seconds=seconds)
        except TransportError:
            return
        if reply.status == HTTPStatus.UNAUTHORIZED:
            told = RUN_ENDING[RetryAction.REFUSED_KEY]
            raise ConfigurationError(told.format(endpoint=shown(self._base_url), cause="status 401"))

    async def open(self) -> None:
        """Make the client; :class:`ConfigurationError` where there is no key."""
        await self._opened()

    async def _opened(self) -> AsyncAnthropic:
        async with self._opening:
            if self._client is None:
                await asyncio.to_thread(import_sdk)
                self._client = self._make_client()
                await _rehearse(self._client)
        return self._client

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _make_client(self) -> AsyncAnthropic:
        import anthropic
        import httpx2

        timeouts = httpx2.Timeout(None, connect=CONNECT_TIMEOUT)  # the rest is timed as a whole, in _request
        limits = httpx2.Limits(
            max_connections=self._connections, max_keepalive_connections=self._connections, keepalive_expiry=30.0
        )
        nowhere = httpx2.MockTransport(lambda _: httpx2.Response(200, json={}))
        make = anthropic.DefaultAioHttpClient if _has_aiohttp() else anthropic.DefaultAsyncHttpxClient
        with suppress(anthropic.AnthropicError):  # a profile that was asked for and cannot be read
            client = anthropic.AsyncAnthropic(
                api_key=self._api_key,
                base_url=self._base_url,
                max_retries=0,
                timeout=timeouts,
                http_client=limited_client(make, MOST_BYTES)(
                    limits=limits, timeout=timeouts, mounts={NOWHERE: nowhere}
                ),
            )
            if client.api_key or client.auth_token or client.credentials is not None:
                return client
        raise ConfigurationError(NO_KEY.format(endpoint=shown(self._base_url)))

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float) -> Response:
        client = await self._opened()
        import anthropic
        import httpx2

        try:
            # The whole attempt is timed: a body that drips in for ever never starves a read.
            async with attempt_timeout(seconds):
                if method == "post":
                    response = await client.post(path, cast_to=httpx2.Response, content=_as_json(body or {}))
                else:
                    response = await client.get(path, cast_to=httpx2.Response)
        except anthropic.APIStatusError as error:
            response = error.response
        except TimeoutError:
            raise TransportError(f"no answer within {seconds:g} s", timed_out=True) from None
        except anthropic.APIConnectionError as error:  # among them the timeout for connecting
            raise TransportError(_told(error)) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise TransportError(_told(error)) from None
        return Response(
            status=response.status_code,
            headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw},
            body=response.content,
        )


def _as_json(body: Mapping[str, Any]) -> bytes:
    """As the SDK would write it, without its copies of all parts."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()


def import_sdk() -> None:
    """Import the SDK, which takes seconds."""
    if "anthropic" in sys.modules and "httpx2" in sys.modules:
        return
    with without_collections():
        importlib.import_module("anthropic")
        importlib.import_module("httpx2")


async def _rehearse(client: AsyncAnthropic) -> None:
    """One request that goes nowhere: the client's first is slow, and a hundred calls may be waiting for it."""
    import httpx2

    await client.post(f"{NOWHERE}/v1/messages", cast_to=httpx2.Response, body={})


def _has_aiohttp() -> bool:
    return importlib.util.find_spec("aiohttp") is not None


def _told(error: BaseException) -> str:
    """What is wrong with the connection, from the innermost cause that says something."""
    told = str(error)
    cause = error.__cause__
    while cause is not None:
        told = f"{type(cause).__name__}: {cause}".rstrip(": ")
        cause = cause.__cause__
    return f"the connection failed ({told.splitlines()[0] if told else type(error).__name__})"


def shown(url: str) -> str:
    """A URL without user name and password."""
    return re.sub(r"//[^/@]*@", "//", url)
