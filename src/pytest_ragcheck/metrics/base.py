"""What a metric is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pytest_ragcheck.model import Answer, Context, Question, Score

__all__ = ["BeginsEarly", "Begun", "Case", "Embed", "Metric", "calls_in_a_row", "is_deterministic"]

Embed = Callable[[Sequence[str]], Awaitable[Any]]
"""Texts in, a float32 array of shape ``(len(texts), dimensions)`` with rows of unit length out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a metric looks at. ``answer`` is None only for metrics with ``needs_answer = False``."""

    question: Question
    contexts: tuple[Context, ...]
    answer: Answer | None = None


class Metric(Protocol):
    """A named measure of one answer, 0 to 1, higher is better.

    ``measure`` returns a :class:`~pytest_ragcheck.model.Score` without threshold: with a value; or with
    neither value nor error where the metric does not apply to the question (the reason says why). It raises
    :class:`~pytest_ragcheck.errors.MeasurementError` where the score could not be obtained.

    ``needs_answer`` is False for metrics that look at question and contexts alone: the engine starts
    them beside the generation.

    A metric that gives the same answer the same score each time says so with ``deterministic = True``. One whose
    scores depend on more than the case names that, as a text ``measured_with``: scores are only compared with those
    that were measured with the same. One that makes more than one model call in a row says how many as
    ``calls_in_a_row``: where calls must wait, those that more calls wait for go first.
    """

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def needs_answer(self) -> bool:
        """Whether it must wait for the answer."""

    async def measure(self, case: Case) -> Score:
        """Measure one case."""


class Begun(Metric, Protocol):
    """Measures the one case that was begun, in the metric's place."""

    async def close(self) -> None:
        """Cancel what is under way and not needed any more."""


@runtime_checkable
class BeginsEarly(Protocol):
    """A metric that needs an answer, and can do a part of its work without."""

    def begin(self, case: Case) -> Begun | None:
        """Begin with a case that has no answer yet, in a task; None where there is nothing to begin with."""


def calls_in_a_row(metric: Metric) -> int:
    """How many model calls of a metric wait for one another; 1 for metrics that do not say."""
    return int(getattr(metric, "calls_in_a_row", 1))


def is_deterministic(metric: Metric) -> bool:
    """Whether to measure an answer again would tell nothing new; False for metrics that do not say."""
    return bool(getattr(metric, "deterministic", False))
