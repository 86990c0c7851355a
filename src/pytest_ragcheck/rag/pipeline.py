"""What answers a question: the reference pipeline, or the user's own."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.rag.adapters.answers import retrieved
from pytest_ragcheck.rag.adapters.messages import search_text
from pytest_ragcheck.rag.adapters.shapes import kind_of
from pytest_ragcheck.rag.adapters.systems import METHODS, System, system_of
from pytest_ragcheck.rag.threads import in_daemon_thread
from pytest_ragcheck.timeouts import attempt_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_ragcheck.model import Answer, Context, Question
    from pytest_ragcheck.rag.index import Index

__all__ = [
    "Generator",
    "Pipeline",
    "ReferencePipeline",
    "SystemPipeline",
    "as_pipeline",
    "close_pipeline",
    "repeats_itself",
]

SYNC_CALLS_AT_ONCE = 32
ASYNC_CALLS_AT_ONCE = 256
NO_HISTORY = (
    "the question follows earlier turns, and the pipeline takes none: give it a parameter named history, or annotate "
    "its first parameter with Question"
)


class Generator(Protocol):
    """Writes an answer from contexts; ``deterministic = True`` says that it is the same answer each time."""

    async def answer(self, question: Question, contexts: tuple[Context, ...]) -> Answer:
        """Answer one question; MeasurementError where no answer can be had."""


class Pipeline(Protocol):
    """Answers questions in two steps, so that what needs contexts alone can start before the answer.

    One that gives the same answer each time says so with ``deterministic = True``.
    """

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Do at once what is cheaper for many questions together (embed them, search for them)."""

    async def retrieve(self, question: Question) -> tuple[Context, ...] | None:
        """The contexts, or None where they come with the answer."""

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:
        """The answer; MeasurementError where there is none to be had."""


class ReferencePipeline:
    """Retrieve from an index, then generate; ``generator`` None: retrieve alone."""

    def __init__(self, index: Index, generator: Generator | None, *, top_k: int) -> None:
        self._index = index
        self._generator = generator
        self._top_k = top_k
        self._prepared: dict[str, tuple[Context, ...]] = {}
        self.deterministic = generator is None or repeats_itself(generator)

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Embed all questions in one batch and search for them in one call."""
        texts = [text for question in questions if (text := search_text(question)) not in self._prepared]
        if texts:
            found = await asyncio.to_thread(self._index.search_many, texts, self._top_k)
            self._prepared.update(zip(texts, found, strict=True))

    async def retrieve(self, question: Question) -> tuple[Context, ...]:
        """The contexts that were prepared."""
        text = search_text(question)
        if text not in self._prepared:
            await self.prepare([question])
        return self._prepared[text]  # kept: each trial of the question asks for them

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:
        """The generator's answer from the contexts."""
        if self._generator is None:
            return retrieved(contexts or ())
        return await self._generator.answer(question, contexts or ())


class SystemPipeline:
    """A user's system: a callable, or an object of a library, sync or async; see :mod:`pytest_ragcheck.rag.adapters`.

    A callable gets the question's text; where its first parameter is annotated with ``Question`` it gets the
    :class:`~pytest_ragcheck.model.Question`; where a later one is named ``history`` it gets the earlier turns too.
    Sync callables run in threads. ``timeout`` bounds one answer, in seconds; ``at_once`` the calls in flight (None:
    :data:`ASYNC_CALLS_AT_ONCE`, and :data:`SYNC_CALLS_AT_ONCE` threads). ``owned``: an object that ends with the
    pipeline. ``turns`` gives each call one of the places in flight that it shares with others, in addition to that.
    """

    def __init__(
        self,
        system: System,
        *,
        timeout: float | None = None,
        at_once: int | None = None,
        owned: Any = None,
        turns: Callable[[], AbstractAsyncContextManager[Any]] | None = None,
    ) -> None:
        self._system = system
        self._owned = owned
        self._timeout = timeout
        self._turns = asyncio.Semaphore(at_once or (ASYNC_CALLS_AT_ONCE if system.is_async else SYNC_CALLS_AT_ONCE))
        self._shared_turns = turns or nullcontext

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Nothing: the system does all itself."""

    async def retrieve(self, question: Question) -> tuple[Context, ...] | None:
        """The contexts of a retriever; of any other system None, as they come with the answer."""
        if not self._system.retrieves:
            return None
        return (await self._asked(question)).contexts

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:
        """Ask the system and bring what it returns into shape."""
        return retrieved(contexts) if contexts is not None else await self._asked(question)

    async def close(self) -> None:
        """Close what ends with it, if that can be closed (``aclose``, ``close``)."""
        for name in ("aclose", "close"):
            method = getattr(self._owned, name, None)
            if callable(method):
                closing = method()
                if inspect.isawaitable(closing):
                    await closing
                return

    async def _asked(self, question: Question) -> Answer:
        if question.history and not self._system.takes_history:
            raise MeasurementError(NO_HISTORY, kind="no-history")
        clock = asyncio.get_running_loop().time
        try:
            async with self._turns, self._shared_turns(), attempt_timeout(self._timeout) as limit:
                begun = clock()
                returned = await self._call(question)
                seconds = clock() - begun
        except TimeoutError:
            if limit.expired():
                raise MeasurementError(
                    f"the pipeline gave no answer within {self._timeout:g} s", kind="timeout"
                ) from None
            raise
        answer = self._system.read(returned)
        return replace(answer, latency=seconds) if answer.generated and answer.latency is None else answer

    async def _call(self, question: Question) -> Any:
        if self._system.is_async:
            returned = await self._system.call(question)
        else:
            returned = await in_daemon_thread(self._system.call, question)
            returned = await returned if inspect.isawaitable(returned) else returned
        return await _finished(returned)


async def _finished(returned: Any) -> Any:
    """The response of LlamaIndex that a streamed one comes to."""
    if hasattr(returned, "response_gen") and callable(getattr(returned, "get_response", None)):
        whole = returned.get_response()
        return await whole if inspect.isawaitable(whole) else whole
    return returned


def as_pipeline(
    candidate: Any,
    *,
    timeout: float | None = None,
    at_once: int | None = None,
    owned: bool = False,
    turns: Callable[[], AbstractAsyncContextManager[Any]] | None = None,
) -> Pipeline:
    """A pipeline as it is, or a system made one; ConfigurationError for what cannot be asked.

    ``owned``: the system was made for this pipeline, and is closed with it. ``turns``: see :class:`SystemPipeline`.
    """
    if all(callable(getattr(candidate, name, None)) for name in ("prepare", "retrieve", "generate")):
        pipeline: Pipeline = candidate
        return pipeline
    system = system_of(candidate)
    if system is None:
        methods = ", ".join(name for _, name in METHODS)
        raise ConfigurationError(
            f"the system under test must be a callable that takes a question, or have a method {methods}; "
            f"got {kind_of(candidate)}"
        )
    return SystemPipeline(system, timeout=timeout, at_once=at_once, owned=candidate if owned else None, turns=turns)


async def close_pipeline(pipeline: Pipeline) -> None:
    """Give back what a pipeline holds, where it has a method ``close`` for that."""
    close = getattr(pipeline, "close", None)
    if callable(close):
        closing = close()
        if inspect.isawaitable(closing):
            await closing


def repeats_itself(answering: Generator | Pipeline) -> bool:
    """Whether a generator or pipeline says that it gives the same answer each time."""
    return bool(getattr(answering, "deterministic", False))
