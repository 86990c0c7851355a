"""Questions that are not independent of each other, because they are about the same document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from pytest_ragcheck.baseline.pairs import Key, Pair

__all__ = ["clusters_of"]

LEAST_CLUSTERS = 6
"""With fewer, swaps of whole clusters could hardly show a drop, whatever happened: of 2^5 choices one alone is 3 %."""


def clusters_of(pairs: Iterable[Pair]) -> dict[Key, int]:
    """A number for each question, the same for those about the same document.

    That is the one that the first gold is in; without gold, the one of the best context that the baseline retrieved.
    Variants of one question belong together in any case. A question with neither stands alone, and so does each where
    there would be fewer than :data:`LEAST_CLUSTERS`. Of a question about several documents the first counts: joined by
    all, most of a small dataset would be one chain.
    """
    alone: dict[Key, Hashable] = {}
    labels: dict[Key, Hashable] = {}
    documents: dict[Hashable, str | None] = {}
    for pair in pairs:
        question = alone[pair.key] = ("question", *pair.key[:2])
        document = documents.setdefault(question, _document(pair))
        labels[pair.key] = question if document is None else ("document", document)
    numbers: dict[Hashable, int] = {}
    chosen = alone if len(set(labels.values())) < LEAST_CLUSTERS else labels
    return {key: numbers.setdefault(label, len(numbers)) for key, label in chosen.items()}


def _document(pair: Pair) -> str | None:
    sources = [passage.source for group in pair.result.question.gold for passage in group]
    sources += [context.source or context.sha256 for context in pair.entry.contexts[:1]]
    return next((source for source in sources if source is not None), None)
