"""What the values of a question file are, and the readers that turn them into plain Python values.

The formats differ in how much type a value carries: JSON says it, a bare word in YAML or a cell in CSV does not.
Such a word is kept as :class:`Bare` text until a field says what it should be, so that ``no`` is a fine question
and ``2024-01-01`` a fine id.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "CONTROL_CHARACTER",
    "Bare",
    "Place",
    "Row",
    "elements",
    "kind",
    "number",
    "shown",
    "text",
    "truth",
    "whole_number",
]

CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""What no text of a question file may hold; tabs and line ends are fine."""

_UNUSABLE = re.compile(f"{CONTROL_CHARACTER.pattern[:-1]}\ud800-\udfff]")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_SHOWN = 60
_SURROGATES = range(0xD800, 0xE000)
_MOST = 10**15
"""More than any document's offsets, and short enough to be shown."""


class Bare(str):
    """Text whose type its file leaves open: an unquoted YAML scalar or a CSV cell."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a question file, as errors name it."""

    name: str
    line: int | None

    def error(self, problem: str, label: str = "") -> DatasetError:
        """The error that says what is wrong here; ``label`` is the field."""
        return DatasetError(self.name, self.line, f"{label}: {problem}" if label else problem)


@dataclass(frozen=True, slots=True)
class Row:
    """A mapping of a question file as it stands there, and the line where it starts."""

    line: int
    fields: Mapping[str, Any]


def shown(value: str) -> str:
    """A text of unknown length and content as one short, printable word of an error."""
    return repr(str(value) if len(value) <= _SHOWN else f"{value[: _SHOWN - 3]}...")


def kind(value: Any) -> str:
    """What a value is, in the words of an error."""
    if isinstance(value, str):
        return shown(value) if value.strip() else "an empty text"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinity"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    return "nothing"


def text(value: Any, place: Place, label: str) -> str:
    """A text that says something, without the white space around it."""
    if not isinstance(value, str):
        problem = f"expected a text, got {kind(value)}"
        if isinstance(value, bool | int | float):
            problem += "; put it in quotes"
        raise place.error(problem, label)
    stripped = value.strip()
    if not stripped:
        raise place.error("the text is empty; fill it in, or leave the field out", label)
    if unusable := _UNUSABLE.search(stripped):
        code = ord(unusable[0])
        what = "unpaired surrogate" if code in _SURROGATES else "control character"
        raise place.error(f"{what} U+{code:04X} at character {unusable.start() + 1}; take it out", label)
    return stripped


def truth(value: Any, place: Place, label: str) -> bool:
    """True or false; the spellings yes, no, on, off, 1, 0 where the format leaves the type open."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Bare):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    quotes = " in quotes" if isinstance(value, str) and not isinstance(value, Bare) else ""
    raise place.error(f"expected true or false, got {kind(value)}{quotes}", label)


def number(value: Any, place: Place, label: str) -> float:
    """A finite number."""
    if isinstance(value, Bare) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            converted = float(value)
        except OverflowError:
            converted = math.inf
        if math.isfinite(converted):
            return converted
    raise place.error(f"expected a number, got {kind(value)}", label)


def whole_number(value: Any, place: Place, label: str) -> int:
    """A whole number that is not negative."""
    if isinstance(value, Bare) and _WHOLE_NUMBER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < _MOST:
            return value
        raise place.error(
            f"expected a whole number from 0 on, got {'a negative one' if value < 0 else 'too many digits'}", label
        )
    raise place.error(f"expected a whole number from 0 on, got {kind(value)}", label)


def elements(value: Any, label: str) -> Iterator[tuple[str, Any]]:
    """The elements of a list with their labels, counted from 1; a single value is its own only element."""
    if not isinstance(value, list):
        yield label, value
        return
    for position, element in enumerate(value, start=1):
        yield f"{label} {position}", element
