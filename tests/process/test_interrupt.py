"""Ctrl-C and kill -9 in the middle of a batch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

NEEDS_ASYNCIO = pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="needs pytest-asyncio")
NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
SOON = 300
"""Seconds; less than the calls sleep that are interrupted, far more than a loaded machine needs."""

PIPELINE = """\
import asyncio
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def note(name, text):
    with (HERE / name).open("a") as log:
        log.write(text + "\\n")


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        note("started.log", question)
        try:
            await asyncio.sleep(0 if question == "Question number 0?" and SOME_PASS else 600)
        finally:
            note("ended.log", question)
        return f"The answer is {question[-2]}.", []

    def ask_in_thread(question):
        note("started.log", question)
        time.sleep(0 if question == "Question number 0?" and SOME_PASS else 600)
        return f"The answer is {question[-2]}.", []

    yield PIPELINE
    note("ended.log", "the pipeline")


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if report.when == "teardown":  # pytest has counted it: an interrupt before that leaves the item out
        note("reported.log", report.nodeid)
"""


def heed_interrupts():
    """As in a terminal, also where this suite itself runs in the background, which makes Ctrl-C be ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Started:
    """A pytest that runs in a process group of its own, as in a terminal."""

    def __init__(self, project, *arguments):
        self.project = project
        command = [sys.executable, "-m", "pytest", *project.arguments(*arguments)]
        self.process = subprocess.Popen(
            command,
            cwd=project.path,
            env=project.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=heed_interrupts,  # noqa: PLW1509 (this process has no other threads)
        )

    def lines(self, name):
        path = self.project.path / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_lines(self, name, count):
        deadline = time.monotonic() + 300
        while len(self.lines(name)) < count:
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def send(self, number):
        """To the whole group: what a terminal does."""
        os.killpg(self.process.pid, number)

    def end(self):
        """The exit status and the output."""
        output, _ = self.process.communicate(timeout=SOON)
        sys.stdout.write(output)
        return self.process.returncode, output

    def close(self):
        if self.process.poll() is None:
            self.send(signal.SIGKILL)
            self.process.wait(SOON)
        self.process.stdout.close()


@pytest.fixture
def start():
    all_started = []

    def begin(project, *arguments):
        all_started.append(Started(project, *arguments))
        return all_started[-1]

    yield begin
    for one in all_started:
        one.close()


def write_pipeline(project, name, *, some_pass=False):
    project.write("conftest.py", PIPELINE.replace("PIPELINE", name).replace("SOME_PASS", str(some_pass)))


def assert_interrupted(code, output):
    assert code == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    assert "never reported" not in output
    assert "was never retrieved" not in output
    assert "was destroyed but it is pending" not in output


MODES = [pytest.param([], marks=NEEDS_ASYNCIO, id="asyncio"), pytest.param(["-p", "no:asyncio"], id="own event loop")]


@pytest.mark.parametrize("arguments", MODES)
def test_ctrl_c_cancels_async_calls_and_keeps_what_was_measured(own_system, start, arguments):
    if arguments:
        own_system.set_up_pytest()
    write_pipeline(own_system, "ask", some_pass=True)
    running = start(own_system, *arguments)
    running.wait_for_lines("started.log", 4)
    running.wait_for_lines("reported.log", 1)

    running.send(signal.SIGINT)
    code, output = running.end()

    assert_interrupted(code, output)
    *ended, last = running.lines("ended.log")
    assert sorted(ended) == [f"Question number {n}?" for n in range(4)]
    assert last == "the pipeline"
    assert "1 passed" in output
    assert "the run was stopped early" in output


@pytest.mark.parametrize("arguments", MODES)
def test_ctrl_c_does_not_wait_for_calls_in_threads(own_system, start, arguments):
    if arguments:
        own_system.set_up_pytest()
    write_pipeline(own_system, "ask_in_thread")
    running = start(own_system, *arguments)
    running.wait_for_lines("started.log", 4)

    running.send(signal.SIGINT)
    code, output = running.end()

    assert_interrupted(code, output)


@NEEDS_XDIST
def test_ctrl_c_with_workers(own_system, start):
    write_pipeline(own_system, "ask")
    running = start(own_system, "-n", "2")
    running.wait_for_lines("started.log", 4)

    running.send(signal.SIGINT)
    code, output = running.end()

    assert code == pytest.ExitCode.INTERRUPTED
    assert "INTERNALERROR" not in output
    assert "never reported" not in output
    assert "pytest_ragcheck/" not in output


def test_ctrl_c_while_documents_are_embedded(project, start):
    embedder = (project.path / "embedder.py").read_text()
    slow = """\
    def embed(self, texts):
        if len(texts) == 3:
            import time

            with Path(__file__).with_name("started.log").open("a") as log:
                log.write("embedding\\n")
            time.sleep(600)
"""
    project.write("embedder.py", embedder.replace("    def embed(self, texts):\n", slow))
    running = start(project)
    running.wait_for_lines("started.log", 1)

    running.send(signal.SIGINT)
    code, output = running.end()

    assert_interrupted(code, output)
    assert project.embedded() == []
    project.write("embedder.py", embedder)
    project.run().assert_outcomes(passed=4)
    assert project.embedded() == [3, 4]


def test_after_kill_9_nothing_that_was_there_is_made_again(project, start):
    project.write(
        "test_handbook.py",
        """\
        import time
        from pathlib import Path

        def test_handbook(ragcheck_result):
            with Path(__file__).with_name("started.log").open("a") as log:
                log.write("item\\n")
            time.sleep(0 if Path(__file__).with_name("go").exists() else 600)
            ragcheck_result.assert_passed()
        """,
    )
    running = start(project)
    running.wait_for_lines("started.log", 1)
    before = project.embedded()

    running.send(signal.SIGKILL)
    code, _ = running.end()

    assert code == -signal.SIGKILL
    (project.path / "go").touch()
    result = project.run()
    result.assert_outcomes(passed=4)
    assert before == [3, 4]
    assert project.embedded() == before
    result.stdout.fnmatch_lines(["*4 from the cache*"])
