"""``python -m pytest_ragcheck``: what is done beside test runs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pytest_ragcheck.commands import cache

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

COMMANDS = (cache,)
USAGE_ERROR = 4
"""pytest's exit code for the same."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    from pytest_ragcheck.errors import RagcheckError

    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except RagcheckError as problem:
        sys.stderr.write(f"{problem}\n")
        return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pytest_ragcheck", description="What is done beside test runs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
