"""The README quotes what the example prints.

The quoted question was answered by a run of the example, ``pytest --ragcheck examples/handbook --runxfail -k
director-notice``, whose result is kept here: to run it takes half a minute and an embedding model.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ragcheck.dataset import load_questions, resolve_gold
from pytest_ragcheck.model import Result
from pytest_ragcheck.report.question import question_report
from pytest_ragcheck.run_file import load

ROOT = Path(__file__).parents[2]
HANDBOOK = ROOT / "examples" / "handbook"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def result():
    return load(Result, json.loads((Path(__file__).parent / "readme" / "director-notice.json").read_text("utf-8")))


def test_the_failing_question_is_quoted_as_it_is_printed(result):
    report = question_report(
        result, width=80, rerun="pytest --ragcheck 'test_handbook.py::test_handbook[director-notice]'"
    )

    quoted = README.partition("## When a question fails")[2].split("```")[1].strip("\n")
    assert quoted == report


def test_the_kept_result_is_one_of_the_example(result):
    documents = {
        f"documents/{path.name}": path.read_text(encoding="utf-8") for path in (HANDBOOK / "documents").glob("*.md")
    }
    questions = resolve_gold(load_questions(HANDBOOK / "questions.yaml", name="questions.yaml"), documents)
    (asked,) = (question for question in questions if question.id == "director-notice")

    assert (asked.question, asked.reference, asked.gold) == (
        result.question.question,
        result.question.reference,
        result.question.gold,
    )
    assert len(result.answer.contexts) == 5
    for context in result.answer.contexts:
        assert documents[context.source][context.start : context.end] == context.text
