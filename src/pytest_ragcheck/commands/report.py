"""``report``: the reports of a run once more, from its file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import paint, say, width
from pytest_ragcheck.report.files import report_path

if TYPE_CHECKING:
    import argparse

    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.model import Run

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser("report", help="a run's reports, from its file")
    parser.add_argument("run_file", type=Path, metavar="RUN.json", help="a file of .ragcheck/runs, or a JSON report")
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        type=report_path,
        default=[],
        metavar="PATH",
        help="the report to write; its kind by the suffix: .html, .md, .json; may be given often. "
        "Without it what stands at the end of a session is printed.",
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="BASELINE.json", help="compare with this baseline, by the gate's defaults"
    )
    parser.add_argument(
        "--sequential", type=Path, metavar="RUN.json", help="for HTML: a sequential run, whose timeline is set beside"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.report.files import write_report
    from pytest_ragcheck.run_file import load_run

    run = load_run(options.run_file)
    comparison = None if options.baseline is None else _compared(run, options.baseline)
    sequential = None if options.sequential is None else load_run(options.sequential)
    for path in options.output:
        try:
            write_report(path, run, comparison, sequential=sequential)
        except OSError as problem:
            raise ConfigurationError(f"{path}: {problem.strerror}; the report was not written") from None
        say(f"wrote {path}")
    if not options.output:
        sys.stdout.write(_text(run, comparison) + "\n")
    return 0


def _compared(run: Run, place: Path) -> Comparison:
    from pytest_ragcheck.baseline.datasets import named_in_run
    from pytest_ragcheck.baseline.file import load_baseline
    from pytest_ragcheck.baseline.gate import compare

    return compare(run, named_in_run(load_baseline(place), run, place), name=str(place))


def _text(run: Run, comparison: Comparison | None) -> str:
    from pytest_ragcheck.report.calls import calls_lines
    from pytest_ragcheck.report.gate import gate_report
    from pytest_ragcheck.report.terminal import metrics_table
    from pytest_ragcheck.report.timing import timing_table

    columns, painter = width(), paint()
    blocks = [metrics_table(run, comparison, width=columns, paint=painter), timing_table(run, width=columns)]
    if run.model_calls is not None:
        blocks.append(calls_lines(run.model_calls, width=columns))
    if comparison is not None:
        blocks.append(gate_report(comparison, width=columns, paint=painter))
    return "\n\n".join(blocks)
