"""What answers a question: the reference pipeline, or the user's own."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_ragcheck.deadlines import running_time_limit
from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.model import Answer, Chunk, Context, Question

if TYPE_CHECKING:
    from pytest_ragcheck.rag.index import Index

__all__ = ["CallablePipeline", "Generator", "Pipeline", "ReferencePipeline", "as_pipeline"]

T = TypeVar("T")
SYNC_CALLS_AT_ONCE = 32


class Generator(Protocol):
    """Writes an answer from contexts."""

    async def answer(self, question: Question, contexts: tuple[Context, ...]) -> Answer:
        """Answer one question; MeasurementError where no answer can be had."""


class Pipeline(Protocol):
    """Answers questions in two steps, so that what needs contexts alone can start before the answer."""

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Do at once what is cheaper for many questions together (embed them, search for them)."""

    async def retrieve(self, question: Question) -> tuple[Context, ...] | None:
        """The contexts, or None where they come with the answer."""

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:
        """The answer; MeasurementError where there is none to be had."""


class ReferencePipeline:
    """Retrieve from an index, then generate."""

    def __init__(self, index: Index, generator: Generator, *, top_k: int) -> None:
        self._index = index
        self._generator = generator
        self._top_k = top_k
        self._prepared: dict[str, tuple[Context, ...]] = {}

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Embed all questions in one batch and search for them in one call."""
        texts = [question.question for question in questions]
        found = await asyncio.to_thread(self._index.search_many, texts, self._top_k)
        self._prepared.update(zip(texts, found, strict=True))

    async def retrieve(self, question: Question) -> tuple[Context, ...]:
        """The contexts that were prepared."""
        if question.question not in self._prepared:
            await self.prepare([question])
        return self._prepared.pop(question.question)

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:
        """The generator's answer from the contexts."""
        return await self._generator.answer(question, contexts or ())


class CallablePipeline:
    """A user's callable ``question -> Answer | (text, contexts)``, sync or async.

    It gets the question's text; where its first parameter is annotated with ``Question`` it gets the
    :class:`~pytest_ragcheck.model.Question`. Sync callables run in threads.
    ``timeout`` bounds one answer, in seconds; ``at_once`` the calls in flight (None: as many as there are
    questions, and :data:`SYNC_CALLS_AT_ONCE` threads).
    """

    def __init__(
        self, function: Callable[..., Any], *, timeout: float | None = None, at_once: int | None = None
    ) -> None:
        self._function = function
        self._timeout = timeout
        self._wants_question = _wants_question(function)
        self._is_async = _is_async(function)
        if at_once is None and not self._is_async:
            at_once = SYNC_CALLS_AT_ONCE
        self._turns: AbstractAsyncContextManager[Any] = nullcontext() if at_once is None else asyncio.Semaphore(at_once)

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Nothing: the callable does all itself."""

    async def retrieve(self, question: Question) -> None:
        """None: contexts come with the answer."""

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:  # noqa: ARG002
        """Call the user's function and bring what it returns into shape."""
        argument = question if self._wants_question else question.question
        try:
            async with self._turns, running_time_limit(self._timeout) as limit:
                returned = await self._call(argument)
        except TimeoutError:
            if limit.expired():
                raise MeasurementError(
                    f"the pipeline gave no answer within {self._timeout:g} s", kind="timeout"
                ) from None
            raise
        return as_answer(returned)

    async def _call(self, argument: Question | str) -> Any:
        if self._is_async:
            return await self._function(argument)
        returned = await _in_daemon_thread(self._function, argument)
        return await returned if inspect.isawaitable(returned) else returned


def as_pipeline(candidate: Any, *, timeout: float | None = None, at_once: int | None = None) -> Pipeline:
    """A pipeline as it is, or a callable made one; ConfigurationError for anything else."""
    if all(callable(getattr(candidate, name, None)) for name in ("prepare", "retrieve", "generate")):
        pipeline: Pipeline = candidate
        return pipeline
    if not callable(candidate):
        raise ConfigurationError(
            f"ragcheck_pipeline must return a callable `question -> Answer | (text, contexts)`, got {_kind(candidate)}"
        )
    return CallablePipeline(candidate, timeout=timeout, at_once=at_once)


def as_answer(returned: Any) -> Answer:
    """What a user's callable returned, as an Answer; MeasurementError where it is neither Answer nor pair."""
    if isinstance(returned, Answer):
        return returned
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], str):  # noqa: PLR2004
        text, contexts = returned
        if isinstance(contexts, Iterable) and not isinstance(contexts, str | bytes):
            return Answer(text=text, contexts=_as_contexts(contexts))
    raise MeasurementError(
        f"the pipeline must return an Answer or a pair (text, contexts), got {_kind(returned)}", kind="wrong-return"
    )


def _as_contexts(contexts: Iterable[Any]) -> tuple[Context, ...]:
    return tuple(_as_context(item, rank) for rank, item in enumerate(contexts, start=1))


def _as_context(item: Any, rank: int) -> Context:
    if isinstance(item, Context):
        return item
    if isinstance(item, Chunk):
        return Context(text=item.text, rank=rank, source=item.source, start=item.start, end=item.end, chunk_id=item.id)
    if isinstance(item, str):
        return Context(text=item, rank=rank)
    raise MeasurementError(f"a context must be a str, a Context or a Chunk, got {_kind(item)}", kind="wrong-return")


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _wants_question(function: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    if not parameters:
        return False
    annotation = parameters[0].annotation
    return annotation is Question or (isinstance(annotation, str) and annotation.rpartition(".")[2] == "Question")


def _in_daemon_thread(function: Callable[[Any], T], argument: Any) -> Awaitable[T]:
    """Run in a thread that does not keep the process alive, so that Ctrl-C need not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not future.done():
            set_outcome(outcome)

    def hand_back(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, set_outcome, outcome)

    def work() -> None:
        try:
            returned = context.run(function, argument)
        except StopIteration as problem:
            hand_back(future.set_exception, RuntimeError(f"the pipeline raised {problem!r}"))
        except BaseException as problem:  # noqa: BLE001 (what it raised belongs to the one who awaits)
            hand_back(future.set_exception, problem)
        else:
            hand_back(future.set_result, returned)

    threading.Thread(target=work, name="ragcheck-pipeline", daemon=True).start()
    return future
