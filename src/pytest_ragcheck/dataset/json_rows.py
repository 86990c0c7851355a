"""The rows of .json and .jsonl files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.json_values import InvalidJSONError, decode, decode_at
from pytest_ragcheck.dataset.shape import QUESTIONS_KEY, check_file_key, no_list_of_questions, not_a_row
from pytest_ragcheck.dataset.values import Row, shown
from pytest_ragcheck.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["json_rows", "jsonl_rows"]

_SPACE = re.compile(r"[ \t\r\n]*")


def jsonl_rows(content: str, name: str) -> Iterator[Row]:
    """One object a line; blank lines are skipped."""
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip(" \t\r"):
            continue
        try:
            value = decode(line)
        except InvalidJSONError as fault:
            raise DatasetError(name, number, str(fault)) from None
        yield _row(value, number, name)


def json_rows(content: str, name: str) -> Iterator[Row]:
    """The objects of a list, or of the list under the key ``questions``."""
    yield from _Scanner(content, name).rows()


def _row(value: Any, line: int, name: str) -> Row:
    if not isinstance(value, dict):
        raise not_a_row(name, line, value)
    return Row(line, value)


class _Scanner:
    """Walks the outer brackets by hand, since the decoder tells no positions, and decodes what is inside."""

    def __init__(self, content: str, name: str) -> None:
        self._content = content
        self._name = name
        self._position = 0
        self._counted = 0
        self._line = 1

    def rows(self) -> Iterator[Row]:
        opening = self._peek()
        if opening == "[":
            yield from self._list_rows()
        elif opening == "{":
            yield from self._mapping_rows()
        else:
            raise no_list_of_questions(self._name, self._line_here(), self._value())
        if self._peek():
            raise self._unexpected("the end of the file")

    def _list_rows(self) -> Iterator[Row]:
        self._position += 1
        if self._taken("]"):
            return
        while True:
            self._peek()
            line = self._line_here()
            yield _row(self._value(), line, self._name)
            if self._taken("]"):
                return
            self._take(",")

    def _mapping_rows(self) -> Iterator[Row]:
        start = self._line_here()
        self._position += 1
        seen: set[str] = set()
        if not self._taken("}"):
            while True:
                key = self._key(seen)
                if key == QUESTIONS_KEY:
                    yield from self._questions()
                else:
                    self._value()
                if self._taken("}"):
                    break
                self._take(",")
        if QUESTIONS_KEY not in seen:
            raise no_list_of_questions(self._name, start, {})

    def _questions(self) -> Iterator[Row]:
        if self._peek() == "[":
            return self._list_rows()
        raise no_list_of_questions(self._name, self._line_here(), self._value())

    def _key(self, seen: set[str]) -> str:
        if self._peek() != '"':
            raise self._unexpected("a key in double quotes")
        line = self._line_here()
        key = str(self._value())
        if key in seen:
            raise DatasetError(self._name, line, f"the key {shown(key)} is given twice; keep one of them")
        check_file_key(self._name, line, key)
        seen.add(key)
        self._take(":")
        return key

    def _value(self) -> Any:
        self._peek()
        try:
            value, self._position = decode_at(self._content, self._position)
        except InvalidJSONError as fault:
            raise DatasetError(self._name, fault.line or self._line_here(), str(fault)) from None
        return value

    def _peek(self) -> str:
        space = _SPACE.match(self._content, self._position)
        self._position = space.end() if space else self._position
        return self._content[self._position : self._position + 1]

    def _taken(self, expected: str) -> bool:
        if self._peek() != expected:
            return False
        self._position += 1
        return True

    def _take(self, expected: str) -> None:
        if not self._taken(expected):
            raise self._unexpected(repr(expected))

    def _unexpected(self, expected: str) -> DatasetError:
        found = self._peek()
        got = repr(found) if found else "the end of the file"
        return DatasetError(
            self._name,
            self._line_here(),
            f"not valid JSON: expected {expected}, got {got}; check the quotes, commas and brackets there",
        )

    def _line_here(self) -> int:
        self._line += self._content.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line
