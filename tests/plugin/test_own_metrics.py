"""Metrics of users in a whole run."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from pytest_ragcheck.testing.messages_api import MessagesApi

HEAD = """
import asyncio
import threading

import pytest_ragcheck
from pytest_ragcheck import Score

"""


@pytest.fixture
def metrics_of(own_system):
    """Writes metrics into the conftest, configures them, and runs."""

    def run(source, table, *arguments, **options):
        conftest = own_system.path / "conftest.py"
        conftest.write_text(HEAD + source + conftest.read_text())
        judge = options.pop("judge", None)
        own_system.configure(documents=None, embedder=None, metrics=table, judge=judge)
        return own_system.run(*arguments, **options)

    run.project = own_system
    return run


def scores(project):
    paths = (project.path / ".ragcheck" / "runs").glob("*.json")
    run = json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())
    return {result["question"]["id"]: result["scores"] for result in run["results"]}


def test_functions_classes_and_what_they_return(metrics_of):
    metrics_of(
        """
main_thread = threading.get_ident()


@pytest_ragcheck.metric
def short(answer):
    assert threading.get_ident() != main_thread
    return len(answer.text) < 100


@pytest_ragcheck.metric(name="half")
async def some_other_name(question, contexts):
    await asyncio.sleep(0)
    return 0.5 if contexts[0].text == "a context" else 0


@pytest_ragcheck.metric
class Polite:
    name = "polite"

    def __init__(self):
        self.words = ("please",)

    async def measure(self, case):
        return Score(metric="whatever", value=float(case.answer.text in self.words), reason="it does not say please")


@pytest_ragcheck.metric
def same(answer, reference):
    return reference in answer.text
""",
        {"short": 1.0, "half": 0.5, "polite": "report", "same": 1.0},
    ).assert_outcomes(passed=4)
    for given in scores(metrics_of.project).values():
        assert {name: score["value"] for name, score in given.items()} == {
            "short": 1.0,
            "half": 0.5,
            "polite": 0.0,
            "same": 1.0,
        }
        assert given["polite"]["reason"] == "it does not say please"


def test_what_a_metric_raises_or_returns_wrongly_is_an_error_of_its_own(metrics_of):
    ran = metrics_of(
        """
@pytest_ragcheck.metric
def broken(answer):
    raise KeyError("no such page")

@pytest_ragcheck.metric
def nothing(answer):
    pass

@pytest_ragcheck.metric
def much(answer):
    return 3

@pytest_ragcheck.metric
def fine(answer):
    return True
""",
        {"broken": 0.5, "nothing": "report", "much": "report", "fine": 1.0},
    )
    ran.assert_outcomes(errors=4)
    given = scores(metrics_of.project)["q0"]
    assert given["broken"]["error"]["message"].startswith("KeyError: 'no such page' (")
    assert "conftest.py" in given["broken"]["error"]["message"]
    assert given["nothing"]["error"]["message"] == "the metric returned NoneType, not a number, a bool or a Score"
    assert given["much"]["error"]["message"] == "the metric returned 3.0, not a number from 0 to 1"
    assert given["fine"]["value"] == 1.0


def test_a_question_without_reference_is_left_out(metrics_of):
    rows = [{"id": "q0", "question": "Question number 0?"}, {"id": "q1", "question": "Number 1?", "reference": "1"}]
    metrics_of.project.questions(rows)
    metrics_of(
        "@pytest_ragcheck.metric\ndef same(answer, reference):\n    return reference in answer.text\n", {"same": 1.0}
    ).assert_outcomes(passed=2)
    given = scores(metrics_of.project)
    assert (given["q0"]["same"]["value"], given["q0"]["same"]["reason"]) == (None, "no reference")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "@pytest_ragcheck.metric\ndef short(anwser):\n    return 1\n",
            "metric 'short': unknown parameter 'anwser'; did you mean 'answer'?",
        ),
        ("@pytest_ragcheck.metric\ndef recall(answer):\n    return 1\n", "a metric named 'recall' exists already"),
        ("@pytest_ragcheck.metric\nclass Short:\n    pass\n", "or a class with a method `measure`"),
        (
            "@pytest_ragcheck.metric\ndef shart(answer):\n    return 1\n",
            "unknown metric 'short'; did you mean 'shart'?",
        ),
        (
            "@pytest_ragcheck.metric\ndef short(answer, judge):\n    return 1\n",
            "metric 'short' needs a judge; set `judge = ",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(metrics_of, source, told):
    ran = metrics_of(source, {"short": 1.0})
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert told in ran.stderr.str() + ran.stdout.str()
    assert not (metrics_of.project.path / "asked.log").exists()


@pytest.mark.parametrize("place", ["deep/conftest.py", "deep/test_deep.py"])
def test_a_metric_may_be_defined_where_pytest_comes_late(bare_project, place):
    """In a folder below, or in the test module itself."""
    bare_project.questions([{"id": "q0", "question": "Which?", "thresholds": {"late": 0.5}}])
    (bare_project.path / "deep").mkdir()
    (bare_project.path / "questions.json").rename(bare_project.path / "deep" / "questions.json")
    config = bare_project.configure(documents=None, embedder=None, metrics={"late": 1.0})
    config.rename(bare_project.path / "deep" / "ragcheck.toml")
    files = {
        "deep/conftest.py": "",
        "deep/test_deep.py": "def test_deep(ragcheck_result):\n    ragcheck_result.assert_passed()\n",
    }
    pipeline = "import pytest\n\n\n@pytest.fixture(scope='session')\ndef ragcheck_pipeline():\n    return lambda _: ('This.', [])\n"
    files["deep/conftest.py"] = pipeline
    files[place] = f"{HEAD}@pytest_ragcheck.metric\ndef late(answer):\n    return True\n\n\n{files[place]}"
    for name, text in files.items():
        bare_project.write(name, text)
    bare_project.run().assert_outcomes(passed=1)


def test_the_judge_serves_own_metrics_too(metrics_of, warm_sdk):

    def judge(params):
        if "output_config" in params:
            return {"polite": "number 2" in params["messages"][0]["content"]}
        return "It is polite."

    with MessagesApi(reply=judge) as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test-of-own-metrics-0123"}
        source = """
SCHEMA = {
    "type": "object",
    "properties": {"polite": {"type": "boolean"}},
    "required": ["polite"],
    "additionalProperties": False,
}

@pytest_ragcheck.metric
async def polite(question, answer, judge):
    said = await judge.ask(f"Is it polite? {question.question}", schema=SCHEMA)
    told = await judge.ask(f"Tell of {question.question}")
    return Score(metric="polite", value=float(said["polite"]), reason=told)
"""
        metrics_of.project._warm = warm_sdk
        model = "anthropic:claude-haiku-5-5"
        metrics_of(source, {"polite": "report"}, judge=model, environment=environment).assert_outcomes(passed=4)
        given = scores(metrics_of.project)
        assert [given[f"q{n}"]["polite"]["value"] for n in range(4)] == [0.0, 0.0, 1.0, 0.0]
        assert {one["polite"]["reason"] for one in given.values()} == {"It is polite."}
        asked = api.stats.requests
        metrics_of("", {"polite": "report"}, judge=model, environment=environment).assert_outcomes(passed=4)
        assert api.stats.requests == asked


FIXTURE = """
def polite(answer):
    return "please" in answer.text


async def asked(question, contexts):
    return 1.0 if contexts and question.question else 0.0


@pytest.fixture(scope="session")
def ragcheck_metrics():
    return [polite, asked]
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_metrics_from_a_fixture_are_measured_beside_the_configured_ones(own_system, workers):
    if workers and find_spec("xdist") is None:
        pytest.skip("needs pytest-xdist")
    conftest = own_system.path / "conftest.py"
    conftest.write_text(conftest.read_text() + FIXTURE)
    other = "import pytest\n\n@pytest.fixture(scope='module')\ndef ragcheck_metrics():\n    return []\n\n"
    own_system.write("test_other.py", other + (own_system.path / "test_own.py").read_text().replace("own", "other"))
    own_system.run(*workers).assert_outcomes(passed=8)
    run = json.loads(max((own_system.path / ".ragcheck" / "runs").glob("*.json")).read_text())
    measured = sorted(tuple(result["scores"]) for result in run["results"])
    assert measured == [("reference_coverage",)] * 4 + [("reference_coverage", "polite", "asked")] * 4
    assert len({(result["question"]["id"], result["variant"]) for result in run["results"]}) == 8
    own_system.run("--ragcheck-metrics", "reference_coverage", *workers).assert_outcomes(passed=8)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("polite", "ragcheck_metrics must return a list of metrics, not function"),
        ("[3]", "metric '3' must be a function, or a class with a method `measure`"),
        ("[polite, polite]", "ragcheck_metrics: a metric named 'polite' exists already; rename this one"),
    ],
)
def test_what_a_fixture_cannot_return(own_system, returned, told):
    conftest = own_system.path / "conftest.py"
    conftest.write_text(conftest.read_text() + FIXTURE.replace("[polite, asked]", returned))
    own_system.run("-k", "q0").assert_outcomes(errors=1)
    assert told in own_system.messages()["test_own[q0]"]
