"""Texts of a page: each stored once, and places in them as a browser counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.report.textual import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Span", "Texts", "browser_spans"]

Span = tuple[int, int]
"""``[start, end)`` in a text."""

_LAST_OF_ONE_UNIT = "\uffff"


class Texts:
    """Distinct texts by number: a chunk that many questions retrieve is stored once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number under which the page finds ``text``."""
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        """The texts by number."""
        return list(self._numbers)


def browser_spans(text: str, spans: Iterable[Span]) -> list[Span]:
    """Spans of ``text`` as spans of what the page shows of it, ``printable(text)``, in UTF-16 units."""
    if text.isascii() and printable(text) == text:
        return list(spans)
    return [(_units(text[:start]), _units(text[:end])) for start, end in spans]


def _units(text: str) -> int:
    shown = printable(text)
    return len(shown) + sum(char > _LAST_OF_ONE_UNIT for char in shown)
