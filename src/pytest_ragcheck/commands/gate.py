"""``gate``: compares a run's file with a baseline's, outside of pytest."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import paint, width

if TYPE_CHECKING:
    from pytest_ragcheck.baseline.gate import GateSettings
    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.model import Run

__all__ = ["add_parser"]

EVERY_METRIC = ""
MOST_EARLIER_RUNS = 10
DESCRIPTION = (
    "Exit code: 0 where the run is not worse than the baseline, or too little was measured to tell (inconclusive); "
    "1 where it is worse, where it cannot be compared, or where it says nothing (invalid, judge drifted); "
    "4 where a file cannot be read."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser("gate", help="compare a run with a baseline", description=DESCRIPTION)
    parser.add_argument("run_file", type=Path, metavar="RUN.json", help="a file of .ragcheck/runs, or a JSON report")
    parser.add_argument("baseline", type=Path, metavar="BASELINE.json", help="what --ragcheck-update-baseline wrote")
    parser.add_argument("--format", choices=("text", "md", "json"), default="text", help="default: %(default)s")
    parser.add_argument(
        "--minimum",
        action="append",
        type=_minimum,
        default=[],
        metavar="[METRIC=]DROP",
        help="a drop of the mean that is not larger is no regression; of one metric, or of all; may be given often",
    )
    parser.add_argument(
        "--coverage", type=_share, metavar="SHARE", help="least share of scores that must have been measured"
    )
    parser.add_argument(
        "--earlier-runs",
        type=Path,
        metavar="FOLDER",
        help=f"show how far runs of one system lie apart, by the newest {MOST_EARLIER_RUNS} run files of a folder such "
        "as .ragcheck/runs",
    )
    parser.add_argument(
        "--fail-on",
        choices=("regression", "threshold", "both"),
        default="regression",
        help="what gives exit code 1: a run that is worse than the baseline; a question that is below its threshold or "
        "could not be measured; or either (default: %(default)s)",
    )
    parser.set_defaults(run=_decide)


def _decide(options: argparse.Namespace) -> int:
    from pytest_ragcheck.baseline.datasets import named_in_run
    from pytest_ragcheck.baseline.file import load_baseline
    from pytest_ragcheck.baseline.gate import compare, passes
    from pytest_ragcheck.run_file import load_run

    run = load_run(options.run_file)
    baseline = named_in_run(load_baseline(options.baseline), run, options.baseline)
    history = () if options.earlier_runs is None else _newest_runs(options.earlier_runs)
    comparison = compare(run, baseline, name=str(options.baseline), settings=_settings(options), history=history)
    unfit = _unfit(run) if options.fail_on in {"threshold", "both"} else 0
    fails = unfit > 0 or (options.fail_on in {"regression", "both"} and not passes(comparison.verdict))
    sys.stdout.write(_shown(comparison, options.format, unfit=unfit, fails=fails))
    return int(fails)


def _newest_runs(folder: Path) -> tuple[Run, ...]:
    """Those of the last files by name, which starts with the time; a file that cannot be read is passed over."""
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.run_file import RunFileError, load_run

    if not folder.is_dir():
        raise ConfigurationError(f"--earlier-runs: not a folder, got {folder}; name one with run files")
    runs = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        with suppress(RunFileError):
            runs.append(load_run(path))
        if len(runs) == MOST_EARLIER_RUNS:
            break
    return tuple(runs)


def _settings(options: argparse.Namespace) -> GateSettings:
    from pytest_ragcheck.baseline.gate import GateSettings

    minimums = dict(options.minimum)
    said = {"practical_minimum": minimums.pop(EVERY_METRIC, None), "coverage": options.coverage}
    return GateSettings(minimums=minimums, **{name: value for name, value in said.items() if value is not None})


def _unfit(run: Run) -> int:
    """How many questions are below a threshold, or could not be measured."""
    from pytest_ragcheck.model import State

    return sum(result.state in {State.FAILED, State.ERROR} for result in run.results)


def _shown(comparison: Comparison, form: str, *, unfit: int, fails: bool) -> str:
    if form == "json":
        return json.dumps({**asdict(comparison), "below_threshold": unfit, "fails": fails}, indent=2) + "\n"
    from pytest_ragcheck.report.figures import plural

    told = f"{plural(unfit, 'question')} below a threshold or not measured" if unfit else ""
    if form == "md":
        from pytest_ragcheck.report.gate_markdown import gate_markdown

        return gate_markdown(comparison) + (f"\n{told}\n" if told else "")
    from pytest_ragcheck.report.gate import gate_report

    return gate_report(comparison, width=width(), paint=paint()) + (f"\n\n{told}" if told else "") + "\n"


def _minimum(text: str) -> tuple[str, float]:
    metric, _, drop = text.rpartition("=")
    return metric.strip(), _share(drop)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return share
