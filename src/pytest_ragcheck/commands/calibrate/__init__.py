"""``calibrate``: lets the judge score answers that people have scored, and tells how far the two agree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import complain, say
from pytest_ragcheck.session.arguments import dollars, positive

if TYPE_CHECKING:
    import argparse

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser(
        "calibrate",
        help="compare the judge with people's scores",
        description="Lets the configured judge score the answers that stand under `human` in a question file, prints "
        "for each metric how far it agrees with people, and keeps that in ragcheck-calibration.json beside the "
        "configuration. The exit code is 1 where an answer could not be judged.",
    )
    parser.add_argument(
        "path", nargs="?", type=Path, help="a question file, or a folder with a configuration (default: this folder)"
    )
    parser.add_argument(
        "--cache",
        choices=("use", "refresh", "only"),
        default="use",
        help="as --ragcheck-cache (default: %(default)s)",
    )
    parser.add_argument("--concurrency", type=positive, metavar="N", help="most calls in flight")
    parser.add_argument("--max-cost", type=dollars, metavar="USD", help="make no call that could cost more")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from pytest_ragcheck.commands.calibrate.judging import judge_answers
    from pytest_ragcheck.commands.calibrate.text import calibration_text, trouble_lines
    from pytest_ragcheck.metrics.judged.calibration import FILE_NAME, save_calibration

    outcome = judge_answers(
        options.path, cache=options.cache, concurrency=options.concurrency, max_cost=options.max_cost
    )
    for line in calibration_text(outcome):
        say(line)
    for line in trouble_lines(outcome):
        complain(line)
    if outcome.calibration.metrics:
        place = outcome.root / FILE_NAME
        save_calibration(place, outcome.calibration)
        say(f"written: {os.path.relpath(place)}; commit it")
    return int(bool(outcome.troubles))
