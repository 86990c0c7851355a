"""Cache of what was computed from texts, bounded by the length of the texts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SizedCache"]

T = TypeVar("T")


class _Entry(Generic[T]):
    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.value: T | None = None


class SizedCache(Generic[T]):
    """Computes each text once, also for several threads at once, and holds what was used last.

    ``compute`` must not return None. ``room`` is the number of characters of the texts whose values are held.
    """

    def __init__(self, compute: Callable[[str], T], room: int) -> None:
        self._compute = compute
        self._room = room
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()
        self._turn = threading.Lock()

    def __call__(self, text: str) -> T:
        """The value of ``text``."""
        entry = self._entry(text)
        with entry.turn:
            if entry.value is None:
                entry.value = self._compute(text)
            return entry.value

    def _entry(self, text: str) -> _Entry[T]:
        with self._turn:
            entry = self._entries.get(text)
            if entry is None:
                entry = self._entries[text] = _Entry()
                self._room -= len(text)
                while self._room < 0 and len(self._entries) > 1:
                    self._room += len(self._entries.popitem(last=False)[0])
            self._entries.move_to_end(text)
            return entry
