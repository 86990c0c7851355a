"""The rows of .csv files: a header of field names, then one question a row."""

from __future__ import annotations

import ast
import csv
import io
import re
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.fields import CONTEXT_NAMES, HUMAN, QUESTION, field_of, unknown_field
from pytest_ragcheck.dataset.json_values import InvalidJSONError, decode
from pytest_ragcheck.dataset.values import Bare, Row, shown
from pytest_ragcheck.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["csv_rows"]

_LISTS = frozenset({"tags", "gold", "must_contain"})
_SEPARATOR = ";"
_ESCAPE = r"""\\(?:[\\'"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"""
_STRING = rf"""'(?:[^'\\\n]|{_ESCAPE})*+'|"(?:[^"\\\n]|{_ESCAPE})*+\""""
_PYTHON_STRING = re.compile(_STRING)
_PYTHON_STRINGS = re.compile(rf"\[(?:{_STRING})(?:, (?:{_STRING}))*\]")


def csv_rows(content: str, name: str) -> Iterator[Row]:
    """The rows with their non-empty cells; lists and mappings are read, other cells stay text of an open type."""
    records = _records(content, name)
    line, header = next(records, (1, []))
    columns = _columns(header, name, line)
    for line, cells in records:
        if len(cells) != len(columns):
            problem = f"{len(cells)} cells under a header of {len(columns)} columns"
            raise DatasetError(name, line, f"{problem}; put cells that hold commas or quotes in double quotes")
        yield Row(line, _fields(columns, cells, name, line))


def _records(content: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Every record with the line where it starts; blank lines are none."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"not valid CSV: {error}; check the double quotes of the row that starts here"
            raise DatasetError(name, line, problem) from None
        if cells:
            yield line, cells


def _columns(header: Sequence[str], name: str, line: int) -> list[str]:
    columns = [column.strip() for column in header]
    if len(columns) > 1 and all(unknown_field(column) for column in columns):
        raise DatasetError(name, line, "no column has a name that is known; name the columns in the first row")
    for position, column in enumerate(columns, start=1):
        if problem := _column_problem(column, position, columns):
            raise DatasetError(name, line, problem)
    if not any(field_of(column) == QUESTION for column in columns):
        raise DatasetError(name, line, f"the header has no column {QUESTION!r}; name the columns in the first row")
    return columns


def _column_problem(column: str, position: int, columns: Sequence[str]) -> str | None:
    if not column:
        return f"column {position} has no name; name it, or take it out (pandas: to_csv(..., index=False))"
    if column in columns[: position - 1]:
        return f"the column {shown(column)} is given twice; keep one of them"
    for separator in (";", "\t"):
        if len(columns) == 1 and separator in column:
            return f"the header is separated by {separator!r}; separate the cells by commas"
    if problem := unknown_field(column, what="column"):
        return problem
    return None


def _fields(columns: Sequence[str], cells: Sequence[str], name: str, line: int) -> dict[str, Any]:
    fields = {}
    for column, cell in zip(columns, cells, strict=True):
        if not cell.strip():
            continue
        try:
            fields[column] = _value(column, cell)
        except InvalidJSONError as fault:
            raise DatasetError(name, line, f"{column}: {fault}") from None
    return fields


def _value(column: str, cell: str) -> Any:
    bracketed = cell.lstrip()[0] in "[{"
    if column in CONTEXT_NAMES:
        return _texts(cell) if bracketed else Bare(cell)
    field = field_of(column)
    if field in _LISTS and not bracketed:
        return [Bare(part) for part in cell.split(_SEPARATOR) if part.strip()]
    if field in _LISTS or field in {"thresholds", "history", HUMAN}:
        return decode(cell)
    return Bare(cell)


def _texts(cell: str) -> Any:
    """A bracketed list of texts: JSON, or as Python writes it (the CSV files of ragas and pandas), else plain text."""
    try:
        return decode(cell)
    except InvalidJSONError:
        if _PYTHON_STRINGS.fullmatch(cell.strip()):
            return _python_strings(cell)
        return Bare(cell)


def _python_strings(cell: str) -> list[str]:
    literals = [match[0] for match in _PYTHON_STRING.finditer(cell)]
    try:
        return [str(ast.literal_eval(literal)) for literal in literals]
    except SyntaxError:
        raise InvalidJSONError("an escape names a character that does not exist; write the list as JSON") from None
