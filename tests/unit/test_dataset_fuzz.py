"""Whatever stands in a file: questions, or a DatasetError of one line; never another exception."""

from __future__ import annotations

import json
import random

import pytest
import yaml

from pytest_ragcheck.dataset import load_questions, question_ids
from pytest_ragcheck.dataset.yaml_rows import yaml_rows
from pytest_ragcheck.errors import DatasetError

ROWS = [
    {
        "id": "a-1",
        "question": 'What\'s "this"?\nSay: it.',
        "gold": [{"doc": "a.md", "start": 1, "end": 5}, ["b.md", {"quote": "x"}], {"quote": "y", "also": True}],
        "must_contain": [["a", "b"], ["c"]],
        "thresholds": {"mrr": 0.5},
        "answerable": False,
        "tags": ["x", "é"],
    },
    {"input": "请假政策？", "expected_output": "5", "context": ["one", "two"], "metadata": {"deep": [[{}]]}},
]
CSV = 'id,question,tags,gold,answerable,thresholds\n1,"a\n""b""?",x;y,"[""a.md""]",yes,"{""mrr"": 1}"\n,ü?,,,,\n'
VALID = {
    ".jsonl": "\n".join(map(json.dumps, ROWS)),
    ".json": json.dumps({"questions": ROWS}, indent=1, ensure_ascii=False),
    ".yaml": "x-a: &a [x]\nquestions:\n- question: &q z\n  tags: *a\n- <<: {id: *q}\n  question: |\n    y\n",
    ".yml": yaml.safe_dump(ROWS, allow_unicode=True),
    ".csv": CSV,
}
PIECES = [
    *(
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b"\t",
        b" ",
        b'"',
        b"'",
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b": ",
        b",",
    ),
    *(
        b"- ",
        b"? ",
        b"&a ",
        b"*a ",
        b"!!python/name:os ",
        b"|",
        b">",
        b"%YAML 1.1\n",
        b"---",
        b"...",
        b"<<",
        b"#",
        b"`",
        b"@",
    ),
    *(b"\\ud800", b"\\u0000", b"\\", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 2000, b'{"a":' * 2000),
    *(
        b"null",
        b"true",
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"- " * 300,
        b";",
        b"\xed\xa0\x80",
        b"'''",
        b"!<x> ",
        b"\\UFFFFFFFF",
    ),
]


def mutated(content, chance):
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(data))
        length = chance.choice([0, 0, 1, 2, 10])
        data[at : at + length] = chance.choice([chance.choice(PIECES), chance.randbytes(chance.randint(0, 3)), b""])
    return bytes(data)


def outcome(call):
    try:
        return call()
    except DatasetError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    return None


def check(path):
    questions = outcome(lambda: load_questions(path, name="q"))
    ids = outcome(lambda: question_ids(path))
    if questions is not None:
        assert questions
        assert ids == tuple(question.id for question in questions)
        assert len(set(ids)) == len(ids)
        lines = path.read_bytes().count(b"\n") + path.read_bytes().count(b"\r") + path.read_text("utf-8").count("\x85")
        assert all(1 <= question.line <= lines + 2 for question in questions)


@pytest.mark.parametrize("suffix", sorted(VALID))
def test_the_files_to_mutate_are_valid(tmp_path, suffix):
    path = tmp_path / f"q{suffix}"
    path.write_text(VALID[suffix], encoding="utf-8")
    assert len(load_questions(path, name="q")) == 2


@pytest.mark.parametrize("suffix", sorted(VALID))
def test_mutated_files(tmp_path, suffix):
    chance = random.Random(f"mutated {suffix}")
    path = tmp_path / f"q{suffix}"
    for _ in range(150):
        path.write_bytes(mutated(VALID[suffix].encode("utf-8"), chance))
        check(path)


@pytest.mark.parametrize("suffix", sorted(VALID))
def test_random_files(tmp_path, suffix):
    chance = random.Random(f"random {suffix}")
    path = tmp_path / f"q{suffix}"
    for _ in range(60):
        pieces = [chance.choice([*PIECES, b"question", b"id", b"a"]) for _ in range(chance.randint(0, 30))]
        path.write_bytes(b"".join(pieces) if chance.random() < 0.7 else chance.randbytes(chance.randint(0, 200)))
        check(path)


def test_mutated_yaml_with_the_parser_in_python():
    chance = random.Random("pure")
    for _ in range(150):
        content = mutated(VALID[".yaml"].encode("utf-8"), chance).decode("utf-8", "replace")
        outcome(lambda content=content: list(yaml_rows(content, "q", loader=yaml.SafeLoader)))
