"""Where the baseline of a question file is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ragcheck.session.options import Options

__all__ = ["BASELINE_NAME", "baseline_place"]

BASELINE_NAME = "ragcheck-baseline.json"


def baseline_place(options: Options, folder: Path, questions: Path) -> Path:
    """What ``--ragcheck-baseline`` says, seen from ``folder``; else beside the question file."""
    return questions.parent / BASELINE_NAME if options.baseline is None else folder / options.baseline
