"""Which model calls belong to which question: noted where they are made, collected where the question is.

Also whose turn it is: where calls must wait, those of earlier questions go first; and which of a question's trials the
code belongs to: what is asked again in another trial is another call.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.model import Call

__all__ = [
    "GENERATION_PRIORITY",
    "collect_calls",
    "current_question",
    "current_trial",
    "observe_calls",
    "question_scope",
    "record_call",
    "trial_scope",
]

GENERATION_PRIORITY = 16
"""By how many questions generation goes before judging.

Results come early and in order, as what has been answered is judged before much else is begun; and at the end of a run
there is no answer left to wait for while places stand empty.
"""

_recorded: ContextVar[list[Call] | None] = ContextVar("ragcheck_calls", default=None)
_question: ContextVar[int] = ContextVar("ragcheck_question", default=0)
_trial: ContextVar[int] = ContextVar("ragcheck_trial", default=0)


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
