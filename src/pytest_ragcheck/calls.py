"""Which model calls belong to which question: noted where they are made, collected where the question is."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.model import Call

__all__ = ["record_call", "recorded_calls"]

_recorded: ContextVar[list[Call] | None] = ContextVar("ragcheck_calls", default=None)


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Collect the calls of the code within, and of the tasks that it starts: those of one question, say."""
    calls: list[Call] = []
    token = _recorded.set(calls)
    try:
        yield calls
    finally:
        _recorded.reset(token)


def record_call(call: Call) -> None:
    """Note a call with whoever collects."""
    calls = _recorded.get()
    if calls is not None:
        calls.append(call)
