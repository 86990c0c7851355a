"""Tells how far the batch is, while items wait for it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.report.progress import ProgressState
from pytest_ragcheck.session.progress_displays import StateFile, terminal_display
from pytest_ragcheck.session.roles import is_worker
from pytest_ragcheck.session.workers_progress import WORKER_INPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

    from pytest_ragcheck.engine import Slots
    from pytest_ragcheck.gateway import Snapshot
    from pytest_ragcheck.session.progress_displays import Display

__all__ = ["Progress", "progress_state"]

EVERY = 0.25
"""Seconds between two looks."""


class Progress:
    """Looks at the batch now and then; tells it on the terminal, or on a worker of xdist to the controller."""

    def __init__(self, config: pytest.Config, state: Callable[[], ProgressState]) -> None:
        self._display = _display(config)
        self._state = state
        self._waiting = 0
        self._telling: asyncio.Task[None] | None = None

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell while in it; pytest writes nothing then, and afterwards finds a line that is clear."""
        if self._display is None:
            yield
            return
        loop = asyncio.get_running_loop()
        if self._telling is None:
            self._telling = loop.create_task(self._keep_telling(self._display), name="ragcheck-progress")
        # The loop comes to it only where somebody really has to wait.
        restoring = loop.call_soon(self._display.restore)
        self._waiting += 1
        try:
            yield
        finally:
            restoring.cancel()
            self._waiting -= 1
            if not self._waiting:
                self._display.hide(self._state())

    async def close(self) -> None:
        """End."""
        if self._telling is not None and self._display is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
            self._display.end()

    async def _keep_telling(self, display: Display) -> None:
        while True:
            if self._waiting:
                display.show(self._state())
            await asyncio.sleep(EVERY)


def _display(config: pytest.Config) -> Display | None:
    if not is_worker(config):
        return terminal_display(config)
    told: dict[str, str] = config.workerinput  # type: ignore[attr-defined]
    return StateFile(Path(told[WORKER_INPUT]) / f"{told['workerid']}.json") if told.get(WORKER_INPUT) else None


def progress_state(questions: int, total: int, slots: Slots, snapshots: Sequence[Snapshot]) -> ProgressState:
    """Return what one process has done of its questions."""
    limiters = [snapshot.limiter for snapshot in snapshots]
    # What holds calls back longest comes first; the limits of several gateways add up.
    held = max(
        (one for one in limiters if one.held_by), key=lambda one: (one.held_by != "limit", one.seconds), default=None
    )
    limits = [one.limit for one in limiters if one.limit is not None]
    return ProgressState(
        questions=questions,
        total=total,
        answers=slots.answers,
        scores=slots.scores,
        asks_models=bool(snapshots),
        in_flight=sum(one.in_flight for one in limiters),
        limit=sum(limits) if limits else None,
        held_by=held.held_by if held is not None else "",
        held_seconds=held.seconds if held is not None else 0.0,
        cached=sum(snapshot.cached for snapshot in snapshots),
        retries=sum(snapshot.retries for snapshot in snapshots),
        cost=sum(snapshot.cost for snapshot in snapshots),
        unpriced=sum(snapshot.unpriced for snapshot in snapshots),
    )
