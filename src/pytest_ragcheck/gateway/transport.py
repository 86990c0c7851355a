"""One HTTP attempt at the Messages API, and what its outcome means."""

from __future__ import annotations

import email.utils
import json
import re
import time
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from pytest_ragcheck.model import Usage
from pytest_ragcheck.safe_text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "MOST_BYTES",
    "RUN_ENDING",
    "AttemptResult",
    "Message",
    "Response",
    "RetryAction",
    "Transport",
    "TransportError",
    "address_of",
    "classify",
    "excerpt",
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
_STATUS_OF_ERROR = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""By type of the Messages API's errors, for proxies that pass an error on with status 200."""
_WORDS_FROM = 20_000
"""Characters of a page in which the server's words are looked for."""
_TEXT_OF_AN_ERROR = 300
_MOST_TOKENS = 10**9
"""A reply that counts more is not believed: its cost would end the budget, and what is kept of it could not be read."""
MOST_BYTES = 8 * 1024 * 1024
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
    MALFORMED = "malformed"
    """The reply has another form than was asked for. Once may be a slip; twice in a row is the server's way."""
    REFUSED_KEY = "refused key"
    """No call of this run will work."""
    NO_MODEL = "no such model"
    """No call of this run will work."""
    SPEND_LIMIT = "spend limit"
    """No call of this run will work."""


RUN_ENDING = {
    RetryAction.REFUSED_KEY: "{endpoint} refused the API key ({cause}): check ANTHROPIC_API_KEY",
    RetryAction.NO_MODEL: "{endpoint} has no model {model} ({cause}): it was retired or is misspelt; name another one",
}
"""Actions that end the run, with the text of the ConfigurationError that ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A model's message, checked to be whole."""

    text: str
    tool_inputs: tuple[str, ...] = ()
    """What the model would call tools with, as JSON."""
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
    remedy: str = ""
    """What the user can do, should it be the last attempt."""


def classify(outcome: Response | TransportError, *, scrub: Callable[[str], str] = str) -> AttemptResult:
    """Decide from one attempt's outcome alone.

    ``scrub`` takes secrets out of a text; it sees each text before it is cut, as half of a secret is not found.
    """
    if isinstance(outcome, TransportError):
        return AttemptResult(
            effect=RetryAction.RETRY, kind="timeout" if outcome.timed_out else "connection", cause=scrub(str(outcome))
        )
    request_id = outcome.headers.get("request-id")
    if outcome.status != HTTPStatus.OK:
        return _classify_error(outcome, request_id, scrub)
    try:
        message = _read_message(outcome, scrub)
    except _ErrorInsideError:
        return _classify_error(outcome, request_id, scrub)
    except _NotAMessageError as problem:
        return AttemptResult(
            effect=problem.effect,
            kind="invalid-reply",
            cause=f"the reply is not a whole message: {problem}",
            status=outcome.status,
            request_id=request_id,
            remedy="check the address (ANTHROPIC_BASE_URL) and what answers there: a proxy, a sign-in page",
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


class _NotAMessageError(ValueError):
    def __init__(self, problem: str, *, effect: RetryAction = RetryAction.MALFORMED) -> None:
        super().__init__(problem)
        self.effect = effect


class _ErrorInsideError(ValueError):
    """A reply with status 200 that holds an error of the API."""


def _classify_error(reply: Response, request_id: str | None, scrub: Callable[[str], str]) -> AttemptResult:
    kind, code, text = _read_error(reply, scrub)
    cause = f"{reply.status} {kind}: {text}" if kind else f"{reply.status} {text}".rstrip()
    remedy = ""
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST and "location" in reply.headers:
        cause = f"{reply.status}: it leads to another address, {address_of(reply.headers['location'])}"
        remedy = "prompts go to the configured address alone; if that one is right, set ANTHROPIC_BASE_URL to it"
    status = _STATUS_OF_ERROR[kind] if reply.status == HTTPStatus.OK else reply.status
    effect = _effect(status, reply.headers, code)
    if status == HTTPStatus.NOT_FOUND and kind == "not_found_error" and "model" in text:
        effect = RetryAction.NO_MODEL
    return AttemptResult(
        effect=effect,
        kind=_KINDS.get(effect, "api-error"),
        cause=cause,
        status=reply.status,
        request_id=request_id,
        wait=retry_after(reply.headers),
        remedy=remedy,
    )


_KINDS = {
    RetryAction.LIMITED: "rate-limited",
    RetryAction.SPEND_LIMIT: "spend-limit",
    RetryAction.REFUSED_KEY: "refused-key",
}


def _effect(status: int, headers: Mapping[str, str], code: str) -> RetryAction:
    if code in _SPEND_LIMITS or status == HTTPStatus.PAYMENT_REQUIRED:
        return RetryAction.SPEND_LIMIT
    if status == HTTPStatus.UNAUTHORIZED:
        return RetryAction.REFUSED_KEY
    advice = headers.get("x-should-retry")
    if advice == "false":
        return RetryAction.FAIL
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RetryAction.LIMITED
    if advice == "true" or status in _RETRIED_STATUS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RetryAction.RETRY
    return RetryAction.FAIL


def address_of(location: str) -> str:
    """The address that a redirect leads to, without path, query and password."""
    try:
        parts = urlsplit(location)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "which cannot be read"
    return excerpt(f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else parts.path)


def _read_error(reply: Response, scrub: Callable[[str], str]) -> tuple[str, str, str]:
    """Type, code and text of an error's body, as far as there are any."""
    try:
        error = json.loads(reply.body)["error"]
        details = error.get("details") or {}
        kind, code, text = str(error["type"]), str(details.get("error_code", "")), str(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", "", _words(reply, scrub)
    return excerpt(scrub(kind)), code, excerpt(scrub(text))


def _words(reply: Response, scrub: Callable[[str], str]) -> str:
    """What a body says to a reader, be it a page, an error of another API's shape, or plain text."""
    text = scrub(reply.body.decode("utf-8", "replace"))
    if "html" in reply.headers.get("content-type", "").lower():
        return excerpt(_MARKUP.sub(" ", _INVISIBLE.sub(" ", text[:_WORDS_FROM])))
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return excerpt(text)
    while isinstance(said, dict):
        inner = next((said[name] for name in _SAYING if said.get(name)), None)
        if inner is None:
            break
        said = inner
    return excerpt(said if isinstance(said, str) else text)


_SAYING = ("error", "message", "detail", "details", "title")
_INVISIBLE = re.compile(r"(?is)<(script|style)\b.*?(?:</\1>|\Z)")
_MARKUP = re.compile(r"(?s)<[^>]*(?:>|\Z)")


def excerpt(text: str) -> str:
    """The start of a text from outside, printable and on one line. Secrets must have been taken out before."""
    line = one_line(text[:_WORDS_FROM])
    return line if len(line) <= _TEXT_OF_AN_ERROR else line[: _TEXT_OF_AN_ERROR - 1] + "…"


def _read_message(reply: Response, scrub: Callable[[str], str]) -> Message:
    """Raises unless it is a complete message: a cut or foreign body must never pass for an answer."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.endswith("json"):
        words = _words(reply, scrub)
        said = f"; it says: {words}" if words else ""
        raise _NotAMessageError(f"its content type is {excerpt(kind) or 'missing'}{said}")
    if len(reply.body) > MOST_BYTES:
        raise _NotAMessageError(f"it has more than {MOST_BYTES // 1024**2} MB")
    try:
        data = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise _NotAMessageError("its JSON is broken", effect=RetryAction.RETRY) from None
    if not isinstance(data, dict) or data.get("type") != "message":
        error = data.get("error") if isinstance(data, dict) else None
        if isinstance(error, dict) and error.get("type") in _STATUS_OF_ERROR:
            raise _ErrorInsideError
        raise _NotAMessageError(f"it says: {_words(reply, scrub)}")
    content, reason, usage = data.get("content"), data.get("stop_reason"), data.get("usage")
    if not isinstance(content, list) or not isinstance(reason, str) or not isinstance(usage, dict):
        raise _NotAMessageError("content, stop_reason or usage is missing")
    return Message(
        text=scrub("".join(_block_text(block) for block in content)),
        tool_inputs=tuple(scrub(json.dumps(block.get("input"))) for block in content if block["type"] == "tool_use"),
        stop_reason=excerpt(scrub(reason)),
        model=excerpt(scrub(str(data.get("model", "")))),
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
        raise _NotAMessageError("a content block has no type")
    if block["type"] != "text":
        return ""
    if not isinstance(block.get("text"), str):
        raise _NotAMessageError("a text block has no text")
    return str(block["text"])


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name) or 0
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise _NotAMessageError(f"{name} is not a count")
    return value
