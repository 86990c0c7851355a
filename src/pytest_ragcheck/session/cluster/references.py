"""Ray's object references in asyncio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import concurrent.futures

__all__ = ["arriving"]


def arriving(reference: Any) -> asyncio.Future[Any]:
    """The object, in the running event loop, when it is there; may be cancelled, also after the loop has ended.

    A reference that is awaited itself must not be: the threads of Ray's client break over a cancelled future.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(done: concurrent.futures.Future[Any]) -> None:
        if future.done():
            return
        problem = done.exception()
        if problem is None:
            future.set_result(done.result())
        else:
            future.set_exception(problem)

    def pass_on(done: concurrent.futures.Future[Any]) -> None:
        with suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(settle, done)

    reference.future().add_done_callback(pass_on)
    return future
