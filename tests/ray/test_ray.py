"""Questions answered on the nodes of a Ray cluster."""

from __future__ import annotations

import json
import shutil
import threading
import time

import pytest

from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

pytest.importorskip("ray")

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000, "node_ip_address": "127.0.0.1", "include_dashboard": False}
MODEL = "claude-haiku-5-5"
MANY = 200
AT_ONCE = 11
"""No multiple of the number of actors: all of it is used."""
PAGES = 600
"""Documents of one chunk: three groups of texts, for as many actors."""

# Notes which process embeds, and takes so long that one actor cannot do it all before the others have started.
EMBEDDING = """
import os
import time
from pathlib import Path

import embedder


class Embedder(embedder.Embedder):
    def embed(self, texts):
        with Path(__file__).with_name("embedding.log").open("a") as log:
            log.write(f"{os.getpid()}\\n")
        time.sleep(2 if len(texts) > 50 else 0)
        return super().embed(texts)
"""

# The second question ends the process that answers it, each time; the fourth one only once.
MORTAL = """\
import os
import signal
from pathlib import Path

import pytest

import pytest_ragcheck

HERE = Path(__file__).parent
SCALE = 1


@pytest_ragcheck.metric
def shortness(answer):
    return 1.0 if len(answer.text) < 100 * SCALE else 0.0


def evenness(question):
    return (int(question.question[-2]) + 1) % 2 * SCALE


@pytest.fixture(scope="session")
def ragcheck_metrics():
    return [evenness]


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        number = int(question[-2]) * SCALE
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 3 and not (HERE / "died").exists():
            (HERE / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return f"The answer is {number}.", ["a context"]

    return ask
"""

LOCKED = """\
import threading

import pytest


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    lock = threading.Lock()

    async def ask(question):
        with lock:
            return "An answer.", []

    return ask
"""


def last_run(project):
    paths = (project.path / ".ragcheck" / "runs").glob("*.json")
    return json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())


def told(answer):
    return answer and [answer["text"], answer["contexts"]]


def measured(run):
    """What does not depend on time and order."""
    return sorted(
        (result["question"]["id"], json.dumps([told(result["answer"]), result["scores"]], sort_keys=True))
        for result in run["results"]
    )


def test_a_reference_pipeline_loses_nothing_with_a_node(project, cluster, on_ray, reply_at):
    rows = [
        {
            "id": f"q{number}",
            "question": f"How many days of annual leave, asked as number {number}?",
            "reference": "25 days a year.",
            "gold": ["docs/leave.md"],
        }
        for number in range(MANY)
    ]
    project.questions(rows)
    for page in range(PAGES):
        project.write(f"docs/page-{page}.md", f"# Page {page}\n\nShip {page} carries {page * 7} crates of salt.\n")
    project.write("noting.py", EMBEDDING)
    project.configure(
        generator=f"anthropic:{MODEL}",
        embedder="noting:Embedder",
        concurrency=AT_ONCE,
        metrics={"hit_rate": 0.0, "reference_coverage": 0.0},
    )
    with MessagesApi(Behaviour(latency=0.1)) as api:
        reply_at(api, AT_ONCE)
        told = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test-of-ray-0123456789"}
        assert project.run("-q", environment=told).ret == 0
        serial = last_run(project)
        shutil.rmtree(project.path / ".ragcheck")
        embedded = len(project.embedded())
        (here,) = set(project.path.joinpath("embedding.log").read_text().split())
        before = len(calls(api))
        node = cluster.add_node(**NODE)
        runs = []
        running = threading.Thread(target=lambda: runs.append(on_ray(project, "-q", environment=told)))
        running.start()
        while len(calls(api)) < before + MANY // 4 and running.is_alive():
            time.sleep(0.01)
        cluster.remove_node(node, allow_graceful=False)
        running.join()
        made = [line.digest for line in calls(api)[before:]]
        peak = api.stats.peak_in_flight
    run = last_run(project)
    assert runs[0].ret == 0
    assert measured(run) == measured(serial)
    assert run["fingerprints"] == serial["fingerprints"]
    assert len(set(made)) == MANY
    assert len(made) - len(set(made)) <= AT_ONCE  # what the lost actor had in flight
    assert peak == AT_ONCE
    counted = run["model_calls"]
    assert MANY - AT_ONCE <= counted["asked"] - counted["cached"] <= len(made)
    assert len(project.embedded()) == 2 * embedded  # each text once
    assert len(set(project.path.joinpath("embedding.log").read_text().split()) - {here}) > 1
    assert not runs[0].stderr.str().strip()


def calls(api):
    return [line for line in api.stats.log if line.path == MESSAGES_PATH]


def test_a_question_that_ends_processes_is_an_error_and_takes_no_other_with_it(own_system, on_ray):
    own_system.write("conftest.py", MORTAL)
    own_system.configure(documents=None, embedder=None, metrics={"reference_coverage": 1.0, "shortness": 1.0})
    result = on_ray(own_system, "-q")
    assert own_system.outcomes() == {
        "test_own[q0]": "passed",
        "test_own[q1]": "error",
        "test_own[q2]": "passed",
        "test_own[q3]": "passed",
    }
    scores = {one["question"]["id"]: one["scores"] for one in last_run(own_system)["results"]}
    assert [scores["q2"][name]["value"] for name in ("shortness", "evenness")] == [1.0, 1.0]
    assert [scores["q3"][name]["value"] for name in ("shortness", "evenness")] == [1.0, 0.0]
    assert "the process that answered it ended 4 times" in own_system.messages()["test_own[q1]"]
    assert result.ret == 1


def test_what_cannot_be_sent_is_one_line(own_system, on_ray):
    own_system.write("conftest.py", LOCKED)
    result = on_ray(own_system, "-q", "-x")
    message = own_system.messages()["test_own[q0]"]
    assert "cannot be sent to a Ray cluster" in message
    assert "Traceback" not in message
    assert result.ret == 1


def test_a_system_named_by_its_path_is_made_on_the_nodes(own_system, cluster, on_ray):
    own_system.write("conftest.py", "")
    own_system.write(
        "systems.py",
        """\
        import os

        def ask(question: str):
            return f"The answer is {question[-2]}, process {os.getpid()}.", ["a context"]
        """,
    )
    own_system.configure(
        documents=None, embedder=None, generator="systems:ask", metrics={"reference_coverage": 1.0}, fingerprint="1"
    )
    assert on_ray(own_system, "-q").ret == 0
    first = measured(last_run(own_system))
    # What the actors kept is in the project's store, for a run without them.
    assert own_system.run("-q").ret == 0
    assert measured(last_run(own_system)) == first


def test_a_question_that_fell_is_asked_again_on_the_nodes_too(own_system, cluster, on_ray):
    own_system.write("conftest.py", "")
    system = """\
        from pathlib import Path

        def ask(question: str):
            number = question[-2]
            turn = Path(__file__).with_name(f"turn-{number}")
            fails = number in FALLS and not turn.exists()
            turn.touch()
            return "Nothing." if fails else f"The answer is {number}.", ["a context"]

        FALLS = ""
        """
    own_system.write("systems.py", system)
    own_system.configure(documents=None, embedder=None, generator="systems:ask", metrics={"reference_coverage": 1.0})
    assert own_system.run("--ragcheck-update-baseline").ret == 0

    for turn in own_system.path.glob("turn-*"):
        turn.unlink()
    own_system.write("systems.py", system.replace('""', '"2"'))
    gated = on_ray(own_system, "-q", "--ragcheck-fail-on", "regression")
    gated.assert_outcomes(passed=3, xfailed=1)
    assert gated.ret == 0
    gated.stdout.fnmatch_lines(["1 question fell, but passed when asked again, and did not break: q2"])


def test_rounds_of_trials_end_by_a_test_of_all_questions_on_the_nodes_too(own_system, on_ray):
    """One question fell, so that the first round leaves a drop possible."""
    own_system.write("conftest.py", "")
    system = """\
        from pathlib import Path

        def ask(question: str):
            with Path(__file__).with_name("asked.log").open("a") as log:
                log.write(question[-2] + "\\n")
            return "Nothing." if question[-2] in FALLS else f"The answer is {question[-2]}.", ["a context"]

        FALLS = ""
        """
    own_system.write("systems.py", system)
    own_system.configure(documents=None, embedder=None, generator="systems:ask", metrics={"reference_coverage": 1.0})
    assert own_system.run("--ragcheck-update-baseline", "--ragcheck-trials", "3").ret == 0
    asked = own_system.path / "asked.log"

    for falls, rounds, again in (("", 1, 0), ("2", 3, 4)):
        asked.unlink()
        own_system.write("systems.py", system.replace('""', f'"{falls}"'))
        trials = ("--ragcheck-trials", "3", "--ragcheck-stop-trials")
        gated = on_ray(own_system, "-q", "--ragcheck-fail-on", "regression", *trials)

        results = last_run(own_system)["results"]
        assert {(len(one["trials"]), one["looks"]) for one in results} == {(rounds, 3)}
        assert sorted(asked.read_text().split()) == sorted([*"0123"] * rounds + [*falls] * again)
        assert gated.ret == bool(falls)


# The last question waits until the first one's item has been reported.
STREAMED = """\
import asyncio
import os
from pathlib import Path

import pytest

REPORTED = Path(__file__).with_name("reported")


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed and "q0" in report.nodeid:
        REPORTED.touch()


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        number = int(question[-2])
        if number == 2:
            raise RuntimeError("the shelf is empty")
        while number == 3 and not REPORTED.exists():
            await asyncio.sleep(0.02)
        return f"The answer is {number}, {os.environ.get('A_VARIABLE_OF_THE_DRIVER')}.", ["a context"]

    return ask
"""


def test_results_are_reported_as_they_come_and_through_rays_client_too(own_system, client_address):
    pytest.importorskip("grpc")
    own_system.write("conftest.py", STREAMED)
    arguments = ("--ragcheck-engine", client_address, "--ragcheck-actors", "1", "-q")
    result = own_system.run(*arguments, environment={"A_VARIABLE_OF_THE_DRIVER": "seen"}, timeout=300)
    outcomes = own_system.outcomes()
    assert [outcomes[f"test_own[q{number}]"] for number in range(4)] == ["passed", "passed", "error", "passed"]
    assert "RuntimeError: the shelf is empty" in own_system.messages()["test_own[q2]"]
    texts = [result["answer"]["text"] for result in last_run(own_system)["results"] if result["answer"]]
    assert texts
    assert not any("seen" in text for text in texts)  # only what calls of ours need is sent
    assert result.ret == 1
    assert not result.stderr.str().strip()
