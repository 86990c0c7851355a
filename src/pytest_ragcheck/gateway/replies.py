"""Replies as they are kept, and what a reply's end means."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.model import Usage
from pytest_ragcheck.store import Fields, StoredKind

if TYPE_CHECKING:
    from pytest_ragcheck.gateway.requests import ModelRequest
    from pytest_ragcheck.gateway.transport import Message

__all__ = ["KIND", "REPLIES", "StoredReply", "check_end", "trouble_with"]

KIND = "model-reply"
"""The store's kind of these values."""
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


def trouble_with(message: Message, request: ModelRequest) -> str | None:
    """Why a whole message is still no reply, so that it is asked for again; None where it is one."""
    if message.stop_reason not in {"end_turn", "stop_sequence"}:
        return None
    if not message.text.strip():
        return "the reply has no text"
    if request.schema is not None:
        try:
            json.loads(message.text)
        except (ValueError, RecursionError):
            return "the reply is not the JSON that was asked for"
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
