"""Answers of a pipeline with a client of its own: calls in flight like the judge's, where ``concurrency`` is set."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

pytestmark = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
WAYS = pytest.mark.parametrize("workers", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
CONFTEST = """
import pytest
from anthropic import AsyncAnthropic


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    client = AsyncAnthropic(max_retries=0)

    async def ask(question):
        messages = [{"role": "user", "content": question}]
        message = await client.messages.create(model="claude-sonnet-5-5", max_tokens=50, messages=messages)
        return message.content[0].text, ["Page 1 tells of items and their colours."]

    return ask
"""
LOCAL_JUDGE = """
import asyncio

from deepeval.models import DeepEvalBaseLLM

in_flight = most = 0


class Local(DeepEvalBaseLLM):
    def __init__(self):
        super().__init__("local-7b")

    def load_model(self):
        return self

    def get_model_name(self):
        return "local-7b"

    def generate(self, prompt, schema=None):
        raise NotImplementedError

    async def a_generate(self, prompt, schema=None):
        await work()
        said = {"reason": "so", "statements": ["It has a colour."], "verdicts": [{"verdict": "yes", "reason": None}]}
        return schema(**{name: said[name] for name in schema.model_fields})


async def work():
    global in_flight, most
    in_flight += 1
    most = max(most, in_flight)
    await asyncio.sleep(0.01)
    in_flight -= 1
"""
WATCHING = """
import pytest
import local


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        await local.work()
        return f"An answer to {question}", ["Page 1 tells of items and their colours."]

    yield ask
    print(f"at most {local.most} in flight")
"""


@pytest.fixture
def api():
    with MessagesApi(Behaviour(latency=0.03)) as api:
        yield api


@WAYS
@pytest.mark.parametrize("places", [1, 3])
def test_answers_and_judge_calls_share_the_places(judged, places, workers):
    judged.configure({"answer_relevancy": "report", "contextual_recall": "report"})
    judged.project.write("conftest.py", CONFTEST)
    judged.ask(6)

    judged.run("--ragcheck-concurrency", f"{places}", *workers).assert_outcomes(passed=6)

    assert {line.model for line in judged.calls()} == {"claude-sonnet-5-5", "claude-haiku-5-5"}
    assert judged.api.stats.peak_in_flight == places


def test_the_judge_may_be_a_model_of_the_users(judged):
    judged.project.write("local.py", LOCAL_JUDGE)
    judged.project.write("conftest.py", WATCHING)
    judged.configure({"answer_relevancy": "report"}, judge="local:Local")
    judged.ask(6)

    result = judged.run("--ragcheck-concurrency", "2", "-s")

    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*at most 2 in flight*"])
