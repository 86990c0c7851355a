"""A run's scores and states as a table for the end of a session."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.aggregate import metric_summaries
from pytest_ragcheck.report.colour import Styled, plain
from pytest_ragcheck.report.table import aligned
from pytest_ragcheck.report.textual import fold, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.comparison import Comparison, MetricChange
    from pytest_ragcheck.model import Result, Run
    from pytest_ragcheck.report.aggregate import MetricSummary
    from pytest_ragcheck.report.colour import Paint, Style

__all__ = ["metrics_table"]

_LEAST_WIDTH = 40
_NAME_COLUMNS = 24
_ID_COLUMNS = 60
_STATE_STYLES: dict[State, Style] = {
    State.PASSED: "good",
    State.FAILED: "bad",
    State.ERROR: "bad",
    State.NOT_RUN: "unsure",
}
_COUNTED_STATE = re.compile(rf"\b[1-9][\d,]* ({'|'.join(_STATE_STYLES)})\b")


def metrics_table(run: Run, comparison: Comparison | None = None, *, width: int = 80, paint: Paint = plain) -> str:
    """Each metric's mean with its interval and least value, how many of the measured passed, and the questions' states.

    With ``comparison`` also each mean's change against the baseline. ``n/a`` counts questions to which the metric does
    not apply, ``errors`` those for which it could not be measured; neither counts in mean, least or passed. No line is
    wider than ``width`` (at least 40).
    """
    width = max(width, _LEAST_WIDTH)
    summaries = metric_summaries(run.results)
    if not summaries:
        return "\n".join(_state_lines(run.results, width, paint))
    rows = [_headings(comparison), *(_row(summary, comparison) for summary in summaries)]
    table = aligned(rows, width, text_columns={0, len(rows[0]) - 1}, paint=paint)
    return "\n".join([*table, *_state_lines(run.results, width, paint)])


def _headings(comparison: Comparison | None) -> tuple[str, ...]:
    change = () if comparison is None else ("change",)
    return "metric", "mean", *change, "95 %", "least", "passed", "n/a", "errors", "least in"


def _row(summary: MetricSummary, comparison: Comparison | None) -> tuple[str, ...]:
    change = () if comparison is None else (_change(comparison.metrics.get(summary.metric)),)
    return (
        shorten(summary.metric, _NAME_COLUMNS),
        "-" if summary.mean is None else figures.value(summary.mean),
        *change,
        figures.interval(summary.interval),
        "-" if summary.least is None else figures.value(summary.least),
        _passed(summary),
        f"{summary.not_applicable:,}",
        Styled.of(f"{summary.errors:,}", "bad") if summary.errors else "0",
        "-" if summary.least_id is None else shorten(summary.least_id, _ID_COLUMNS),
    )


def _passed(summary: MetricSummary) -> str:
    if not summary.judged:
        return "-"
    shown = f"{summary.passed:,} of {summary.judged:,}"
    return shown if summary.passed == summary.judged else Styled.of(shown, "bad")


def _change(change: MetricChange | None) -> str:
    if change is None:
        return "-"
    shown = figures.change(change.difference)
    if change.verdict is Verdict.REGRESSED:
        return Styled.of(shown, "bad")
    return Styled.of(shown, "good") if change.verdict is Verdict.BETTER else shown


def _state_lines(results: Sequence[Result], width: int, paint: Paint) -> list[str]:
    lines = fold(f"{figures.plural(len(results), 'question')}: {_states(results)}", width)
    unanswerable = [result for result in results if not result.question.answerable]
    if unanswerable and len(unanswerable) < len(results):
        answerable = [result for result in results if result.question.answerable]
        lines += fold(
            f"{len(answerable):,} answerable: {_states(answerable)}; "
            f"{len(unanswerable):,} unanswerable: {_states(unanswerable)}",
            width,
        )
    return [_painted_states(line, paint) for line in lines]


def _states(results: Iterable[Result]) -> str:
    counts = Counter(result.state for result in results)
    return ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state] or state is State.PASSED)


def _painted_states(line: str, paint: Paint) -> str:
    """After folding, which knows no colours."""
    return _COUNTED_STATE.sub(lambda match: paint(match[0], _STATE_STYLES[State(match[1])]), line)
