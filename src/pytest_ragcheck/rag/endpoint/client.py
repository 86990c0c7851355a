"""One HTTP request and its reply, whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.gateway.transport import Response, TransportError
from pytest_ragcheck.rag.endpoint.replies import DONE, SSE, stream_kind
from pytest_ragcheck.timeouts import attempt_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx2

__all__ = ["MAX_REPLY_BYTES", "Client", "NobodyThereError"]

CONNECT_TIMEOUT = 10.0
CONNECTIONS = 256
MAX_REPLY_BYTES = 32 * 1024 * 1024


class NobodyThereError(Exception):
    """No connection could be made."""


class Client:
    """Keeps connections open between requests; to be used and closed in one event loop.

    ``through_proxy``: whether the environment's proxies (``HTTPS_PROXY``, ...) count.
    """

    def __init__(self, *, through_proxy: bool = True) -> None:
        self._through_proxy = through_proxy
        self._client: httpx2.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def send(
        self,
        *,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 (of the whole attempt, which may stand still with the loop)
    ) -> Response:
        """The reply, whatever its status.

        Raises NobodyThereError where nobody listens,
        :class:`~pytest_ragcheck.gateway.transport.TransportError` where no whole reply came.
        """
        client = await self._opened()
        import httpx2

        try:
            async with (
                attempt_timeout(timeout),
                client.stream(method, url, headers=dict(headers), content=body) as response,
            ):
                return Response(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=await _body(response),
                )
        except TimeoutError:
            raise TransportError(f"no answer within {timeout:g} s", timed_out=True) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as problem:
            raise NobodyThereError(f"cannot be reached ({_told(problem)})") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as problem:
            raise TransportError(f"the connection failed ({_told(problem)})") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _opened(self) -> httpx2.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(_made, through_proxy=self._through_proxy)
        return self._client


def _made(*, through_proxy: bool) -> httpx2.AsyncClient:
    import httpx2

    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=30.0)
    # No redirects: the headers hold secrets, which belong to the address in the configuration alone.
    timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT)
    return httpx2.AsyncClient(timeout=timeout, limits=limits, trust_env=through_proxy)


async def _body(response: httpx2.Response) -> bytes:
    """The body, as far as it is of use: some servers keep a stream open after its end."""
    ends = stream_kind(response.headers.get("content-type", "")) == SSE
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_REPLY_BYTES:
            limit = MAX_REPLY_BYTES // 1024**2
            raise MeasurementError(f"the reply is longer than {limit} MB", kind="invalid-reply")
        if ends and body[-64:].rstrip().endswith(f"data: {DONE}".encode()):
            break
    return bytes(body)


def _told(problem: Exception) -> str:
    """What is wrong, from the innermost cause that says something."""
    told = str(problem)
    cause = problem.__cause__ or problem.__context__
    while cause is not None:
        told = str(cause) or told
        cause = cause.__cause__ or cause.__context__
    return told.splitlines()[0] if told else type(problem).__name__
