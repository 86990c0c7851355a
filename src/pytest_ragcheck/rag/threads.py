"""Sync code in threads that do not keep the process alive."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["in_daemon_thread", "loop_of_answers", "run_for"]

T = TypeVar("T")
_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("ragcheck_loop", default=None)


def loop_of_answers() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that waits for the sync code in which this is called; None in other code."""
    return _loop.get()


def in_daemon_thread(function: Callable[[Any], T], argument: Any) -> Awaitable[T]:
    """Run in a thread that does not keep the process alive, so that Ctrl-C need not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()
    context.run(_loop.set, loop)

    def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not future.done():
            set_outcome(outcome)

    def hand_back(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, set_outcome, outcome)

    def work() -> None:
        try:
            returned = context.run(function, argument)
        except (StopIteration, GeneratorExit) as problem:  # which mean something else to who awaits
            hand_back(future.set_exception, RuntimeError(f"the pipeline raised {problem!r}"))
        except BaseException as problem:  # noqa: BLE001 (what it raised belongs to the one who awaits)
            hand_back(future.set_exception, problem)
        else:
            hand_back(future.set_result, returned)

    threading.Thread(target=work, name="ragcheck-pipeline", daemon=True).start()
    return future


def run_for(seconds: float, function: Callable[[], T]) -> T:
    """Return what ``function`` returns; TimeoutError where it takes longer.

    It cannot be stopped: it goes on in its thread, as long as the process lives.
    """
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as problem:  # noqa: BLE001 (what it raised belongs to the one who waits)
            outcome.set_exception(problem)

    threading.Thread(target=work, name="ragcheck-reader", daemon=True).start()
    return outcome.result(seconds)
