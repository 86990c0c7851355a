"""A line that tells how far the batch is, while items wait for it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.session.roles import is_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

    from pytest_ragcheck.gateway import Snapshot

__all__ = ["Progress", "progress_line"]

EVERY = 0.25
"""Seconds between two looks, and between two lines on a terminal."""
FIRST_AFTER = 1.0
"""Seconds before a terminal gets its line: a batch that is done by then needs none."""
LOG_LEAST = 5.0
"""Seconds at least before the first line in a log, and between two."""
LOG_MOST = 30.0
"""Seconds after which a line is due in a log, whatever was done meanwhile."""
LOG_SHARE = 0.1
"""Of the questions: when so many more are done, a line is due in a log."""
ERASED = "\r\x1b[2K"
"""To the terminal: erase the line, and go to its start."""


class Progress:
    """Writes progress beside pytest's own, past the capture of output; does nothing without a terminal reporter."""

    def __init__(self, config: pytest.Config, state: Callable[[], tuple[int, int, Sequence[Snapshot]]]) -> None:
        self._config = config
        self._state = state
        self._reporter: Any = None if is_worker(config) else config.pluginmanager.getplugin("terminalreporter")
        self._is_live = self._reporter is not None and self._reporter.isatty and not _cannot_rewrite(config)
        self._waiting = 0
        self._telling: asyncio.Task[None] | None = None
        self._started = 0.0
        self._shown_at = 0.0
        self._shown_done = 0
        self._line_is_open = False

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell while in it; pytest writes nothing then, and afterwards finds a line that is clear."""
        if self._telling is None and self._reporter is not None:
            self._started = self._shown_at = time.monotonic()
            self._telling = asyncio.create_task(self._keep_telling(), name="ragcheck-progress")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._clear()

    async def close(self) -> None:
        """End."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            if self._waiting:
                self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        done, total, snapshots = self._state()
        line = progress_line(done, total, snapshots, seconds=now - self._started)
        if self._is_live:
            if now - self._started >= FIRST_AFTER:
                self._rewrite(line)
        elif self._is_due(done, total, now):
            self._shown_at, self._shown_done = now, done
            with self._uncaptured():
                self._begin_line()
                self._reporter.write_line(line)

    def _is_due(self, done: int, total: int, now: float) -> bool:
        passed = now - self._shown_at
        if passed < LOG_LEAST or done == total:
            return False
        return passed >= LOG_MOST or done - self._shown_done >= max(1.0, LOG_SHARE * total)

    def _rewrite(self, line: str) -> None:
        """On the line below the one that pytest is at; not through its writer, which would take it for its own."""
        writer = self._config.get_terminal_writer()
        with self._uncaptured() as stream:
            below = "\n" if not self._line_is_open and writer.width_of_current_line else ""
            writer.flush()
            stream.write(below + ERASED + line[: writer.fullwidth - 1])
            stream.flush()
            self._line_is_open = True

    def _clear(self) -> None:
        """Erase the line and go back to where pytest was."""
        if not self._line_is_open:
            return
        writer = self._config.get_terminal_writer()
        column = writer.width_of_current_line % writer.fullwidth
        back = f"\x1b[1A\x1b[{column}C" if column else ""
        with self._uncaptured() as stream:
            stream.write(ERASED + back)
            stream.flush()
        self._line_is_open = False

    def _begin_line(self) -> None:
        writer = self._config.get_terminal_writer()
        if writer.width_of_current_line:
            self._reporter.ensure_newline()
        if writer.width_of_current_line:
            self._reporter.write_line("")  # with -q the reporter knows of no line that it began
        writer.flush()

    @contextmanager
    def _uncaptured(self) -> Iterator[Any]:
        """The stream that pytest writes to; what the pipeline prints outside of this stays captured."""
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            yield sys.stdout


def _cannot_rewrite(config: pytest.Config) -> bool:
    """Whether the terminal has no cursor to move, or log records go there as they come and would be erased."""
    if os.environ.get("TERM") == "dumb":
        return True
    if not config.pluginmanager.hasplugin("logging-plugin"):
        return False
    return bool(config.getini("log_cli")) or config.getoption("log_cli_level") is not None


def progress_line(done: int, total: int, snapshots: Sequence[Snapshot], *, seconds: float) -> str:
    """``ragcheck: 12/40 questions, 8 calls in flight (limit 16), 3 retries, $0.0123, 5 s``."""
    parts = [f"{done}/{total} questions"]
    if snapshots:
        in_flight, limit = sum(one.in_flight for one in snapshots), sum(one.limit for one in snapshots)
        cached, retries = sum(one.cached for one in snapshots), sum(one.retries for one in snapshots)
        cost, unpriced = sum(one.cost for one in snapshots), sum(one.unpriced for one in snapshots)
        parts.append(f"{in_flight} calls in flight (limit {limit})")
        if cached:
            parts.append(f"{cached} from the cache")
        if retries:
            parts.append(f"{retries} retries")
        if cost or unpriced:
            parts.append(f"${cost:.4f}" + (" and calls of unknown price" if unpriced else ""))
    parts.append(f"{seconds:.0f} s")
    return f"ragcheck: {', '.join(parts)}"
