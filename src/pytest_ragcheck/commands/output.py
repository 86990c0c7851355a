"""What commands print."""

from __future__ import annotations

import sys

__all__ = ["say"]


def say(line: str) -> None:
    """Print a line to standard output."""
    sys.stdout.write(f"{line}\n")
