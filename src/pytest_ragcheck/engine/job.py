"""What an engine is given to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from pytest_ragcheck.engine.rounds import Rounds
    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.model import Question
    from pytest_ragcheck.rag.pipeline import Pipeline

__all__ = ["Job"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One question, who answers it, and how the answer is measured."""

    key: Hashable
    question: Question
    pipeline: Pipeline
    metrics: Sequence[Metric]
    thresholds: Mapping[str, float]
    """Least values by metric name; a metric without one is only reported."""
    trials: int = 1
    """How often the question is asked."""
    contexts_needed_by: frozenset[str] = frozenset()
    """Metrics that look at contexts: they cannot be measured where the pipeline does not tell its contexts."""
    stops_when_settled: bool = False
    """Whether trials that can no longer change the verdict are left out."""
    rounds: Rounds | None = None
    """Where a test over all questions decides between rounds of trials whether there is a further one."""
    least_before: Mapping[str, float] = field(default_factory=dict)
    """Metrics that reached these values in the baseline; where one is below now, the question is asked again."""
