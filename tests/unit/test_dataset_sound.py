"""What can be used of a question file with faults, and all of its faults."""

from __future__ import annotations

import pytest

from pytest_ragcheck.dataset import load_questions, load_sound_questions, resolve_gold, resolve_sound_gold
from pytest_ragcheck.errors import DatasetError
from pytest_ragcheck.model import Passage, Question


@pytest.fixture
def load(tmp_path):
    def read(text, name="q.yaml"):
        path = tmp_path / name
        path.write_text(text)
        questions, faults = load_sound_questions(path, name=name)
        if faults:  # the first fault is the one that stops a run
            with pytest.raises(DatasetError) as stopped:
                load_questions(path, name=name)
            assert str(stopped.value) in {str(fault) for fault in faults}
        else:
            assert questions == load_questions(path, name=name)
        return [(one.id, one.line) for one in questions], [str(fault).partition(";")[0] for fault in faults]

    return read


def test_every_fault_is_told_and_the_rest_is_kept(load):
    questions, faults = load(
        "- question: One?\n"
        "- question: Two?\n  refrence: x\n"
        "- reference: no question\n"
        "- question: Three?\n  answerable: maybe\n"
        "- question: Four?\n"
    )

    assert questions == [("one", 1), ("four", 7)]
    assert [fault[:9] for fault in faults] == ["q.yaml:2:", "q.yaml:4:", "q.yaml:5:"]


def test_of_questions_with_one_id_the_first_is_kept(load):
    questions, faults = load(
        "- {id: a, question: One?}\n- {id: a, question: Two?}\n- question: Same?\n- question: Same?\n- {id: a, question: T?}\n"
    )

    assert questions == [("a", 1), ("same", 3)]
    assert faults == [
        "q.yaml:2: the id 'a' is that of line 1 too",
        "q.yaml:4: the same question as in line 3",
        "q.yaml:5: the id 'a' is that of line 1 too",
    ]


def test_after_a_fault_of_the_format_nothing_can_be_read(load):
    questions, faults = load('{"question": "One?"}\n{"question": "Two?", "x": 1}\n{"question": \n', "q.jsonl")

    assert questions == [("one", 1)]
    assert [fault[:10] for fault in faults] == ["q.jsonl:2:", "q.jsonl:3:"]


def test_an_unreadable_file_is_one_fault(tmp_path):
    questions, [fault] = load_sound_questions(tmp_path / "none.yaml", name="none.yaml")

    assert questions == ()
    assert str(fault).startswith("none.yaml: no such file")


def test_gold_that_can_be_tied_is_tied_and_all_else_is_told():
    documents = {"docs/a.md": "One two three. Four five.", "b.md": "Six."}
    gone, quote, whole = Passage(source="c.md"), Passage(text="two three"), Passage(source="b.md")
    misquoted = Passage(source="a.md", text="four five")
    questions = [
        Question(id="q", question="?", dataset="q.yaml", line=4, gold=((gone, quote), (misquoted,), (whole,))),
        Question(id="r", question="?", dataset="q.yaml", line=9, gold=((whole,),)),
    ]
    resolved, faults = resolve_sound_gold(questions, documents)

    found = Passage(source="docs/a.md", start=4, end=13, text="two three")
    assert [question.gold for question in resolved] == [
        ((found,), (Passage(source="b.md", text="Six."),)),
        ((Passage(source="b.md", text="Six."),),),
    ]
    assert [(fault.question.id, fault.passage) for fault in faults] == [("q", gone), ("q", misquoted)]
    assert str(faults[1].error).startswith("q.yaml:4: gold 2 of 'q': the quote 'four five' is not in 'docs/a.md'")
    with pytest.raises(DatasetError) as stopped:
        resolve_gold(questions, documents)
    assert str(stopped.value) == str(faults[0].error)
