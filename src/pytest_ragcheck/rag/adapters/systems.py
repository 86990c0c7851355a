"""How a system is asked: which of its methods is called, and with what."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import Question
from pytest_ragcheck.rag.adapters import haystack, runnables
from pytest_ragcheck.rag.adapters.answers import as_answer
from pytest_ragcheck.rag.adapters.messages import HISTORY, messages_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ragcheck.model import Answer

__all__ = ["METHODS", "System", "system_of"]

RETRIEVE = (("aretrieve", "retrieve"), ("aget_relevant_documents", "get_relevant_documents"))
SEARCH = (("asimilarity_search", "similarity_search"), ("asearch", "search"))
METHODS = (
    ("ainvoke", "invoke"),
    ("aquery", "query"),
    *RETRIEVE,
    ("run_async", "run"),
    *SEARCH,
)
"""An async method and its sync twin, those of libraries, in the order in which they are looked for.

A query engine may have ``retrieve`` too, a retriever of LangChain ``invoke``.
"""


@dataclass(frozen=True, kw_only=True)
class System:
    """A system under test."""

    call: Callable[[Question], Any]
    is_async: bool
    """Whether ``call`` returns an awaitable; else it is to run in a thread."""
    takes_history: bool
    """Whether the earlier turns of a conversation reach it."""
    retrieves: bool = False
    """Whether it returns contexts alone."""
    read: Callable[[Any], Answer] = as_answer
    """From what it returned to an answer; MeasurementError where that is not understood."""


def system_of(candidate: Any) -> System | None:
    """How to ask ``candidate``; None where it cannot be asked.

    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` for a pipeline whose inputs cannot all be given.
    """
    if runnables.is_runnable(candidate):
        return _runnable(candidate)
    if haystack.is_pipeline(candidate):
        return _haystack_pipeline(candidate)
    if callable(candidate):
        return _function(candidate)
    for pair in METHODS:
        method = next((method for name in pair if callable(method := getattr(candidate, name, None))), None)
        if method is not None:
            return _function(method, retrieves=pair in {*RETRIEVE, *SEARCH})
    return None


def _function(function: Callable[..., Any], *, retrieves: bool = False) -> System:
    parameters = _parameters(function)
    first = parameters[0] if parameters else None
    wants_question = first is not None and _is_question(first.annotation)
    by_name = [parameter for parameter in parameters[1:] if parameter.name == HISTORY]

    def call(question: Question) -> Any:
        argument = question if wants_question else question.question
        return function(argument, **{parameter.name: messages_of(question) for parameter in by_name})

    return System(
        call=call,
        is_async=_is_async(function),
        takes_history=wants_question or bool(by_name),
        retrieves=retrieves,
    )


def _runnable(candidate: Any) -> System:
    inputs = runnables.Inputs.of(candidate)
    return System(
        call=lambda question: candidate.ainvoke(inputs.made(question)),
        is_async=True,
        takes_history=inputs.takes_history,
    )


def _haystack_pipeline(candidate: Any) -> System:
    inputs = haystack.Inputs.of(candidate)
    run_async = getattr(candidate, "run_async", None)
    run = run_async or candidate.run
    return System(
        call=lambda question: run(inputs.made(question), include_outputs_from=set(inputs.retrievers)),
        is_async=run_async is not None,
        takes_history=inputs.takes_history,
        read=partial(haystack.as_answer, retrievers=inputs.retrievers, are_in_prompt=inputs.are_in_prompt),
    )


def _is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _is_question(annotation: Any) -> bool:
    return annotation is Question or (isinstance(annotation, str) and annotation.rpartition(".")[2] == "Question")
