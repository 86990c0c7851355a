"""Questions that are asked several times: what is called, kept, shown and written. The server counts."""

from __future__ import annotations

import itertools
import json
from importlib.util import find_spec

import pytest

from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

FLICKERING = """
import pytest

asked = []


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        asked.append(question)
        number = asked.count(question)
        if question == "Question number 1?" and number == 2:
            raise ValueError("no such page")
        if question == "Question number 2?" and number > 1:
            return "Something else.", [f"context {number}"]
        return f"The answer is {question[-2]}.", [f"context {number}"]

    return ask
"""
TESTS = """
def test_own(ragcheck_result, ragcheck_answer):
    assert ragcheck_answer == ragcheck_result.answer
    ragcheck_result.assert_passed()
"""
JUDGED = """
import pytest_ragcheck


@pytest_ragcheck.metric
async def polite(question, judge):
    said = await judge.ask(f"Is it polite to ask: {question.question}")
    return float(said)
"""


def last_run(project):
    paths = (project.path / ".ragcheck" / "runs").glob("*.json")
    return json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())


# ---- A system of the user's own --------------------------------------------------------------


@pytest.fixture
def flickering(own_system):
    """Question 0 always passes, 1 has no answer in its second trial, 2 passes in its first, 3 always passes."""
    own_system.write("conftest.py", FLICKERING)
    own_system.write("test_own.py", TESTS)
    return own_system


def said(result):
    return result["answer"] and {**result["answer"], "latency": None}


def told(run):
    """What must not depend on how a run was made."""
    return {
        result["question"]["id"]: (
            said(result),
            result["scores"],
            [(said(trial), trial["scores"], trial["error"] and trial["error"]["kind"]) for trial in result["trials"]],
        )
        for result in run["results"]
    }


def test_each_question_is_one_item_with_its_trials(flickering):
    result = flickering.run("--ragcheck-trials", 3)

    result.assert_outcomes(passed=3, failed=1)
    assert set(flickering.outcomes()) == {f"test_own[q{n}]" for n in range(4)}
    run = last_run(flickering)
    results = {one["question"]["id"]: one for one in run["results"]}
    assert {id_: len(one["trials"]) for id_, one in results.items()} == dict.fromkeys(["q0", "q1", "q2", "q3"], 3)
    score = results["q2"]["scores"]["reference_coverage"]
    assert score["value"] == pytest.approx(1 / 3)
    assert score["details"]["trials"] == [1.0, 0.0, 0.0]
    assert score["details"]["pass_rate"] == pytest.approx(1 / 3)
    assert results["q2"]["answer"]["text"] == "Something else."
    assert results["q2"]["answer"]["contexts"][0]["text"] == "context 2"
    assert results["q1"]["scores"]["reference_coverage"]["details"]["trials"] == [1.0, None, 1.0]
    assert results["q1"]["trials"][1]["error"]["message"].startswith("ValueError: no such page")
    assert flickering.messages()["test_own[q2]"].startswith(
        "ragcheck.ThresholdNotMet: reference_coverage 0.33 < 1.00 (mean of 3 trials) [q2]\n"
    )
    assert "pytest --ragcheck --ragcheck-trials 3 'test_own.py::test_own[q2]'" in flickering.messages()["test_own[q2]"]
    result.stdout.fnmatch_lines(
        [
            "12 trials of 4 questions: 9 of 11 passed",
            "pass@3 1.00 (4 of 4 questions passed in any trial)",
            "pass^3 0.67 (2 of 3 questions passed in all trials; 1 not known)",
            "  answers: 11 of 12, *",
        ]
    )
    properties = {
        case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in flickering.test_cases().values()
    }
    assert float(properties["test_own[q2]"]["ragcheck.pass_rate"]) == pytest.approx(1 / 3)
    assert float(properties["test_own[q2]"]["ragcheck.reference_coverage"]) == pytest.approx(1 / 3)


def test_the_results_are_the_same_however_it_is_run(flickering):
    flickering.run("--ragcheck-trials", 3)
    plain = told(last_run(flickering))

    for arguments in (["--ragcheck-sequential"], *([["-n", "2"]] if find_spec("xdist") else [])):
        flickering.run("--ragcheck-trials", 3, *arguments).assert_outcomes(passed=3, failed=1)
        assert told(last_run(flickering)) == plain


def test_settled_questions_are_asked_no_more(flickering):
    result = flickering.run("--ragcheck-trials", 5, "--ragcheck-stop-trials")

    result.assert_outcomes(passed=3, failed=1)
    results = {one["question"]["id"]: one for one in last_run(flickering)["results"]}
    # A threshold of 1.0: the first miss settles it, and nothing but all of them passing does.
    assert {id_: len(one["trials"]) for id_, one in results.items()} == {"q0": 5, "q1": 5, "q2": 2, "q3": 5}
    assert results["q2"]["planned_trials"] == 5
    result.stdout.fnmatch_lines(["17 of 20 trials (the others could change no verdict): 15 of 16 passed"])


@pytest.mark.parametrize("said", ["0", "1.5"])
def test_how_often_is_a_whole_number(bare_project, said):
    result = bare_project.run(f"--ragcheck-trials={said}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--ragcheck-trials: expected a whole number from 1, got '{said}'"])


def test_what_is_the_same_each_time_is_asked_once(project):
    project.configure(metrics={"hit_rate": 1.0, "reference_coverage": "report"})

    result = project.run("--ragcheck-trials", 3)

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ["ragcheck: questions.json: answers and scores are the same each time, so --ragcheck-trials asks * once"]
    )
    assert all(one["trials"] == [] for one in last_run(project)["results"])


# ---- Answers and judgements of a model -------------------------------------------------------


class ModelProject:
    """Two questions that a model answers and a judge judges, both the loopback API."""

    def __init__(self, project, api, replies):
        pytest.importorskip("anthropic", minversion="2.6")
        self.project = project
        self.api = api
        self.replies = replies
        project.configure(
            generator="anthropic:claude-haiku-5-5",
            judge="anthropic:claude-sonnet-5-5",
            metrics={"hit_rate": 1.0, "polite": 0.5},
        )
        project.write("conftest.py", JUDGED)
        project.questions(
            [
                {"id": f"q{n}", "question": f"How many days of leave, number {n}?", "gold": ["docs/leave.md"]}
                for n in range(2)
            ]
        )

    def run(self, *arguments, **options):
        environment = {"ANTHROPIC_BASE_URL": self.api.url, "ANTHROPIC_API_KEY": "sk-ant-test-of-trials-0123456789"}
        return self.project.run(*arguments, environment=environment, **options)

    def new_calls(self):
        """How many answers and judgements were asked for since the last look."""
        models = [line.model for line in self.api.stats.log if line.path == MESSAGES_PATH]
        self.api.reset_stats()
        return models.count("claude-haiku-5-5"), models.count("claude-sonnet-5-5")

    def trials(self):
        return {one["question"]["id"]: one["trials"] for one in last_run(self.project)["results"]}


class Replies:
    """Another answer each time, and always the same judgement; ``faulty``: the number of an answer that is an error."""

    def __init__(self):
        self.faulty = None
        self._numbers = itertools.count(1)

    def __call__(self, params):
        if "sonnet" in params["model"]:
            return "1.0"
        number = next(self._numbers)
        if number == self.faulty:
            raise ValueError("no reply")
        return f"Answer number {number}."


@pytest.fixture
def model(project, warm_sdk, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    project._warm = warm_sdk
    replies = Replies()
    with MessagesApi(Behaviour(latency=0.2, latency_spread=0.0), reply=replies) as api:
        yield ModelProject(project, api, replies)


def texts(trials):
    return {id_: [trial["answer"]["text"] for trial in own] for id_, own in trials.items()}


def test_each_answer_and_each_judgement_is_called_once_and_kept(model, reply_at):
    model.run().assert_outcomes(passed=2)
    first = {one["question"]["id"]: one["answer"]["text"] for one in last_run(model.project)["results"]}
    assert model.new_calls() == (2, 2)

    plan = model.run("--ragcheck-plan", "--ragcheck-trials", 3)
    plan.stdout.fnmatch_lines(["  8 model calls to make, 4 from the cache"])
    assert model.new_calls() == (0, 0)

    reply_at(model.api, 4)
    model.run("--ragcheck-trials", 3).assert_outcomes(passed=2)
    trials = model.trials()
    assert model.api.stats.peak_in_flight >= 4
    calls = model.api.stats.log
    assert model.new_calls() == (4, 4)  # the first trials are there already, judgements of the same text included
    assert len({line.digest for line in calls if line.path == MESSAGES_PATH}) == 4  # nothing of the trials is sent
    assert {id_: own[0] for id_, own in texts(trials).items()} == first
    assert len({text for own in texts(trials).values() for text in own}) == 6
    assert [{call["cached"] for call in trial["calls"]} for trial in trials["q0"]] == [{True}, {False}, {False}]

    model.run("--ragcheck-trials", 3, "--ragcheck-cache", "only").assert_outcomes(passed=2)
    assert model.new_calls() == (0, 0)
    assert texts(model.trials()) == texts(trials)

    model.run("--ragcheck-trials", 4, "--ragcheck-cache", "only").assert_outcomes(skipped=2)
    assert model.new_calls() == (0, 0)
    assert "1 of 4 trials: claude-haiku-5-5: the reply is not in the store" in _skipped(model)["test_handbook[q0]"]


def _skipped(model):
    cases = model.project.test_cases().items()
    return {name: element.get("message") for name, case in cases for element in case.iter("skipped")}


def test_a_call_that_fails_is_one_trials_error(model):
    model.replies.faulty = 2

    result = model.run("--ragcheck-trials", 3, "-k", "q0", "-v")

    result.assert_outcomes(passed=1, deselected=1)
    states = [(trial["answer"] is None, trial["error"] and trial["error"]["kind"]) for trial in model.trials()["q0"]]
    assert sorted(states) == [(False, None), (False, None), (True, "api-error")]
    assert model.new_calls() == (3, 3)
    result.stdout.fnmatch_lines(
        [
            "trials (3)",
            "  2 passed, 0 failed, 1 could not be measured; pass@3 yes, pass^3 not known",
            "*trial ?: no answer: *api_error*",
        ]
    )

    model.run("--ragcheck-trials", 3, "-k", "q0").assert_outcomes(passed=1, deselected=1)
    assert model.new_calls() == (1, 0)  # what failed is asked again, and nothing else
