"""The texts of a long run leave memory: they wait on disk until somebody looks at them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, replace
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest

from pytest_ragcheck.model import Answer, Score
from pytest_ragcheck.run_file import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_ragcheck.model import Context, Result

__all__ = ["SPOOL", "ResultSpool"]

KEPT_IN_MEMORY = 256
"""Results that stay as they are: a run of the usual size writes nothing."""
READ_AGAIN = 64
"""Records that stay in memory after they were read: a report looks at those of one result many times."""

SPOOL = pytest.StashKey["ResultSpool"]()
T = TypeVar("T")
Value = TypeVar("Value", Answer, Score)


class ResultSpool:
    """Keeps what is long in results in a file without a name, which the system removes with the process.

    ``folder`` names the file's folder when there is something to write. Where it cannot be written, results stay in
    memory whole.
    """

    def __init__(self, folder: Callable[[], Path], *, kept_in_memory: int = KEPT_IN_MEMORY) -> None:
        self._folder = folder
        self._left_in_memory = kept_in_memory
        self._file: IO[bytes] | None = None
        self._end = 0
        self._record = lru_cache(READ_AGAIN)(self._read)

    def spooled(self, result: Result) -> Result:
        """An equal result, whose answers' texts and contexts and scores' details are read when they are looked at."""
        if self._left_in_memory > 0:
            self._left_in_memory -= 1
            return result
        try:
            return self._shortened(result, {})
        except OSError:  # a full disk is no reason to lose a result
            return result

    def close(self) -> None:
        """Remove the file: what is in it cannot be looked at any more."""
        if self._file is not None:
            self._file.close()

    def _shortened(self, result: Result, known: dict[int, Answer]) -> Result:
        """``known`` are the answers that were written already, by identity: a result shows one of its trials'."""
        answer = result.answer
        if answer is not None and id(answer) not in known:
            known[id(answer)] = self._short_answer(answer)
        return replace(
            result,
            answer=None if answer is None else known[id(answer)],
            scores={name: self._short_score(score) for name, score in result.scores.items()},
            trials=tuple(self._shortened(trial, known) for trial in result.trials),
            confirmations=tuple(self._shortened(one, known) for one in result.confirmations),
        )

    def _short_answer(self, answer: Answer) -> Answer:
        if isinstance(answer, _SpooledAnswer):
            return answer
        said = Answer(text=answer.text, contexts=answer.contexts, metadata=answer.metadata)
        return _SpooledAnswer.of(answer, self._written(dump(said)))

    def _short_score(self, score: Score) -> Score:
        if isinstance(score, _SpooledScore) or not score.details:
            return score
        return _SpooledScore.of(score, self._written(score.details))

    def _written(self, plain: Mapping[str, Any]) -> _Place:
        data = json.dumps(plain).encode("ascii")
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder())  # noqa: SIM115 (open until the end)
        self._file.seek(self._end)
        if self._file.write(data) < len(data):
            raise OSError("the disk is full")
        place = _Place(self, self._end, len(data))
        self._end += len(data)
        return place

    def read(self, start: int, size: int, decode: Callable[[Any], T]) -> T:
        """What ``decode`` makes of what was written there."""
        value: T = self._record(start, size, decode)
        return value

    def _read(self, start: int, size: int, decode: Callable[[Any], T]) -> T:
        assert self._file is not None  # noqa: S101
        self._file.seek(start)
        return decode(json.loads(self._file.read(size)))


class _Place(NamedTuple):
    spool: ResultSpool
    start: int
    size: int

    def read(self, decode: Callable[[Any], T]) -> T:
        return self.spool.read(self.start, self.size, decode)


class _Spooled:
    """Part of a value of the model; to others it looks like the whole."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return bool(_whole(self) == other)

    __hash__ = None  # type: ignore[assignment]  # as of the whole: mappings are not hashable

    def __repr__(self) -> str:
        return repr(_whole(self))

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        return _whole, (_whole(self),)


class _SpooledAnswer(_Spooled, Answer):
    __slots__ = ("_place",)
    _place: _Place

    def __new__(cls, **changed: Any) -> Answer:  # type: ignore[misc]  # dataclasses.replace() makes a whole one
        return Answer(**changed)

    @classmethod
    def of(cls, answer: Answer, place: _Place) -> Answer:
        return _filled(object.__new__(cls), answer, place, but={"text", "contexts", "metadata"})

    @property
    def text(self) -> str:
        return self._said.text

    @property
    def contexts(self) -> tuple[Context, ...]:
        return self._said.contexts

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self._said.metadata

    @property
    def _said(self) -> Answer:
        return self._place.read(_answer)


class _SpooledScore(_Spooled, Score):
    __slots__ = ("_place",)
    _place: _Place

    def __new__(cls, **changed: Any) -> Score:  # type: ignore[misc]  # dataclasses.replace() makes a whole one
        return Score(**changed)

    @classmethod
    def of(cls, score: Score, place: _Place) -> Score:
        return _filled(object.__new__(cls), score, place, but={"details"})

    @property
    def details(self) -> Mapping[str, Any]:
        return self._place.read(_details)


def _filled(part: Value, whole: Value, place: _Place, *, but: set[str]) -> Value:
    for field in fields(whole):
        if field.name not in but:
            object.__setattr__(part, field.name, getattr(whole, field.name))
    object.__setattr__(part, "_place", place)
    return part


def _whole(part: Any) -> Any:
    return replace(part)


def _answer(plain: Any) -> Answer:
    return load(Answer, plain)


def _details(plain: Any) -> Mapping[str, Any]:
    return dict(plain)
