"""Answers that people scored, in question files."""

from __future__ import annotations

import json

import pytest

from pytest_ragcheck.dataset import load_questions, load_scored_answers
from pytest_ragcheck.errors import DatasetError

ROWS = """\
- question: How many days?
  reference: 25.
  human:
    - answer: 25 days.
      contexts: Staff have 25 days.
      scores: {faithfulness: 1, correctness: yes}
    - answer: None.
      scores: {faithfulness: 0.25, "mine:tone": false}
- question: Who asks?
"""


def load(path):
    return load_scored_answers(path, load_questions(path, name=path.name), name=path.name)


def test_answers_with_contexts_and_scores(tmp_path):
    path = tmp_path / "questions.yaml"
    path.write_text(ROWS)
    (first, one), (second, other) = load(path)
    assert first is second
    assert first.question == "How many days?"
    assert (one.answer, one.contexts) == ("25 days.", ("Staff have 25 days.",))
    assert one.scores == {"faithfulness": 1.0, "correctness": 1.0}
    assert (other.contexts, other.scores) == (None, {"faithfulness": 0.25, "mine:tone": 0.0})
    assert (other.where.line, other.label) == (1, "human 2")


def test_they_are_no_part_of_the_question(tmp_path):
    path = tmp_path / "questions.yaml"
    path.write_text(ROWS)
    with_them = load_questions(path, name="q")
    path.write_text(ROWS[: ROWS.index("  human")] + ROWS[ROWS.index("- question: Who") :])
    assert [repr(question).replace("line=9", "line=3") for question in with_them] == [
        repr(question) for question in load_questions(path, name="q")
    ]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_every_format(tmp_path, suffix):
    human = [{"answer": "25.", "scores": {"correctness": 1}}]
    path = tmp_path / f"questions{suffix}"
    if suffix == ".csv":
        cell = json.dumps(human).replace('"', '""')
        path.write_text(f'question,human\nHow many?,"{cell}"\n')
    else:
        row = json.dumps({"question": "How many?", "human": human})
        path.write_text(f"[{row}]" if suffix == ".json" else row)
    ((_, scored),) = load(path)
    assert (scored.answer, scored.scores) == ("25.", {"correctness": 1.0})


@pytest.mark.parametrize(
    ("human", "told"),
    [
        ("good", "human: expected 'answer' and 'scores', got 'good'"),
        ({"answer": "a"}, "human: 'scores' is missing"),
        ({"scores": {"tone": 1}}, "human: 'answer' is missing"),
        ({"answer": "a", "score": {}}, "human: unknown key 'score'; did you mean 'scores'?"),
        ({"answer": " ", "scores": {"tone": 1}}, "human, answer: the text is empty"),
        ({"answer": "a", "scores": {}}, "human, scores: expected a mapping of metrics to scores, got an empty one"),
        ({"answer": "a", "scores": [1]}, "human, scores: expected a mapping of metrics to scores, got a list"),
        ({"answer": "a", "scores": {"tone": 2}}, "human, scores, 'tone': expected a number from 0 to 1, or true or"),
        ({"answer": "a", "scores": {"tone": "high"}}, "human, scores, 'tone': expected true or false, got 'high'"),
        ([{"answer": "a", "scores": {"tone": 1}, "contexts": [1]}], "human 1, contexts 1: expected a text"),
    ],
)
def test_a_fault_is_told_with_its_line_in_every_run(tmp_path, human, told):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "First?"}\n' + json.dumps({"question": "How many?", "human": human}))
    with pytest.raises(DatasetError) as caught:
        load_questions(path, name="questions.jsonl")
    assert str(caught.value).startswith(f"questions.jsonl:2: {told}")
