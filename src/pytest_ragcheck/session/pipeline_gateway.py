"""What ``ragcheck_gateway`` gives: model calls of the user's pipeline, made as those of the judge are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.gateway import ModelRequest
from pytest_ragcheck.rag.threads import loop_of_answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.gateway import Completer, ModelReply
    from pytest_ragcheck.gateway.requests import Message

__all__ = ["PipelineGateway"]


class PipelineGateway:
    """Calls models with the judge's limits, retries, store, budget and accounts."""

    def __init__(self, gateway: Completer) -> None:
        self._gateway = gateway

    async def complete(
        self,
        *,
        model: str,
        messages: Sequence[Message],
        max_tokens: int = 1024,
        system: str | None = None,
        schema: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> ModelReply:
        """Return the reply: ``text``, ``usage``, ``model``, ``stop_reason``, ``cached``.

        ``schema`` is a JSON schema for the text; ``parameters`` go into the request's body. Raises what
        :meth:`~pytest_ragcheck.gateway.Gateway.complete` raises, and ConfigurationError for a stream.
        """
        if parameters.get("stream"):
            raise ConfigurationError("ragcheck_gateway: stream is not supported; leave it out")
        request = ModelRequest(
            model=model,
            messages=messages,
            max_tokens=max_tokens,
            system=system,
            schema=schema,
            parameters=parameters,
            purpose="generation",
        )
        loop = loop_of_answers()
        if loop is None or loop is asyncio.get_running_loop():
            return await self._gateway.complete(request)
        # A sync pipeline with an event loop of its own: limits and connections belong to the one that answers.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._gateway.complete(request), loop))

    def complete_sync(self, **arguments: Any) -> ModelReply:
        """Return the same from a sync pipeline, in the thread in which it was called.

        Raises ConfigurationError elsewhere: an event loop must be there to make the call.
        """
        loop = loop_of_answers()
        if loop is None:
            raise ConfigurationError(
                "ragcheck_gateway.complete_sync: called outside of a sync pipeline; "
                "call it in the pipeline's own thread, or await complete()"
            )
        return asyncio.run_coroutine_threadsafe(self.complete(**arguments), loop).result()
