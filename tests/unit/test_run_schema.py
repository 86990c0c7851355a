"""The published schema of a run's file holds for what is written, and for nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pytest_ragcheck.comparison import Cause, Comparison, MetricChange, QuestionChange, ScoreChange, Verdict
from pytest_ragcheck.model import (
    Answer,
    Call,
    Context,
    Failure,
    ModelCalls,
    Passage,
    Question,
    Result,
    Run,
    Score,
    Timing,
    Usage,
)
from pytest_ragcheck.report.files import write_report
from pytest_ragcheck.run_file import load_run, save_run

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "run.schema.json").read_text(encoding="utf-8"))
QUESTION = Question(
    id="q",
    question="How long?",
    dataset="questions.yaml",
    reference="14 days",
    gold=((Passage(source="a.md", start=0, end=9), Passage(text="within 14 days")),),
    must_contain=(("14 days", "two weeks"),),
    tags=("lookup",),
    thresholds={"recall": 0.5},
    line=3,
)
MEASURED = Result(
    question=QUESTION,
    answer=Answer(
        text="\ud83d \U0001f600",
        contexts=(Context(text="c", rank=1, score=0.5, source="a.md", start=0, end=1, chunk_id="x"),),
        refused=False,
        model="m",
        latency=0.5,
        usage=Usage(input_tokens=3),
        metadata={"a": [1, {"b": None}]},
    ),
    scores={
        "recall": Score(metric="recall", value=1.0, threshold=0.5, details={"gold_ranks": [1]}),
        "tone": Score(metric="tone", error=Failure(message="no JSON", details={"attempts": 3})),
    },
    timing=Timing(retrieval=0.1, retrieval_span=(0.0, 0.1)),
    calls=(Call(purpose="generation", model="m", started=0.1, cost=0.01),),
)
RUN = Run(
    started_at="2026-10-06T12:00:00+00:00",
    mode="concurrent",
    fingerprints={"questions.yaml": {"questions": "12ab"}},
    setup=0.1,
    wall=1.0,
    versions={"pytest": "9.2.0"},
    results=(
        MEASURED,
        Result(question=QUESTION, error=Failure(message="503"), variant="other"),
        Result(question=QUESTION, not_run="budget spent"),
        Result(question=QUESTION, trials=(MEASURED, MEASURED)),
    ),
    model_calls=ModelCalls(asked=3, usage=Usage(output_tokens=4)),
)


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture
def written(tmp_path):
    save_run(RUN, tmp_path / "run.json")
    return json.loads((tmp_path / "run.json").read_bytes())


def test_a_run_with_everything_in_it_is_valid(validator, written):
    assert list(validator.iter_errors(written)) == []


def test_a_report_with_its_comparison_is_valid_and_still_a_run(validator, tmp_path):
    score = ScoreChange(metric="recall", baseline=1.0, value=0.0, threshold=0.5, broke=True, confirmations=(0.0,))
    metric = MetricChange(
        metric="recall",
        verdict=Verdict.REGRESSED,
        questions=1,
        clusters=1,
        baseline=1.0,
        value=0.0,
        difference=-1.0,
        interval=None,
        p_value=0.5,
        practical_minimum=0.02,
        smallest_visible_drop=None,
    )
    comparison = Comparison(
        verdict=Verdict.REGRESSED,
        reasons=("1 question broke: \ud83d",),
        baseline_name="ragcheck-baseline.json",
        baseline_created=RUN.started_at,
        metrics={"recall": metric},
        questions=(QuestionChange(id="q", dataset="questions.yaml", scores={"recall": score}, cause=Cause.CONTEXTS),),
        changed={"documents": ("1a", None)},
    )
    path = tmp_path / "report.json"
    write_report(path, RUN, comparison)
    plain = json.loads(path.read_bytes())

    assert list(validator.iter_errors(plain)) == []
    assert plain["comparison"] == json.loads(json.dumps(asdict(comparison)))
    assert load_run(path) == load_run(_saved(tmp_path))
    del plain["comparison"]["verdict"]
    assert list(validator.iter_errors(plain)) != []


def _saved(folder):
    save_run(RUN, folder / "run.json")
    return folder / "run.json"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["schema_version"], 1),
        (["mode"], None),
        (["results", 0, "question", "id"], 3),
        (["results", 0, "scores", "recall", "value"], "1.0"),
        (["results", 0, "answer", "contexts", 0, "rank"], 1.5),
        (["results", 0, "timing", "retrieval_span"], [0.0]),
        (["results", 3, "trials", 1, "answer"], "text"),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, list) else repr(part),
)
def test_what_is_no_run_is_invalid(validator, written, place, value):
    *above, last = place
    part = written
    for step in above:
        part = part[step]
    part[last] = value

    (error,) = validator.iter_errors(written)
    assert list(error.absolute_path)[: len(place)] == place or error.context


def test_every_field_is_described_or_explains_itself():
    """A field that is told nothing about has a name that the classes around it explain."""
    told = {
        (name, field)
        for name, kind in SCHEMA["$defs"].items()
        for field, about in kind.get("properties", {}).items()
        if "description" in about
    }
    assert ("Call", "started") in told
    assert all(kind["description"] for kind in SCHEMA["$defs"].values())
    assert "None" not in json.dumps(SCHEMA)
