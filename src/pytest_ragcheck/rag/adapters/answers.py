"""An Answer from whatever a system returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_ragcheck.model import Answer, Context
from pytest_ragcheck.rag.adapters.contexts import as_contexts
from pytest_ragcheck.rag.adapters.shapes import (
    field,
    first_field,
    is_sequence,
    kind_of,
    text_of,
    wrong_return,
)

__all__ = ["ANSWER_FIELDS", "CONTEXT_FIELDS", "UNDERSTOOD", "as_answer", "retrieved"]

ANSWER_FIELDS = (
    "answer", "response", "result", "output", "output_text", "generated_text", "text", "reply", "replies", "answers",
    "content",
)  # fmt: skip
CONTEXT_FIELDS = (
    "contexts", "context", "retrieved_contexts", "retrieval_context", "source_documents", "documents", "docs",
    "source_nodes", "nodes", "chunks", "passages", "hits", "sources",
)  # fmt: skip
_SOURCES = "sources"
_MESSAGES = "messages"
_ECHOED = frozenset({"question", "query", "input", "user_input", "chat_history", "history", "metadata", "meta", "id"})
"""What a retriever may return beside its contexts without meaning an answer by it."""

UNDERSTOOD = (
    "an Answer, a text, a pair (text, contexts), a list of contexts, "
    f"or a mapping or object with {ANSWER_FIELDS[0]} (or {', '.join(ANSWER_FIELDS[1:])}) "
    f"and {CONTEXT_FIELDS[0]} (or {', '.join(CONTEXT_FIELDS[1:])})"
)


def as_answer(returned: Any) -> Answer:
    """What a system returned, as an Answer.

    A list of contexts is an Answer with ``generated`` False: only retrieval was done. Where nothing is said of
    contexts, ``contexts_known`` is False.

    Raises :class:`~pytest_ragcheck.errors.MeasurementError` (kind ``wrong-return``) for anything else.
    """
    if isinstance(returned, Answer):
        return returned
    if isinstance(returned, str):
        return Answer(text=str(returned), contexts_known=False)
    if isinstance(returned, tuple):
        return _of_pair(returned)
    if is_sequence(returned):
        return retrieved(as_contexts(returned))
    if returned is None or hasattr(returned, "status_code"):  # an HTTP client's response has a text, but is no answer
        raise _not_understood(returned)
    return _of_fields(returned)


def retrieved(contexts: tuple[Context, ...]) -> Answer:
    """What stands for an answer where only retrieval is under test."""
    return Answer(text="", contexts=contexts, generated=False)


def _of_pair(returned: tuple[Any, ...]) -> Answer:
    if len(returned) == 2 and not isinstance(returned[1], str | bytes | Mapping):  # noqa: PLR2004 (text, contexts)
        text = returned[0] if isinstance(returned[0], str) else text_of(returned[0])
        if text is not None and isinstance(returned[1], Iterable):
            return Answer(text=str(text), contexts=as_contexts(returned[1]))
    raise _not_understood(returned)


def _of_fields(returned: Any) -> Answer:
    contexts = _contexts_in(returned)
    messages = field(returned, _MESSAGES)
    found = first_field(returned, ANSWER_FIELDS)
    if found is None and is_sequence(messages) and messages:
        return _of_messages(messages, contexts)
    if found is None:
        return _only_retrieved(returned, contexts)
    name, value = found
    if is_sequence(value) and value and name in {"answers", "replies"}:
        value = value[0]
        contexts = _contexts_in(value) if contexts is None else contexts
    text = text_of(value)
    if text is None:
        raise wrong_return(f"the pipeline's {name!r} holds no text: it is {kind_of(value)}")
    return _answer(text, contexts, returned)


def _answer(text: str, contexts: tuple[Context, ...] | None, returned: Any) -> Answer:
    refused, model = field(returned, "refused"), field(returned, "model")
    return Answer(
        text=text,
        contexts=contexts or (),
        contexts_known=contexts is not None,
        refused=refused if isinstance(refused, bool) else None,
        model=model if isinstance(model, str) else None,
    )


def _of_messages(messages: Any, contexts: tuple[Context, ...] | None) -> Answer:
    """An agent's conversation: its last message is the answer, what its tools returned are the contexts."""
    text = text_of(messages[-1])
    if not text:
        raise wrong_return(f"the last of the messages holds no text: it is {kind_of(messages[-1])}")
    if contexts is None:
        tools = [message for message in messages if "tool" in {field(message, "type"), field(message, "role")}]
        told = [item for message in tools for item in _tool_contexts(message)]
        contexts = as_contexts(told) if tools else None
    return _answer(text, contexts, messages[-1])


def _tool_contexts(message: Any) -> list[Any]:
    artifact = field(message, "artifact")
    if is_sequence(artifact):
        return list(artifact)
    text = text_of(message)
    return [] if text is None else [text]


def _contexts_in(returned: Any) -> tuple[Context, ...] | None:
    """None where there are none: an empty list is another thing than nothing said."""
    found = first_field(returned, CONTEXT_FIELDS)
    if found is None:
        return None
    name, items = found
    sources = field(returned, _SOURCES)
    if name == _SOURCES:
        # Names of documents are no texts that an answer could rest on.
        are_names = is_sequence(items) and items and all(isinstance(item, str) for item in items)
        return None if are_names else as_contexts(items)
    names_all = is_sequence(sources) and all(source is None or isinstance(source, str) for source in sources)
    return as_contexts(items, sources=sources if names_all and is_sequence(items) else None)


def _only_retrieved(returned: Any, contexts: tuple[Context, ...] | None) -> Answer:
    if not isinstance(returned, Mapping):  # who returns contexts alone needs no object for it
        raise _not_understood(returned)
    others = set(returned) - set(CONTEXT_FIELDS) - _ECHOED
    for name in ANSWER_FIELDS:
        if name in others:
            raise wrong_return(f"the pipeline's {name!r} is None, so that there is no answer")
    if contexts is None or others:
        raise _not_understood(returned)
    return retrieved(contexts)


def _not_understood(returned: Any) -> Exception:
    return wrong_return(f"the pipeline returned {kind_of(returned)}, which is not understood; it must be {UNDERSTOOD}")
