"""One HTTP attempt at the Messages API, and what its outcome means."""

from __future__ import annotations

import email.utils
import json
import time
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ragcheck.model import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AttemptResult",
    "Message",
    "Response",
    "RetryAction",
    "Transport",
    "TransportError",
    "classify",
    "retry_after",
]

_RETRIED_STATUS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT})
_SPEND_LIMITS = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "ramp_limit_exceeded",
    }
)
_TEXT_OF_AN_ERROR = 300
_MOST_BYTES = 8 * 1024 * 1024
"""Of a reply: far more than a model writes, and no more than can be stored and measured in seconds."""


class TransportError(Exception):
    """No whole answer came: connection refused, reset or cut short, or nothing within the time given."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer whose body has arrived whole; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Transport(Protocol):
    """Sends one body once: no retry, no waiting, no judgement."""

    async def open(self) -> None:
        """Get ready; may be left out, as :meth:`send` does it too."""

    async def send(self, body: Mapping[str, Any], *, seconds: float) -> Response:
        """The answer, whatever its status; raises :class:`TransportError` where none came within ``seconds``."""

    async def close(self) -> None:
        """Give back the connections."""


class RetryAction(StrEnum):
    """What to do after an attempt."""

    DONE = "done"
    RETRY = "retry"
    """Trouble of the moment: back off and try again."""
    LIMITED = "limited"
    """The server refused for its limits: wait as told, and slow down."""
    FAIL = "fail"
    """No retry mends it."""
    REFUSED_KEY = "refused key"
    """No call of this run will work."""
    SPEND_LIMIT = "spend limit"
    """No call of this run will work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A model's message, checked to be whole."""

    text: str
    stop_reason: str
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What an attempt came to."""

    effect: RetryAction
    kind: str = ""
    """The :class:`~pytest_ragcheck.errors.MeasurementError` kind, should it be the last attempt."""
    cause: str = ""
    status: int | None = None
    request_id: str | None = None
    wait: float | None = None
    """Seconds that the server told to wait."""
    message: Message | None = None


def classify(outcome: Response | TransportError) -> AttemptResult:
    """Decide from one attempt's outcome alone."""
    if isinstance(outcome, TransportError):
        return AttemptResult(
            effect=RetryAction.RETRY, kind="timeout" if outcome.timed_out else "connection", cause=str(outcome)
        )
    request_id = outcome.headers.get("request-id")
    if outcome.status != HTTPStatus.OK:
        return _classify_error(outcome, request_id)
    try:
        message = _read_message(outcome)
    except ValueError as problem:
        return AttemptResult(
            effect=RetryAction.RETRY,
            kind="invalid-reply",
            cause=f"the reply is not a whole message: {problem}",
            status=outcome.status,
            request_id=request_id,
        )
    return AttemptResult(effect=RetryAction.DONE, status=outcome.status, request_id=request_id, message=message)


def retry_after(headers: Mapping[str, str], *, wall: float | None = None) -> float | None:
    """Seconds told by ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date); None where not understood."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0.0 <= seconds < float("inf"):
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, date.timestamp() - (time.time() if wall is None else wall))


def _classify_error(reply: Response, request_id: str | None) -> AttemptResult:
    kind, code, text = _read_error(reply)
    effect = _effect(reply, code)
    return AttemptResult(
        effect=effect,
        kind=_KINDS.get(effect, "api-error"),
        cause=f"{reply.status} {kind}: {text}" if kind else f"{reply.status} {text}".rstrip(),
        status=reply.status,
        request_id=request_id,
        wait=retry_after(reply.headers),
    )


_KINDS = {
    RetryAction.LIMITED: "rate-limited",
    RetryAction.SPEND_LIMIT: "spend-limit",
    RetryAction.REFUSED_KEY: "refused-key",
}


def _effect(reply: Response, code: str) -> RetryAction:
    status = reply.status
    if code in _SPEND_LIMITS or status == HTTPStatus.PAYMENT_REQUIRED:
        return RetryAction.SPEND_LIMIT
    if status == HTTPStatus.UNAUTHORIZED:
        return RetryAction.REFUSED_KEY
    advice = reply.headers.get("x-should-retry")
    if advice == "false":
        return RetryAction.FAIL
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RetryAction.LIMITED
    if advice == "true" or status in _RETRIED_STATUS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RetryAction.RETRY
    return RetryAction.FAIL


def _read_error(reply: Response) -> tuple[str, str, str]:
    """Type, code and text of an error's body, as far as there are any."""
    try:
        error = json.loads(reply.body)["error"]
        details = error.get("details") or {}
        return str(error["type"]), str(details.get("error_code", "")), _one_line(str(error["message"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", "", _one_line(reply.body[: 4 * _TEXT_OF_AN_ERROR].decode("utf-8", "replace"))


def _one_line(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= _TEXT_OF_AN_ERROR else line[: _TEXT_OF_AN_ERROR - 1] + "…"


def _read_message(reply: Response) -> Message:
    """Raises ValueError unless it is a complete message: a cut or foreign body must never pass for an answer."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.endswith("json"):
        raise ValueError(f"its content type is {_one_line(kind) or 'missing'}")
    if len(reply.body) > _MOST_BYTES:
        raise ValueError(f"it has {len(reply.body):,} bytes")
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise ValueError("its JSON is broken") from None
    if not isinstance(data, dict) or data.get("type") != "message":
        raise ValueError("it has no message")
    content, reason, usage = data.get("content"), data.get("stop_reason"), data.get("usage")
    if not isinstance(content, list) or not isinstance(reason, str) or not isinstance(usage, dict):
        raise ValueError("content, stop_reason or usage is missing")  # noqa: TRY004 (one error for all)
    return Message(
        text="".join(_block_text(block) for block in content),
        stop_reason=reason,
        model=str(data.get("model", "")),
        usage=Usage(
            input_tokens=_count(usage, "input_tokens"),
            output_tokens=_count(usage, "output_tokens"),
            cache_read_tokens=_count(usage, "cache_read_input_tokens"),
            cache_write_tokens=_count(usage, "cache_creation_input_tokens"),
        ),
    )


def _block_text(block: Any) -> str:
    """A text block's text; thinking and tools are not the answer."""
    if not isinstance(block, dict) or "type" not in block:
        raise ValueError("a content block has no type")
    if block["type"] != "text":
        return ""
    if not isinstance(block.get("text"), str):
        raise ValueError("a text block has no text")  # noqa: TRY004 (one error for all)
    return str(block["text"])


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name) or 0
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is not a count")
    return value
