"""Time limits for work in an event loop that others stop and start.

pytest runs the loop only while an item waits for its result. During a test's own body, or at a debugger's
prompt, it stands still, and a reply that arrived long ago has not been read when the loop goes on.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["attempt_timeout"]

TOLERANCE = 0.1
"""Seconds that a timer may be late without the loop having stood still."""


@asynccontextmanager
async def attempt_timeout(seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
    """Like :func:`asyncio.timeout`, but a limit that falls due while the loop stands still gets that time on top.

    Raises TimeoutError; the timeout's ``expired()`` tells it from one that the work itself raised.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer: asyncio.TimerHandle | None = None

        def fall_due(due: float) -> None:
            nonlocal timer
            late = loop.time() - due
            if late <= TOLERANCE:
                limit.reschedule(loop.time())
            else:
                timer = loop.call_later(late, fall_due, loop.time() + late)

        if seconds is not None:
            timer = loop.call_later(seconds, fall_due, loop.time() + seconds)
        try:
            yield limit
        finally:
            if timer is not None:
                timer.cancel()
