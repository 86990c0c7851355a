"""Several pytest processes on one store, and processes that are killed: no call is made twice, no reply is lost."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import Future

import pytest

from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import CLIENT_GONE, MESSAGES_PATH

pytest.importorskip("anthropic", minversion="2.6")

QUESTIONS = 30
HANGS = 300
"""Seconds, against hangs alone."""


class Killer:
    """Kills a process while the server writes a reply to it or to another one, however slow and busy the machine is."""

    def __init__(self):
        self.kill = lambda: None
        self.replies = 0
        """How many are sent before."""
        self.at = None
        """When it was, by the server's clock."""

    def __call__(self, params):
        self.replies -= 1
        if self.replies == -1:
            self.kill()
            self.at = time.monotonic()


@pytest.fixture
def killer():
    return Killer()


@pytest.fixture
def api(killer):
    with MessagesApi(Behaviour(latency=0.15), reply=killer) as api:
        yield api


@pytest.fixture
def model_project(project, warm_sdk, api):
    """Thirty questions for a model; ``project.environment`` leads to the loopback API."""
    project.configure(generator="anthropic:claude-haiku-5-5", concurrency=6)
    project.questions(
        [
            {"id": f"q{n}", "question": f"How many days of leave, asked as number {n}?", "gold": ["docs/leave.md"]}
            for n in range(QUESTIONS)
        ]
    )
    environment = project.environment() | {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-process-012345"}
    project.environment = lambda: environment
    project._warm = warm_sdk
    return project


def calls(api):
    """How often each body was sent."""
    return Counter(line.digest for line in api.stats.log if line.path == MESSAGES_PATH)


def run_file(project):
    paths = (project.path / ".ragcheck" / "runs").glob("*.json")
    return json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())


def test_two_runs_at_once_make_each_call_once(model_project, warm_sdk, api):
    (model_project.path / "elsewhere").mkdir()
    other = type(warm_sdk)(*warm_sdk.modules)
    results = []

    def run_from(folder, test, warm):
        results.append(
            warm.run(
                model_project.arguments(test),
                cwd=model_project.path / folder,
                environment=model_project.environment(),
                timeout=HANGS,
            )
        )

    runs = [
        threading.Thread(target=run_from, args=(".", "test_handbook.py", warm_sdk)),
        threading.Thread(target=run_from, args=("elsewhere", "../test_handbook.py", other)),
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    other.close()

    for result in results:
        result.assert_outcomes(passed=QUESTIONS)
    assert calls(api).total() == len(calls(api)) == QUESTIONS
    counted = [json.loads(path.read_text()) for path in (model_project.path / ".ragcheck" / "runs").glob("*.json")]
    assert sum(run["model_calls"]["cached"] for run in counted) == QUESTIONS


def test_workers_make_each_call_once_and_the_controller_alone_tells_progress(model_project, api, reply_when):
    pytest.importorskip("xdist")
    toml = model_project.path / "ragcheck.toml"
    toml.write_text(toml.read_text().replace("concurrency = 6", "concurrency = 5"))
    model_project.write("test_again.py", "def test_again(ragcheck_answer):\n    assert ragcheck_answer.text\n")
    model_project.write(
        "conftest.py",
        """\
        from pytest_ragcheck.session import progress, progress_displays, workers_progress

        progress.EVERY = workers_progress.EVERY = progress_displays.LOG_LEAST = 0.05
        """,
    )

    log = model_project.path / "stdout"
    reply_when(
        api,
        lambda: api.stats.peak_in_flight >= 5 and (api.stats.replies < 10 or " in flight" in log.read_text()),
    )

    result = model_project.run("-n", "2")

    result.assert_outcomes(passed=2 * QUESTIONS)
    assert calls(api).total() == len(calls(api)) == QUESTIONS
    assert api.stats.peak_in_flight == 5, "all places are used, and never more"
    told = [line for line in result.outlines if " in flight" in line]
    assert told
    assert all(f"/{2 * QUESTIONS} questions" in line or f"/{QUESTIONS} questions" in line for line in told)
    assert " in flight" not in result.stderr.str()
    run = run_file(model_project)
    assert run["model_calls"]["asked"] == QUESTIONS
    made = [call for one in run["results"] for call in one["calls"]]
    assert run["model_calls"]["cost"] == pytest.approx(sum(call["cost"] for call in made))


@pytest.mark.parametrize("replies", [1, 14])
def test_a_killed_worker_leaves_its_share_of_the_limit_to_the_others(model_project, api, killer, replies):
    pytest.importorskip("xdist")
    model_project.write(
        "conftest.py",
        """\
        import os
        from pathlib import Path

        def pytest_configure(config):
            if hasattr(config, "workerinput"):
                Path(__file__).with_name(config.workerinput["workerid"]).write_text(str(os.getpid()))
        """,
    )
    killer.replies = replies
    killer.kill = lambda: os.kill(int((model_project.path / "gw0").read_text()), signal.SIGKILL)

    result = model_project.run("-n", "2")

    result.assert_outcomes(passed=QUESTIONS - 1, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running*"])
    assert awaited_at_once(api, killer.at) <= 6
    assert len(calls(api)) >= QUESTIONS - 1
    assert calls(api).total() <= QUESTIONS + 6, "more than was in flight was asked again"


def awaited_at_once(api, killed_at):
    """How many calls of living clients were in flight at most: a slow server notices late that one has ended."""
    changes = []
    for line in api.stats.log:
        end = killed_at if line.outcome in {CLIENT_GONE, "pending"} else line.finish
        if line.path == MESSAGES_PATH and line.arrival < end:
            changes += [(line.arrival, 1), (end, -1)]
    return max(itertools.accumulate(change for _, change in sorted(changes)))


def kill_after(replies, project, warm, killer):
    """Start pytest, and ``kill -9`` it when the server has sent so many replies."""
    pid: Future[int] = Future()
    killer.replies = replies
    killer.kill = lambda: os.kill(pid.result(HANGS), signal.SIGKILL)
    pid.set_result(warm.start(project.arguments(), cwd=project.path, environment=project.environment()))
    assert warm.wait(HANGS) == -signal.SIGKILL


@pytest.mark.parametrize("replies", [0, 7, 22])
def test_kill_and_run_again_costs_only_what_was_in_flight(model_project, warm_sdk, api, killer, replies):
    kill_after(replies, model_project, warm_sdk, killer)
    sent = calls(api).total()

    result = model_project.run()

    result.assert_outcomes(passed=QUESTIONS)
    assert result.ret == pytest.ExitCode.OK
    run = run_file(model_project)["model_calls"]
    assert run["cached"] >= replies - 6, "more is lost than what was on its way"
    assert calls(api).total() == sent + QUESTIONS - run["cached"]
    assert calls(api).total() <= QUESTIONS + 6, "more than was in flight was asked again"
    assert len(calls(api)) == QUESTIONS
