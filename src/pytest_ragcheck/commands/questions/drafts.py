"""From replies to questions: only what can be used as it is, and whose quote is in the document."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset import resolve_gold
from pytest_ragcheck.dataset.ids import Identity, assign_ids
from pytest_ragcheck.dataset.values import Place, text
from pytest_ragcheck.errors import DatasetError
from pytest_ragcheck.lexical import fold
from pytest_ragcheck.model import Passage, Question
from pytest_ragcheck.rag.chunking import count_words
from pytest_ragcheck.report.textual import printable

if TYPE_CHECKING:
    from pytest_ragcheck.commands.questions.passages import Asked
    from pytest_ragcheck.model import Document

__all__ = ["DRAFT_TAG", "Drafts"]

DRAFT_TAG = "draft"
_LEAST_QUOTE = 5
"""Words; fewer stand in many places."""

NOT_A_DRAFT = "not a question, an answer and a quote"
NOT_IN_DOCUMENT = "the quote is not in the document"
TOO_SHORT = f"the quote has fewer than {_LEAST_QUOTE} words"
TOO_MANY = "more than were asked for"
ASKED_TWICE = "the same question as another one"


@dataclass(slots=True)
class Drafts:
    """The drafts so far, in the order in which they were added, and why others were dropped."""

    kept: list[Question] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, reply: str, asked: Asked, document: Document) -> None:
        """Take the drafts of a reply about a passage of ``document``."""
        said = _read(reply)
        if said is None:
            self.dropped[NOT_A_DRAFT] += asked.count
            return
        self.dropped[TOO_MANY] += len(said[asked.count :])
        for one in said[: asked.count]:
            self._add_one(one, document)

    def rows(self) -> list[dict[str, Any]]:
        """As they are written to a question file, each with an id."""
        ids = assign_ids([Identity(number, one.question, None) for number, one in enumerate(self.kept, 1)], "drafts")
        return [_row(identifier, question) for identifier, question in zip(ids, self.kept, strict=True)]

    def _add_one(self, said: Any, document: Document) -> None:
        draft = _usable(said, document)
        if draft is None:
            self.dropped[NOT_A_DRAFT] += 1
        elif (quote := _found(draft, document)) is None:
            self.dropped[NOT_IN_DOCUMENT] += 1
        elif count_words(quote) < _LEAST_QUOTE:
            self.dropped[TOO_SHORT] += 1
        elif fold(draft.question) in {fold(other.question) for other in self.kept}:
            self.dropped[ASKED_TWICE] += 1
        else:
            self.kept.append(replace(draft, gold=((Passage(source=document.source, text=quote),),)))


def _read(reply: str) -> list[Any] | None:
    try:
        said = json.loads(reply)
    except (ValueError, RecursionError):
        return None
    questions = said.get("questions") if isinstance(said, dict) else None
    return questions if isinstance(questions, list) else None


def _usable(said: Any, document: Document) -> Question | None:
    """The draft as a question, its quote as gold; None where a question file could not hold it."""
    if not isinstance(said, dict):
        return None
    place = Place("draft", None)
    try:
        question, reference, quote = (
            " ".join(text(said.get(name), place, name).split()) for name in ("question", "answer", "quote")
        )
    except DatasetError:
        return None
    if any(printable(part) != part for part in (question, reference, quote)):
        return None  # who reviews it would not see what it holds
    gold = ((Passage(source=document.source, text=quote),),)
    return Question(id=DRAFT_TAG, question=question, reference=reference, gold=gold)


def _found(draft: Question, document: Document) -> str | None:
    """The quote as it stands in the document, its white space single blanks."""
    try:
        [resolved] = resolve_gold([draft], {document.source: document.text})
    except DatasetError:
        return None
    return " ".join((resolved.gold[0][0].text or "").split())


def _row(identifier: str, question: Question) -> dict[str, Any]:
    [passage] = question.gold[0]
    return {
        "id": identifier,
        "question": question.question,
        "reference": question.reference,
        "gold": [{"source": passage.source, "quote": passage.text}],
        "tags": [DRAFT_TAG],
    }
