"""What a question's baseline says while it is asked: which scores it should reach, and when trials are enough.

One sample does not tell a question that broke from one that flips now and then; asking just those that fell does, for a
handful of calls. What nothing but a change of the system can move needs no confirmation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ragcheck.metrics.base import is_deterministic
from pytest_ragcheck.rag.pipeline import ReferencePipeline, repeats_itself
from pytest_ragcheck.session.gate_facts import measures, question_digests
from pytest_ragcheck.trials import combined

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from pytest_ragcheck.baseline.entries import Dataset, Entry
    from pytest_ragcheck.engine import Job
    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.model import Result
    from pytest_ragcheck.rag.pipeline import Pipeline
    from pytest_ragcheck.session.baselines import Baselines
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.suites import Suite

__all__ = ["Confirmations"]


class Confirmations:
    """Gives jobs what their questions got in the baseline, where the gate decides about the session."""

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
        return self._in_rounds(wanted, suite, dataset, variants) if self._options.stop_trials else wanted

    def _in_rounds(
        self, jobs: Sequence[Job], suite: Suite, dataset: Dataset, variants: Mapping[Hashable, str]
    ) -> list[Job]:
        """The jobs with a test of their scores against the baseline's after each round of trials."""
        from pytest_ragcheck.baseline.decisions import undecided
        from pytest_ragcheck.baseline.pairs import Pair

        repeated = {job.key: job for job in jobs if job.trials > 1}
        entries = {entry.key: entry for entry in dataset.questions}
        digests, now = question_digests(suite), measures(suite)

        def choose(trials: Mapping[Hashable, Sequence[Result]]) -> list[Hashable]:
            pairs: dict[Hashable, Pair] = {}
            for key, done in trials.items():
                name = repeated[key].question.id, variants[key]
                if (entry := entries.get(name)) is not None and entry.question == digests.get(name[0]):
                    result = replace(combined(done, planned=repeated[key].trials), looks=repeated[key].trials)
                    pairs[key] = Pair((suite.name, *name), entry, dataset.setup_of(entry), result)
            further = undecided(list(pairs.values()), now, suite.settings.gate)
            # A question that the baseline lacks goes on as long as any other does.
            return [key for key in trials if further and (key not in pairs or pairs[key].key in further)]

        return [replace(job, choose=choose) if job.key in repeated else job for job in jobs]

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
