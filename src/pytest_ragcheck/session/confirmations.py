"""Which scores a question must not fall below without being asked again: those that its baseline says it reached.

One sample does not tell a question that broke from one that flips now and then; asking just those that fell does, for a
handful of calls. What nothing but a change of the system can move needs no confirmation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ragcheck.metrics.base import is_deterministic
from pytest_ragcheck.rag.pipeline import ReferencePipeline, repeats_itself
from pytest_ragcheck.session.gate_facts import measures

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from pytest_ragcheck.baseline.entries import Dataset, Entry
    from pytest_ragcheck.engine import Job
    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.rag.pipeline import Pipeline
    from pytest_ragcheck.session.baselines import Baselines
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.suites import Suite

__all__ = ["Confirmations"]


class Confirmations:
    """Tells jobs what their questions reached in the baseline, where the gate decides about the session."""

    def __init__(self, options: Options, baselines: Baselines) -> None:
        self._options = options
        self._baselines = baselines

    def wanted(self, jobs: Sequence[Job], suite: Suite, variants: Mapping[Hashable, str]) -> list[Job]:
        """The jobs of a suite, those of questions that may fall with what they reached; ``variants`` by the jobs' keys.

        Raises ConfigurationError where the baseline cannot be read.
        """
        dataset = self._dataset(suite)
        if dataset is None:
            return list(jobs)
        entries = {entry.key: entry for entry in dataset.questions}
        now = measures(suite)
        wanted = []
        for job in jobs:
            entry = entries.get((job.question.id, variants[job.key]))
            least = {} if entry is None else dict(_reached(job, entry, dataset.setup_of(entry).scoring, now))
            wanted.append(replace(job, least_before=least))
        return wanted

    def _dataset(self, suite: Suite) -> Dataset | None:
        """What the suite is compared with; None where the gate does not decide."""
        if not self._options.gates or self._options.plan:
            return None
        return self._baselines.dataset_of(suite.file)


def _reached(
    job: Job, entry: Entry, measured_with: Mapping[str, str], now: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    """Thresholds that the question reached by scores that a repetition could change, measured as they are now."""
    for metric in job.metrics:
        before, least = entry.mean(metric.name), job.thresholds.get(metric.name)
        reached = before is not None and least is not None and before >= least
        alike = measured_with.get(metric.name) == now.get(metric.name)
        if reached and least is not None and alike and not _is_repeatable(metric, job.pipeline):
            yield metric.name, least


def _is_repeatable(metric: Metric, pipeline: Pipeline) -> bool:
    """Whether the same system gets the same score again."""
    retrieves_alike = isinstance(pipeline, ReferencePipeline) and not metric.needs_answer
    return is_deterministic(metric) and (retrieves_alike or repeats_itself(pipeline))
