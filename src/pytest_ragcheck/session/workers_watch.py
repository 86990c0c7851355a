"""Ends workers of pytest-xdist that stand still: xdist itself waits for them, and for their items, for ever."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.report.figures import plural
from pytest_ragcheck.session.roles import temporary_folder
from pytest_ragcheck.session.terminal import write_notice
from pytest_ragcheck.store import Store, digest, pid_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ANSWERING", "CALLS", "RESULTS", "SHARED_FOLDER", "WorkersWatch", "calls_of_lost"]

SHARED_FOLDER = "ragcheck-answers"
"""Beside the temporary folders of a run's workers."""
RESULTS = "results.sqlite"
CALLS = "calls"
"""What each worker's model calls came to so far, for the case that it ends before it reports."""
ANSWERING = "answering"
"""The claim that a worker renews as long as it answers questions."""
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Windows has no other than the second, which ends a process just so."""
EVERY = 15.0
"""Seconds between two looks: a machine that slept for a while wakes all its processes before the second one."""


def calls_of_lost(config: pytest.Config, worker: str) -> list[dict[str, Any]]:
    """Return the counts of the model calls that a lost worker had made when it last had a result."""
    path = _results_path(config)
    if not path.exists():
        return []
    with Store(path) as store:
        counts = store.get(CALLS, digest(worker))
    return [] if counts is None else list(json.loads(counts))


def _results_path(config: pytest.Config) -> Path:
    return temporary_folder(config) / SHARED_FOLDER / RESULTS


class WorkersWatch:
    """A plugin of the controller; does nothing as long as no worker is started.

    A worker whose claim has run out, and whose process is there at the next look still, is killed. xdist then
    reports its item as crashed and gives the others away, and a new worker takes its place.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._killed: set[str] = set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self) -> None:
        """Begin with the first worker."""
        if self._thread is None:
            path = _results_path(self._config)
            self._thread = threading.Thread(target=self._watch, args=(path,), name="ragcheck-watch", daemon=True)
            self._thread.start()

    def pytest_sessionfinish(self) -> None:
        """End; the workers have ended."""
        self._end()

    def pytest_unconfigure(self) -> None:
        """End, where the session never finished."""
        self._end()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell why workers crashed."""
        if self._killed:
            ended = plural(len(self._killed), "worker")
            write_notice(terminalreporter, f"{ended} stood still while answering, and had to be killed")

    def _end(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self, path: Path) -> None:
        suspects: set[str] = set()
        while not self._ended.wait(EVERY):
            if not path.exists():
                continue
            with Store(path) as store:
                still = store.stale(ANSWERING)
            for owner in still & suspects:
                self._killed.add(owner)
                with suppress(ProcessLookupError):
                    os.kill(pid_of(owner), _KILL)
            suspects = still
