"""Transport over a client that the user made."""

from __future__ import annotations

import asyncio
import inspect
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.gateway.http_replies import limited_client
from pytest_ragcheck.gateway.transport import MOST_BYTES, Response, TransportError
from pytest_ragcheck.timeouts import attempt_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ClientTransport"]

JSON = {"content-type": "application/json"}


class ClientTransport:
    """Calls ``client.messages.create``, awaiting it or, of a synchronous client, in a thread.

    The client stays the user's: it is not closed. Retries are the gateway's, so the SDK's own are turned off in a copy.
    With ``own_connections`` an asynchronous SDK client's copy gets connections of its own, as those of the user
    may belong to another event loop.
    """

    def __init__(self, client: Any, *, own_connections: bool = False) -> None:
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(client.messages.create))
        self._own = own_connections and self._is_async and hasattr(client, "with_options")
        if self._own:
            import anthropic

            http_client = limited_client(anthropic.DefaultAsyncHttpxClient, MOST_BYTES)()
            self._client = client.with_options(max_retries=0, http_client=http_client)
        else:
            self._client = client.with_options(max_retries=0) if hasattr(client, "with_options") else client

    async def open(self) -> None:
        """Nothing: the client is there."""

    async def send(self, body: Mapping[str, Any], *, seconds: float) -> Response:
        """See :class:`~pytest_ragcheck.gateway.transport.Transport`."""
        create = self._client.messages.create
        known, extra = _arguments(create, body)
        if extra:
            known["extra_body"] = extra
        try:
            async with attempt_timeout(seconds):
                if self._is_async:
                    message = await create(**known)
                else:
                    message = await asyncio.to_thread(create, **known)
                    if inspect.isawaitable(message):
                        message = await message
        except TimeoutError:
            raise TransportError(f"no answer within {seconds:g} s", timed_out=True) from None
        except Exception as error:
            reply = _reply_of_error(error)
            if reply is None:
                raise
            return reply
        return Response(
            status=HTTPStatus.OK.value, headers=_headers(message), body=json.dumps(_as_dict(message)).encode()
        )

    async def close(self) -> None:
        """Close connections of our own; the user's client stays open."""
        if self._own:
            await self._client.close()


def _arguments(create: Any, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``create`` takes by name, and what it does not know but the API may."""
    try:
        parameters = inspect.signature(create).parameters
    except (TypeError, ValueError):
        return dict(body), {}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(body), {}
    known = {name: value for name, value in body.items() if name in parameters}
    return known, {name: value for name, value in body.items() if name not in parameters}


def _reply_of_error(error: Exception) -> Response | None:
    """What the server said, or that nothing came; None for an error of another kind."""
    response = getattr(error, "response", None)
    if response is not None and hasattr(response, "status_code"):
        headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
        return Response(status=response.status_code, headers=headers, body=response.content)
    if type(error).__name__ in {"APITimeoutError", "APIConnectionError"}:
        raise TransportError(f"the connection failed ({error})", timed_out=type(error).__name__ == "APITimeoutError")
    return None


def _as_dict(message: Any) -> dict[str, Any]:
    if hasattr(message, "to_dict"):
        return dict(message.to_dict(mode="json"))
    if isinstance(message, dict):
        return message
    usage = getattr(message, "usage", None)
    return {
        "type": "message",
        "model": str(getattr(message, "model", "")),
        "content": [_block(block) for block in message.content],
        "stop_reason": getattr(message, "stop_reason", None) or "end_turn",
        "usage": {name: getattr(usage, name, 0) for name in ("input_tokens", "output_tokens")} if usage else {},
    }


def _block(block: Any) -> dict[str, Any]:
    if hasattr(block, "text"):
        return {"type": "text", "text": str(block.text)}
    return {"type": str(getattr(block, "type", "")), "input": getattr(block, "input", None)}


def _headers(message: Any) -> dict[str, str]:
    request_id = getattr(message, "_request_id", None)
    return {**JSON, "request-id": request_id} if isinstance(request_id, str) else dict(JSON)
