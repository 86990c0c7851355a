"""Places in JSON: ``data.answer``, ``choices[0].message.content``, ``hits[*].text``, ``["a key"].text``.

Names are separated by dots; a name with other characters stands in brackets and double quotes. ``[n]`` is the n-th
element, counted from 0 or with ``-1`` from the end; ``[*]`` is every element, so that the place holds a list. It is a
part of JMESPath: what is valid here means the same there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.rag.adapters.shapes import kind_of

__all__ = ["MISSING", "JsonPath", "Missing", "NotThereError"]

_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_BRACKET = re.compile(r'\[(?:(?P<all>\*)|(?P<index>-?\d{1,9})|(?P<key>"(?:[^"\\]|\\.)*"))\]')


class Missing(Enum):
    """Nothing is at a place, which is another thing than null."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class NotThereError(LookupError):
    """A reply does not hold what a path names; the text says what there is instead."""


@dataclass(frozen=True)
class JsonPath:
    """A parsed path; a step is a key, an index, or None for every element."""

    text: str
    steps: tuple[str | int | None, ...]

    @classmethod
    def parsed(cls, text: str) -> JsonPath:
        """ConfigurationError where ``text`` is no path."""
        steps: list[str | int | None] = []
        position = 0
        while position < len(text):
            name = _NAME.match(text, position + 1 if steps and text[position] == "." else position)
            bracket = _BRACKET.match(text, position)
            if bracket is not None:
                steps.append(_step(bracket))
                position = bracket.end()
            elif name is not None and (not steps or text[position] == "."):
                steps.append(name[0])
                position = name.end()
            else:
                break
        if not steps or position < len(text):
            raise ConfigurationError(
                f"{text!r} is no path; write names with dots between them, [0] or [*] for elements of a list: "
                '"data.answer", "hits[*].text"'
            )
        return cls(text, tuple(steps))

    def in_(self, value: Any) -> Any:
        """What is there; NotThereError where nothing is."""
        found = self._walk(value, 0, "the reply", strict=True)
        assert found is not MISSING  # noqa: S101 (strict raises)
        return found

    def looked_up(self, value: Any) -> Any | Missing:
        """What is there, or MISSING; elements of a list without it are None."""
        return self._walk(value, 0, "the reply", strict=False)

    def _walk(self, value: Any, number: int, place: str, *, strict: bool) -> Any:
        if number == len(self.steps):
            return value
        step = self.steps[number]
        if step is None:
            return self._walk_each(value, number + 1, place, strict=strict)
        found: Any = MISSING
        if isinstance(step, str) and isinstance(value, dict):
            found = value.get(step, MISSING)
        elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            found = value[step]
        if found is not MISSING:
            return self._walk(found, number + 1, _joined(place, step), strict=strict)
        if strict:
            raise NotThereError(f"{self.text!r} is not there: {place} is {_described(value)}")
        return MISSING

    def _walk_each(self, value: Any, number: int, place: str, *, strict: bool) -> Any:
        if not isinstance(value, list):
            if strict:
                raise NotThereError(f"{self.text!r} is not there: {place} is no list but {_described(value)}")
            return MISSING
        found = [self._walk(entry, number, f"{place}[{index}]", strict=strict) for index, entry in enumerate(value)]
        if None in self.steps[number:]:
            return [entry for entries in found if isinstance(entries, list) for entry in entries]
        return [None if entry is MISSING else entry for entry in found]


def _step(bracket: re.Match[str]) -> str | int | None:
    if bracket["all"]:
        return None
    return int(bracket["index"]) if bracket["index"] else str(json.loads(bracket["key"]))


def _joined(place: str, step: str | int) -> str:
    start = "" if place == "the reply" else place
    if isinstance(step, int):
        return f"{place}[{step}]"
    return f"{start}.{step}" if start else step


def _described(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return kind_of(value).replace("dict", "an object", 1)
    return {str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
