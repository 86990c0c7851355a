"""Pipelines of users that make their model calls through ``ragcheck_gateway``; the server counts."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

pytest.importorskip("anthropic", minversion="2.6")

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
WAYS = pytest.mark.parametrize("workers", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
ASYNC = """\
    async def ask(question):
        return (await ragcheck_gateway.complete(**call(question))).text, ["a context"]
"""
SYNC = """\
    def ask(question):
        return ragcheck_gateway.complete_sync(**call(question)).text, ["a context"]
"""
OWN_LOOP = """\
    def ask(question):
        return asyncio.run(ragcheck_gateway.complete(**call(question))).text, ["a context"]
"""
CONFTEST = """
import asyncio
import pytest


def call(question):
    message = {"role": "user", "content": question}
    return {"model": "claude-haiku-5-5", "messages": [message], "max_tokens": 50, "stop_sequences": ["END"]}


@pytest.fixture(scope="session")
def ragcheck_pipeline(ragcheck_gateway):
%s
    return ask
"""


class Calling:
    """A project whose own pipeline calls the loopback API through the fixture."""

    def __init__(self, project, api):
        self.project, self.api = project, api
        project.configure(documents=None, embedder=None, metrics={"reference_coverage": "report"})
        rows = [{"id": f"q{n}", "question": f"Colour of item {n}?", "reference": f"Colour {n}."} for n in range(6)]
        project.questions(rows)

    def answer(self, ask):
        self.project.write("conftest.py", CONFTEST % ask)

    def run(self, *arguments):
        environment = {"ANTHROPIC_BASE_URL": self.api.url, "ANTHROPIC_API_KEY": "sk-ant-test-0123456789"}
        return self.project.run(*arguments, environment=environment)

    def calls(self):
        return [line for line in self.api.stats.log if line.path == MESSAGES_PATH]

    def last_run(self):
        paths = (self.project.path / ".ragcheck" / "runs").glob("*.json")
        return json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())


@pytest.fixture
def calling(project, warm_sdk):
    with MessagesApi(Behaviour(latency=0.02)) as api:
        project._warm = warm_sdk
        yield Calling(project, api)


@WAYS
@pytest.mark.parametrize("places", [1, 2])
@pytest.mark.parametrize("ask", [ASYNC, SYNC, OWN_LOOP], ids=["async", "sync", "own-loop"])
def test_calls_are_limited_stored_and_counted_with_their_questions(calling, ask, places, workers):
    """An answer that waits for its call's place has given back its own: all would wait for ever."""
    calling.answer(ask)

    result = calling.run("--ragcheck-concurrency", f"{places}", *workers)

    result.assert_outcomes(passed=6)
    assert len(calling.calls()) == 6
    assert calling.api.stats.peak_in_flight <= places, "the limit is shared"
    run = calling.last_run()
    for one in run["results"]:
        (call,) = one["calls"]
        assert (call["purpose"], call["model"]) == ("generation", "claude-haiku-5-5")
    assert run["model_calls"]["asked"] == 6
    assert run["model_calls"]["cost"] > 0

    calling.run("--ragcheck-cache", "only", *workers).assert_outcomes(passed=6)
    assert len(calling.calls()) == 6


def test_our_own_event_loop(calling):
    calling.answer(ASYNC)
    calling.project.set_up_pytest()
    calling.run("-p", "no:asyncio").assert_outcomes(passed=6)
    assert len(calling.calls()) == 6


@WAYS
def test_trials_are_calls_of_their_own(calling, workers):
    calling.answer(SYNC)
    calling.run("--ragcheck-trials", "2", *workers).assert_outcomes(passed=6)
    assert len(calling.calls()) == 12
    calling.run("--ragcheck-trials", "2", *workers).assert_outcomes(passed=6)
    assert len(calling.calls()) == 12


@pytest.mark.parametrize("ask", [ASYNC, SYNC], ids=["async", "sync"])
@pytest.mark.parametrize(
    "arguments", [["--ragcheck-cache", "only"], ["--ragcheck-max-cost", "0.0000001"], ["--ragcheck-plan"]]
)
def test_nothing_is_called_where_nothing_may_be(calling, ask, arguments):
    calling.answer(ask)
    result = calling.run(*arguments)
    assert calling.calls() == []
    if "--ragcheck-plan" not in arguments:
        result.assert_outcomes(skipped=6)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            "    client = ragcheck_gateway.complete_sync(**call('Who?'))\n    ask = None\n",
            "ragcheck_gateway.complete_sync: called outside of a sync pipeline; *",
        ),
        (ASYNC.replace("call(question)", "call(question), stream=True"), "*ragcheck_gateway: stream is not supported*"),
    ],
    ids=["no-pipeline", "stream"],
)
def test_what_cannot_be_done_is_refused_in_one_line(calling, ask, message):
    calling.answer(ask)
    result = calling.run()
    result.stdout.fnmatch_lines([f"*{message}"])
    assert calling.calls() == []
