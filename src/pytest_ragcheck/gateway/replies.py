"""Replies as they are kept, and what a reply's end means."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.gateway.transport import RetryAction, excerpt
from pytest_ragcheck.model import Usage
from pytest_ragcheck.store import Fields, StoredKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.gateway.requests import ModelRequest
    from pytest_ragcheck.gateway.transport import AttemptResult, Message

__all__ = ["KIND", "REPLIES", "StoredReply", "check_end", "with_form"]

KIND = "model-reply"
"""The store's kind of these values."""
_FENCE = re.compile(r"```[\w-]*+[^\S\n]*+\n(.*?)```", re.DOTALL)
_OPENING = {"object": "{", "array": "["}
_MOST_PLACES = 30
_SHOWN = 80
_WAY_TO_JSON = "use a model that replies with JSON to a schema, and a proxy that passes output_config on to it"
_CUT = frozenset({"max_tokens", "model_context_window_exceeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """A reply without the account of how it was got."""

    text: str
    stop_reason: str
    model: str
    usage: Usage
    latency: float
    request_id: str | None
    cost: float | None
    """US dollars that it took, all attempts together; None where the price was unknown."""

    @classmethod
    def of(cls, message: Message, *, latency: float, request_id: str | None, cost: float | None) -> StoredReply:
        """A message that has just come."""
        return cls(
            text=message.text,
            stop_reason=message.stop_reason,
            model=message.model,
            usage=message.usage,
            latency=latency,
            request_id=request_id,
            cost=cost,
        )

    @classmethod
    def parse(cls, data: bytes) -> StoredReply:
        """Read a stored reply; ValueError where the bytes are not one."""
        fields = Fields.parse(data)
        usage = fields.fields("usage")
        return cls(
            text=fields.text("text"),
            stop_reason=fields.text("stop_reason"),
            model=fields.text("model"),
            usage=Usage(**{name: usage.count(name) for name in Usage.__slots__}),
            latency=fields.number("latency"),
            request_id=fields.optional_text("request_id"),
            cost=fields.optional_number("cost"),
        )

    def to_bytes(self) -> bytes:
        """As it is kept."""
        values = {name: getattr(self, name) for name in self.__slots__}
        usage = {name: getattr(self.usage, name) for name in self.usage.__slots__}
        return json.dumps({**values, "usage": usage}).encode()


REPLIES = StoredKind(KIND, StoredReply.parse)


def with_form(verdict: AttemptResult, request: ModelRequest) -> AttemptResult:
    """Return an attempt's result with its message in the form that was asked for, or as malformed.

    Where JSON was asked for, it may stand in a code fence, after prose, or in a tool's input: then that is the text.
    What it must look like is for :attr:`ModelRequest.check` to say.
    """
    message = verdict.message
    if message is None or message.stop_reason not in {"end_turn", "stop_sequence", "tool_use"}:
        return verdict
    if request.schema is None:
        no_text = "the reply has no text", "see the model's parameters, such as tools, thinking and max_tokens"
        return verdict if message.text.strip() else _malformed(verdict, *no_text)
    text = _json_of(message, request.schema)
    if text is None:
        said = f"; it begins: {excerpt(message.text)[:_SHOWN]}" if message.text.strip() else ""
        return _malformed(verdict, f"the reply is not the JSON that was asked for{said}", _WAY_TO_JSON)
    try:
        if request.check is not None:
            request.check(text)
    except ValueError as problem:  # pydantic's ValidationError is one
        told = " ".join(str(problem).split("\n")[:3])
        return _malformed(verdict, f"the reply does not follow the schema that was asked for: {told}", _WAY_TO_JSON)
    return replace(verdict, message=replace(message, text=text))


def _malformed(verdict: AttemptResult, cause: str, remedy: str) -> AttemptResult:
    return replace(verdict, effect=RetryAction.MALFORMED, kind="invalid-reply", cause=cause, remedy=remedy)


def _json_of(message: Message, schema: Mapping[str, Any]) -> str | None:
    """The one JSON value in a message; None where there is none, or more than one that could be meant."""
    if len(message.tool_inputs) == 1:
        return message.tool_inputs[0]
    fences = _FENCE.findall(message.text)
    for text in [message.text, *(fences if len(fences) == 1 else [])]:
        with suppress(ValueError, RecursionError):
            json.loads(text)
            return str(text).strip()
    return _only_value(message.text, _OPENING.get(str(schema.get("type")), "{"))


def _only_value(text: str, opening: str) -> str | None:
    """The one JSON object, or list, that stands among other words."""
    decoder, found = json.JSONDecoder(), list[str]()
    place = text.find(opening)
    for _ in range(_MOST_PLACES):  # bounded: each try may read to the end of a long text
        if place < 0:
            return found[0] if len(found) == 1 else None
        end = place + 1
        with suppress(ValueError, RecursionError):
            _, end = decoder.raw_decode(text, place)
            found.append(text[place:end])
        place = text.find(opening, end)
    return None


def check_end(reply: StoredReply, request: ModelRequest) -> None:
    """Raise :class:`MeasurementError` (``truncated``, ``refused``, ``unfinished``) unless the model came to its end."""
    reason = reply.stop_reason
    if reason in {"end_turn", "stop_sequence", "tool_use"}:
        return
    if reason == "max_tokens":
        told, kind = f"the reply was cut off at max_tokens = {request.max_tokens}; raise it", "truncated"
    elif reason in _CUT:
        told, kind = "the reply was cut off at the end of the model's context window", "truncated"
    elif reason == "refusal":
        told, kind = "the model refused to reply", "refused"
    else:
        told, kind = f"the reply ended with stop_reason {reason!r}", "unfinished"
    raise MeasurementError(
        f"{reply.model or request.model}: {told}", kind=kind, stop_reason=reason, request_id=reply.request_id
    )
