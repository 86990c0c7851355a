"""Answers that were recorded elsewhere."""

from __future__ import annotations

import asyncio
import json

import pytest

from pytest_ragcheck.errors import DatasetError, MeasurementError
from pytest_ragcheck.model import Answer, Context, Question
from pytest_ragcheck.rag.pipeline import repeats_itself
from pytest_ragcheck.rag.recorded import RecordedAnswers

QUESTIONS = [
    Question(id="days", question="How many days?", dataset="questions.yaml", line=3),
    Question(id="more", question="How  many\nmore?", dataset="questions.yaml", line=7),
]


def recorded(tmp_path, rows, *, name="answers.jsonl", questions=QUESTIONS):
    path = tmp_path / name
    content = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(content, encoding="utf-8")
    return RecordedAnswers(path, questions, name=name)


def answered(answers, question=QUESTIONS[0]):
    return asyncio.run(answers.generate(question, None))


@pytest.mark.parametrize(
    "row",
    [
        {"id": "days", "answer": "25.", "contexts": ["25 days"]},
        {"question": "How many  days?", "answer": "25.", "contexts": [{"text": "25 days"}]},
        {"id": 17, "input": "How many days?", "actual_output": "25.", "retrieval_context": ["25 days"], "context": ["x"]},
        {"user_input": "How many days?", "response": "25.", "retrieved_contexts": ["25 days"]},
        {"id": "days", "question": "another wording", "answer": "25.", "contexts": ["25 days"], "score": 0.5},
    ],
    ids=["id", "text", "deepeval", "ragas", "id before text"],
)  # fmt: skip
def test_rows_of_all_kinds(tmp_path, row):
    assert answered(recorded(tmp_path, [row])) == Answer(text="25.", contexts=(Context(text="25 days", rank=1),))


def test_all_that_a_row_can_say(tmp_path):
    row = {
        "id": "days",
        "answer": "I do not know.",
        "contexts": [{"text": "one", "source": "a.md", "score": 0.5}, "two"],
        "refused": True,
        "model": "m-1",
    }
    named = {"id": "more", "answer": "a", "contexts": ["one"], "sources": ["a.md"]}
    answers = recorded(tmp_path, [row, named])

    assert answered(answers) == Answer(
        text="I do not know.",
        contexts=(Context(text="one", rank=1, score=0.5, source="a.md"), Context(text="two", rank=2)),
        refused=True,
        model="m-1",
    )
    assert answered(answers, QUESTIONS[1]).contexts[0].source == "a.md"
    assert repeats_itself(answers)


def test_yaml_and_json(tmp_path):
    yaml = recorded(tmp_path, "- id: days\n  answer: 25\n", name="answers.yaml")
    listed = recorded(tmp_path, '{"questions": [{"id": "days", "answer": "25"}]}', name="answers.json")

    assert answered(yaml) == answered(listed) == Answer(text="25", contexts_known=False)
    assert yaml.fingerprint != listed.fingerprint


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"id": "more", "answer": "a"}], "answers.jsonl: no answer to 'days'; record it, or leave the question out"),
        (
            [{"id": "dyas", "answer": "a"}, {"question": "How few?", "answer": "b"}],
            "answers.jsonl: no answer to 'days' (2 rows belong to no question, the first in line 1); record it",
        ),
        ([{"id": "days", "answer": None}], "answers.jsonl:1: the answer is null"),
    ],
)
def test_an_answer_that_is_missing_is_an_error_of_its_question_alone(tmp_path, rows, told):
    with pytest.raises(MeasurementError) as caught:
        answered(recorded(tmp_path, rows))

    assert str(caught.value).startswith(told)
    assert caught.value.kind == "not-recorded"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"id": "days", "answer": "a"}] * 2, "answers.jsonl:2: 'days' is answered in line 1 too; keep one of them"),
        (
            [{"id": "days", "answer": "a"}, {"question": "How many days?", "answer": "b"}],
            "answers.jsonl:2: 'days' is answered in line 1 too; keep one of them",
        ),
        ([{"answer": "a"}], "answers.jsonl:1: neither 'id' nor 'question'; say what was answered"),
        ([{"id": "days"}], "answers.jsonl:1: no answer; write it as 'answer' (actual_output, actualOutput, response"),
        ([{"id": "days", "answer": 7}], "answers.jsonl:1: answer: expected a text, got int"),
        ([{"id": "days", "answer": "a", "contexts": [7]}], "answers.jsonl:1: context 1 has no text: got int"),
        ([{"id": "days", "answer": "a", "contexts": 7}], "answers.jsonl:1: contexts must be a list, got int"),
        ("{", "answers.jsonl:1: not valid JSON"),
        ("", "answers.jsonl:1: the file is empty"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, rows, told):
    with pytest.raises(DatasetError) as caught:
        recorded(tmp_path, rows)

    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_text_that_two_questions_have_needs_an_id(tmp_path):
    questions = [Question(id="a", question="And then?"), Question(id="b", question="And then?")]

    with pytest.raises(DatasetError, match="the question has the ids 'a' and 'b'; say which is meant"):
        recorded(tmp_path, [{"question": "And then?", "answer": "x"}], questions=questions)


@pytest.mark.parametrize("name", ["answers.csv", "answers.txt", "answers"])
def test_other_kinds_of_files(tmp_path, name):
    with pytest.raises(
        DatasetError, match=r"not recorded answers by its suffix; use one of \.json, \.jsonl, \.yaml, \.yml"
    ):
        recorded(tmp_path, "", name=name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match=r"answers\.json: no such file"):
        RecordedAnswers(tmp_path / "answers.json", QUESTIONS, name="answers.json")
