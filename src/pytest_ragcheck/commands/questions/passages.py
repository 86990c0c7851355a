"""Which passages are asked about: spread over the documents, and over each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.rag.chunking import chunk_document, count_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.model import Chunk, Document

__all__ = ["Asked", "choose_passages"]

MOST_PER_PASSAGE = 3
"""Questions; more of them repeat each other."""
_PASSAGE = 300
"""Words of a passage, at most."""
_LEAST_WORDS = 20
"""A shorter passage says too little to ask about."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A passage, and how many questions are wanted about it."""

    chunk: Chunk
    count: int


def choose_passages(documents: Sequence[Document], wanted: int) -> list[Asked]:
    """Passages for ``wanted`` questions, in the order of the documents; fewer where the documents are short.

    Each document gets as many questions as any other, or as many as it bears; its passages lie evenly in it.
    """
    passages = [_passages(document) for document in documents]
    shares = _shares([MOST_PER_PASSAGE * len(chunks) for chunks in passages], wanted)
    return [asked for chunks, share in zip(passages, shares, strict=True) for asked in _spread(chunks, share)]


def _passages(document: Document) -> list[Chunk]:
    chunks = chunk_document(document, size=_PASSAGE, overlap=0)
    return [chunk for chunk in chunks if count_words(chunk.text) >= _LEAST_WORDS]


def _shares(room: Sequence[int], wanted: int) -> list[int]:
    """Of each document; where there are more documents than questions, those that get one lie evenly among them."""
    shares = [0] * len(room)
    open_places = [place for place, most in enumerate(room) if most]
    while wanted > 0 and open_places:
        served = _evenly(open_places, min(wanted, len(open_places)))
        for place in served:
            shares[place] += 1
        wanted -= len(served)
        open_places = [place for place in open_places if shares[place] < room[place]]
    return shares


def _evenly(places: Sequence[int], count: int) -> list[int]:
    return [places[(2 * number + 1) * len(places) // (2 * count)] for number in range(count)]


def _spread(chunks: Sequence[Chunk], share: int) -> list[Asked]:
    if not share:
        return []
    used = min(share, len(chunks))
    counts = [share // used + (number < share % used) for number in range(used)]
    chosen = _evenly(range(len(chunks)), used)
    return [Asked(chunks[place], count) for place, count in zip(chosen, counts, strict=True)]
