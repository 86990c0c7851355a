"""Judges and deepeval metrics of the user's own, in a whole run; and what a run tells of its judge."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")

EVALS = """
import asyncio
from pathlib import Path

from deepeval.metrics import BaseMetric, ExactMatchMetric, GEval
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import SingleTurnParams

ANSWER = [SingleTurnParams.ACTUAL_OUTPUT]


class Local(DeepEvalBaseLLM):
    in_flight = 0

    def __init__(self, grade=8, api_key="sk-local-secret"):
        self.grade, self.api_key = grade, api_key
        super().__init__("local-7b")

    def load_model(self):
        return self

    def get_model_name(self):
        return "local-7b"

    def generate(self, prompt, schema=None):
        raise NotImplementedError

    async def a_generate(self, prompt, schema=None):
        Local.in_flight += 1
        with Path("local.log").open("a") as log:
            log.write(f"{Local.in_flight} {self.grade} {sorted(schema.model_fields)}\\n")
        await asyncio.sleep(0.01)
        Local.in_flight -= 1
        said = {"steps": ["Look."], "score": self.grade, "reason": "as it is", "statements": ["It has a colour."]}
        said["verdicts"] = [{"verdict": "yes", "reason": None}]
        return schema(**{name: said[name] for name in schema.model_fields})


def tone(model):
    return GEval(name="tone", criteria="Is it polite?", evaluation_params=ANSWER, model=model)


chosen = GEval(name="chosen", evaluation_steps=["Look."], evaluation_params=ANSWER, model=Local(grade=3))


def decided(model):
    metric = tone(model)
    metric.eval_mode = "system_one"
    return metric


class Length(BaseMetric):
    "Shorter is better."

    def __init__(self):
        self.threshold = 0.5

    def measure(self, test_case):
        self.score = len(test_case.actual_output) / 100
        return self.score

    async def a_measure(self, test_case, *args, **kwargs):
        before, self.seen = getattr(self, "seen", None), test_case.input
        await asyncio.sleep(0)
        assert before is None and self.seen == test_case.input, "shared between questions"
        return self.measure(test_case)

    def is_successful(self):
        return self.score <= self.threshold

    @property
    def __name__(self):
        return "Length of answer"


length = Length()


def polite(answer):
    return "please" not in answer.text
"""


@pytest.fixture
def mine(judged):
    judged.project.write("evals.py", EVALS)

    def asked():
        log = judged.project.path / "local.log"
        return log.read_text().splitlines() if log.exists() else []

    judged.asked = asked
    return judged


def test_deepeval_metrics_by_import_path_and_a_judge_of_another_provider(mine):
    metrics = {"answer_relevancy": 1.0, "evals:tone": 0.7, "evals:chosen": "report", "evals:length": 0.5,
               "evals:polite": 1.0, "deepeval.metrics:ExactMatchMetric": "report"}  # fmt: skip
    mine.configure(metrics, judge="evals:Local")

    def run(*arguments):
        return mine.project.run(*arguments, environment={"ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": ""})

    ran = run("--ragcheck-concurrency", "2")

    ran.assert_outcomes(passed=3)
    ran.stdout.fnmatch_lines(["ragcheck: judge evals:Local: never calibrated"])
    for number, scores in mine.scores().items():
        given = {name: (score["value"], score["threshold"]) for name, score in scores.items()}
        assert given.pop("evals:length") == (pytest.approx(0.8), 0.5), number
        assert given == {
            "answer_relevancy": (1.0, 1.0),
            "evals:tone": (0.8, 0.7),
            "evals:chosen": (0.3, None),
            "evals:polite": (1.0, 1.0),
            "deepeval.metrics:ExactMatchMetric": (0.0, None),
        }
        assert scores["evals:length"]["reason"] == "1 minus the metric's own score, of which less is better"
        assert scores["evals:tone"]["reason"] == "as it is"
    assert len(mine.asked()) == 3 * 3 + (1 + 3) + 3, "relevancy and its reason; tone's steps once; chosen"
    assert {line[0] for line in mine.asked() if " 8 " in line} <= {"1", "2", "3", "4"}
    assert {call["model"] for result in mine.last_run()["results"] for call in result["calls"]} == {"local-7b"}
    assert mine.api.stats.requests == 0

    before = len(mine.asked())
    run().assert_outcomes(passed=3)
    run("--ragcheck-cache", "only").assert_outcomes(passed=3)
    assert len(mine.asked()) == before
    kept = b"".join(path.read_bytes() for path in (mine.project.path / ".ragcheck").rglob("*") if path.is_file())
    assert b"sk-local-secret" not in kept

    mine.configure(metrics, judge="evals:Local", judging={"parameters.grade": 5})
    run().assert_outcomes(failed=3)
    assert {scores["evals:tone"]["value"] for scores in mine.scores().values()} == {0.5}


FIXTURE = """
@pytest.fixture(scope="session")
def ragcheck_metrics(ragcheck_judge):
    from deepeval.metrics import BiasMetric, GEval
    from evals import ANSWER, Length, polite

    tone = GEval(
        name="Tone of voice", evaluation_steps=["Look."], evaluation_params=ANSWER, model=ragcheck_judge, threshold=0.9
    )
    return [tone, Length(), polite]
"""


def test_deepeval_metrics_from_a_fixture(mine):
    conftest = mine.project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + FIXTURE)
    mine.project.write(
        "test_other.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def ragcheck_metrics():
            from evals import polite

            return [polite]

        def test_other(ragcheck_result):
            ragcheck_result.assert_passed()
            assert set(ragcheck_result.scores) == {"reference_coverage", "polite"}
        """,
    )
    mine.api._reply = lambda params: {"reason": "somewhat", "score": 8}
    mine.ask(2)
    mine.configure({"reference_coverage": "report"})

    ran = mine.run()

    ran.assert_outcomes(failed=2, passed=2)
    ran.stdout.fnmatch_lines(["*ThresholdNotMet: tone_of_voice 0.80 < 0.90 *"])
    assert mine.api.stats.requests - 1 == 2, "a call for each question, beside the one for the key"
    scores = [result["scores"] for result in mine.last_run()["results"] if "tone_of_voice" in result["scores"]]
    assert [list(one) for one in scores] == [["reference_coverage", "tone_of_voice", "length_of_answer", "polite"]] * 2
    assert {one["length_of_answer"]["threshold"] for one in scores} == {0.5}


@pytest.mark.parametrize(
    ("metrics", "judge", "told"),
    [
        ({"evals:nothing": 1.0}, "evals:Local", "toml: metric = 'evals:nothing': module 'evals' has no 'nothing'"),
        ({"evals:tone": 1.0}, "evals:length", "judge: Length has no a_generate and no get_model_name; it must be a"),
        ({"evals:decided": 1.0}, "evals:Local", "metric 'evals:decided': eval_mode must be 'llm', got 'system_one' on"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_asked(mine, metrics, judge, told):
    mine.configure(metrics, judge=judge)
    ran = mine.run()
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in ran.stderr.lines if told in line]
    assert len(ran.stderr.lines) <= 2
    assert mine.asked() == []


def test_the_run_tells_how_its_judge_agreed_with_people(mine):
    mine.configure({"answer_relevancy": "report", "contextual_recall": "report"})
    ran = mine.run("--collect-only")
    ran.stdout.fnmatch_lines(["ragcheck: judge anthropic:claude-haiku-5-5: never calibrated"])

    from pytest_ragcheck.metrics.judged.agreement import agreement
    from pytest_ragcheck.metrics.judged.calibration import FILE_NAME, Calibration, save_calibration
    from pytest_ragcheck.metrics.judged.kinds import judging_digest
    from pytest_ragcheck.metrics.judged.library import version
    from pytest_ragcheck.metrics.judged.settings import JudgeSettings

    known = Calibration(
        judge="anthropic:claude-haiku-5-5",
        judging=judging_digest(JudgeSettings()),
        deepeval=version(),
        date="2026-03-01",
        metrics={"answer_relevancy": agreement([1, 0] * 20, [1, 0] * 18 + [0, 0, 1, 1], threshold=0.5)},
    )
    save_calibration(mine.project.path / FILE_NAME, known)
    told = "calibrated on 40 answers (2026-03-01): kappa answer_relevancy 0.90; never for contextual_recall"
    mine.run("--collect-only").stdout.fnmatch_lines([f"ragcheck: judge anthropic:claude-haiku-5-5: {told}"])

    mine.configure({"reference_coverage": "report"})
    assert "calibrated" not in mine.run("--collect-only").stdout.str()


def test_a_plan_knows_which_scores_are_kept(project, api, warm_deepeval):
    """Answers that the store has are judged for nothing, where their scores are there; the others are estimated."""
    project._warm = warm_deepeval
    models = {"judge": "anthropic:claude-haiku-5-5", "generator": "anthropic:claude-haiku-5-5"}
    project.configure(metrics={"answer_relevancy": "report"}, **models)
    environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test-of-plans-0123456789"}
    project.run("-k", "meals or carry", environment=environment).assert_outcomes(passed=2)
    asked = api.stats.requests

    ran = project.run("--ragcheck-plan", environment=environment)

    ran.stdout.fnmatch_lines([f"  {2 * (1 + 2)} model calls to make, 2 from the cache"])
    assert api.stats.requests == asked
