"""All questions of a run as plain data for the page's scripts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_ragcheck.report.aggregate import metric_summaries
from pytest_ragcheck.report.html.changes import change_entry
from pytest_ragcheck.report.html.encoding import json_text
from pytest_ragcheck.report.html.entries import question_entry
from pytest_ragcheck.report.html.texts import Texts
from pytest_ragcheck.report.textual import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.comparison import Comparison, QuestionChange
    from pytest_ragcheck.model import Result, Run

__all__ = ["Payload", "keys_of", "payload"]

_Identity = tuple[str, str, str]
"""Dataset, id and variant."""


class Payload(NamedTuple):
    """The data as JSON, and of each question what its address in the page ends with."""

    text: str
    keys: list[str]


def payload(run: Run, comparison: Comparison | None) -> Payload:
    """``questions`` in the run's order, ``texts`` that they share by number, and what names the table's columns."""
    texts, changes = Texts(), _changes_by_question(comparison)
    keys = keys_of(run.results)
    # Each at once: the plain data of ten thousand questions is not to be held at the same time.
    questions = [
        json_text(_question(result, key, texts, changes.get(_identity(result))))
        for result, key in zip(run.results, keys, strict=True)
    ]
    # Those with a threshold first: where there is room for some, for them.
    metrics = [one.metric for one in sorted(metric_summaries(run.results), key=lambda one: one.judged == 0)]
    rest = json_text({"texts": texts.all(), "metrics": metrics, "compared": comparison is not None})
    return Payload(f'{{"questions":[{",".join(questions)}],{rest.removeprefix("{")}', keys)


def _question(result: Result, key: str, texts: Texts, change: QuestionChange | None) -> dict[str, Any]:
    entry = question_entry(result, texts, {} if change is None else change.scores)
    return {"key": key, **entry, "change": None if change is None else change_entry(result, change)}


def _changes_by_question(comparison: Comparison | None) -> dict[_Identity, QuestionChange]:
    changes = () if comparison is None else comparison.questions
    return {(change.dataset, change.id, change.variant): change for change in changes}


def _identity(result: Result) -> _Identity:
    return result.question.dataset, result.question.id, result.variant


def keys_of(results: Sequence[Result]) -> list[str]:
    """What a question's address in the page ends with: its id, so that it stays the same from run to run.

    With dataset and variant where the id is not enough.
    """
    ids = [printable(result.question.id) for result in results]
    twice = {one for one, count in Counter(ids).items() if count > 1}
    keys: dict[str, None] = {}
    for result, identifier in zip(results, ids, strict=True):
        key = identifier
        if identifier in twice:
            key = "/".join(filter(None, [printable(result.question.dataset), printable(result.variant), identifier]))
        number, unique = 1, key
        while unique in keys:
            number += 1
            unique = f"{key}~{number}"
        keys[unique] = None
    return list(keys)
