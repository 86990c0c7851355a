"""What valid question files become, in every format and in the field names of other tools."""

from __future__ import annotations

import ast
import csv
import hashlib
import importlib.util
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_ragcheck.dataset import QUESTION_SUFFIXES, load_questions, question_ids
from pytest_ragcheck.dataset.fields import unknown_field
from pytest_ragcheck.dataset.yaml_rows import yaml_rows
from pytest_ragcheck.errors import DatasetError
from pytest_ragcheck.model import Passage, Question


def load(tmp_path, suffix, content):
    path = tmp_path / f"q{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    questions = load_questions(path, name=f"evals/q{suffix}")
    assert question_ids(path) == tuple(question.id for question in questions)
    return questions


HANDBOOK_ROWS = [
    {
        "id": "hb-1",
        "question": "How much annual leave does a new starter get?",
        "reference": "25 days a year.",
        "answerable": True,
        "must_contain": [["25 days", "twenty-five days"], ["a year"]],
        "gold": [
            {"doc": "leave.md", "start": 10, "end": 20, "text": "x" * 10},
            {"doc": "leave.md", "start": 40, "end": 44, "text": "yyyy"},
            {"doc": "benefits.md", "start": 3, "end": 7, "text": "yyyy", "also": True},
        ],
        "tags": ["lookup", "leave"],
    },
    {
        "id": "hb-2",
        "question": "Is there a stock option plan?",
        "reference": "The handbook does not say.",
        "answerable": False,
        "must_contain": [],
        "gold": [],
        "tags": ["unanswerable"],
        "thresholds": {"refusal": 1, "groundedness": 0.25},
    },
]


def handbook_questions(suffix, lines):
    return (
        Question(
            id="hb-1",
            question="How much annual leave does a new starter get?",
            dataset=f"evals/q{suffix}",
            reference="25 days a year.",
            gold=(
                (Passage(source="leave.md", start=10, end=20, text="x" * 10),),
                (
                    Passage(source="leave.md", start=40, end=44, text="yyyy"),
                    Passage(source="benefits.md", start=3, end=7, text="yyyy"),
                ),
            ),
            must_contain=(("25 days", "twenty-five days"), ("a year",)),
            tags=("lookup", "leave"),
            line=lines[0],
        ),
        Question(
            id="hb-2",
            question="Is there a stock option plan?",
            dataset=f"evals/q{suffix}",
            reference="The handbook does not say.",
            answerable=False,
            tags=("unanswerable",),
            thresholds={"refusal": 1.0, "groundedness": 0.25},
            line=lines[1],
        ),
    )


def as_csv(rows):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(column) for column in columns]
        writer.writerow([json.dumps(cell) if isinstance(cell, list | dict | bool) else cell for cell in cells])
    return out.getvalue()


def lines_of_ids(content):
    lines = content.replace("\r\n", "\n").split("\n")
    return [next(number for number, line in enumerate(lines, start=1) if name in line) for name in ("hb-1", "hb-2")]


@pytest.mark.parametrize(
    ("suffix", "content", "above"),
    [
        (".jsonl", "\n".join(["", *map(json.dumps, HANDBOOK_ROWS), ""]), 0),
        (".jsonl", "\r\n\r\n".join(map(json.dumps, HANDBOOK_ROWS)), 0),
        (".json", json.dumps(HANDBOOK_ROWS), 0),
        (".json", json.dumps(HANDBOOK_ROWS, indent=1), 1),
        (".json", json.dumps({"version": 1, "questions": HANDBOOK_ROWS}, indent=1), 1),
        (".yaml", yaml.safe_dump(HANDBOOK_ROWS, sort_keys=False), 0),
        (".yml", yaml.safe_dump({"questions": HANDBOOK_ROWS, "x-mine": [1]}, sort_keys=False), 0),
        (".yaml", json.dumps(HANDBOOK_ROWS), 0),
        (".csv", as_csv(HANDBOOK_ROWS), 0),
        (".csv", "\ufeff" + as_csv(HANDBOOK_ROWS), 0),
    ],
)
def test_every_format_says_the_same(tmp_path, suffix, content, above):
    """``above`` is how many lines above the one with its id a row starts."""
    lines = [line - above for line in lines_of_ids(content)]
    assert load(tmp_path, suffix, content) == handbook_questions(suffix, lines)


@pytest.mark.parametrize("suffix", sorted(QUESTION_SUFFIXES))
def test_values_are_plain(tmp_path, suffix):
    """No type of the reader's own is left, such as serialisers between processes refuse."""
    content = as_csv(HANDBOOK_ROWS) if suffix == ".csv" else json.dumps(HANDBOOK_ROWS)
    content = content if suffix != ".jsonl" else "\n".join(map(json.dumps, HANDBOOK_ROWS))
    if suffix == ".yaml":
        content = "- {id: a, question: b, reference: c, tags: [d], must_contain: e, gold: [f, {doc: g, quote: h}]}"
    for question in load(tmp_path, suffix, content):
        passages = [passage for group in question.gold for passage in group]
        texts = [question.id, question.question, question.reference, *question.tags, *question.thresholds]
        texts += [text for fact in question.must_contain for text in fact]
        texts += [text for passage in passages for text in (passage.source, passage.text) if text is not None]
        assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
def test_both_yaml_parsers_read_the_same(loader):
    content = (
        "# first\n\nx-a: &a {tags: [a]}\nquestions:\n- <<: *a\n  question: |\n    one\n    two\n\n-\n  question: b"
    )
    rows = [(row.line, dict(row.fields)) for row in yaml_rows(content, "q.yaml", loader=loader)]
    assert rows == [(5, {"tags": ["a"], "question": "one\ntwo\n"}), (11, {"question": "b"})]


def test_yaml_scalars_are_what_their_field_is(tmp_path):
    content = """
- id: 2024-01-01
  question: no
  reference: 007
  tags: [2024, yes, 1.0]
  answerable: no
- id: 0x1F
  question: 12:30:00
  reference: ~
  thresholds: {mrr: 1, map: .5, ndcg: 1e-1}
  answerable: 'on'
"""
    with pytest.raises(DatasetError, match=r"q.yaml:7: answerable: expected true or false, got 'on' in quotes"):
        load(tmp_path, ".yaml", content)
    first, second = load(tmp_path, ".yaml", content.replace("'on'", "on"))
    assert (first.id, first.question, first.reference) == ("2024-01-01", "no", "007")
    assert (first.tags, first.answerable, first.line) == (("2024", "yes", "1.0"), False, 2)
    assert (second.id, second.question, second.reference, second.answerable) == ("0x1F", "12:30:00", None, True)
    assert second.thresholds == {"mrr": 1.0, "map": 0.5, "ndcg": 0.1}


def test_merged_fields_give_way_to_own_ones(tmp_path):
    content = """
x-a: &a {tags: [a], answerable: false, reference: from a}
x-b: &b {tags: [b], reference: from b, thresholds: {mrr: 0.5}}
questions:
  - <<: [*a, *b]
    question: &q One?
    reference: own
  - question: *q
    id: again
"""
    first, second = load(tmp_path, ".yaml", content)
    assert (first.tags, first.answerable, first.reference, first.thresholds) == (("a",), False, "own", {"mrr": 0.5})
    assert (second.id, second.question) == ("again", "One?")


def test_csv_cells(tmp_path):
    content = (
        "id , question,tags,gold,answerable,must_contain,metadata\n"
        '1,"What\nis it?",a; b ;,leave.md;docs/a b.PDF;It is so.,YES,25;26,{not json\n'
        "\n"
        "2,null,,,0,,\n"
    )
    first, second = load(tmp_path, ".csv", content)
    assert (first.id, first.question, first.tags, first.line) == ("1", "What\nis it?", ("a", "b"), 2)
    assert first.gold == (
        (Passage(source="leave.md"),),
        (Passage(source="docs/a b.PDF"),),
        (Passage(text="It is so."),),
    )
    assert first.must_contain == (("25",), ("26",))
    assert (second.question, second.answerable, second.tags, second.line) == ("null", False, (), 5)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_csv_line_ends(tmp_path, line_end):
    content = line_end.join(["question", '"a', '?"', "b?", ""])
    assert [question.line for question in load(tmp_path, ".csv", content)] == [2, 4]


# Written as deepeval 4's EvaluationDataset.save_as writes them.
GOLDEN = {
    "input": "How much leave?",
    "actual_output": None,
    "expected_output": "25 days.",
    "retrieval_context": None,
    "context": ["You get 25 days.", "Part-timers get a share."],
    "name": "leave",
    "comments": None,
    "source_file": "leave.md",
    "tools_called": None,
    "expected_tools": [{"name": "search"}],
    "token_cost": None,
    "input_token_count": 7,
    "output_token_count": None,
    "additional_metadata": {"difficulty": 1},
    "custom_column_key_values": {"owner": "HR"},
    "expectations": None,
}
GOLDEN_QUESTION = {
    "question": "How much leave?",
    "reference": "25 days.",
    "gold": ((Passage(text="You get 25 days."),), (Passage(text="Part-timers get a share."),)),
}


def fields(question):
    return {name: getattr(question, name) for name in GOLDEN_QUESTION}


def test_deepeval_json(tmp_path):
    (question,) = load(tmp_path, ".json", json.dumps([GOLDEN], indent=4, ensure_ascii=False))
    assert fields(question) == GOLDEN_QUESTION
    assert question.id == "how-much-leave"


def test_deepeval_json_lines_join_the_context(tmp_path):
    golden = {**GOLDEN, "context": "|".join(GOLDEN["context"])}
    (question,) = load(tmp_path, ".jsonl", json.dumps(golden, ensure_ascii=False) + "\n")
    assert fields(question) == GOLDEN_QUESTION


def test_deepeval_csv_joins_the_context(tmp_path):
    golden = {**GOLDEN, "context": "|".join(GOLDEN["context"])}
    cells = {name: json.dumps(cell) if isinstance(cell, list | dict) else cell for name, cell in golden.items()}
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(cells)
    writer.writerow(cells.values())
    (question,) = load(tmp_path, ".csv", out.getvalue())
    assert fields(question) == GOLDEN_QUESTION


def test_deepeval_names_as_they_are_sent(tmp_path):
    names = {"actual_output": "actualOutput", "expected_output": "expectedOutput", "source_file": "sourceFile"}
    names |= {"retrieval_context": "retrievalContext", "additional_metadata": "additionalMetadata"}
    names |= {"tools_called": "toolsCalled", "expected_tools": "expectedTools"}
    names |= {"custom_column_key_values": "customColumnKeyValues", "token_cost": "tokenCost"}
    names |= {"input_token_count": "inputTokenCount", "output_token_count": "outputTokenCount"}
    golden = {names.get(name, name): value for name, value in GOLDEN.items()} | {
        "imagesMapping": None,
        "expectedLabels": None,
    }
    (question,) = load(tmp_path, ".json", json.dumps([golden]))
    assert fields(question) == GOLDEN_QUESTION


def test_every_field_of_the_installed_deepeval_is_known():
    """Read from its source, since importing it takes seconds."""
    package = importlib.util.find_spec("deepeval")
    if package is None or package.origin is None:
        pytest.skip("deepeval is not installed")
    tree = ast.parse((Path(package.origin).parent / "dataset" / "golden.py").read_text("utf-8"))
    (golden,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Golden"]
    declared = [node for node in golden.body if isinstance(node, ast.AnnAssign) and not node.target.id.startswith("_")]
    words = [word for node in declared if isinstance(node.value, ast.Call) for word in node.value.keywords]
    aliases = [word.value.value for word in words if word.arg in {"alias", "serialization_alias"}]
    names = [node.target.id for node in declared] + aliases
    assert {"input", "expected_output", "expectedOutput", "context"} <= set(names)
    assert [name for name in names if unknown_field(name)] == []


# As ragas' Testset.to_jsonl and EvaluationDataset.to_jsonl write them.
RAGAS = {
    "user_input": "How much leave?",
    "retrieved_contexts": ["x"],
    "reference_contexts": ["<1-hop>\n\nYou get 25 days.", "<2-hop>\n\nPart-timers get a share."],
    "retrieved_context_ids": [1],
    "reference_context_ids": ["a", 2],
    "response": "30 days",
    "multi_responses": ["a", "b"],
    "reference": "25 days.",
    "rubrics": {"score1_description": "bad"},
    "persona_name": "New starter",
    "query_style": "POOR_GRAMMAR",
    "query_length": "short",
    "synthesizer_name": "multi_hop_specific_query_synthesizer",
}


def test_ragas_json_lines(tmp_path):
    (question,) = load(tmp_path, ".jsonl", json.dumps(RAGAS))
    assert fields(question) == GOLDEN_QUESTION


def test_ragas_csv_holds_lists_as_python_writes_them(tmp_path):
    row = {**RAGAS, "reference_contexts": ['It\'s "so"\\, é\t\u200b.', 'She said "yes"', "it's"]}
    out = io.StringIO()
    writer = csv.DictWriter(out, row)
    writer.writeheader()
    writer.writerow(row)
    (question,) = load(tmp_path, ".csv", out.getvalue())
    assert [group[0].text for group in question.gold] == row["reference_contexts"]


def test_rows_of_the_script_that_went_before(tmp_path):
    (question,) = load(tmp_path, ".json", '[{"question": "How much leave?", "ground_truth": "25 days."}]')
    assert (question.question, question.reference, question.gold) == ("How much leave?", "25 days.", ())


def test_fields_that_are_null_are_absent(tmp_path):
    names = ("id", "reference", "gold", "context", "must_contain", "tags", "answerable", "thresholds", "input")
    (question,) = load(tmp_path, ".jsonl", json.dumps({"question": "a?"} | dict.fromkeys(names)))
    assert question == Question(id="a", question="a?", dataset="evals/q.jsonl", line=1)


GOLD_FORMS = [
    ("documents/leave.md", ((Passage(source="documents/leave.md"),),)),
    ("See leave.md for more", ((Passage(text="See leave.md for more"),),)),
    ("Two lines\nand leave.md", ((Passage(text="Two lines\nand leave.md"),),)),
    ({"document": "notes"}, ((Passage(source="notes"),),)),
    ({"quote": "25 days"}, ((Passage(text="25 days"),),)),
    ({"source": "a.md", "text": "25 days"}, ((Passage(source="a.md", text="25 days"),),)),
    ({"source": "a.md", "start": 0, "end": 2}, ((Passage(source="a.md", start=0, end=2),),)),
    (["a.md", "b.md"], ((Passage(source="a.md"),), (Passage(source="b.md"),))),
    ([["a.md", {"quote": "b"}], "c.md"], ((Passage(source="a.md"), Passage(text="b")), (Passage(source="c.md"),))),
    (
        [["a.md"], {"doc": "b.md", "also": True}, {"doc": "c.md", "also": False}],
        ((Passage(source="a.md"), Passage(source="b.md")), (Passage(source="c.md"),)),
    ),
    ([], ()),
]


@pytest.mark.parametrize(("gold", "expected"), GOLD_FORMS)
@pytest.mark.parametrize("suffix", [".jsonl", ".yaml"])
def test_gold_forms(tmp_path, suffix, gold, expected):
    row = {"question": "a?", "gold": gold}
    content = json.dumps(row) if suffix == ".jsonl" else yaml.safe_dump([row])
    assert load(tmp_path, suffix, content)[0].gold == expected


def ids_of(tmp_path, *rows):
    rows = [row if isinstance(row, dict) else {"question": row} for row in rows]
    return [question.id for question in load(tmp_path, ".jsonl", "\n".join(map(json.dumps, rows)))]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How much annual leave?", "how-much-annual-leave"),
        ("What's the café's Straße №5?", "whats-the-cafes-strae-no5"),
        ("a" * 70, "a" * 60),
        ("b " + "a" * 70, "b"),
        (" ".join(["word"] * 20), "-".join(["word"] * 12)),
    ],
)
def test_made_ids(tmp_path, question, expected):
    assert ids_of(tmp_path, question) == [expected]


@pytest.mark.parametrize("question", ["请假政策是什么？", "???"])
def test_a_question_without_latin_words_is_named_by_its_hash(tmp_path, question):
    expected = "q-" + hashlib.sha256(question.encode()).hexdigest()[:10]
    assert ids_of(tmp_path, "One?", question) == ["one", expected]


def test_questions_of_one_slug_keep_their_ids_in_any_order(tmp_path):
    rows = ["What is it?", "what is it", "What is IT?!", "Other?", {"question": "Given?", "id": "other"}]
    expected = dict(zip(map(str, rows), ids_of(tmp_path, *rows), strict=True))
    assert len(set(expected.values())) == len(rows)
    assert expected["Other?"].startswith("other-")
    assert {made.rpartition("-")[0] for question, made in expected.items() if question in rows[:3]} == {"what-is-it"}
    shuffler = random.Random(7)
    for _ in range(5):
        shuffler.shuffle(rows)
        assert ids_of(tmp_path, *rows) == [expected[str(row)] for row in rows]


def test_given_ids(tmp_path):
    rows = [{"question": "a?", "id": given} for given in ("A.b_c-9", 7, -1.5, " padded ", "x" * 100)]
    assert ids_of(tmp_path, *rows) == ["A.b_c-9", "7", "-1.5", "padded", "x" * 100]


def test_ids_need_neither_pydantic_nor_yaml_for_json(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a?"}', encoding="utf-8")
    code = (
        "import sys, pathlib\n"
        "from pytest_ragcheck.dataset import load_questions, question_ids\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "assert question_ids(path) == ('a',)\n"
        "load_questions(path, name='q')\n"
        "print([name for name in ('pydantic', 'yaml', 'pytest', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
