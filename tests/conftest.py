"""A small project to run pytest in: documents, questions, and an embedder that needs no model."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest

JUNIT = "junit.xml"
HANGS = 300
"""Seconds after which what should have ended long ago is taken to hang, on a slow and busy machine too."""
CAPABILITIES_3, READING_EVERYTHING = 0x20080522, 1 << 1 | 1 << 2
"""Of Linux: the version of capget() and capset(), and what lets root read everything."""
SDK = ("anthropic", "aiohttp", "genai_prices.data", "httpcore2", "truststore")
"""What a run that calls a model imports."""

EMBEDDER = '''
"""Bag-of-words vectors: deterministic, and near where words are shared."""
import re
from pathlib import Path
from zlib import crc32

import numpy as np


class Embedder:
    fingerprint = "bag of words, 256"

    def load(self):
        pass

    def embed(self, texts):
        with Path(__file__).with_name("embedded.log").open("a", encoding="utf-8") as log:
            log.write(f"{len(texts)}\\n")
        rows = np.zeros((len(texts), 256), dtype=np.float32)
        for row, text in zip(rows, texts):
            for word in re.findall(r"\\w+", text.lower()):
                row[crc32(word.encode()) % 256] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
'''

DOCUMENTS = {
    "leave.md": """\
        # Annual leave

        Staff have 25 days of annual leave a year. Leave is booked in the calendar and approved by the line manager.

        ## Carrying over

        Up to five days of leave can be carried over into the next year. They expire on 31 March.
        """,
    "expenses.md": """\
        # Expenses

        Claims for expenses are submitted within 30 days, with receipts. Meals are paid up to 40 euros a day.
        """,
    "remote.md": """\
        # Remote work

        Remote work is possible on two days a week. The equipment for it is paid by the company.
        """,
}

QUESTIONS = [
    {
        "id": "days-of-leave",
        "question": "How many days of annual leave do staff have?",
        "reference": "25 days a year.",
        "gold": [{"source": "docs/leave.md", "quote": "Staff have 25 days of annual leave a year."}],
        "tags": ["lookup", "leave"],
    },
    {
        "id": "carry-over",
        "question": "How many days of leave can be carried over into the next year?",
        "reference": "Five days.",
        "gold": [{"source": "docs/leave.md", "quote": "Up to five days of leave can be carried over"}],
        "tags": ["lookup"],
    },
    {
        "id": "meals",
        "question": "Up to how many euros a day are meals paid?",
        "reference": "Up to 40 euros a day.",
        "gold": ["docs/expenses.md"],
        "tags": ["expenses"],
    },
    {
        "id": "remote-days",
        "question": "On how many days a week is remote work possible?",
        "reference": "On two days a week.",
        "gold": ["docs/remote.md"],
    },
]


class WarmPytest:
    """Runs pytest in processes of their own, forked from one that has done most of the imports already.

    ``modules`` are imported beside those that most runs need, where they are installed.
    """

    def __init__(self, *modules):
        self.modules = modules
        script = Path(__file__).with_name("warm_pytest.py")
        self._server = subprocess.Popen(
            [sys.executable, script, *modules],
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # select() sees no line that a buffer holds
        )

    def run(self, arguments, *, cwd, environment, timeout):
        started = time.perf_counter()
        pid = self.start(arguments, cwd=cwd, environment=environment)
        status = self.wait(timeout)
        in_time = status is not None
        if not in_time:
            os.kill(pid, signal.SIGKILL)
            status = self.wait(HANGS)
        lines = [(cwd / name).read_text(encoding="utf-8").splitlines() for name in ("stdout", "stderr")]
        sys.stdout.write("\n".join(["pytest", *arguments, *lines[0], *lines[1], ""]))  # shown if the test fails
        assert in_time, f"pytest ran for more than {timeout} s"
        return pytest.RunResult(status, *lines, time.perf_counter() - started)

    def start(self, arguments, *, cwd, environment):
        """Its process id; one runs at a time. What it prints is in the files ``stdout`` and ``stderr`` of ``cwd``."""
        files = {name: str(cwd / name) for name in ("stdout", "stderr")}
        request = {"cwd": str(cwd), "env": environment, "args": arguments, **files}
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        return int(self._server.stdout.readline())

    def wait(self, timeout):
        """The exit status of the one that was started; None where it has not ended after so many seconds."""
        ended, _, _ = select.select([self._server.stdout], [], [], timeout)
        return int(self._server.stdout.readline()) if ended else None

    def close(self):
        self._server.stdin.close()
        self._server.wait(HANGS)
        self._server.stdout.close()


@pytest.fixture(scope="session")
def warm_pytest():
    with closing(WarmPytest()) as warm:
        yield warm


@pytest.fixture(scope="session")
def warm_sdk():
    """Like ``warm_pytest``, with what a run that calls a model imports: seconds of each run."""
    pytest.importorskip("anthropic")
    with closing(WarmPytest(*SDK)) as warm:
        yield warm


@pytest.fixture(scope="session")
def warm_deepeval():
    """Like ``warm_sdk``, with deepeval, whose import takes seconds."""
    pytest.importorskip("anthropic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPEVAL_TELEMETRY_OPT_OUT", "1")
        patch.setenv("DEEPEVAL_DISABLE_DOTENV", "1")
        warm = WarmPytest(*SDK, "deepeval.metrics")
    with closing(warm):
        yield warm


class Project:
    """A project folder and how to run pytest in it."""

    def __init__(self, path, warm):
        self.path = path
        self._warm = warm

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def set_up_pytest(self, *lines, warnings="error"):
        """The settings of pytest itself; a setting that no plugin knows is a warning."""
        return self.write("pytest.ini", "\n".join(["[pytest]", f"filterwarnings = {warnings}", *lines]) + "\n")

    def questions(self, questions):
        return self.write("questions.json", json.dumps(questions, indent=1))

    def configure(self, **values):
        metrics = values.pop("metrics", {"hit_rate": 1.0})
        settings = {"questions": "questions.json", "documents": ["docs/*.md"], "embedder": "embedder:Embedder"} | values
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items() if value is not None]
        lines += ["[metrics]", *(f"{json.dumps(name)} = {json.dumps(least)}" for name, least in metrics.items())]
        return self.write("ragcheck.toml", "\n".join(lines) + "\n")

    def run(self, *arguments, ragcheck=True, cache=False, folder=".", environment=None, timeout=HANGS):
        """pytest in a process of its own; the result has stdout, stderr and ret."""
        cwd = self.path / folder
        return self._warm.run(
            self.arguments(*arguments, ragcheck=ragcheck, cache=cache),
            cwd=cwd,
            environment=self.environment() | (environment or {}),
            timeout=timeout,
        )

    @staticmethod
    def arguments(*arguments, ragcheck=True, cache=False):
        """What the command line gets."""
        common = ["-p", "no:deepeval", f"--junitxml={JUNIT}", *([] if cache else ["-p", "no:cacheprovider"])]
        return [*common, *(["--ragcheck"] if ragcheck else []), *map(str, arguments)]

    def environment(self):
        """The outer environment without what would tell the inner pytest of the outer one."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "TOX_", "COLUMNS", "CI"))
        }
        temporary = self.path.parent / "temporary"
        temporary.mkdir(exist_ok=True)
        paths = os.pathsep.join(filter(None, [str(self.path), os.environ.get("PYTHONPATH")]))
        return kept | {"PYTEST_DEBUG_TEMPROOT": str(temporary), "HOME": str(self.path), "PYTHONPATH": paths}

    def test_cases(self):
        """The elements of the last run's JUnit file, by the tests' names."""
        root = ElementTree.parse(self.path / JUNIT)  # noqa: S314 (pytest wrote it)
        return {case.get("name"): case for case in root.iter("testcase")}

    def outcomes(self):
        """What became of each item of the last run, by its name."""
        return {name: _outcome(case) for name, case in self.test_cases().items()}

    def messages(self):
        """What stands in the last run's JUnit file for each item that failed or could not be set up, by its name."""
        elements = {name: [*case.iter("failure"), *case.iter("error")] for name, case in self.test_cases().items()}
        return {
            name: "\n".join(f"{element.get('message')}\n{element.text}" for element in found)
            for name, found in elements.items()
            if found
        }

    def embedded(self):
        """How many texts were embedded in all runs so far, call by call."""
        log = self.path / "embedded.log"
        return [int(line) for line in log.read_text().split()] if log.exists() else []


def _outcome(case):
    words = {"failure": "failed", "error": "error", "skipped": "skipped"}
    return " and ".join(sorted({words[child.tag] for child in case if child.tag in words})) or "passed"


@pytest.fixture
def permissions_count():
    """Let permissions of files count in the test, though root runs it, as in a container."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may read everything")
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0)
    capabilities = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, capabilities) == 0
    effective = capabilities[0]
    capabilities[0] &= ~READING_EVERYTHING
    assert libc.capset(header, capabilities) == 0
    yield
    capabilities[0] = effective
    assert libc.capset(header, capabilities) == 0


@pytest.fixture
def reply_when():
    """Make a mock server's replies wait for a condition, so that what is tested comes in time on a busy machine, too."""

    def hold(api, condition):
        say = api._reply or (lambda _params: None)

        async def reply(params):
            async with asyncio.timeout(HANGS):
                while not condition():
                    await asyncio.sleep(0.01)
            return say(params)

        api._reply = reply

    return hold


@pytest.fixture
def reply_at(reply_when):
    """Make a mock server's replies wait until so many calls were in flight at once."""

    def hold(api, count):
        reply_when(api, lambda: api.stats.peak_in_flight >= count)

    return hold


@pytest.fixture
def grows_no_faster():
    """Whether ``work`` takes about as much longer as its argument is larger; another try where something came between."""

    def compare(work, small, large):
        def seconds(size):
            started = time.process_time()
            work(size)
            return time.process_time() - started

        return any(seconds(large) < 4 * large / small * max(seconds(small), 0.01) for _ in range(3))

    return compare


@pytest.fixture
def bare_project(tmp_path, warm_pytest):
    """Settings for the inner pytest, and nothing else."""
    path = tmp_path / "project"
    path.mkdir()
    project = Project(path, warm_pytest)
    project.set_up_pytest(*(["asyncio_default_fixture_loop_scope = function"] if find_spec("pytest_asyncio") else []))
    return project


@pytest.fixture
def project(bare_project):
    """A reference pipeline over three documents, four questions, one test."""
    if find_spec("faiss") is None:
        pytest.skip("needs FAISS")
    bare_project.write("embedder.py", EMBEDDER)
    for name, text in DOCUMENTS.items():
        bare_project.write(f"docs/{name}", text)
    bare_project.questions(QUESTIONS)
    bare_project.configure()
    bare_project.write("test_handbook.py", "def test_handbook(ragcheck_result):\n    ragcheck_result.assert_passed()\n")
    return bare_project


@pytest.fixture
def own_system(bare_project):
    """The user's own pipeline, which logs its calls; four questions, no documents, no index."""
    bare_project.questions(
        [{"id": f"q{n}", "question": f"Question number {n}?", "reference": str(n)} for n in range(4)]
    )
    bare_project.configure(documents=None, embedder=None, metrics={"reference_coverage": 1.0})
    bare_project.write(
        "conftest.py",
        """\
        from pathlib import Path

        import pytest


        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            async def ask(question):
                with Path(__file__).with_name("asked.log").open("a") as log:
                    log.write(question + "\\n")
                return f"The answer is {question[-2]}.", ["a context"]

            return ask
        """,
    )
    bare_project.write("test_own.py", "def test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n")
    return bare_project


@pytest.fixture
def asked(own_system):
    """The questions that the user's own pipeline was asked so far."""

    def read():
        log = own_system.path / "asked.log"
        return log.read_text().splitlines() if log.exists() else []

    return read
