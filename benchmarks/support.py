"""What the benchmarks share: whole processes, measured from outside, a mock server, and a plain table."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:deepeval", "-q")
"""deepeval's own plugin imports all of deepeval at every start of pytest, with and without this project."""

STOPWATCH = '''
"""Times and sizes of one pytest session, written where RAGCHECK_STOPWATCH says."""
import json, os, resource, sys, time
import pytest

seen = {}

def timed(name):
    started = time.perf_counter()
    result = yield
    seen[name] = time.perf_counter() - started
    return result

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session):
    return (yield from timed("collection"))

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session):
    return (yield from timed("loop"))

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    seen["items"] = session.testscollected
    seen["failed"] = session.testsfailed
    return (yield from timed("end"))

def pytest_unconfigure(config):
    seen["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
    with open(os.environ["RAGCHECK_STOPWATCH"], "w") as file:
        json.dump(seen, file)
'''


@dataclass(frozen=True)
class Measured:
    """One process."""

    wall: float
    cpu: float
    """Seconds, user and system, of the process and of those that it started and waited for."""
    memory: float
    """Bytes, the most it held at once."""
    status: int
    output: str
    stopped: bool = False
    """True where the time limit ended it."""


def measure(command, folder, *, limit=None, **environment):
    """Run a command to its end, or for ``limit`` seconds, and measure it."""
    started = time.perf_counter()
    stopped = threading.Event()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=child_environment(folder) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=limit is not None,
    ) as process:
        timer = threading.Timer(limit or 0, kill_group, (process.pid, stopped))
        if limit is not None:
            timer.start()
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(
        wall=time.perf_counter() - started,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=usage.ru_maxrss * unit,
        status=process.returncode,
        output=output.decode(errors="replace"),
        stopped=stopped.is_set(),
    )


def kill_group(pid, stopped):
    """End a process that leads a session, and all that it started."""
    stopped.set()
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextmanager
def mock_server(*options):
    """A Messages API on 127.0.0.1 in a process of its own; yields its URL."""
    command = [sys.executable, "-u", "-m", "pytest_ragcheck.testing.messages_api", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        found = None
        while found is None:
            line = process.stdout.readline()
            if not line:
                sys.exit(f"the mock server ended: {' '.join(options)}")
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
        yield found.group()
    finally:
        process.terminate()
        process.stdout.read()  # what it saw; it would fail at a closed pipe
        process.wait()


def server_stats(url, *parts):
    """What a mock server saw; ``log`` and ``seconds`` add the calls and the counts of each second."""
    with urllib.request.urlopen(f"{url}/__stats__?{'&'.join(parts)}") as reply:  # noqa: S310 (our own server)
        return json.load(reply)


def watched(process):
    """What a process writes, and the most memory of its own that it was seen to hold, in bytes (Linux only).

    Files that are mapped into memory do not count: the system drops them when it needs the room.
    """
    most = 0
    while process.poll() is None:
        most = max(most, own_memory(process.pid))
        time.sleep(0.01)
    if process.returncode:
        sys.exit(f"a child process ended with {process.returncode}")
    return process.stdout.read(), most


def own_memory(pid):
    """Bytes that a process holds and that are in no file; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def child_environment(folder):
    """As a user has it: with compiled modules kept, away from the network, and without pytest's own variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("PYTEST_")
    }
    return kept | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder / "plugins")}


def with_stopwatch(folder, *arguments, **environment):
    """Run pytest with the stopwatch; the process and what the stopwatch saw."""
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / "stopwatch.py").write_text(STOPWATCH)
    told = folder / "stopwatch.json"
    told.unlink(missing_ok=True)
    process = measure((*PYTEST, "-p", "stopwatch", *arguments), folder, RAGCHECK_STOPWATCH=str(told), **environment)
    if not told.exists():
        sys.exit(f"pytest {' '.join(arguments)} ended with {process.status}:\n{process.output}")
    return process, json.loads(told.read_text())


def interleaved(commands, folders, times, **environment):
    """Each command ``times`` times, in turns, so that what else the machine does touches all alike."""
    runs = {name: [] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            runs[name].append(measure(command, folders[name], **environment))
    return runs


def middle(runs, what="wall"):
    """The median of one measure over some runs."""
    return median(getattr(run, what) for run in runs)


def expect_status(runs, *allowed):
    """End the benchmark where a run did not end as it should."""
    for run in runs:
        if run.status not in allowed:
            sys.exit(f"pytest ended with {run.status}:\n{run.output}")


def print_machine():
    """Print what else weighs on the times: cores, load, and whether compiled modules are kept here."""
    bytecode = "set" if os.environ.get("PYTHONDONTWRITEBYTECODE") else "not set"
    print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start; PYTHONDONTWRITEBYTECODE is "
        f"{bytecode} here, and never for the measured processes",
        flush=True,
    )


def print_table(heads, rows):
    """Columns as wide as they must be; numbers to the right."""
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for row in cells:
        first, *rest = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip())


def project_folder():
    """The checkout that this file is part of."""
    return Path(__file__).resolve().parent.parent
