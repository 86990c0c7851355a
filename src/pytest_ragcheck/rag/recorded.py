"""Answers that were recorded elsewhere: measured, and never asked for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.rows import read_rows
from pytest_ragcheck.errors import DatasetError, MeasurementError
from pytest_ragcheck.rag.adapters import as_answer
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.dataset.values import Row
    from pytest_ragcheck.model import Answer, Context, Question

__all__ = ["SUFFIXES", "RecordedAnswers"]

SUFFIXES = (".json", ".jsonl", ".yaml", ".yml")
ID_FIELD = "id"
QUESTION_FIELDS = ("question", "input", "user_input", "query")
ANSWER_FIELDS = ("answer", "actual_output", "actualOutput", "response", "output")
CONTEXT_FIELDS = ("contexts", "retrieval_context", "retrievalContext", "retrieved_contexts")
"""Ours, deepeval's (in Python and in JSON) and ragas' names. Their ``context`` is what should be retrieved."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    line: int
    answer: Answer | None
    """None where the row says that there was none."""


class RecordedAnswers:
    """A pipeline that gives what a file holds: rows with ``id`` or ``question``, ``answer`` and ``contexts``.

    Rows belong to questions by id, else by the question's text. ``name`` is the file as errors call it. Rows of other
    questions are left alone.

    Raises :class:`~pytest_ragcheck.errors.DatasetError` for a file or a row that cannot be used, and for two answers
    to one question.
    """

    deterministic = True

    def __init__(self, path: Path, questions: Sequence[Question], *, name: str) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise DatasetError(name, None, f"not recorded answers by its suffix; use one of {', '.join(SUFFIXES)}")
        self._name = name
        self._answers: dict[str, _Recorded] = {}
        self._strangers: list[int] = []
        ids = {question.id for question in questions}
        by_text: defaultdict[str, list[str]] = defaultdict(list)
        for question in questions:
            by_text[_words(question.question)].append(question.id)
        for row in read_rows(path, name):
            self._add(row, ids, by_text)
        self.fingerprint = digest(path.read_bytes()).hex()
        """Of the file's content."""

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Nothing."""

    async def retrieve(self, question: Question) -> None:
        """None: contexts come with the answer."""

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:  # noqa: ARG002 (of Pipeline)
        """What was recorded; MeasurementError (kind ``not-recorded``) where nothing was."""
        recorded = self._answers.get(question.id)
        if recorded is None:
            raise MeasurementError(
                f"{self._name}: no answer to {question.id!r}{self._hint()}; record it, or leave the question out",
                kind="not-recorded",
            )
        if recorded.answer is None:
            raise MeasurementError(f"{self._name}:{recorded.line}: the answer is null", kind="not-recorded")
        return recorded.answer

    def _add(self, row: Row, ids: set[str], by_text: Mapping[str, list[str]]) -> None:
        key = self._key(row, ids, by_text)
        if key is None:
            self._strangers.append(row.line)
            return
        if key in self._answers:
            other = self._answers[key].line
            raise self._error(row, f"{key!r} is answered in line {other} too; keep one of them")
        self._answers[key] = _Recorded(row.line, self._answer(row))

    def _key(self, row: Row, ids: set[str], by_text: Mapping[str, list[str]]) -> str | None:
        """The id of the question that a row belongs to; None for one that was not asked."""
        given = row.fields.get(ID_FIELD)
        if given is not None and str(given) in ids:
            return str(given)
        text = _first(row.fields, QUESTION_FIELDS)
        if text is None and given is None:
            raise self._error(row, f"neither {ID_FIELD!r} nor {QUESTION_FIELDS[0]!r}; say what was answered")
        asked = by_text.get(_words(str(text)), []) if text is not None else []
        if len(asked) > 1:
            raise self._error(row, f"the question has the ids {' and '.join(map(repr, asked))}; say which is meant")
        return asked[0] if asked else None

    def _answer(self, row: Row) -> Answer | None:
        name = next((name for name in ANSWER_FIELDS if name in row.fields), None)
        if name is None:
            raise self._error(row, f"no answer; write it as {ANSWER_FIELDS[0]!r} ({', '.join(ANSWER_FIELDS[1:])})")
        text = row.fields[name]
        if text is None:
            return None
        if not isinstance(text, str):
            raise self._error(row, f"{name}: expected a text, got {type(text).__name__}")
        told = {"contexts": _first(row.fields, CONTEXT_FIELDS), "sources": row.fields.get("sources")}
        told |= {name: row.fields.get(name) for name in ("refused", "model")}
        try:
            return as_answer({"answer": str(text), **told})
        except MeasurementError as problem:
            raise self._error(row, str(problem)) from None

    def _hint(self) -> str:
        if not self._strangers:
            return ""
        count, first = len(self._strangers), self._strangers[0]
        rows = "1 row belongs" if count == 1 else f"{count} rows belong"
        return f" ({rows} to no question, the first in line {first})"

    def _error(self, row: Row, problem: str) -> DatasetError:
        return DatasetError(self._name, row.line, problem)


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _words(text: str) -> str:
    return " ".join(text.split())
