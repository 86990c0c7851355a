"""A project that is judged, and the judge: the loopback Messages API."""

from __future__ import annotations

import json

import pytest

from pytest_ragcheck.testing.messages_api import MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

MODEL = "claude-haiku-5-5"
CONTEXTS = 5
CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        number = question.split()[-1].rstrip("?")
        if number == "3":
            return " ", ["a context"]
        contexts = [f"Page {page} tells of item {number}. It has colour {page}." for page in range(%d)]
        return f"Item {number} has colour 0.", contexts

    return ask
"""


class Judged:
    """A project that is judged, and the judge."""

    def __init__(self, project, api):
        self.project = project
        self.api = api

    def configure(self, metrics, *, judge=f"anthropic:{MODEL}", **values):
        """``judging`` is a table."""
        judging = values.pop("judging", {})
        path = self.project.configure(documents=None, embedder=None, metrics=metrics, judge=judge, **values)
        lines = ["[judging]", *(f"{name} = {json.dumps(value)}" for name, value in judging.items())]
        path.write_text(path.read_text() + "\n".join(lines) + "\n")

    def answer(self, *, contexts=CONTEXTS, said="has colour 0."):
        """What the pipeline gives; ``contexts`` counts."""
        self.project.write("conftest.py", CONFTEST.replace("has colour 0.", said) % contexts)

    def ask(self, count, **fields):
        rows = [{"id": f"q{n}", "question": f"Colour of item {n}?", "reference": f"Colour {n}."} for n in range(count)]
        self.project.questions([row | fields for row in rows])

    def run(self, *arguments, **options):
        environment = {"ANTHROPIC_BASE_URL": self.api.url, "ANTHROPIC_API_KEY": "sk-ant-test-of-judging-0123456789"}
        return self.project.run(*arguments, environment=environment, **options)

    def calls(self):
        return [line for line in self.api.stats.log if line.path == MESSAGES_PATH]

    def last_run(self):
        paths = (self.project.path / ".ragcheck" / "runs").glob("*.json")
        return json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())

    def scores(self):
        """The scores of the last run, by question and metric."""
        return {result["question"]["id"]: result["scores"] for result in self.last_run()["results"]}


@pytest.fixture
def api():
    with MessagesApi() as api:
        yield api


@pytest.fixture
def cold(bare_project, api):
    """A judged project whose pytest has imported neither deepeval nor the SDK."""
    judged = Judged(bare_project, api)
    judged.answer()
    bare_project.write("test_own.py", "def test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n")
    judged.ask(3)
    return judged


@pytest.fixture
def judged(cold, warm_deepeval):
    cold.project._warm = warm_deepeval
    return cold
