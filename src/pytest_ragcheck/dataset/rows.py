"""From a question file to its rows, whatever its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.dataset.csv_rows import csv_rows
from pytest_ragcheck.dataset.files import read_text
from pytest_ragcheck.dataset.json_rows import json_rows, jsonl_rows
from pytest_ragcheck.dataset.yaml_rows import yaml_rows
from pytest_ragcheck.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_ragcheck.dataset.values import Row

__all__ = ["QUESTION_SUFFIXES", "read_rows"]

_READERS: Mapping[str, Callable[[str, str], Iterator[Row]]] = {
    ".csv": csv_rows,
    ".json": json_rows,
    ".jsonl": jsonl_rows,
}
_YAML_SUFFIXES = frozenset({".yaml", ".yml"})

QUESTION_SUFFIXES: frozenset[str] = frozenset(_READERS) | _YAML_SUFFIXES
"""The suffixes of question files, in lower case."""


def read_rows(path: Path, name: str, *, wanted: frozenset[str] | None = None) -> Iterator[Row]:
    """The rows of a file in its order, at least one.

    ``wanted`` names the fields that are needed; a reader may leave out others where that is faster.

    Raises:
        DatasetError: the file cannot be read as what its suffix says.

    """
    suffix = path.suffix.lower()
    if suffix not in QUESTION_SUFFIXES:
        known = ", ".join(sorted(QUESTION_SUFFIXES))
        raise DatasetError(name, None, f"not a question file by its suffix; use one of {known}")
    content = read_text(path, name)
    rows = yaml_rows(content, name, wanted=wanted) if suffix in _YAML_SUFFIXES else _READERS[suffix](content, name)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise DatasetError(name, 1, "the file holds no questions; write at least one")
