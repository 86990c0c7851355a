"""A run's reports as files, of the kind that a file's suffix names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.model import Run

__all__ = ["report_path", "write_report"]

_SUFFIXES = (".html", ".md", ".json")


def report_path(text: str) -> Path:
    """What a command line names as a report; ArgumentTypeError where its suffix is not that of a kind of report."""
    path = Path(text)
    if path.suffix.lower() not in _SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} has no kind of report for a suffix: use {', '.join(_SUFFIXES)}")
    return path


def write_report(path: Path, run: Run, comparison: Comparison | None = None, *, sequential: Run | None = None) -> None:
    """Write a report in one step, and the folders above it; OSError where that cannot be.

    ``path`` is one that :func:`report_path` takes. A JSON report is the run itself, with its ``metrics`` summed up and
    its ``comparison``. ``sequential`` is for HTML, see :func:`~pytest_ragcheck.report.html.html_report`.
    """
    from pytest_ragcheck.atomic_files import write_atomically
    from pytest_ragcheck.run_file import save_run

    if path.suffix.lower() == ".json":
        save_run(run, path, findings=_findings(run, comparison), shared=True)
    else:
        write_atomically(path, _text(path, run, comparison, sequential).encode(), shared=True)


def _findings(run: Run, comparison: Comparison | None) -> dict[str, Any]:
    from pytest_ragcheck.report.aggregate import summaries_by_file

    files = summaries_by_file(run.results)
    metrics = {name: {one.metric: one for one in summaries} for name, summaries in files.items()}
    return {"metrics": metrics} if comparison is None else {"metrics": metrics, "comparison": comparison}


def _text(path: Path, run: Run, comparison: Comparison | None, sequential: Run | None) -> str:
    if path.suffix.lower() == ".md":
        from pytest_ragcheck.report.markdown import markdown_report

        return markdown_report(run, comparison)
    from pytest_ragcheck.report.html import html_report

    return html_report(run, comparison, sequential=sequential)
