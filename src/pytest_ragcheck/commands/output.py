"""What commands print."""

from __future__ import annotations

import sys

from pytest_ragcheck.report.textual import printable

__all__ = ["complain", "say"]


def say(line: str) -> None:
    """Print a line to standard output; what would act on a terminal is shown as its escape."""
    sys.stdout.write(f"{printable(line)}\n")


def complain(line: str) -> None:
    """Print a line to standard error, in the same way."""
    sys.stderr.write(f"{printable(line)}\n")
