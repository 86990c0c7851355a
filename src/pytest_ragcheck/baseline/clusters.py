"""Questions that are not independent of each other, because they ask about the same document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pytest_ragcheck.model import Question

__all__ = ["clusters_of"]

LEAST_CLUSTERS = 6
"""With fewer, swaps of whole clusters could hardly show a drop, whatever happened: of 2^5 choices one alone is 3 %."""


def clusters_of(questions: Mapping[tuple[str, str, str], Question]) -> dict[tuple[str, str, str], int]:
    """A number for each question, the same for those whose first gold is in the same document.

    Keys are (dataset, id, variant): variants of one question belong together in any case. A question without gold
    stands alone, and so does each where there would be fewer than :data:`LEAST_CLUSTERS`. Of a question about several
    documents the first counts: joined by all, most of a small dataset would be one chain.
    """
    labels: dict[tuple[str, str, str], Hashable] = {
        key: ("source", source) if (source := _first_source(question)) is not None else ("question", *key[:2])
        for key, question in questions.items()
    }
    if len(set(labels.values())) < LEAST_CLUSTERS:
        labels = {key: ("question", *key[:2]) for key in questions}
    numbers: dict[Hashable, int] = {}
    return {key: numbers.setdefault(label, len(numbers)) for key, label in labels.items()}


def _first_source(question: Question) -> str | None:
    sources = (passage.source for group in question.gold for passage in group)
    return next((source for source in sources if source is not None), None)
