"""The page: templates, style and scripts put together, and nothing in it that could run but our own script."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import State
from pytest_ragcheck.report.textual import printable

if TYPE_CHECKING:
    from jinja2 import Environment

    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.model import Run

__all__ = ["html_report"]


def html_report(run: Run, comparison: Comparison | None = None, *, sequential: Run | None = None) -> str:
    """The report of ``run`` as the text of an HTML file; to be written in UTF-8.

    ``comparison`` adds the gate's verdict and what changed against the baseline. ``sequential`` is a run of the same
    questions one after another, whose timeline is set beside that of ``run``.
    """
    counts = Counter(result.state for result in run.results)
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            comparison=comparison,
            sequential=sequential,
            states=[(state.value, counts[state]) for state in State],
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("pytest_ragcheck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Any) -> Any:
    """Texts as :func:`printable` shows them; what is marked as safe is ours."""
    return printable(value) if type(value) is str else value
