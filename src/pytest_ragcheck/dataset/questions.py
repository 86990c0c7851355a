"""From rows to questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.fields import CONTEXT_NAMES, HUMAN, IDENTITY_NAMES, given_fields
from pytest_ragcheck.dataset.gold import read_contexts, read_gold
from pytest_ragcheck.dataset.history import read_history
from pytest_ragcheck.dataset.human import read_scored_answers
from pytest_ragcheck.dataset.ids import assign_ids, duplicate_ids, identity
from pytest_ragcheck.dataset.rows import read_rows
from pytest_ragcheck.dataset.values import Place, elements, kind, number, shown, text, truth
from pytest_ragcheck.errors import DatasetError
from pytest_ragcheck.model import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.dataset.ids import Identity
    from pytest_ragcheck.dataset.values import Row
    from pytest_ragcheck.model import GoldGroup

    _Read = tuple[Identity, Mapping[str, Any]]

__all__ = ["load_questions", "load_sound_questions", "question_ids"]


def load_questions(path: Path, *, name: str) -> tuple[Question, ...]:
    """The questions of a file, validated, in its order.

    ``name`` is the file as errors call it and as :attr:`Question.dataset` keeps it. Gold passages stay as they are
    written; :func:`~pytest_ragcheck.dataset.resolve_gold` ties them to the documents.

    Raises:
        DatasetError: the file or one of its questions cannot be used; the first fault in the file's order, except
            that ids are compared when all rows are read.

    """
    read = [_read(row, name) for row in read_rows(path, name)]
    return _questions(read, name)


def load_sound_questions(path: Path, *, name: str) -> tuple[tuple[Question, ...], tuple[DatasetError, ...]]:
    """The questions that can be used, and every fault, where :func:`load_questions` stops at the first one.

    Of questions with one id the first is kept. What was made an id may be another one than in the file without faults.
    """
    read: list[_Read] = []
    faults: list[DatasetError] = []
    try:
        for row in read_rows(path, name):
            try:
                read.append(_read(row, name))
            except DatasetError as fault:
                faults.append(fault)
    except DatasetError as fault:  # the reader cannot go on after it
        faults.append(fault)
    doubles = duplicate_ids([identity for identity, _ in read], name)
    sound = [one for place, one in enumerate(read) if place not in doubles]
    return _questions(sound, name), (*faults, *doubles.values())


def _read(row: Row, name: str) -> _Read:
    place = Place(name, row.line)
    given = given_fields(row, place)
    one = identity(given, place, row.line)
    if HUMAN in given:  # no part of the question; told of all the same
        label, scored = given[HUMAN]
        read_scored_answers(scored, place, label)
    return one, {
        field: _READERS[field](value, place, label) for field, (label, value) in given.items() if field in _READERS
    }


def _questions(read: Sequence[_Read], name: str) -> tuple[Question, ...]:
    ids = assign_ids([one for one, _ in read], name)
    return tuple(
        Question(id=identifier, question=one.question, dataset=name, line=one.line, **fields)
        for identifier, (one, fields) in zip(ids, read, strict=True)
    )


def question_ids(path: Path) -> tuple[str, ...]:
    """The ids that :func:`load_questions` gives, without reading more of the file than they need.

    Raises:
        DatasetError: the file cannot be read, or has a question without a text or a usable id. A fault in other
            fields may go unseen.

    """
    name = path.as_posix()
    identities = []
    for row in read_rows(path, name, wanted=IDENTITY_NAMES):
        place = Place(name, row.line)
        identities.append(identity(given_fields(row, place, only=IDENTITY_NAMES), place, row.line))
    return tuple(assign_ids(identities, name))


def _gold(value: Any, place: Place, label: str) -> tuple[GoldGroup, ...]:
    return (read_contexts if label in CONTEXT_NAMES else read_gold)(value, place, label)


def _texts(value: Any, place: Place, label: str) -> tuple[str, ...]:
    return tuple(text(element, place, where) for where, element in elements(value, label))


def _facts(value: Any, place: Place, label: str) -> tuple[tuple[str, ...], ...]:
    facts = tuple(_texts(fact, place, where) for where, fact in elements(value, label))
    if not all(facts):
        raise place.error("a fact without a spelling; write one, or take the empty list out", label)
    return facts


def _thresholds(value: Any, place: Place, label: str) -> Mapping[str, float]:
    if not isinstance(value, dict):
        raise place.error(f"expected a mapping of metrics to numbers, got {kind(value)}", label)
    return {
        text(metric, place, label): _threshold(least, place, f"{label}, {shown(metric)}")
        for metric, least in value.items()
    }


def _threshold(value: Any, place: Place, label: str) -> float:
    least = number(value, place, label)
    if not 0 <= least <= 1:
        raise place.error(f"expected a number from 0 to 1, got {least:g}", label)
    return least


_READERS: Mapping[str, Callable[[Any, Place, str], Any]] = {
    "reference": text,
    "gold": _gold,
    "must_contain": _facts,
    "tags": _texts,
    "answerable": truth,
    "thresholds": _thresholds,
    "history": read_history,
}
