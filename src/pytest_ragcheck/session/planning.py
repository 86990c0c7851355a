"""``--ragcheck-plan``: everything up to the first model call, and then none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.errors import NotRunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.gateway import ModelReply, ModelRequest
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.judged.metric import JudgedMetric
    from pytest_ragcheck.model import Answer, Context, Question, Score
    from pytest_ragcheck.rag.claude import ClaudeGenerator

__all__ = ["PLANNED", "PlannedGateway", "PlannedGenerator", "PlannedMetric", "PlannedPipeline"]

PLANNED = "--ragcheck-plan calls nothing"


class PlannedGateway:
    """Takes the gateway's place and notes what it would have been asked."""

    def __init__(self, requests: list[ModelRequest]) -> None:
        self._requests = requests

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Note the request; NotRunError."""
        self._requests.append(request)
        raise NotRunError(PLANNED)


class PlannedMetric:
    """Takes a judged metric's place and notes about what that would have asked, once the contexts are known."""

    needs_answer = False

    def __init__(self, metric: JudgedMetric, requests: list[ModelRequest]) -> None:
        self._metric = metric
        self._requests = requests

    @property
    def name(self) -> str:
        """The metric's own."""
        return self._metric.name

    async def measure(self, case: Case) -> Score:
        """Note the requests; NotRunError."""
        self._requests += self._metric.planned(case)
        raise NotRunError(PLANNED)


class PlannedGenerator:
    """Takes a generator's place and notes what that would have asked; ``generator`` None: one that asks no model."""

    def __init__(self, generator: ClaudeGenerator | None, requests: list[ModelRequest]) -> None:
        self._generator = generator
        self._requests = requests

    async def answer(self, question: Question, contexts: tuple[Context, ...]) -> Answer:
        """Note the request; NotRunError."""
        if self._generator is not None:
            self._requests.append(self._generator.request(question.question, contexts))
        raise NotRunError(PLANNED)


class PlannedPipeline:
    """Takes the place of a user's pipeline, whose calls nobody can foresee."""

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Nothing."""

    async def retrieve(self, question: Question) -> None:
        """Nothing."""

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:  # noqa: ARG002
        """NotRunError."""
        raise NotRunError(PLANNED)
