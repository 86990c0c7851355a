"""From selected questions to the engine's jobs: who answers each, and how the answer is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.engine import Job
from pytest_ragcheck.metrics.base import is_deterministic
from pytest_ragcheck.rag.pipeline import ReferencePipeline, as_pipeline, repeats_itself
from pytest_ragcheck.session.depth import looking_deeper
from pytest_ragcheck.session.planning import PlannedPipeline
from pytest_ragcheck.session.systems import keeping_answers, own_system
from pytest_ragcheck.session.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_ragcheck.gateway.limit_client import RemoteLimits
    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.metrics.registry import MetricSpec
    from pytest_ragcheck.rag.pipeline import Pipeline
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.sharing import Sharing
    from pytest_ragcheck.session.suites import Suite

__all__ = ["ConfiguredPipeline", "JobMaker"]


class ConfiguredPipeline:
    """What ``ragcheck_pipeline`` is when nobody overrides it: each suite's own reference pipeline."""


class JobMaker:
    """Makes the jobs of one process, and keeps what has to be opened before them and closed after them."""

    def __init__(self, options: Options, sharing: Sharing) -> None:
        self._options = options
        self.sharing = sharing
        """Among how many processes the questions are divided."""
        self.limits: RemoteLimits | None = None
        """Limits that are shared with other processes."""
        self.before_set_up: Callable[[Suite], None] | None = None
        """Is told of a suite before its documents are embedded."""
        self.suites: list[Suite] = []
        """The suites whose questions got jobs."""
        self.notices: list[str] = []
        """What the user should know of how the questions are asked."""
        self.unforeseen = 0
        """Under ``--ragcheck-plan``: questions whose calls only their own pipeline knows."""
        self.to_open: list[Suite] = []
        self.to_close: list[Pipeline] = []

    def jobs(
        self, suite: Suite, entries: Sequence[Entry], candidate: Any, system: str, given: Sequence[MetricSpec]
    ) -> list[Job]:
        """The jobs of a suite's questions; RagcheckError where they cannot be asked.

        ``candidate`` is what the fixture ``ragcheck_pipeline`` gave, ``system`` its name among those of the session,
        ``given`` the metrics of the fixture ``ragcheck_metrics``.
        """
        self.suites.append(suite)
        own = suite.metrics_of_fixture(given)
        metrics = (*suite.metrics, *own.metrics)
        is_sure_to_ask = suite.is_sure_to_ask(generates=isinstance(candidate, ConfiguredPipeline))
        begin_imports = suite.begin_imports if is_sure_to_ask and self._answers_here else None
        pipeline = self._pipeline(suite, entries, candidate, system, meanwhile=begin_imports)
        if begin_imports is not None:
            begin_imports()
        if is_sure_to_ask:
            self.to_open.append(suite)
        if isinstance(pipeline, ReferencePipeline):
            metrics = looking_deeper(metrics, suite.index)
        if is_sure_to_ask and suite.is_judged and not self._options.sequential:
            metrics = _asking_ahead(metrics)
        trials = self._trials(suite, pipeline, metrics)
        return [
            Job(
                key=entry.key,
                question=entry.question,
                pipeline=pipeline,
                metrics=metrics,
                thresholds={**own.thresholds, **suite.thresholds(entry.question)},
                trials=trials,
                contexts_needed_by=suite.contexts_needed_by | own.contexts_needed_by,
                stops_when_settled=self._options.stop_trials,
            )
            for entry in entries
        ]

    def cap(self, suite: Suite) -> int | None:
        """Most calls in flight for a suite, in all processes together."""
        return self._options.concurrency or suite.settings.concurrency

    @property
    def _answers_here(self) -> bool:
        """Whether this process is sure to answer: actors do it elsewhere, and not every worker gets a share."""
        return self.before_set_up is None and self.sharing.processes == 1

    def _pipeline(
        self,
        suite: Suite,
        entries: Sequence[Entry],
        candidate: Any,
        system: str,
        *,
        meanwhile: Callable[[], None] | None,
    ) -> Pipeline:
        """What answers a suite's questions: what the configuration says, or the user's ``candidate``."""
        is_configured = isinstance(candidate, ConfiguredPipeline)
        if is_configured and not suite.has_own_system:
            reference = suite.pipeline  # tells what is not installed; only then can anything be set up
            if self.before_set_up is not None:
                self.before_set_up(suite)
            suite.set_up(
                [entry.question for entry in entries],
                is_shared=self.sharing.processes > 1 and self.before_set_up is None,
                meanwhile=meanwhile,
            )
            return reference
        if is_configured and suite.settings.answers is not None:
            return suite.recorded
        if self._options.plan:
            self.unforeseen += len(entries)
            return PlannedPipeline()
        pipeline = self._own_pipeline(suite, candidate, system, is_configured=is_configured)
        pipeline, notice = keeping_answers(pipeline, suite, self._options, system=system, is_configured=is_configured)
        if notice is not None and notice not in self.notices:
            self.notices.append(notice)
        self.to_close.append(pipeline)
        return pipeline

    def _own_pipeline(self, suite: Suite, candidate: Any, system: str, *, is_configured: bool) -> Pipeline:
        cap, rate = self.cap(suite), suite.settings.requests_per_minute
        limiter = None
        if self.limits is not None:
            name = f"{suite.name} answered by {system}"
            limiter = self.limits.limiter(suite.settings.root, name, concurrency=cap, requests_per_minute=rate)
        turns = None if cap is None else Turns(lambda: suite.limiter)
        if not is_configured:
            return as_pipeline(candidate, timeout=suite.settings.answer_timeout, at_once=cap, turns=turns)
        return own_system(suite.settings, at_once=cap, requests_per_minute=rate, limiter=limiter, turns=turns)

    def _trials(self, suite: Suite, pipeline: Pipeline, metrics: Sequence[Metric]) -> int:
        """As many as wanted, but one where all would be the same."""
        if self._options.trials == 1 or not (
            repeats_itself(pipeline) and all(is_deterministic(metric) for metric in metrics)
        ):
            return self._options.trials
        self.notices.append(
            f"{suite.name}: answers and scores are the same each time, so --ragcheck-trials asks each question once"
        )
        return 1


def _asking_ahead(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    from pytest_ragcheck.metrics.judged.ahead import asking_ahead

    return asking_ahead(metrics)
