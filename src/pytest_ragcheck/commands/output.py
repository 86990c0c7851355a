"""What commands print."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from pytest_ragcheck.report.colour import ansi, plain
from pytest_ragcheck.safe_text import one_line, printable

if TYPE_CHECKING:
    from pytest_ragcheck.report.colour import Paint, Style

__all__ = ["complain", "paint", "say", "width"]

WIDEST = 160


def say(line: str, *, mark: str = "", style: Style | None = None) -> None:
    """Print a line to standard output, after ``mark`` in its style.

    What would act on a terminal is shown as its escape.
    """
    painted = mark if style is None else paint()(mark, style)
    sys.stdout.write(f"{painted}{printable(line)}\n")


def complain(line: str) -> None:
    """Print one line to standard error, in the same way."""
    sys.stderr.write(f"{one_line(line)}\n")


def paint() -> Paint:
    """Colours where standard output is a terminal that has them, or ``FORCE_COLOR`` says so, as pytest decides."""
    if os.environ.get("NO_COLOR"):
        return plain
    if os.environ.get("FORCE_COLOR"):
        return ansi
    return ansi if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else plain


def width() -> int:
    """Columns that a text may take."""
    return min(WIDEST, shutil.get_terminal_size().columns)
