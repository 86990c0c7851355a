"""Where progress is told: on a line of a terminal that is written over, in a log, or in a file for another process."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ragcheck.report.progress import Pace, progress_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from pytest_ragcheck.report.progress import ProgressState

__all__ = ["Display", "LiveLine", "LogLines", "StateFile", "terminal_display"]

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


class Display(Protocol):
    """Takes what there is to tell several times a second."""

    def show(self, state: ProgressState) -> None:
        """Tell it, if it is time to."""

    def hide(self, state: ProgressState | None = None) -> None:
        """Leave the terminal as it was, for something else to be written; ``state``, if known, is how far it is."""

    def restore(self) -> None:
        """Tell again what was hidden."""

    def end(self) -> None:
        """Hide it: nobody waits any more."""


def terminal_display(config: pytest.Config) -> Display | None:
    """What suits this process's terminal; None without a reporter (``-p no:terminal``), and with ``-qq``."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or config.get_verbosity() < -1:
        return None
    return LiveLine(config) if reporter.isatty and not _cannot_rewrite(config) else LogLines(config)


def _cannot_rewrite(config: pytest.Config) -> bool:
    """Whether the terminal has no cursor to move, or log records and prints go there as they come."""
    if os.environ.get("TERM") == "dumb":
        return True
    plugins = config.pluginmanager
    if not plugins.hasplugin("capturemanager") or config.getoption("capture") == "no":
        return True
    if not plugins.hasplugin("logging-plugin"):
        return False
    return bool(config.getini("log_cli")) or config.getoption("log_cli_level") is not None


class _Clock:
    """Since when it is told, and how much longer it will take."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._pace = Pace()

    def line(self, state: ProgressState, now: float, width: int | None = None) -> str:
        seconds = now - self.started
        left = self._pace.left(seconds, state.questions, state.total)
        return progress_line(state, seconds=seconds, left=left, width=width)


class LiveLine:
    """A line below the one that pytest is at, written over and over; pytest's own place is kept."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._clock: _Clock | None = None
        self._line = ""
        self._is_open = False

    def show(self, state: ProgressState) -> None:
        """Write the line, from a second after the first time on."""
        self._clock = self._clock or _Clock()
        now = time.monotonic()
        line = self._clock.line(state, now, self._config.get_terminal_writer().fullwidth - 1)
        if now - self._clock.started >= FIRST_AFTER:
            self._line = line
            self._write_below(line)

    def hide(self, state: ProgressState | None = None) -> None:  # noqa: ARG002
        """Erase the line."""
        if self._is_open:
            self._write_below("")

    def restore(self) -> None:
        """Write it again."""
        if self._line and not self._is_open:
            self._write_below(self._line)

    def end(self) -> None:
        """Erase it for good."""
        self.hide()
        self._line = ""

    def _write_below(self, line: str) -> None:
        """In one piece, and not through pytest's writer, which would take it for its own."""
        writer = self._config.get_terminal_writer()
        with uncaptured(self._config) as stream:
            writer.flush()
            stream.write(_below(line, writer.width_of_current_line, writer.fullwidth))
            stream.flush()
        self._is_open = line != ""


def _below(line: str, column: int, width: int) -> str:
    """``line`` where nothing else stands, and the cursor back at ``column``."""
    if not column:
        return f"{ERASED}{line}\r"
    offset = min((column - 1) % width + 1, width - 1)  # a full line leaves the cursor at its last column
    return f"\n{ERASED}{line}\r\x1b[1A\x1b[{offset}C"


class LogLines:
    """Lines that stay, few enough for a log."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._clock: _Clock | None = None
        self._shown_at = 0.0
        self._shown_questions = 0

    def show(self, state: ProgressState) -> None:
        """Write a line, if enough was done or time passed since the last one."""
        now = time.monotonic()
        if self._clock is None:
            self._clock, self._shown_at = _Clock(), now
        line = self._clock.line(state, now)
        if self._is_due(state, now):
            self._shown_at, self._shown_questions = now, state.questions
            with uncaptured(self._config):
                self._begin_line()
                self._reporter.write_line(line)
                self._config.get_terminal_writer().flush()  # a file would show it with the next line

    def hide(self, state: ProgressState | None = None) -> None:
        """Nothing: the lines stay."""

    def restore(self) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def _is_due(self, state: ProgressState, now: float) -> bool:
        passed = now - self._shown_at
        if passed < LOG_LEAST or state.questions == state.total:
            return False
        return passed >= LOG_MOST or state.questions - self._shown_questions >= max(1.0, LOG_SHARE * state.total)

    def _begin_line(self) -> None:
        writer = self._config.get_terminal_writer()
        if writer.width_of_current_line:
            self._reporter.ensure_newline()
        if writer.width_of_current_line:
            self._reporter.write_line("")  # with -q the reporter knows of no line that it began
        writer.flush()


class StateFile:
    """A file that xdist's controller reads, see :mod:`pytest_ragcheck.session.workers_progress`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown: ProgressState | None = None

    def show(self, state: ProgressState) -> None:
        """Replace the file, if anything changed."""
        if state == self._shown:
            return
        self._shown = state
        draft = self._path.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(asdict(state)), encoding="ascii")
            draft.replace(self._path)
        except OSError:
            return  # the controller is gone, or the disk is full: progress breaks no run

    def hide(self, state: ProgressState | None = None) -> None:
        """Note where it stands: for a while nobody looks again."""
        if state is not None:
            self.show(state)

    def restore(self) -> None:
        """Nothing: the file stays."""

    def end(self) -> None:
        """Nothing."""


@contextmanager
def uncaptured(config: pytest.Config) -> Iterator[Any]:
    """The stream that pytest writes to; what the pipeline prints outside of this stays captured."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        yield sys.stdout
