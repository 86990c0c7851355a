"""Gold: whether it is there, and whether it means one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.commands.lint.findings import Finding, Level, of_error, place_of, warning_at
from pytest_ragcheck.report.textual import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.commands.lint.material import Material
    from pytest_ragcheck.dataset import GoldFault
    from pytest_ragcheck.model import GoldGroup, Question

__all__ = ["check_ambiguous_gold", "check_gold", "check_missing_gold"]

_SHOWN = 80
_MOST_DOCUMENTS = 2
"""A quote without a source may stand in so many documents before it says too little."""


def check_gold(material: Material) -> Iterator[Finding]:
    """Passages that are not in the documents, each with the sentence that is nearest to it."""
    for fault in material.gold_faults:
        yield of_error(fault.error, "gold", fallback=material.name, remedy=_nearest(fault, material))


def _nearest(fault: GoldFault, material: Material) -> str:
    if fault.passage.text is None:
        return ""
    source = fault.passage.source
    known = next(
        (key for key in material.documents or {} if source and (key == source or key.endswith(f"/{source}"))), None
    )
    near = material.sections.nearest(fault.passage.text, known) or material.sections.nearest(fault.passage.text)
    return f"nearest is {near.source}:{near.line} {shorten(near.text, _SHOWN)!r}" if near else "nothing is near it"


def check_missing_gold(material: Material) -> Iterator[Finding]:
    """Questions without gold that should have some, and the other way round."""
    answerable = [question for question in material.questions if question.answerable]
    for question in material.questions:
        if not question.answerable and question.gold:
            told = "an unanswerable question has gold, so the documents do speak of it"
            yield warning_at(question, "gold", told, "take the gold out, or answerable: false")
        elif question.answerable and not (question.gold or question.reference or question.must_contain):
            told = "answerable, but nothing says what is right: no gold, reference or must_contain"
            yield warning_at(question, "gold", told, "write one of them, or answerable: false")
    without = [
        question for question in answerable if not question.gold and (question.reference or question.must_contain)
    ]
    if without and len(without) == len(answerable):
        told = "no question has gold, so retrieval is not measured"
        yield Finding(Level.WARNING, f"{material.name}:1", "gold", told, "quote the passages that must be found")
        return
    for question in without:
        yield warning_at(question, "gold", "answerable, but without gold", "quote the passages that must be found")


def check_ambiguous_gold(material: Material) -> Iterator[Finding]:
    """Quotes that stand in several documents: finding any of them counts."""
    for question in material.resolved:
        for number, group in enumerate(question.gold, 1):
            sources = {passage.source for passage in group}
            if len(sources) > _MOST_DOCUMENTS and _has_quote_without_source(question, material):
                told = f"gold {number} stands in {len(sources)} documents, and any of them counts: {_shown(group)}"
                yield warning_at(question, "gold", told, "quote more words, or name the source")


def _has_quote_without_source(question: Question, material: Material) -> bool:
    written = next(one for one in material.questions if place_of(one) == place_of(question))
    return any(passage.source is None for group in written.gold for passage in group)


def _shown(group: GoldGroup) -> str:
    return repr(shorten(group[0].text or "", _SHOWN))
