"""What is asked of a model and what comes back, apart from how it travels."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ragcheck.call_context import current_trial
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_ragcheck.model import Call, Usage

__all__ = ["CacheMode", "Completer", "Message", "ModelReply", "ModelRequest"]

KEY_VERSION = "model-call-1"
"""Part of every key; changes when the meaning of a stored reply changes."""
BYTES_PER_TOKEN = 3.0
"""Of UTF-8 text, on the low side for English and about right for other scripts: estimates shall not fall short."""
TOKENS_PER_MESSAGE = 20
ESCAPED = ('"', "\\", "\n", "\r", "\t")
"""Characters that take a byte more in JSON."""

Message = dict[str, Any]
"""``{"role": "user" | "assistant", "content": str | list of blocks}``, as the Messages API takes it."""


class CacheMode(StrEnum):
    """What the store is for in a run."""

    USE = "use"
    REFRESH = "refresh"
    """Ask again, keep the new reply."""
    OFF = "off"
    """Neither read nor write; one run still asks the same thing once."""
    ONLY = "only"
    """Never ask; what is not there is not run."""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """One call of a model.

    ``parameters`` go into the request's body as they are (``thinking``, ``stop_sequences``, ``output_config``, ...).
    """

    model: str
    messages: Sequence[Message]
    max_tokens: int = 1024
    system: str | None = None
    prefix: str | None = None
    """A text that goes before the first user message and is shared, byte for byte, by several requests of the run."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    """A JSON schema that the reply's text must follow (structured output)."""
    check: Callable[[str], object] | None = field(default=None, compare=False, repr=False)
    """Raises ValueError where a reply's JSON is not what was asked for; None: any JSON is."""
    trial: int = field(default_factory=current_trial)
    """Tells apart repetitions of the same call, from 0; it is not sent. Given by the code that makes the request."""
    purpose: str = "generation"
    """For the accounts: ``generation``, ``judging`` or a metric's name."""

    def key(self, endpoint: str) -> bytes:
        """The digest of everything that can change the reply."""
        content = {
            "model": self.model,
            "messages": list(self.messages),
            "max_tokens": self.max_tokens,
            "system": self.system,
            "prefix": self.prefix,
            "parameters": dict(self.parameters),
            "schema": self.schema,
            "trial": self.trial,
        }
        return digest(KEY_VERSION, endpoint, json.dumps(content, sort_keys=True, separators=(",", ":")))

    def body(self, *, cache_prefix: bool = False) -> dict[str, Any]:
        """The JSON body; ``cache_prefix`` marks system and prefix for the API's prompt cache."""
        body: dict[str, Any] = {"model": self.model, "max_tokens": self.max_tokens, **self.parameters}
        body["messages"] = self._messages(mark=cache_prefix)
        if self.system is not None:
            marked = cache_prefix and self.prefix is None
            body["system"] = [_text_block(self.system, mark=True)] if marked else self.system
        if self.schema is not None:
            output = {"format": {"type": "json_schema", "schema": self.schema}}
            body["output_config"] = {**self.parameters.get("output_config", {}), **output}
        return body

    def least_tokens(self) -> int:
        """Return the least ``max_tokens`` that the API takes: more than the parameters give to thinking."""
        thinking = self.parameters.get("thinking")
        thought = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        return 1 + thought if isinstance(thought, int) else 1

    def shared_tokens(self) -> int:
        """About how many tokens come before what is this request's own."""
        return _tokens(_size(self.system or "") + _size(self.prefix or ""))

    def input_tokens(self) -> int:
        """About how many tokens are sent; rather more than less."""
        # Encoding long texts as JSON only to count bytes would take longer than anything else here.
        texts = [message["content"] for message in self.messages if isinstance(message["content"], str)]
        frame = [{**one, "content": ""} if isinstance(one["content"], str) else one for one in self.messages]
        rest = json.dumps([frame, self.schema, dict(self.parameters)], ensure_ascii=False)
        size = _size(rest) + sum(_size(text) + sum(text.count(mark) for mark in ESCAPED) for text in texts)
        return self.shared_tokens() + _tokens(size) + TOKENS_PER_MESSAGE * (len(self.messages) + 1)

    def _messages(self, *, mark: bool) -> list[Message]:
        messages = list(self.messages)
        if self.prefix is None or not messages:
            return messages
        first = messages[0]
        content = first["content"]
        own = [_text_block(content)] if isinstance(content, str) else list(content)
        return [{**first, "content": [_text_block(self.prefix, mark=mark), *own]}, *messages[1:]]


@dataclass(frozen=True, kw_only=True)
class ModelReply:
    """What the model said."""

    text: str
    """All text blocks, joined."""
    stop_reason: str
    model: str
    """The model's full name, as the server told it."""
    usage: Usage
    latency: float
    """Seconds that the server took, without queueing and back-off; also of a stored reply."""
    request_id: str | None
    call: Call
    cached: bool = False


class Completer(Protocol):
    """Whatever stands for the gateway where calls are made."""

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The reply; see :meth:`~pytest_ragcheck.gateway.Gateway.complete` for what is raised."""


def _text_block(text: str, *, mark: bool = False) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    if mark:
        block["cache_control"] = {"type": "ephemeral"}
    return block


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _tokens(size: int) -> int:
    return int(size / BYTES_PER_TOKEN) + 1
