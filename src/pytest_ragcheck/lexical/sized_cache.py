"""Cache of what was computed from texts, bounded by the length of the texts."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["SizedCache"]

T = TypeVar("T")


class _Entry(Generic[T]):
    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.value: T | None = None


class SizedCache(Generic[T]):
    """Computes each text once, also for several threads at once, and holds what was used last.

    ``compute`` gets a text and what else the value depends on, and must not return None. ``room`` is the number of
    characters of the texts whose values are held.
    """

    def __init__(self, compute: Callable[..., T], room: int) -> None:
        self._compute = compute
        self._room = room
        self._entries: OrderedDict[tuple[Any, ...], _Entry[T]] = OrderedDict()
        self._turn = threading.Lock()

    def __call__(self, text: str, *more: Hashable) -> T:
        """The value of ``text``."""
        entry = self._entry((text, *more))
        with entry.turn:
            if entry.value is None:
                entry.value = self._compute(text, *more)
            return entry.value

    def _entry(self, key: tuple[Any, ...]) -> _Entry[T]:
        with self._turn:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
                self._room -= len(key[0])
                while self._room < 0 and len(self._entries) > 1:
                    oldest, _ = self._entries.popitem(last=False)
                    self._room += len(oldest[0])
            self._entries.move_to_end(key)
            return entry
