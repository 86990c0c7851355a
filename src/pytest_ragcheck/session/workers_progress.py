"""Progress under pytest-xdist: each worker keeps a file, the controller adds them up and tells.

The controller's main thread waits for its workers, so that a thread of ours tells. Whatever pytest writes then is
written with the line cleared and the thread held.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.report.progress import ProgressState
from pytest_ragcheck.session.progress_displays import terminal_display
from pytest_ragcheck.session.roles import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_ragcheck.session.progress_displays import Display

__all__ = ["WORKER_INPUT", "WorkersProgress"]

EVERY = 0.25
"""Seconds between two looks at the workers' files."""
WORKER_INPUT = "ragcheck_progress"


class WorkersProgress:
    """A plugin of the process that has the terminal; does nothing as long as no worker is started."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: Path | None = None
        self._display: Display | None = None
        self._gone: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker that is about to start where its file belongs."""
        if self._folder is None:
            self._display = terminal_display(self._config)
            if self._display is None:
                return
            self._folder = Path(tempfile.mkdtemp(prefix="ragcheck-progress-", dir=temporary_folder(self._config)))
            self._thread = threading.Thread(target=self._tell, name="ragcheck-progress", daemon=True)
            self._thread.start()
        node.workerinput[WORKER_INPUT] = str(self._folder)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, Any, Any]:
        """With ``-v`` pytest writes the item's name."""
        with self._held():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, Any, Any]:
        """A dot, a letter or a word."""
        with self._held():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self) -> Generator[None, Any, Any]:
        """The share of items that are done."""
        with self._held():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> Generator[None, Any, Any]:
        """A worker that died is told of, and waits for nothing any more."""
        self._gone.add(node.gateway.id)
        with self._held():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        """End before anything is summed up."""
        self._end()
        return (yield)

    def pytest_unconfigure(self) -> None:
        """End, where the session never finished."""
        self._end()

    @contextmanager
    def _held(self) -> Iterator[None]:
        if self._display is None:
            yield
            return
        with self._lock:
            self._display.hide()
            try:
                yield
            finally:
                self._display.restore()

    def _tell(self) -> None:
        while not self._ended.wait(EVERY):
            state = self._state()
            with self._lock:
                if self._display is None or self._ended.is_set():
                    return
                if state is None:
                    self._display.end()
                else:
                    self._display.show(state)

    def _state(self) -> ProgressState | None:
        """All workers' together; None before and after the questions are asked."""
        files = [] if self._folder is None else sorted(self._folder.glob("*.json"))
        known = {path.stem: state for path in files if (state := _read(path)) is not None}
        states = [replace(state, in_flight=0) if worker in self._gone else state for worker, state in known.items()]
        total = max((state.total for state in states), default=0)
        together = ProgressState.sum_of(states, total=total)
        return together if together.questions < total else None

    def _end(self) -> None:
        self._ended.set()
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        if self._display is not None:
            self._display.end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _read(path: Path) -> ProgressState | None:
    try:
        return ProgressState(**json.loads(path.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return None
