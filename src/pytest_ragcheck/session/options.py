"""The command line options and their one reader."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.report.files import report_path
from pytest_ragcheck.session.arguments import dollars, positive
from pytest_ragcheck.session.cluster.target import LOCAL, engine_target

if TYPE_CHECKING:
    import pytest

__all__ = ["Options", "add_options"]

CACHE_MODES = ("use", "refresh", "off", "only")
FAIL_ON = ("threshold", "regression", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    enabled: bool = True
    sequential: bool = False
    concurrency: int | None = None
    engine: str = LOCAL
    """Where questions are answered: ``local``, ``ray`` or ``ray://HOST:PORT``."""
    actors: int | None = None
    """Most actors on a node of a Ray cluster; None: as many as are of use."""
    cache: str = "use"
    trials: int = 1
    """How often each question is asked."""
    stop_trials: bool = False
    metrics: tuple[str, ...] | None = None
    max_cost: float | None = None
    """US dollars."""
    plan: bool = False
    verbose: bool = False
    strict_evidence: bool = False
    reports: tuple[Path, ...] = ()
    """Files to write, as they were named."""
    baseline: Path | None = None
    """The baseline's file; None: beside each question file."""
    update_baseline: bool = False
    require_baseline: bool = False
    fail_on: str = "threshold"
    """What makes a run fail: ``threshold``, ``regression`` or ``both``."""

    @property
    def gates(self) -> bool:
        """Whether a regression fails the run."""
        return self.fail_on != "threshold"

    @classmethod
    def read(cls, config: pytest.Config) -> Options:
        """From pytest's configuration."""
        return cls(
            enabled=config.getoption("ragcheck"),
            sequential=config.getoption("ragcheck_sequential"),
            concurrency=config.getoption("ragcheck_concurrency"),
            engine=config.getoption("ragcheck_engine"),
            actors=config.getoption("ragcheck_actors"),
            cache=config.getoption("ragcheck_cache"),
            trials=config.getoption("ragcheck_trials"),
            stop_trials=config.getoption("ragcheck_stop_trials"),
            metrics=config.getoption("ragcheck_metrics"),
            max_cost=config.getoption("ragcheck_max_cost"),
            plan=config.getoption("ragcheck_plan"),
            strict_evidence=config.getoption("ragcheck_strict_evidence"),
            reports=tuple(dict.fromkeys(config.getoption("ragcheck_report"))),
            baseline=config.getoption("ragcheck_baseline"),
            update_baseline=config.getoption("ragcheck_update_baseline"),
            require_baseline=config.getoption("ragcheck_require_baseline"),
            fail_on=config.getoption("ragcheck_fail_on"),
            verbose=config.getoption("verbose", 0) > 0,  # no such option under -p no:terminal
        )


def add_options(parser: pytest.Parser) -> None:
    """Declare every option."""
    group = parser.getgroup("ragcheck", "regression tests for retrieval-augmented generation")
    group.addoption(
        "--ragcheck",
        action="store_true",
        default=False,
        help="Run RAG items; without it they are skipped, nothing is asked and no file is written.",
    )
    group.addoption(
        "--ragcheck-sequential",
        action="store_true",
        default=False,
        help="One question at a time, and of it one step at a time; prints what concurrency buys.",
    )
    group.addoption(
        "--ragcheck-concurrency",
        type=positive,
        default=None,
        metavar="N",
        help="Most calls in flight; wins over the configuration's concurrency.",
    )
    group.addoption(
        "--ragcheck-engine",
        type=engine_target,
        default=LOCAL,
        metavar="ENGINE",
        help="Where questions are answered. local (default): in this process, or in pytest-xdist's workers. ray: on "
        "the nodes of a Ray cluster: that of RAY_ADDRESS, one that runs on this machine, or a new one of this machine "
        "alone. ray://HOST:PORT: on the nodes of a remote one.",
    )
    group.addoption(
        "--ragcheck-actors",
        type=positive,
        default=None,
        metavar="N",
        help="Most actors on each node of the Ray cluster (default: one for each of its CPUs, at most 8).",
    )
    group.addoption(
        "--ragcheck-cache",
        choices=CACHE_MODES,
        default="use",
        help="use (default): what the store holds is not asked for again. refresh: ask again, and store. "
        "off: neither read nor write the store. only: never call a model; a question that needs a call is not run.",
    )
    group.addoption(
        "--ragcheck-trials",
        type=positive,
        default=1,
        metavar="N",
        help="Repeat each question N times, all at once; scores are means over its trials, thresholds are for means.",
    )
    group.addoption(
        "--ragcheck-stop-trials",
        action="store_true",
        default=False,
        help="With --ragcheck-trials: ask a question no more once its remaining trials cannot bring a mean across its "
        "threshold; where the gate decides, ask in rounds, until a test against the baseline is decided.",
    )
    group.addoption(
        "--ragcheck-metrics",
        type=_names,
        default=None,
        metavar="NAMES",
        help="Measure only these metrics (names separated by commas); configured thresholds stay.",
    )
    group.addoption(
        "--ragcheck-max-cost",
        type=dollars,
        default=None,
        metavar="USD",
        help="Spend no more than USD on model calls; "
        "what is finished keeps its result, the other items are skipped. "
        "What all configurations, workers and pipelines spend counts together.",
    )
    group.addoption(
        "--ragcheck-plan",
        action="store_true",
        default=False,
        help="Print what a run would call, tokens, price and minutes, and call nothing.",
    )
    group.addoption(
        "--ragcheck-strict-evidence",
        action="store_true",
        default=False,
        help="A vacuous score (the judge found nothing to judge, or judged less than there was) is an error.",
    )
    group.addoption(
        "--ragcheck-report",
        type=report_path,
        action="append",
        default=[],
        metavar="PATH",
        help="Write a report of the run; its kind by the suffix: .html, .md, .json. May be given often.",
    )
    group.addoption(
        "--ragcheck-baseline",
        type=Path,
        default=None,
        metavar="PATH",
        help="Compare with this baseline (default: ragcheck-baseline.json beside the question file, if it is there).",
    )
    group.addoption(
        "--ragcheck-update-baseline",
        action="store_true",
        default=False,
        help="Write what this run measured as the baseline; questions that it did not ask keep what they had.",
    )
    group.addoption(
        "--ragcheck-require-baseline",
        action="store_true",
        default=False,
        help="End with an error where there is no baseline to compare with (for CI).",
    )
    group.addoption(
        "--ragcheck-fail-on",
        choices=FAIL_ON,
        default="threshold",
        help="threshold (default): an item below its threshold fails. regression: the run fails where it is worse than "
        "the baseline, beyond noise; items below their thresholds are reported as xfailed. both: either. Under both "
        "and regression a question that fell below a threshold is asked up to twice more, to tell a break from a flip.",
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("expected metric names, separated by commas")
    return names
