"""Answers that people scored, kept beside their questions: what a judge is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.fields import HUMAN, given_fields
from pytest_ragcheck.dataset.rows import read_rows
from pytest_ragcheck.dataset.values import Place, elements, kind, number, shown, text, truth
from pytest_ragcheck.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.model import Question

__all__ = ["ScoredAnswer", "load_scored_answers", "read_scored_answers"]

_KEYS = frozenset({"answer", "contexts", "scores"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredAnswer:
    """One answer to one question, as people scored it."""

    answer: str
    contexts: tuple[str, ...] | None
    """What it was given from, best first; None where that was not written down."""
    scores: Mapping[str, float]
    """By metric, from 0 to 1."""
    where: Place
    label: str
    """The field and the answer's number, for messages."""


def load_scored_answers(path: Path, questions: Sequence[Question], *, name: str) -> list[tuple[Question, ScoredAnswer]]:
    """The scored answers of a file, each with its question.

    ``questions`` are all of the file, in its order; ``name`` is the file as errors call it.
    Raises :class:`~pytest_ragcheck.errors.DatasetError` for the first fault.
    """
    found = []
    for question, row in zip(questions, read_rows(path, name), strict=True):
        place = Place(name, row.line)
        given = given_fields(row, place)
        if HUMAN in given:
            label, value = given[HUMAN]
            found += [(question, scored) for scored in read_scored_answers(value, place, label)]
    return found


def read_scored_answers(value: Any, place: Place, label: str) -> tuple[ScoredAnswer, ...]:
    """From a list of mappings with ``answer``, ``scores`` and, if there are any, ``contexts``.

    Raises :class:`~pytest_ragcheck.errors.DatasetError` for anything else.
    """
    return tuple(_scored(element, place, where) for where, element in elements(value, label))


def _scored(element: Any, place: Place, label: str) -> ScoredAnswer:
    if not isinstance(element, dict):
        raise place.error(f"expected 'answer' and 'scores', got {kind(element)}", label)
    for key in element:
        if key not in _KEYS:
            raise place.error(f"unknown key {shown(key)}{did_you_mean(key, _KEYS)}", label)
    for key in ("answer", "scores"):
        if element.get(key) is None:
            raise place.error(f"{key!r} is missing", label)
    contexts = element.get("contexts")
    return ScoredAnswer(
        answer=text(element["answer"], place, f"{label}, answer"),
        contexts=None
        if contexts is None
        else tuple(text(one, place, where) for where, one in elements(contexts, f"{label}, contexts")),
        scores=_scores(element["scores"], place, f"{label}, scores"),
        where=place,
        label=label,
    )


def _scores(value: Any, place: Place, label: str) -> Mapping[str, float]:
    if not isinstance(value, dict) or not value:
        got = "an empty one" if value == {} else kind(value)
        raise place.error(f"expected a mapping of metrics to scores, got {got}", label)
    return {
        text(metric, place, label): _score(score, place, f"{label}, {shown(metric)}") for metric, score in value.items()
    }


def _score(value: Any, place: Place, label: str) -> float:
    """A number from 0 to 1; true is 1, false is 0."""
    if isinstance(value, bool) or (isinstance(value, str) and value.strip()[:1].isalpha()):
        return float(truth(value, place, label))
    score = number(value, place, label)
    if not 0 <= score <= 1:
        raise place.error(f"expected a number from 0 to 1, or true or false, got {score:g}", label)
    return score
