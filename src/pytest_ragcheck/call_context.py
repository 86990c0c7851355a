"""Which model calls belong to which question: noted where they are made, collected where the question is.

Also what decides the order in which calls go where they must wait: the question, and how many calls come after this one
at least. Which of a question's trials the code belongs to: what is asked again in another trial is another call. And
whether it holds a place among the calls in flight.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_ragcheck.model import Call

__all__ = [
    "collect_calls",
    "current_calls_after",
    "current_question",
    "current_trial",
    "free_place",
    "observe_calls",
    "place_scope",
    "question_scope",
    "record_call",
    "scope_of_calls_before",
    "trial_scope",
]

_recorded: ContextVar[list[Call] | None] = ContextVar("ragcheck_calls", default=None)
_question: ContextVar[int] = ContextVar("ragcheck_question", default=0)
_trial: ContextVar[int] = ContextVar("ragcheck_trial", default=0)
_free_place: ContextVar[Callable[[], None] | None] = ContextVar("ragcheck_place", default=None)
_calls_after: ContextVar[int] = ContextVar("ragcheck_calls_after", default=0)


@contextmanager
def question_scope(number: int) -> Iterator[None]:
    """The calls of the code within, and of the tasks that it starts, are those of the question ``number``."""
    token = _question.set(number)
    try:
        yield
    finally:
        _question.reset(token)


def current_question() -> int:
    """The number of the question that the code belongs to; 0 where it belongs to none."""
    return _question.get()


@contextmanager
def trial_scope(number: int) -> Iterator[None]:
    """The calls of the code within, and of the tasks that it starts, are those of the trial ``number``, from 0."""
    token = _trial.set(number)
    try:
        yield
    finally:
        _trial.reset(token)


def current_trial() -> int:
    """The trial that the code belongs to, from 0; 0 also where nothing is repeated."""
    return _trial.get()


@contextmanager
def place_scope(free: Callable[[], None]) -> Iterator[None]:
    """The code within, and the tasks and threads that it starts, hold a place among the calls in flight.

    ``free`` gives the place back; it may be called more than once.
    """
    token = _free_place.set(free)
    try:
        yield
    finally:
        _free_place.reset(token)
        free()


def free_place() -> None:
    """Give back the place that the code holds, if it holds one.

    Whoever waits for a place must not hold another one: if all did, none would ever be free.
    """
    free = _free_place.get()
    if free is not None:
        free()


@contextmanager
def scope_of_calls_before(count: int) -> Iterator[None]:
    """Each call of the code within, and of the tasks that it starts, comes before ``count`` others in a row.

    Those are the calls that cannot begin without its reply, one after another: the longest such chain.
    """
    token = _calls_after.set(count)
    try:
        yield
    finally:
        _calls_after.reset(token)


def current_calls_after() -> int:
    """How many calls come, one after another, after those of the code; 0 where nobody has said."""
    return _calls_after.get()


@contextmanager
def collect_calls() -> Iterator[list[Call]]:
    """Collect the calls of the code within, and of the tasks that it starts: those of one question, say."""
    calls: list[Call] = []
    token = _recorded.set(calls)
    try:
        yield calls
    finally:
        _recorded.reset(token)


@contextmanager
def observe_calls() -> Iterator[list[Call]]:
    """Look at the calls of the code within; whoever collects around it gets them all the same, at the end."""
    outer = _recorded.get()
    with collect_calls() as calls:
        try:
            yield calls
        finally:
            if outer is not None:
                outer.extend(calls)


def record_call(call: Call) -> None:
    """Note a call with whoever collects."""
    calls = _recorded.get()
    if calls is not None:
        calls.append(call)
