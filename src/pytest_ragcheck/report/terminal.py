"""A run's scores and states as a table for the end of a session."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.aggregate import NO_QUESTION_FILE, by_question_file, summaries_by_file
from pytest_ragcheck.report.colour import Styled, plain
from pytest_ragcheck.report.table import aligned
from pytest_ragcheck.report.textual import fold, shorten
from pytest_ragcheck.report.trials import trials_summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
_COUNTED_STATE = re.compile(rf"(?<![\w,])[1-9][\d,]* ({'|'.join(_STATE_STYLES)})\b")


def metrics_table(run: Run, comparison: Comparison | None = None, *, width: int = 80, paint: Paint = plain) -> str:
    """Each metric's mean with its interval and least value, how many of the measured passed, and the questions' states.

    With ``comparison`` also each mean's change against the baseline. ``n/a`` counts questions to which the metric does
    not apply, ``errors`` those for which it could not be measured, where there are any; neither counts in mean, least
    or passed. Of several question files each has rows of its own, below a line with its name. No line is wider than
    ``width`` (at least 40).
    """
    width = max(width, _LEAST_WIDTH)
    files = summaries_by_file(run.results)
    summaries = [one for own in files.values() for one in own]
    states = [*_state_lines(run.results, width, paint), *trials_summary(run.results, width)]
    if not summaries:
        return "\n".join(states)
    changes = None
    if comparison is not None:
        changes = [
            _change_in(comparison, one.metric, name) if len(files) > 1 else _change(comparison.metrics.get(one.metric))
            for name, own in files.items()
            for one in own
        ]
    columns = [column for column in _columns(summaries, changes) if column]
    table = aligned(list(zip(*columns, strict=True)), width, text_columns={0, len(columns) - 1}, paint=paint)
    return "\n".join([*(_below_names(table, run, files, width, paint) if len(files) > 1 else table), *states])


def _below_names(
    table: Sequence[str], run: Run, files: Mapping[str, Sequence[MetricSummary]], width: int, paint: Paint
) -> list[str]:
    """The table with a line above the rows of each question file: its name, and its questions' states."""
    heading, *rows = table
    lines, results = [heading], by_question_file(run.results)
    for name, summaries in files.items():
        states = f"{figures.plural(len(results[name]), 'question')}: {_states(results[name])}"
        folded = fold(f"{shorten(name or NO_QUESTION_FILE, _ID_COLUMNS)}, {states}", width)
        lines += [_painted_states(line, paint) for line in folded]
        lines += rows[: len(summaries)]
        del rows[: len(summaries)]
    return lines


def _columns(summaries: Sequence[MetricSummary], changes: Sequence[str] | None) -> list[list[str]]:
    """Each with its heading; empty where nobody has anything to tell."""
    return [
        ["metric", *(shorten(one.metric, _NAME_COLUMNS) for one in summaries)],
        ["mean", *(_value(one.mean) for one in summaries)],
        [] if changes is None else ["change", *changes],
        ["95 %", *(figures.interval(one.interval) for one in summaries)],
        ["least", *(_value(one.least) for one in summaries)],
        ["passed", *(_passed(one) for one in summaries)],
        _counts("n/a", [one.not_applicable for one in summaries]),
        _counts("errors", [one.errors for one in summaries], style="bad"),
        ["least in", *("-" if one.least_id is None else shorten(one.least_id, _ID_COLUMNS) for one in summaries)],
    ]


def _value(value: float | None) -> str:
    return "-" if value is None else figures.value(value)


def _counts(heading: str, counts: Sequence[int], *, style: Style | None = None) -> list[str]:
    if not any(counts):
        return []
    return [heading, *(Styled.of(f"{count:,}", style) if style and count else f"{count:,}" for count in counts)]


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


def _change_in(comparison: Comparison, metric: str, question_file: str) -> str:
    """The change of one question file's mean; the verdict is about all files together."""
    difference = comparison.difference_in(question_file, metric)
    if difference is None:
        return "-"
    shown = figures.change(difference)
    broke = any(metric in one.broke for one in comparison.broken if one.dataset == question_file)
    return Styled.of(shown, "bad") if broke else shown


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
