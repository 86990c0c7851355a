"""References and facts against the gold: what a question expects must stand where it says that retrieval finds it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.lint.findings import Finding, warning_at
from pytest_ragcheck.lexical import WordKind, content_keys, states, word_readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_ragcheck.commands.lint.material import Material
    from pytest_ragcheck.model import Question

__all__ = ["check_facts", "check_references"]

_LEAST_SUPPORT = 0.4
"""References say things in words of their own; below this share hardly a word is the gold's."""
_SHOWN_WORDS = 6
_REMEDY = "correct it, or the gold"


def check_references(material: Material) -> Iterator[Finding]:
    """References whose words or numbers do not stand in the sections of their gold."""
    asked = [question for question in material.resolved if question.reference and question.gold]
    evidence = {question.id: _evidence(question, material) for question in asked}
    supports = asyncio.run(_supports(asked, evidence))
    for question, support in zip(asked, supports, strict=True):
        numbers = _numbers_without_support(question, evidence[question.id])
        if numbers:
            told = f"the reference says {_listed(numbers)}, which is not where the gold is"
            yield warning_at(question, "reference", told, _REMEDY)
        elif support is not None and support < _LEAST_SUPPORT:
            told = f"the reference shares few words with where the gold is ({support:.0%} of what it says)"
            yield warning_at(question, "reference", told, _REMEDY)


def check_facts(material: Material) -> Iterator[Finding]:
    """Facts of ``must_contain`` that do not stand in the sections of the gold."""
    for question in material.resolved:
        if not question.gold:
            continue
        evidence = _evidence(question, material)
        for fact in question.must_contain:
            if not any(states(evidence, spelling) for spelling in fact):
                told = f"must_contain asks for {fact[0]!r}, which is not where the gold is"
                yield warning_at(question, "must_contain", told, "correct it, add the documents' spelling, or the gold")


async def _supports(questions: Sequence[Question], evidence: dict[str, str]) -> list[float | None]:
    """The groundedness of each reference in its evidence."""
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.text import Groundedness
    from pytest_ragcheck.model import Answer, Context

    measured = []
    for question in questions:
        contexts = (Context(text=f"{question.question}\n\n{evidence[question.id]}", rank=1),)
        answer = Answer(text=question.reference or "", refused=False)
        score = await Groundedness().measure(Case(question=question, contexts=contexts, answer=answer))
        measured.append(score.value)
    return measured


def _numbers_without_support(question: Question, evidence: str) -> list[str]:
    known = content_keys(evidence) | content_keys(question.question)
    unknown = [
        [word.text for word in words if word.kind is WordKind.NUMBER and word.key not in known]
        for words in word_readings(question.reference or "")
    ]
    return min(unknown, key=len)


def _evidence(question: Question, material: Material) -> str:
    passages = (passage for group in question.gold for passage in group)
    if material.documents is None:
        return "\n\n".join(passage.text or "" for passage in passages)
    return "\n\n".join(dict.fromkeys(material.sections.around(passage) for passage in passages))


def _listed(words: Sequence[str]) -> str:
    listed = ", ".join(repr(word) for word in words[:_SHOWN_WORDS])
    return listed if len(words) <= _SHOWN_WORDS else f"{listed} and {len(words) - _SHOWN_WORDS} more"
