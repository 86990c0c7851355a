"""Kinds of stored values: read back only where they are what was written, and else not there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_ragcheck.store.places import digest
from pytest_ragcheck.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_ragcheck.store.store import Store

__all__ = ["Fields", "StoredKind", "is_number"]

T = TypeVar("T")
_MARK = b"\x01"
_CHECKSUM = 8


@dataclass(frozen=True, slots=True)
class StoredKind(Generic[T]):
    """Reads and writes the values of one kind. All code that keeps something in a store goes through one.

    The disk, an interrupted copy or a stranger's commit may have put anything in a value's place. A value carries a
    checksum of itself and its key; what does not agree with it, or is not what ``parse`` expects, is dropped from the
    store, counted there, and made again by whoever needs it. The checksum finds accidents: whoever can write the file
    can compute it, so ``parse`` must hold by itself.
    """

    name: str
    parse: Callable[[bytes], T]
    """From bytes to the value; raises ValueError (or RecursionError) for bytes that are not such a value."""
    needs_checksum: bool = False
    """Whether values without a checksum are refused, which earlier versions wrote; for what any bytes could be."""

    def get(self, store: Store, key: bytes, *, since: float | None = None) -> T | None:
        """Return the value, or None; with ``since`` (Unix time) only one that was made at or after it."""
        return self.get_many(store, [key], since=since).get(key)

    def get_many(self, store: Store, keys: Sequence[bytes], *, since: float | None = None) -> dict[bytes, T]:
        """Return the values that are there and sound, by key."""
        found: dict[bytes, T] = {}
        damaged: dict[bytes, bytes] = {}
        for key, data in store.get_many(self.name, keys, since=since).items():
            try:
                found[key] = self.parse(self._content(key, data))
            except (ValueError, RecursionError):
                damaged[key] = data
        if damaged:
            store.drop_damaged(self.name, damaged)
        return found

    def put(self, store: Store, key: bytes, content: bytes) -> None:
        """Keep a value; it is durable against the end of this process when the call returns."""
        self.put_many(store, {key: content})

    def put_many(self, store: Store, contents: Mapping[bytes, bytes]) -> None:
        """Keep several values in one transaction, and end the claims on them."""
        store.put_many(self.name, {key: self._data(key, content) for key, content in contents.items()})

    def put_if_new(self, store: Store, key: bytes, content: bytes) -> None:
        """Keep a value unless there is one already."""
        store.put_if_new(self.name, key, self._data(key, content))

    def drop(self, store: Store, contents: Mapping[bytes, bytes]) -> None:
        """Drop values that turned out to be wrong beside others, and count them as damaged."""
        store.drop_damaged(self.name, {key: self._data(key, content) for key, content in contents.items()})
        store.drop_damaged(self.name, contents)  # written without a checksum

    def _data(self, key: bytes, content: bytes) -> bytes:
        return _MARK + digest(self.name, key, content)[:_CHECKSUM] + content

    def _content(self, key: bytes, data: bytes) -> bytes:
        content = data[len(_MARK) + _CHECKSUM :]
        if data == self._data(key, content):
            return content
        if self.needs_checksum:
            raise ValueError("the checksum does not match")
        return data  # of an earlier version; a damaged value of this one begins with what is no value of any kind


def is_number(value: Any, lowest: float = -math.inf, highest: float = math.inf) -> bool:
    """Return whether a value of JSON is a number in a range; true and false are not."""
    return type(value) in {int, float} and lowest <= value <= highest


class Fields:
    """The fields of a stored JSON object; each method returns one, or raises ValueError where it has another type."""

    def __init__(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise ValueError("not an object")  # noqa: TRY004 (one error for all)
        self._values: Mapping[str, Any] = values

    @classmethod
    def parse(cls, data: bytes) -> Fields:
        """Read them from bytes."""
        return cls(parse_json(data))

    def text(self, name: str) -> str:
        """Return a text."""
        return str(self._checked(name, isinstance(self._values.get(name), str)))

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None where the field is null or left out."""
        return None if self._values.get(name) is None else self.text(name)

    def number(self, name: str, lowest: float = 0.0, highest: float = math.inf) -> float:
        """Return a number from ``lowest`` to ``highest``."""
        return float(self._checked(name, is_number(self._values.get(name), lowest, highest)))

    def optional_number(self, name: str, lowest: float = 0.0, highest: float = math.inf) -> float | None:
        """Return a number, or None where the field is null or left out."""
        return None if self._values.get(name) is None else self.number(name, lowest, highest)

    def count(self, name: str) -> int:
        """Return a whole number of 0 or more; 0 where the field is left out, as by a version that did not count it."""
        value = self._values.get(name, 0)
        self._checked(name, type(value) is int and value >= 0)
        return int(value)

    def optional_flag(self, name: str) -> bool | None:
        """Return true or false, or None where the field is null or left out."""
        value = self._values.get(name)
        return None if value is None else bool(self._checked(name, isinstance(value, bool)))

    def fields(self, name: str) -> Fields:
        """Return an object's fields."""
        return Fields(self._values.get(name))

    def list(self, name: str) -> Sequence[Any]:
        """Return a list, whatever is in it."""
        value = self._values.get(name)
        self._checked(name, isinstance(value, list))
        return tuple(value or ())

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """Return a list of numbers, or None where the field is null or left out."""
        if self._values.get(name) is None:
            return None
        values = self.list(name)
        self._checked(name, all(map(is_number, values)))
        return tuple(map(float, values))

    def texts(self, name: str) -> tuple[dict[str, str], ...]:
        """Return a list of objects that hold texts alone."""
        rows = self.list(name)
        are_objects = all(isinstance(row, dict) for row in rows)
        self._checked(name, are_objects and all(isinstance(text, str) for row in rows for text in row.values()))
        return tuple(rows)

    def _checked(self, name: str, is_sound: bool) -> Any:
        if not is_sound:
            raise ValueError(f"{name} has another type")
        return self._values.get(name)
