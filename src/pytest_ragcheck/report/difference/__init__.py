"""Two runs side by side: what changed, as values, as text and as Markdown."""

from __future__ import annotations

from pytest_ragcheck.report.difference.markdown import difference_markdown
from pytest_ragcheck.report.difference.runs import RunDifference, run_difference
from pytest_ragcheck.report.difference.text import difference_text

__all__ = ["RunDifference", "difference_markdown", "difference_text", "run_difference"]
