"""The command line options and their one reader."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["Options", "add_options"]

CACHE_MODES = ("use", "refresh", "off", "only")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    enabled: bool
    sequential: bool
    concurrency: int | None
    cache: str
    metrics: tuple[str, ...] | None

    @classmethod
    def read(cls, config: pytest.Config) -> Options:
        """From pytest's configuration."""
        return cls(
            enabled=config.getoption("ragcheck"),
            sequential=config.getoption("ragcheck_sequential"),
            concurrency=config.getoption("ragcheck_concurrency"),
            cache=config.getoption("ragcheck_cache"),
            metrics=config.getoption("ragcheck_metrics"),
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
        type=_positive,
        default=None,
        metavar="N",
        help="Most calls in flight; wins over the configuration's concurrency.",
    )
    group.addoption(
        "--ragcheck-cache",
        choices=CACHE_MODES,
        default="use",
        help="use (default): what the store holds is not asked for again. refresh: ask again, and store. "
        "off: neither read nor write the store. only: never call a model; a question that needs a call is not run.",
    )
    group.addoption(
        "--ragcheck-metrics",
        type=_names,
        default=None,
        metavar="NAMES",
        help="Measure only these metrics (names separated by commas); configured thresholds stay.",
    )


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return number


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("expected metric names, separated by commas")
    return names
