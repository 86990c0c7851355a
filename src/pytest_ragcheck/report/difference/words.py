"""What texts about two runs have in common: their rows and words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.calls import dollars
from pytest_ragcheck.report.textual import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_ragcheck.model import ModelCalls, Run
    from pytest_ragcheck.report.difference.runs import QuestionDifference, RunDifference

__all__ = ["figure_rows", "run_facts", "score_change", "state_change", "tally"]


def run_facts(run: Run) -> tuple[str, str, str]:
    """When a run was made, how, and its questions' states; each on one line."""
    early = "" if run.complete else ", stopped early"
    return one_line(run.started_at), one_line(run.mode) + early, _states(run)


def _states(run: Run) -> str:
    counts = Counter(result.state for result in run.results)
    return ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state]) or "no questions"


def figure_rows(difference: RunDifference) -> list[tuple[str, ...]]:
    """Headings, then a row for each figure of money and time, with both runs' values."""
    runs = difference.first, difference.second
    rows: list[tuple[str, ...]] = [("", "first", "second", "")]
    if any(run.model_calls is not None for run in runs):
        rows += [
            ("model calls", *_counts(runs, lambda calls: calls.asked), ""),
            ("from the cache", *_counts(runs, lambda calls: calls.cached), ""),
            ("retries", *_counts(runs, lambda calls: calls.retries), ""),
            ("tokens in", *_counts(runs, _tokens_in), ""),
            ("tokens out", *_counts(runs, lambda calls: calls.usage.output_tokens), ""),
            ("cost", *(_cost(run) for run in runs), ""),
        ]
    first, second = runs
    return [
        *rows,
        ("setup", *(figures.seconds(run.setup) for run in runs), figures.ratio(first.setup, second.setup)),
        ("all questions", *(figures.seconds(run.wall) for run in runs), figures.ratio(first.wall, second.wall)),
    ]


def _counts(runs: Sequence[Run], count: Callable[[ModelCalls], int]) -> list[str]:
    return ["-" if run.model_calls is None else f"{count(run.model_calls):,}" for run in runs]


def _tokens_in(calls: ModelCalls) -> int:
    return calls.usage.input_tokens + calls.usage.cache_read_tokens + calls.usage.cache_write_tokens


def _cost(run: Run) -> str:
    if run.model_calls is None:
        return "-"
    if run.model_calls.unpriced:
        return f"{dollars(run.model_calls.cost)} + unknown"
    return dollars(run.model_calls.cost)


def tally(difference: RunDifference) -> str:
    """``3 of 69 questions changed: 2 for the worse, 1 for the better``."""
    changed = difference.changed
    head = f"{len(changed):,} of {figures.plural(difference.common, 'question')} changed"
    worse, better = sum(one.is_worse for one in changed), sum(one.is_better for one in changed)
    parts = [f"{worse:,} for the worse"] * bool(worse) + [f"{better:,} for the better"] * bool(better)
    return f"{head}: {', '.join(parts)}" if parts else head


def state_change(question: QuestionDifference) -> str:
    """``passed -> failed``, or the state that stayed."""
    before, after = question.states
    return before.value if before is after else f"{before.value} -> {after.value}"


def score_change(before: float | None, after: float | None) -> tuple[str, str]:
    """``0.90 -> 0.41`` and ``-0.49``; the latter empty where one was not measured."""
    shown = ["not measured" if value is None else figures.value(value) for value in (before, after)]
    change = "" if before is None or after is None else figures.change(after - before)
    return f"{shown[0]} -> {shown[1]}", change
