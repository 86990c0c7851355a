"""Under pytest-xdist: one worker answers a batch, all workers read its results."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pytest_ragcheck.model import Result
from pytest_ragcheck.run_file import dump, load, write_atomically
from pytest_ragcheck.session.answers import LiveAnswers
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.variants import Variant

__all__ = ["SharedAnswers"]

POLL = 0.02
"""Seconds between two looks for a result that another worker is at."""


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
        __tracebackhide__ = True
        batch = self.live.batch_of(request.node)
        while (result := self._published(batch, entry)) is None:
            self._answer_batch(request, batch, entry)
            time.sleep(POLL)
        return result

    def batch_of(self, item: pytest.Item) -> str:
        """The name of the item's batch."""
        return self.live.batch_of(item)

    def variant_of(self, item: pytest.Item, entry: Entry) -> Variant:
        """What tells the item's result apart from others for its question."""
        return self.live.variant_of(item, entry)

    def _answer_batch(self, request: pytest.FixtureRequest, batch: str, entry: Entry) -> None:
        __tracebackhide__ = True
        from filelock import FileLock, Timeout

        lock = FileLock(self._folder / f"{digest(batch).hex()[:32]}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return
        try:
            if not self._is_published(batch, entry):
                self.live.open_batch(request, entry)
                request.getfixturevalue("_ragcheck_batch")
        finally:
            lock.release()

    def _place(self, batch: str, entry: Entry) -> Path:
        return self._folder / f"{digest(batch, *entry.key).hex()}.json"

    def _is_published(self, batch: str, entry: Entry) -> bool:
        return self._place(batch, entry).exists()

    def _publish(self, batch: str, entry: Entry, result: Result) -> None:
        write_atomically(self._place(batch, entry), json.dumps(dump(result)).encode())

    def _published(self, batch: str, entry: Entry) -> Result | None:
        try:
            return load(Result, json.loads(self._place(batch, entry).read_bytes()))
        except FileNotFoundError:
            return None
