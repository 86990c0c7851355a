"""All chunks of a corpus as places in its documents: some bytes each, their texts made when asked for."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import BinaryIO, Self, overload

from pytest_ragcheck.model import Chunk

__all__ = ["ChunkTable"]

RECENT = 16_384
"""Chunks that are kept after they were asked for."""


class ChunkTable(Sequence[Chunk]):
    """Chunks in the order of the documents; ``texts`` is each document's text by its source."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._sources: list[str] = []
        self._numbers: dict[str, int] = {}
        self._documents = array("q")
        self._starts = array("q")
        self._ends = array("q")
        # Questions of one field share contexts, and so their texts are held once.
        self._recent = lru_cache(maxsize=RECENT)(self._made)

    def append(self, chunk: Chunk) -> None:
        """Add a chunk: its place, not its text."""
        number = self._numbers.setdefault(chunk.source, len(self._sources))
        if number == len(self._sources):
            self._sources.append(chunk.source)
        self._documents.append(number)
        self._starts.append(chunk.start)
        self._ends.append(chunk.end)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> Chunk: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Chunk, ...]: ...
    def __getitem__(self, place: int | slice) -> Chunk | tuple[Chunk, ...]:
        if isinstance(place, slice):
            return tuple(self._made(row) for row in range(*place.indices(len(self))))
        return self._recent(place)

    def __iter__(self) -> Iterator[Chunk]:
        return map(self._made, range(len(self)))

    def _made(self, row: int) -> Chunk:
        source = self._sources[self._documents[row]]
        start, end = self._starts[row], self._ends[row]
        return Chunk(
            id=f"{source}#{start}-{end}", text=self._texts[source][start:end], source=source, start=start, end=end
        )

    def dump(self, file: BinaryIO) -> None:
        """Write the places, without the texts: a line of JSON, then a column of numbers after the other."""
        head = {"sources": self._sources, "chunks": len(self)}
        file.write(json.dumps(head).encode() + b"\n")
        file.writelines(self._columns)

    @classmethod
    def load(cls, file: BinaryIO, texts: Mapping[str, str]) -> Self:
        """What :meth:`dump` wrote; ValueError, TypeError or KeyError where it is something else."""
        head = json.loads(file.readline())
        table = cls(texts)
        table._sources = [str(source) for source in head["sources"]]
        table._numbers = {source: number for number, source in enumerate(table._sources)}
        start = file.tell()
        if file.seek(0, os.SEEK_END) - start != head["chunks"] * sum(column.itemsize for column in table._columns):
            raise ValueError("not as many numbers as there are chunks")
        file.seek(start)
        for column in table._columns:
            column.fromfile(file, head["chunks"])
        if len(table) and not 0 <= min(table._documents) <= max(table._documents) < len(table._sources):
            raise ValueError("a chunk of a document that is not there")
        return table

    @property
    def _columns(self) -> tuple[array[int], ...]:
        return self._documents, self._starts, self._ends
