"""``--ragcheck-plan``: everything up to the first model call, and then none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_ragcheck.errors import NotRunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.gateway import ModelReply, ModelRequest
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.model import Answer, Context, Question, Score
    from pytest_ragcheck.rag.claude import ClaudeGenerator

__all__ = ["PLANNED", "PlannableMetric", "PlannedGateway", "PlannedGenerator", "PlannedMetric", "PlannedPipeline"]

PLANNED = "--ragcheck-plan calls nothing"
KnownAnswer = Callable[["Question", "tuple[Context, ...]"], Awaitable["Answer | None"]]


@runtime_checkable
class PlannableMetric(Protocol):
    """A judged metric."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def needs_answer(self) -> bool:
        """Whether it must wait for the answer."""

    def planned(self, case: Case) -> list[ModelRequest]:
        """About what measuring would ask; the case may have no answer yet."""


class PlannedGateway:
    """Takes the gateway's place and notes what it would have been asked."""

    def __init__(self, requests: list[ModelRequest]) -> None:
        self._requests = requests

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Note the request; NotRunError."""
        self._requests.append(request)
        raise NotRunError(PLANNED)


class PlannedMetric:
    """Takes a judged metric's place and notes about what that would have asked, once the contexts are known.

    ``known_answer`` gives the answer where the store has it; then a score that is kept is seen to cost nothing.
    """

    needs_answer = False

    def __init__(self, metric: PlannableMetric, requests: list[ModelRequest], known_answer: KnownAnswer) -> None:
        self._metric = metric
        self._requests = requests
        self._known_answer = known_answer

    @property
    def name(self) -> str:
        """The metric's own."""
        return self._metric.name

    async def measure(self, case: Case) -> Score:
        """Note the requests; NotRunError."""
        if self._metric.needs_answer:
            case = replace(case, answer=await self._known_answer(case.question, case.contexts))
        self._requests += self._metric.planned(case)
        raise NotRunError(PLANNED)


class PlannedGenerator:
    """Takes a generator's place and notes what that would have asked; ``generator`` None: one that asks no model."""

    def __init__(
        self,
        generator: ClaudeGenerator | None,
        requests: list[ModelRequest],
        *,
        is_cached: Callable[[ModelRequest], bool] = lambda _: False,
    ) -> None:
        self._generator = generator
        self._requests = requests
        self._is_cached = is_cached
        self.deterministic = generator is None

    async def known_answer(self, question: Question, contexts: tuple[Context, ...]) -> Answer | None:
        """The answer that the store has."""
        generator = self._generator
        if generator is None or not self._is_cached(generator.request(question, contexts)):
            return None
        return await generator.answer(question, contexts)

    async def answer(self, question: Question, contexts: tuple[Context, ...]) -> Answer:
        """Note the request; NotRunError."""
        if self._generator is not None:
            self._requests.append(self._generator.request(question, contexts))
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
