"""A run's scores and states as a table for the end of a session."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.table import aligned
from pytest_ragcheck.report.textual import fold, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.model import Result, Run, Score

__all__ = ["metrics_table"]

_LEAST_WIDTH = 40
_NAME_COLUMNS = 24
_ID_COLUMNS = 60
_HEADINGS = ("metric", "mean", "least", "passed", "n/a", "errors", "least in")


def metrics_table(run: Run, *, width: int = 80) -> str:
    """Each metric's mean and least value, how many of the measured passed, and the states of the questions.

    ``n/a`` counts questions to which the metric does not apply, ``errors`` those for which it could not
    be measured; neither counts in mean, least or passed. No line is wider than ``width`` (at least 40).
    """
    width = max(width, _LEAST_WIDTH)
    by_metric: dict[str, list[tuple[Result, Score]]] = {}
    for result in run.results:
        for name, score in result.scores.items():
            by_metric.setdefault(name, []).append((result, score))
    rows = [_row(name, entries) for name, entries in by_metric.items()]
    table = aligned([_HEADINGS, *rows], width, text_columns={0, 6}) if rows else []
    return "\n".join([*table, *_state_lines(run.results, width)])


def _row(name: str, entries: Sequence[tuple[Result, Score]]) -> tuple[str, ...]:
    measured = [(score.value, result, score) for result, score in entries if score.value is not None]
    errors = sum(score.error is not None for _, score in entries)
    mean = least = passed = where = "-"
    if measured:
        mean = figures.value(sum(value for value, _, _ in measured) / len(measured))
        lowest, result, _ = min(measured, key=lambda entry: entry[0])
        least, where = figures.value(lowest), shorten(result.question.id, _ID_COLUMNS)
    judged = [score for _, _, score in measured if score.threshold is not None]
    if judged:
        passed = f"{sum(not score.below_threshold for score in judged):,} of {len(judged):,}"
    not_applicable = len(entries) - len(measured) - errors
    return shorten(name, _NAME_COLUMNS), mean, least, passed, f"{not_applicable:,}", f"{errors:,}", where


def _state_lines(results: Sequence[Result], width: int) -> list[str]:
    lines = fold(f"{figures.plural(len(results), 'question')}: {_states(results)}", width)
    unanswerable = [result for result in results if not result.question.answerable]
    if unanswerable and len(unanswerable) < len(results):
        answerable = [result for result in results if result.question.answerable]
        lines += fold(
            f"{len(answerable):,} answerable: {_states(answerable)}; "
            f"{len(unanswerable):,} unanswerable: {_states(unanswerable)}",
            width,
        )
    return lines


def _states(results: Iterable[Result]) -> str:
    counts = Counter(result.state for result in results)
    return ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state] or state is State.PASSED)
