"""A run's scores, metric by metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.model import NOT_RUN
from pytest_ragcheck.report.intervals import mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.model import Result, Score

__all__ = ["NO_QUESTION_FILE", "MetricSummary", "by_question_file", "metric_summaries", "summaries_by_file"]

NO_QUESTION_FILE = "(no question file)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """One metric over the questions of a run.

    Questions to which it does not apply, or for which it could not be measured, count in nothing but their own number.
    """

    metric: str
    measured: int
    mean: float | None
    """None where it was nowhere measured; so ``least`` and ``least_id``."""
    interval: tuple[float, float] | None
    """95 %, see :func:`~pytest_ragcheck.report.intervals.mean_interval`."""
    least: float | None
    least_id: str | None
    """The question with the least value; of equals the first."""
    judged: int
    """Measured values that have a threshold."""
    passed: int
    """Of these, how many reach it."""
    not_applicable: int
    errors: int


def metric_summaries(results: Iterable[Result]) -> list[MetricSummary]:
    """A summary of each metric, in the order in which the results name them."""
    by_metric: dict[str, list[tuple[Result, Score]]] = {}
    for result in results:
        for name, score in result.scores.items():
            by_metric.setdefault(name, []).append((result, score))
    return [_summary(name, entries) for name, entries in by_metric.items()]


def by_question_file(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results of each question file: means over several files would say nothing of any of them."""
    files: dict[str, list[Result]] = {}
    for result in results:
        files.setdefault(result.question.dataset, []).append(result)
    return files


def summaries_by_file(results: Iterable[Result]) -> dict[str, list[MetricSummary]]:
    """The summaries of each question file by its name."""
    return {name: metric_summaries(own) for name, own in by_question_file(results).items()}


def _summary(name: str, entries: Sequence[tuple[Result, Score]]) -> MetricSummary:
    measured = [(score.value, result, score) for result, score in entries if score.value is not None]
    values = [value for value, _, _ in measured]
    judged = [score for _, _, score in measured if score.threshold is not None]
    lowest = min(measured, key=lambda entry: entry[0], default=None)
    not_run = sum(score.error is not None and score.error.kind == NOT_RUN for _, score in entries)
    errors = sum(score.error is not None for _, score in entries) - not_run
    return MetricSummary(
        metric=name,
        measured=len(measured),
        mean=math.fsum(values) / len(values) if values else None,
        interval=mean_interval(values),
        least=None if lowest is None else lowest[0],
        least_id=None if lowest is None else lowest[1].question.id,
        judged=len(judged),
        passed=sum(not score.below_threshold for score in judged),
        not_applicable=len(entries) - len(measured) - errors - not_run,
        errors=errors,
    )
