"""A ``conftest.py`` that ends processes of its run with SIGKILL at one exact moment, or counts such moments.

``RAGCHECK_KILL_AT`` is a JSON object: ``phase`` (of :data:`PHASES`), the ``number`` of the moment in the first process that
comes so far, how many calls of C functions ``later`` it is, and whom it ends (``victim``: ``self``, ``controller`` or
``all``). Without it each process writes how many moments of each phase it had.

A moment is just before a file is opened for writing, renamed, removed, or SQLite is called. ``tests/process/test_kills.py``
uses it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROCESSES = HERE / "processes"
"""A file for each process of the run: ``<controller or worker>-<process id>``."""
STRUCK = "struck"
PHASES = {"index": "/.ragcheck/index/", "run": "/.ragcheck/runs", "baseline": "ragcheck-baseline.json", "store": None}
"""What the paths of a phase's files contain; those of the store are seen by the calls of SQLite."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod"}


class Moments:
    """Counts moments, and strikes at the one that is wanted."""

    def __init__(self, *, phase=None, number=0, later=0, victim="self"):
        self.counts = Counter()
        self._phase = phase
        self._number = number
        self._later = later
        self._victim = victim
        self._lock = threading.Lock()
        self._is_busy = False

    def audit(self, event, arguments):
        """See ``sys.addaudithook``."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING:
                self._note_paths([path])
        elif event in CHANGES:
            self._note_paths(arguments)

    def profile(self, _frame, event, argument):
        """See ``sys.setprofile``: the calls of SQLite."""
        if event in {"c_call", "c_return"} and "execute" in getattr(argument, "__name__", ""):
            self._note("store")

    def _note_paths(self, paths):
        texts = [os.fsdecode(path) for path in paths if isinstance(path, str | bytes | os.PathLike)]
        for phase, part in PHASES.items():
            if part is not None and any(part in text for text in texts):
                self._note(phase)

    def _note(self, phase):
        if self._is_busy:
            return
        with self._lock:
            self.counts[phase] += 1
            is_wanted = phase == self._phase and self.counts[phase] == self._number
        if is_wanted and self._later:
            sys.setprofile(self._count_down)
        elif is_wanted:
            self._strike()

    def _count_down(self, _frame, event, _argument):
        if event == "c_call":
            self._later -= 1
        if self._later <= 0:
            sys.setprofile(None)
            self._strike()

    def _strike(self):
        self._is_busy = True
        try:
            os.close(os.open(PROCESSES / STRUCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:  # another process was first, or this one took the place of one that was killed
            return
        pids = {int(path.name.rpartition("-")[2]): path.name for path in PROCESSES.glob("*-*")}
        for pid, name in pids.items():
            if pid != os.getpid() and (self._victim == "all" or name.startswith(f"{self._victim}-")):
                os.kill(pid, signal.SIGKILL)
        if self._victim != "controller" or f"controller-{os.getpid()}" in pids.values():
            os.kill(os.getpid(), signal.SIGKILL)
        self._is_busy = False


WANTED = json.loads(os.environ.get("RAGCHECK_KILL_AT", "{}"))
MOMENTS = Moments(**WANTED)
sys.addaudithook(MOMENTS.audit)
if WANTED.get("phase", "store") == "store":
    sys.setprofile(MOMENTS.profile)
    threading.setprofile(MOMENTS.profile)


def pytest_configure(config):
    """Tell who this process is."""
    role = getattr(config, "workerinput", {}).get("workerid", "controller")
    (PROCESSES / f"{role}-{os.getpid()}").touch()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    """Write the counts, where there is no moment to wait for."""
    if not WANTED:
        (PROCESSES / f"{os.getpid()}.json").write_text(json.dumps(MOMENTS.counts))
