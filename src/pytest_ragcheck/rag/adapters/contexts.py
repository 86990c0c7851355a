"""Contexts from the documents, nodes, hits and mappings that retrievers return."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

from pytest_ragcheck.model import Chunk, Context
from pytest_ragcheck.rag.adapters.shapes import field, first_field, kind_of, text_of, wrong_return

__all__ = ["as_contexts"]

TEXT_FIELDS = ("page_content", "text", "content", "chunk", "passage", "body")
"""LangChain's documents, LlamaIndex' nodes, Haystack's documents, and what others call it."""
SOURCE_FIELDS = ("source", "file_path", "filepath", "path", "file_name", "filename", "url")
SCORE_FIELDS = ("score", "relevance_score", "similarity")
ID_FIELDS = ("chunk_id", "node_id", "id")
_METADATA_FIELDS = ("metadata", "meta", "payload")


def as_contexts(items: Any, *, sources: Any = None) -> tuple[Context, ...]:
    """The contexts in their order, best first; ``sources``, if given, are their sources in the same order.

    Raises :class:`~pytest_ragcheck.errors.MeasurementError` (kind ``wrong-return``) for an item without a text.
    """
    if isinstance(items, str):
        items = [items]
    if not isinstance(items, Iterable) or isinstance(items, bytes | Mapping):
        raise wrong_return(f"contexts must be a list, got {kind_of(items)}")
    contexts = tuple(_as_context(item, rank) for rank, item in enumerate(items, start=1))
    return contexts if sources is None else _with_sources(contexts, sources)


def _with_sources(contexts: tuple[Context, ...], sources: Any) -> tuple[Context, ...]:
    named = list(sources)
    if len(named) != len(contexts):
        raise wrong_return(f"there are {len(contexts)} contexts, but {len(named)} sources")
    return tuple(
        context if source is None else replace(context, source=str(source))
        for context, source in zip(contexts, named, strict=True)
    )


def _as_context(item: Any, rank: int) -> Context:
    if isinstance(item, Context):
        return item
    if isinstance(item, Chunk):
        return Context(text=item.text, rank=rank, source=item.source, start=item.start, end=item.end, chunk_id=item.id)
    if isinstance(item, str):
        return Context(text=str(item), rank=rank)
    score = None
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Real):  # noqa: PLR2004 (document, score)
        item, score = item
    outer = item
    node = field(item, "node")  # LlamaIndex: the score stands beside the node
    if node is not None:
        item = node
    text = _context_text(item)
    if text is None:
        raise wrong_return(
            f"context {rank} has no text: got {kind_of(item)}; a context is a text, a Context, a Chunk, "
            f"or an object or mapping with one of {', '.join(TEXT_FIELDS)}"
        )
    return Context(
        text=text,
        rank=rank,
        score=_score(outer) if score is None else _finite(score),
        source=_source(item),
        chunk_id=_id(item),
    )


def _context_text(item: Any) -> str | None:
    if isinstance(item, str):
        return str(item)
    found = first_field(item, TEXT_FIELDS)
    if found is not None:
        return text_of(found[1])
    get_content = getattr(item, "get_content", None)  # LlamaIndex: nodes that are no text nodes
    content = get_content() if callable(get_content) else None
    if content is None:
        metadata = _metadata(item)  # vector stores: the text is a field of the payload
        found = None if metadata is None else first_field(metadata, TEXT_FIELDS)
        content = None if found is None else found[1]
    return content if isinstance(content, str) else None


def _source(item: Any) -> str | None:
    for holder in (item, _metadata(item)):
        for name in SOURCE_FIELDS if holder is not None else ():
            found = field(holder, name)
            if found is not None and not isinstance(found, Mapping) and str(found).strip():
                return str(found)
    return None


def _score(item: Any) -> float | None:
    for holder in (item, _metadata(item)):
        found = None if holder is None else first_field(holder, SCORE_FIELDS)
        if found is not None and isinstance(found[1], Real):
            return _finite(found[1])
    return None


def _finite(value: Real) -> float | None:
    score = float(value)
    return score if math.isfinite(score) else None


def _id(item: Any) -> str | None:
    found = first_field(item, ID_FIELDS)
    return str(found[1]) if found is not None and isinstance(found[1], str | int) else None


def _metadata(item: Any) -> Mapping[str, Any] | None:
    found = first_field(item, _METADATA_FIELDS)
    return found[1] if found is not None and isinstance(found[1], Mapping) else None
