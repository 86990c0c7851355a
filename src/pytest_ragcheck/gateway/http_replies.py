"""HTTP replies that are read with a limit on their decoded size and that lead to no other host."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

__all__ = ["limited_client", "read_limited"]

_MOST_REDIRECTS = 5
_OF_THE_CODING = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


async def read_limited(response: httpx2.Response, most_bytes: int) -> bytes:
    """Return a streamed body, decoded; no more than one byte beyond ``most_bytes``, which shows that there was more.

    The library decodes in pieces of at most 1 MiB, so that a small compressed body takes no more memory either.
    """
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part[: most_bytes + 1 - len(body)]
        if len(body) > most_bytes:
            break
    return bytes(body)


@lru_cache(maxsize=8)
def limited_client(base: Any, most_bytes: int) -> Any:
    """Return a subclass of an ``httpx2.AsyncClient`` class whose replies are read with :func:`read_limited`.

    Redirects are followed only within the host that the request was for: the body holds prompts and documents. The
    reply that leads elsewhere is returned as it is.
    """

    class LimitedClient(base):  # type: ignore[misc]  # known at run time only
        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            """Send a request; the reply is read, whatever ``stream`` says."""
            options |= {"stream": True, "follow_redirects": False}
            for _ in range(_MOST_REDIRECTS):
                response: httpx2.Response = await super().send(request, **options)
                try:
                    if response.next_request is None or not _is_same_host(request.url, response.next_request.url):
                        return await _whole(response, most_bytes)
                finally:
                    await response.aclose()
                request = response.next_request
            return await _whole(response, most_bytes)

    return LimitedClient


async def _whole(response: httpx2.Response, most_bytes: int) -> httpx2.Response:
    import httpx2

    content = b"" if response.is_closed else await read_limited(response, most_bytes)
    return httpx2.Response(
        response.status_code,
        headers=[(name, value) for name, value in response.headers.raw if name.lower() not in _OF_THE_CODING],
        content=content,
        request=response.request,
    )


def _is_same_host(one: httpx2.URL, other: httpx2.URL) -> bool:
    """Whether a redirect stays where it was, or goes from HTTP to HTTPS there."""
    if one.host != other.host:
        return False
    return (one.scheme, one.port) == (other.scheme, other.port) or (one.scheme, other.scheme) == ("http", "https")
