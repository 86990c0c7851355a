"""``compare``: two runs side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import paint, width

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser(
        "compare",
        help="two runs side by side",
        description="Metrics, questions that changed, cost and time of two runs. It shows, and decides nothing: "
        "whether a run is worse than a baseline is what `gate` tells.",
    )
    parser.add_argument("first", type=Path, metavar="A.json", help="the earlier run: a file of .ragcheck/runs")
    parser.add_argument("second", type=Path, metavar="B.json", help="the later run")
    parser.add_argument("--format", choices=("text", "md"), default="text", help="default: %(default)s")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from pytest_ragcheck.report.difference import difference_markdown, difference_text, run_difference
    from pytest_ragcheck.run_file import load_run

    difference = run_difference(load_run(options.first), load_run(options.second))
    names = str(options.first), str(options.second)
    if options.format == "md":
        sys.stdout.write(difference_markdown(difference, names))
    else:
        sys.stdout.write(difference_text(difference, names, width=width(), paint=paint()) + "\n")
    return 0
