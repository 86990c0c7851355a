from __future__ import annotations

import json

import pytest

from pytest_ragcheck.dataset import load_questions
from pytest_ragcheck.errors import DatasetError
from pytest_ragcheck.model import Turn

TURNS = (
    Turn(role="user", text="How many days of leave do I have?"),
    Turn(role="assistant", text="25."),
    Turn(role="user", text="Can I carry some over?"),
    Turn(role="assistant", text="Five, yes."),
)
PAIRS = [
    {"user": TURNS[0].text, "assistant": TURNS[1].text},
    {"assistant": TURNS[3].text, "user": TURNS[2].text},
]
MESSAGES = [{"role": turn.role, "content": turn.text} for turn in TURNS]


def loaded(tmp_path, suffix, content):
    path = tmp_path / f"questions{suffix}"
    path.write_text(content, encoding="utf-8")
    return load_questions(path, name="questions")


def rows(history, name="history"):
    return json.dumps([{"question": "Until when?", name: history}])


@pytest.mark.parametrize("history", [PAIRS, MESSAGES, [PAIRS[0], *MESSAGES[2:]]], ids=["pairs", "messages", "both"])
@pytest.mark.parametrize("name", ["history", "chat_history"])
def test_both_notations(tmp_path, history, name):
    [question] = loaded(tmp_path, ".json", rows(history, name))

    assert question.history == TURNS


def test_yaml_and_csv(tmp_path):
    yaml = "- question: Until when?\n  history:\n    - user: Is there a limit?\n      assistant: 5\n"
    cell = json.dumps([{"user": "Is there a limit?", "assistant": "5"}]).replace('"', '""')

    [from_yaml] = loaded(tmp_path, ".yaml", yaml)
    [from_csv] = loaded(tmp_path, ".csv", f'question,history\nUntil when?,"{cell}"\n')

    assert from_yaml.history == (Turn(role="user", text="Is there a limit?"), Turn(role="assistant", text="5"))
    assert from_csv.history == from_yaml.history


def test_without_and_with_an_empty_list(tmp_path):
    assert [q.history for q in loaded(tmp_path, ".json", '[{"question": "a"}, {"question": "b", "history": []}]')] == [
        (),
        (),
    ]


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        ("hello", "history: expected a list of earlier turns, got 'hello'"),
        (["hello"], "history 1: expected 'user' and 'assistant', or 'role' and 'content', got 'hello'"),
        ([{"user": "a"}], "history 1: a turn has 'user' and 'assistant', or 'role' and 'content', both of them"),
        ([{"user": "a", "asistant": "b"}], "history 1: unknown key 'asistant'; did you mean 'assistant'?"),
        ([{"role": "system", "content": "a"}], "history 1: the role must be 'user' or 'assistant', got 'system'"),
        ([{"role": "user", "content": 1}], "history 1, content: expected a text, got a number"),
        ([{"user": "a", "assistant": " "}], "history 1, assistant: the text is empty"),
        (MESSAGES[1:], "history 1: the user is next, but this is what the assistant said"),
        ([MESSAGES[0], *MESSAGES], "history 2: the assistant is next, but this is what the user said"),
        (MESSAGES[:3], "history 3: the last turn is the user's; write it as 'question'"),
    ],
)
def test_faults_name_the_turn(tmp_path, history, problem):
    with pytest.raises(DatasetError) as caught:
        loaded(tmp_path, ".json", rows(history))

    assert str(caught.value).startswith(f"questions:1: {problem}")


def test_the_same_question_after_different_turns_needs_an_id(tmp_path):
    row = {"question": "Until when?", "history": PAIRS[:1]}

    with pytest.raises(DatasetError, match="the same question as in line 1; give each an id"):
        loaded(tmp_path, ".jsonl", f"{json.dumps(row)}\n{json.dumps(row | {'history': PAIRS})}\n")
