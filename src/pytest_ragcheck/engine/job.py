"""What an engine is given to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
    from typing import TypeAlias

    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.model import Question, Result
    from pytest_ragcheck.rag.pipeline import Pipeline

    Choose: TypeAlias = Callable[[Mapping[Hashable, Sequence[Result]]], Collection[Hashable]]
    """Given each question's trials so far by its key: the keys of those to be asked once more; none ends the trials."""

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
    trial: int | None = None
    """Only this one of the trials is asked, and its result handed out as it is."""
    done: tuple[Result, ...] = ()
    """Trials that were asked before: no further one is, and the question is only asked again where it fell."""
    choose: Choose | None = None
    """The test that chooses the trials of all jobs which have this same one; see
    :class:`~pytest_ragcheck.engine.Rounds`."""
    least_before: Mapping[str, float] = field(default_factory=dict)
    """Metrics that reached these values in the baseline; where one is below now, the question is asked again."""
