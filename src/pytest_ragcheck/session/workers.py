"""Under pytest-xdist: one worker answers a batch, all workers read its results."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pytest_ragcheck.model import Result
from pytest_ragcheck.run_file import dump, load, write_atomically
from pytest_ragcheck.session.answers import LiveAnswers, pipeline_home
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry

__all__ = ["SharedAnswers", "is_worker"]

POLL = 0.02
"""Seconds between two looks for a result that another worker is at."""


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


class SharedAnswers:
    """Answers shared by the workers of one run through a folder.

    The worker that first needs a result takes the batch's lock, answers the whole batch and publishes each
    result as it comes; the lock of a worker that died is free, and the next one does what is still missing.
    """

    def __init__(self, session: pytest.Session, options: Options, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self.live = LiveAnswers(session, options, settled=self._is_published, on_result=self._publish)

    def obtain(self, request: pytest.FixtureRequest, entry: Entry) -> Result:
        """The result of the requesting item's question, as soon as any worker has it."""
        home = pipeline_home(request.node)
        while (result := self._published(home, entry)) is None:
            self._answer_batch(request, home, entry)
            time.sleep(POLL)
        return result

    def _answer_batch(self, request: pytest.FixtureRequest, home: str, entry: Entry) -> None:
        from filelock import FileLock, Timeout

        lock = FileLock(self._folder / f"{digest(home).hex()[:32]}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return
        try:
            if not self._is_published(home, entry):
                self.live.open_batch(request)
                request.getfixturevalue("_ragcheck_batch")
        finally:
            lock.release()

    def _place(self, home: str, entry: Entry) -> Path:
        return self._folder / f"{digest(home, *entry.key).hex()}.json"

    def _is_published(self, home: str, entry: Entry) -> bool:
        return self._place(home, entry).exists()

    def _publish(self, home: str, entry: Entry, result: Result) -> None:
        write_atomically(self._place(home, entry), json.dumps(dump(result)).encode())

    def _published(self, home: str, entry: Entry) -> Result | None:
        try:
            return load(Result, json.loads(self._place(home, entry).read_bytes()))
        except FileNotFoundError:
            return None
