"""Asking a pipeline and a metric, and checking what they return."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.model import Answer, Score
from pytest_ragcheck.run_file import normalised

if TYPE_CHECKING:
    from pytest_ragcheck.engine.job import Job
    from pytest_ragcheck.metrics.base import Case, Metric
    from pytest_ragcheck.model import Context

__all__ = ["generate", "measure", "measure_without_contexts"]

_NO_CONTEXTS = (
    "the pipeline does not tell which contexts it used; let it return them: (text, contexts), "
    "or a mapping with answer and contexts"
)


async def generate(job: Job, contexts: tuple[Context, ...] | None) -> Answer:
    """The pipeline's answer; MeasurementError for what is none, ConfigurationError where metrics need more."""
    answer = await job.pipeline.generate(job.question, contexts)
    if not isinstance(answer, Answer):
        raise MeasurementError(f"the pipeline returned {type(answer).__name__}, not an Answer", kind="wrong-return")
    unmeasurable = [metric.name for metric in job.metrics if metric.needs_answer]
    if not answer.generated and unmeasurable:
        raise ConfigurationError(
            f"the pipeline gives contexts alone, and there is no answer for {', '.join(unmeasurable)} to measure; "
            "configure metrics that look at contexts: [metrics] hit_rate = 1.0, say"
        )
    return normalised(answer, "the pipeline's answer cannot be kept")


async def measure_without_contexts() -> Score:
    """Stands for the measuring of a metric that needs contexts which nobody told."""
    raise MeasurementError(_NO_CONTEXTS, kind="no-contexts")


async def measure(metric: Metric, case: Case) -> Score:
    """The metric's score; a value that is no number from 0 to 1 is an error."""
    score = await metric.measure(case)
    if not isinstance(score, Score):
        raise MeasurementError(f"the metric returned {type(score).__name__}, not a Score", kind="wrong-return")
    score = normalised(score, "the metric's score cannot be kept")
    if score.value is not None and not (math.isfinite(score.value) and 0.0 <= score.value <= 1.0):
        raise MeasurementError(f"the metric returned {score.value!r}, not a number from 0 to 1", kind="wrong-value")
    return score
