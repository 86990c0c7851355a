"""A line that tells how far the batch is, while items wait for it."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.session.roles import is_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pytest_ragcheck.gateway import Snapshot

__all__ = ["Progress", "progress_line"]

FIRST_AFTER = 1.0
"""Seconds before anything is shown: a batch that is done by then needs no line."""
EVERY = 0.25
"""Seconds between two lines on a terminal."""
SPARSE_EVERY = 15.0
"""Seconds between two lines in a log."""
SPARSE_SHARE = 0.1
"""Of the questions; in a log a line is due after so many more, too."""


class Progress:
    """Writes progress beside pytest's own, past the capture of output; does nothing without a terminal reporter."""

    def __init__(self, config: pytest.Config, state: Callable[[], tuple[int, int, Snapshot | None]]) -> None:
        self._config = config
        self._state = state
        self._started = time.monotonic()
        self._shown_at = self._started
        self._shown_done = 0
        self._line_is_open = False

    async def keep_telling(self) -> None:
        """Tell until cancelled, then clear the line."""
        try:
            while True:
                await asyncio.sleep(EVERY)
                self._tell()
        finally:
            self.clear()

    def _tell(self) -> None:
        reporter = self._reporter()
        now = time.monotonic()
        if reporter is None or now - self._started < FIRST_AFTER:
            return
        done, total, snapshot = self._state()
        line = progress_line(done, total, snapshot, seconds=now - self._started)
        if reporter.isatty:
            self._write(reporter, lambda: reporter.rewrite(line, erase=True))
            self._line_is_open = True
        elif self._is_due(done, total, now):
            self._write(reporter, lambda: reporter.write_line(line))
            self._shown_at, self._shown_done = now, done

    def _is_due(self, done: int, total: int, now: float) -> bool:
        return now - self._shown_at >= SPARSE_EVERY or done - self._shown_done >= max(1, SPARSE_SHARE * total)

    def clear(self) -> None:
        """Take the line away, for pytest to go on writing."""
        reporter = self._reporter()
        if reporter is not None and self._line_is_open:
            self._write(reporter, lambda: reporter.rewrite("", erase=True))
            self._line_is_open = False

    def _write(self, reporter: Any, write: Callable[[], None]) -> None:
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        # Only around the write: what the pipeline prints stays captured.
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            if not self._line_is_open and self._config.get_terminal_writer().width_of_current_line:
                reporter.ensure_newline()
                if self._config.get_terminal_writer().width_of_current_line:
                    reporter.write_line("")  # with -q the reporter knows of no line that it began
            write()

    def _reporter(self) -> Any:
        if is_worker(self._config):
            return None
        return self._config.pluginmanager.getplugin("terminalreporter")


def progress_line(done: int, total: int, snapshot: Snapshot | None, *, seconds: float) -> str:
    """``ragcheck: 12/40 questions, 8 calls in flight (limit 16), 3 retries, $0.0123, 5 s``."""
    parts = [f"{done}/{total} questions"]
    if snapshot is not None:
        parts.append(f"{snapshot.in_flight} calls in flight (limit {snapshot.limit})")
        if snapshot.cached:
            parts.append(f"{snapshot.cached} from the cache")
        if snapshot.retries:
            parts.append(f"{snapshot.retries} retries")
        if snapshot.cost or snapshot.unpriced:
            parts.append(f"${snapshot.cost:.4f}" + (" and calls of unknown price" if snapshot.unpriced else ""))
    parts.append(f"{seconds:.0f} s")
    return f"ragcheck: {', '.join(parts)}"
