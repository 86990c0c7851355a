"""``python -m pytest_ragcheck``: what is done beside test runs."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from pytest_ragcheck.commands import cache, calibrate, compare, doctor, gate, init, lint, questions, report

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

COMMANDS = (init, doctor, lint, questions, report, compare, gate, calibrate, cache)
_ABOUT = "Set up, check and look after RAG tests. `pytest --ragcheck` runs them; start with `init`."
USAGE_ERROR = 4
"""pytest's exit code for the same."""
INTERRUPTED = 130
"""A shell's exit code for a process that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    from pytest_ragcheck.commands.output import complain
    from pytest_ragcheck.errors import RagcheckError

    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return USAGE_ERROR
    try:
        status = int(options.run(options))
        sys.stdout.flush()  # at exit it would be too late to see that nobody reads
        return status
    except RagcheckError as problem:
        complain(str(problem))
        return USAGE_ERROR
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # as with `| head`: nobody reads on, which is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pytest_ragcheck", description=_ABOUT)
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
