"""From the body of a reply, whole or streamed in events, to an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.model import Answer
from pytest_ragcheck.rag.adapters import as_answer, as_contexts
from pytest_ragcheck.rag.adapters.answers import ANSWER_FIELDS, CONTEXT_FIELDS
from pytest_ragcheck.rag.adapters.shapes import first_field, text_of
from pytest_ragcheck.rag.endpoint.json_path import MISSING, JsonPath, NotThereError
from pytest_ragcheck.report.textual import one_line, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_ragcheck.model import Context

__all__ = ["DONE", "STREAMS", "ReplyReader", "excerpt", "stream_kind"]

SSE, NDJSON = "sse", "ndjson"
STREAMS = (SSE, NDJSON)
DONE = "[DONE]"
"""What OpenAI's API and those like it send as the last event."""
DELTA_FIELDS = ("delta", "token", *ANSWER_FIELDS)
"""Where an event has its piece of the answer, unless a path says it."""
_CONTENT_TYPES = {
    "text/event-stream": SSE,
    "application/x-ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
    "application/x-jsonlines": NDJSON,
    "application/json-lines": NDJSON,
}
_EXCERPT_COLUMNS = 300


def excerpt(text: str) -> str:
    """The start of a text from outside, on one line and without control characters."""
    return shorten(one_line(text[: 8 * _EXCERPT_COLUMNS]), _EXCERPT_COLUMNS)


def stream_kind(content_type: str) -> str | None:
    """``sse`` or ``ndjson``; None for a reply that comes whole."""
    return _CONTENT_TYPES.get(content_type.partition(";")[0].strip().lower())


@dataclass(frozen=True, kw_only=True)
class ReplyReader:
    """Reads replies. ``answer``, ``contexts`` and ``sources`` are places in the reply, or in each event of a stream.

    Without ``answer`` a whole reply is read as what any pipeline returns. ``stream`` says what kind of stream
    a reply is where its content type does not.
    """

    answer: JsonPath | None = None
    contexts: JsonPath | None = None
    sources: JsonPath | None = None
    stream: str | None = None

    def read(self, body: bytes, content_type: str, *, scrub: Callable[[str], str] = str) -> Answer:
        """The answer; :class:`~pytest_ragcheck.errors.MeasurementError` (``invalid-reply``) where there is none.

        ``scrub`` takes secrets out of what an error quotes, before it is cut: half of a secret is not found.
        """
        try:
            return self._read(body, content_type)
        except _UnreadableError as problem:
            told = f"{problem}: {excerpt(scrub(problem.quoted))}" if problem.quoted else str(problem)
            raise MeasurementError(told, kind=problem.kind) from None

    def _read(self, body: bytes, content_type: str) -> Answer:
        text = body.decode("utf-8", "replace")
        kind = self.stream or stream_kind(content_type)
        if kind is not None:
            return self._of_events(list(_events(text) if kind == SSE else _lines(text)))
        plain = content_type.partition(";")[0].strip().lower() == "text/plain"
        if plain and self.answer is None and not text.lstrip().startswith(("{", "[")):
            return Answer(text=text, contexts_known=False)
        return self._of_value(_json(text))

    def _of_value(self, value: Any) -> Answer:
        if self.answer is None:
            answer = as_answer(value)
            contexts = self._contexts(value)
            return answer if contexts is None else _answer(answer.text, contexts)
        try:
            found = self.answer.in_(value)
        except NotThereError as problem:
            raise MeasurementError(f"the answer {problem}", kind="invalid-reply") from None
        text = text_of(found)
        if text is None:
            raise _UnreadableError(f"the answer {self.answer.text!r} is no text", json.dumps(found))
        contexts = self._contexts(value)
        if contexts is None and isinstance(value, dict) and first_field(value, CONTEXT_FIELDS) is not None:
            contexts = as_answer({"answer": text, **{name: value.get(name) for name in CONTEXT_FIELDS}}).contexts
        return _answer(text, contexts)

    def _contexts(self, value: Any) -> tuple[Context, ...] | None:
        """The contexts at their path; None without one."""
        if self.contexts is None:
            return None
        try:
            found = self.contexts.in_(value)
        except NotThereError as problem:
            raise MeasurementError(f"the contexts {problem}", kind="invalid-reply") from None
        if found is None:
            return None
        sources = None if self.sources is None else self.sources.looked_up(value)
        return as_contexts(found, sources=sources if isinstance(sources, list) else None)

    def _of_events(self, events: list[Any]) -> Answer:
        """The pieces of the answer one after another, and the contexts of every event that has some."""
        pieces = [piece for event in events if (piece := self._piece(event)) is not None]
        if not pieces:
            first = json.dumps(events[0], ensure_ascii=False) if events else "nothing"
            where = "" if self.answer is None else f" at {self.answer.text!r}"
            raise _UnreadableError(f"no event of the stream holds a piece of the answer{where}; the first", first)
        found = [contexts for event in events if (contexts := self._event_contexts(event)) is not None]
        items = [item for contexts in found for item in contexts]
        return _answer("".join(pieces), as_contexts(items) if found else None)

    def _piece(self, event: Any) -> str | None:
        if self.answer is not None:
            found = self.answer.looked_up(event)
            return None if found is MISSING or found is None else text_of(found)
        if isinstance(event, str):
            return event
        named = first_field(event, DELTA_FIELDS) if isinstance(event, dict) else None
        return None if named is None else text_of(named[1])

    def _event_contexts(self, event: Any) -> list[Any] | None:
        if self.contexts is not None:
            found = self.contexts.looked_up(event)
            if found is MISSING or found is None:
                return None
            sources = None if self.sources is None else self.sources.looked_up(event)
            read = as_contexts(found, sources=sources if isinstance(sources, list) else None)
        else:
            named = first_field(event, CONTEXT_FIELDS) if isinstance(event, dict) else None
            if named is None or not isinstance(named[1], list):
                return None
            read = as_answer({"answer": "", **event}).contexts
        return list(read)


def _answer(text: str, contexts: tuple[Context, ...] | None) -> Answer:
    ranked = tuple(_at_rank(context, rank) for rank, context in enumerate(contexts or (), start=1))
    return Answer(text=text, contexts=ranked, contexts_known=contexts is not None)


def _at_rank(context: Context, rank: int) -> Context:
    return context if context.rank == rank else replace(context, rank=rank)


def _events(text: str) -> Iterator[Any]:
    """The data of server-sent events (WHATWG HTML, 9.2.6), decoded where it is JSON."""
    name, data = "", list[str]()
    for line in [*text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line:
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "data":
                data.append(value)
            elif key == "event":
                name = value
            continue
        if data and name == "error":
            raise _failed("\n".join(data))
        if data and "\n".join(data).strip() == DONE:
            return
        if data:
            yield _decoded("\n".join(data))
        name, data = "", []


def _decoded(data: str) -> Any:
    """JSON where it is some; a piece of plain text is itself."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return data if isinstance(value, int | float) else value


def _lines(text: str) -> Iterator[Any]:
    """The values of JSON lines."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                raise _UnreadableError(f"line {number} of the stream is not JSON", line) from None
            if isinstance(value, dict) and set(value) == {"error"}:
                raise _failed(json.dumps(value["error"], ensure_ascii=False))
            yield value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        is_empty = not text.strip()
        raise _UnreadableError("the reply is empty" if is_empty else "the reply is not JSON", text.strip()) from None


def _failed(data: str) -> _UnreadableError:
    return _UnreadableError("the stream ended with an error", data, kind="http-error")


class _UnreadableError(ValueError):
    """What is wrong with a reply, and the text that shows it, uncut."""

    def __init__(self, problem: str, quoted: str, *, kind: str = "invalid-reply") -> None:
        super().__init__(problem)
        self.quoted = quoted
        self.kind = kind
