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
        help="Run RAG items; without it they are skipped and cost nothing.",
    )
    group.addoption(
        "--ragcheck-sequential",
        action="store_true",
        default=False,
        help="One call at a time, in the same engine; prints what concurrency buys.",
    )
    group.addoption(
        "--ragcheck-concurrency",
        type=_positive,
        default=None,
        metavar="N",
        help="Most calls in flight.",
    )
    group.addoption(
        "--ragcheck-cache",
        choices=CACHE_MODES,
        default="use",
        help="use: what the store holds is not asked for again (default). refresh: ask again, store. "
        "off: neither read nor write. only: a miss is not run, never a call.",
    )
    group.addoption(
        "--ragcheck-metrics",
        type=_names,
        default=None,
        metavar="NAMES",
        help="Measure only these metrics (comma-separated).",
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
