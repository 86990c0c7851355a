"""Answers that the system under test is given beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.commands.lint.findings import Finding, Level, warning_at
from pytest_ragcheck.lexical import content_keys, fold, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.commands.lint.material import Material

__all__ = ["check_leaks"]

_LEAST_WORDS = 3
"""Content words of a text whose place in a prompt is no chance."""
_LEAST_WORDS_OF_ANSWER = 2


def check_leaks(material: Material) -> Iterator[Finding]:
    """References and questions that stand in the prompt, and references that stand in their own question."""
    for key in ("prompt", "system"):
        prompt = getattr(material.settings.generation, key)
        if prompt:
            yield from _leaks_in(prompt, material, key)
    for question in material.questions:
        reference = question.reference or ""
        if len(content_keys(reference)) >= _LEAST_WORDS_OF_ANSWER and states(question.question, _bare(reference)):
            yield warning_at(question, "leak", "the question holds its own reference answer", "ask without the answer")


def _leaks_in(prompt: str, material: Material, key: str) -> Iterator[Finding]:
    place = material.place("generation", key)
    for question in material.questions:
        for what, text in (("reference answer", question.reference or ""), ("text", question.question)):
            if len(content_keys(text)) >= _LEAST_WORDS and _bare(text) in fold(prompt):
                told = f"generation.{key} contains the {what} of {question.id!r}: its score says nothing"
                yield Finding(Level.ERROR, place, "leak", told, "take it out, or the question")


def _bare(text: str) -> str:
    return fold(text).rstrip(".!?")
