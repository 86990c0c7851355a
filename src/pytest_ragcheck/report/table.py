"""Rows of cells as aligned lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.report.colour import Styled, plain
from pytest_ragcheck.report.textual import columns, shorten

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_ragcheck.report.colour import Paint

__all__ = ["aligned"]

_GAP = 2
_LEAST_TEXT = 8


def aligned(
    rows: Sequence[Sequence[str]], width: int, *, text_columns: Collection[int] = (0,), paint: Paint = plain
) -> list[str]:
    """``rows``, all of one length, as lines of at most ``width`` columns, indented by two.

    Columns in ``text_columns`` stand left, the others right, as numbers do. Where not all fit, the
    last column is cut off if it is text and eight columns of it remain; else it is left out, and so
    on with the one before it. Cells must be printable; those that are Styled are painted.
    """
    last = len(rows[0]) - 1
    widths = [max(columns(row[column]) for row in rows) for column in range(last + 1)]
    while last and _total(widths[: last + 1]) > width:
        room = width - _total(widths[:last]) - _GAP
        if last in text_columns and room >= _LEAST_TEXT:
            widths[last] = room
            break
        last -= 1
    return [_line(row[: last + 1], widths, text_columns, paint) for row in rows]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * len(widths)


def _line(cells: Sequence[str], widths: Sequence[int], text_columns: Collection[int], paint: Paint) -> str:
    shown = []
    for column, cell in enumerate(cells):
        text = cell if columns(cell) <= widths[column] else shorten(cell, widths[column])
        blank = " " * (widths[column] - columns(text))
        painted = paint(text, cell.style) if isinstance(cell, Styled) else text
        shown.append(painted + blank if column in text_columns else blank + painted)
    return (" " * _GAP + (" " * _GAP).join(shown)).rstrip()
