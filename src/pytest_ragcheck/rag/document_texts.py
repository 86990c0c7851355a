"""Documents' texts: held while there is room for them, else read again, and then the same or an error."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import DocumentError
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["DocumentTexts"]

HELD = 64 * 2**20
"""Bytes of texts that are held where nothing else is said; the text used last is held whatever its size."""


class DocumentTexts(Mapping[str, str]):
    """Each document's text by its source, in the order of ``sources``.

    ``read`` gives a document's text, or raises DocumentError. Every text that is given is the one that was read first:
    where a document has changed or vanished since, there is a DocumentError that says so. Safe to use from several
    threads.
    """

    def __init__(self, sources: Iterable[str], read: Callable[[str], str], *, held: int | None = None) -> None:
        self._sources = dict.fromkeys(sources)
        self._read_now = read
        self._room = HELD if held is None else held
        self._held: OrderedDict[str, str] = OrderedDict()
        """The texts used last, the oldest first."""
        self._digests: dict[str, bytes] = {}
        """Of the texts that are held no more."""
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __contains__(self, source: object) -> bool:
        return source in self._sources  # Mapping would read the document

    def __getitem__(self, source: str) -> str:
        with self._turn:
            text = self._held.get(source)
            if text is None:
                text = self._hold(source, self._read(source))
            self._held.move_to_end(source)
            return text

    def _read(self, source: str) -> str:
        if source not in self._digests:
            return self._read_now(source)
        try:
            text = self._read_now(source)
        except DocumentError as problem:
            cause = str(problem).removeprefix(f"{source}: ")
            raise DocumentError(f"{source}: it could be read when the run started, but no more: {cause}") from problem
        if digest(text) != self._digests[source]:
            raise DocumentError(f"{source}: it was changed while the run used it; run again")
        return text

    def _hold(self, source: str, text: str) -> str:
        self._held[source] = text
        self._room -= sys.getsizeof(text)
        while self._room < 0 and len(self._held) > 1:
            other, oldest = self._held.popitem(last=False)
            self._room += sys.getsizeof(oldest)
            if other not in self._digests:
                self._digests[other] = digest(oldest)
        return text
