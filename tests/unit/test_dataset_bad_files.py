"""Every fault of a question file is one line that says what, where and how to mend it."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from pytest_ragcheck.dataset import load_questions, question_ids
from pytest_ragcheck.dataset.files import MAX_FILE_BYTES, MAX_LINE_BYTES
from pytest_ragcheck.dataset.yaml_rows import yaml_rows
from pytest_ragcheck.errors import DatasetError

YAML_LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]


def refusal(tmp_path, suffix, content):
    path = tmp_path / f"q{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    with pytest.raises(DatasetError) as caught:
        load_questions(path, name=f"evals/q{suffix}")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "http" not in message
    return message.removeprefix(f"evals/q{suffix}")


QUOTES = "check the quotes, commas and brackets there"
KEEP_ONE = "is given twice; keep one of them"

JSONL_FAULTS = [
    ('\n{"id": "a"}\n', ":2: the field 'question' is missing or empty; write the question"),
    (
        '{"question": "a?"}\n\n{"question": "  "}',
        ":3: question: the text is empty; fill it in, or leave the field out",
    ),
    ('{"question": null}', ":1: the field 'question' is missing or empty; write the question"),
    ('{"question": 5}', ":1: question: expected a text, got a number; put it in quotes"),
    ('{"question": ["a?"]}', ":1: question: expected a text, got a list"),
    ('{"question": "a?", "refrence": "b"}', ":1: unknown field 'refrence'; did you mean 'reference'? ("),
    ('{"question": "a?", "answer": "b"}', ":1: unknown field 'answer'; did you mean 'reference'?"),
    ('{"scenario": "a", "turns": []}', ":1: the field 'scenario' belongs to a conversation without a question"),
    (
        '{"question": "a?", "input": "b?"}',
        ":1: 'question' and 'input' are the same field; keep one of them",
    ),
    (
        '{"question": "a?", "context": ["b"], "gold": "c.md"}',
        ":1: 'context' and 'gold' are the same field; keep one of them",
    ),
    ('{"question": "a?"}\n{"question": "b?", "question": "c?"}', f":2: the key 'question' {KEEP_ONE}"),
    (
        '{"question": "a?", "metadata": {"x": 1, "y": {"z": 1, "z": 2}}}',
        f":1: the key 'z' {KEEP_ONE}",
    ),
    ('{"question": "a?"}\n["b?"]', ":2: expected a mapping with the field 'question', got a list"),
    ('{"question": "a?"}\n{"question": "b?"', f":2: not valid JSON: expecting ',' delimiter (column 18); {QUOTES}"),
    ('{"question": "a?"} {}', f":1: not valid JSON: text after the end of the value (column 20); {QUOTES}"),
    ('{"question": "a?", "metadata": ' + "[" * 100_000, ":1: the value is nested too deep; make it flatter"),
    ('{"question": "a?", "id": ' + "7" * 5000 + "}", ":1: a number has too many digits; shorten it"),
    ('{"question": "a\\u0000b?"}', ":1: question: control character U+0000 at character 2; take it out"),
    ('{"question": "a\\ud83d b?"}', ":1: question: unpaired surrogate U+D83D at character 2; take it out"),
    ('{"question": "a?", "tags": ["x", "\\u001b[2J"]}', ":1: tags 2: control character U+001B at character 1; take"),
    ('{"question": "a?", "tags": [7]}', ":1: tags 1: expected a text, got a number; put it in quotes"),
    ('{"question": "a?", "must_contain": [["x"], []]}', ":1: must_contain: a fact without a spelling; write one"),
    ('{"question": "a?", "answerable": "no"}', ":1: answerable: expected true or false, got 'no' in quotes"),
    ('{"question": "a?", "answerable": 1}', ":1: answerable: expected true or false, got a number"),
    ('{"question": "a?", "thresholds": {"mrr": NaN}}', ":1: thresholds, 'mrr': expected a number, got NaN"),
    ('{"question": "a?", "thresholds": {"mrr": 1e999}}', ":1: thresholds, 'mrr': expected a number, got infinity"),
    ('{"question": "a?", "thresholds": {"mrr": true}}', ":1: thresholds, 'mrr': expected a number, got true"),
    (
        '{"question": "a?", "thresholds": {"m\\nr": 1.5}}',
        ":1: thresholds, 'm\\nr': expected a number from 0 to 1, got 1.5",
    ),
    ('{"question": "a?", "thresholds": {"mrr": -0.1}}', ":1: thresholds, 'mrr': expected a number from 0 to 1, got"),
    ('{"question": "a?", "thresholds": 0.5}', ":1: thresholds: expected a mapping of metrics to numbers, got a numb"),
    ('{"question": "a?", "id": "x"}\n{"question": "b?", "id": "x"}', ":2: the id 'x' is that of line 1 too; give each"),
    ('{"question": "a?", "id": 7}\n{"question": "b?", "id": "7"}', ":2: the id '7' is that of line 1 too; give each"),
    ('{"question": "a?"}\n\n{"question": "a?"}', ":3: the same question as in line 1; give each an id, or take one"),
    ('{"question": "a?", "id": true}', ":1: id: expected a text or a number, got true"),
    ('{"question": "a?", "id": "x y/z"}', ":1: id: 'x y/z' is not of letters, digits, '_', '.' and '-'; write for "),
    ('{"question": "a?", "id": "été?"}', ":1: id: 'été?' is not of letters, digits, '_', '.' and '-'; write for exam"),
    ('{"question": "a b?", "id": "' + "x" * 101 + '"}', ":1: id: '" + "x" * 57 + "...' is longer than 100 characters"),
    ('{"question": "a?", "gold": [7]}', ":1: gold 1: expected a document's path, a quote or a mapping, got a number"),
    ('{"question": "a?", "gold": [{"sorce": "x.md"}]}', ":1: gold 1: unknown key 'sorce'; did you mean 'source'?"),
    ('{"question": "a?", "gold": [{"doc": "x.md", "source": "y.md"}]}', ":1: gold 1: 'doc' and 'source' are the same"),
    ('{"question": "a?", "gold": [{"doc": "x.md", "start": 1}]}', ":1: gold 1: 'start' and 'end' belong together;"),
    ('{"question": "a?", "gold": [{"quote": "x", "start": 1, "end": 2}]}', ":1: gold 1: 'start' and 'end' need the"),
    ('{"question": "a?", "gold": [{"doc": "x.md", "start": 2, "end": 2}]}', ":1: gold 1: start 2 is not before end 2"),
    ('{"question": "a?", "gold": [{"doc": "x.md", "start": -1, "end": 2}]}', ":1: gold 1, start: expected a whole n"),
    ('{"question": "a?", "gold": [{"doc": "x.md", "start": 0, "end": 2.5}]}', ":1: gold 1, end: expected a whole nu"),
    ('{"question": "a?", "gold": [{"also": true}]}', ":1: gold 1: neither 'source' nor 'quote' is given; give a do"),
    ('{"question": "a?", "gold": [{"doc": "x.md", "also": true}]}', ":1: gold 1: 'also' joins the element before, "),
    ('{"question": "a?", "gold": ["x.md", []]}', ":1: gold 2: an empty list of alternatives; take it out"),
    ('{"question": "a?", "gold": [["x.md", ["y.md"]]]}', ":1: gold 1, alternative 2: alternatives cannot hold a lis"),
    ('{"question": "a?", "context": [7]}', ":1: context 1: expected a text, got a number; put it in quotes"),
    ('{"question": "a?", "context": {"x": 1}}', ":1: context: expected a list of texts, got a mapping"),
]


@pytest.mark.parametrize(("content", "expected"), JSONL_FAULTS)
def test_json_lines_faults(tmp_path, content, expected):
    assert refusal(tmp_path, ".jsonl", content).startswith(expected)


JSON_FAULTS = [
    ('[\n  {"question": "a?"},\n  {\n    "question": ""\n  }\n]', ":3: question: the text is empty"),
    ('{\n "questions": [\n\n {"qestion": "a?"}]}', ":4: unknown field 'qestion'; did you mean 'question'?"),
    ('[\n {"question": "a?"},\n "b?"\n]', ":3: expected a mapping with the field 'question', got 'b?'"),
    ('[\n {"question": "a?"},\n]', f":3: not valid JSON: expecting value (column 1); {QUOTES}"),
    ('[\n {"question": "a?"}\n {"question": "b?"}\n]', f":3: not valid JSON: expected ',', got '{{'; {QUOTES}"),
    ('[{"question":\n "a?\n"}]', f":2: not valid JSON: invalid control character at (column 5); {QUOTES}"),
    ('[{"question": "a?"}', f":1: not valid JSON: expected ',', got the end of the file; {QUOTES}"),
    ('[{"question": "a?"}]\n\n[]', f":3: not valid JSON: expected the end of the file, got '['; {QUOTES}"),
    ('[\n\n {"question": "a?",\n "question": "b?"}]', f":3: the key 'question' {KEEP_ONE}"),
    ('{"questions": [],\n "questions": []}', f":2: the key 'questions' {KEEP_ONE}"),
    ('{\n "question": "a?"}', ":2: unknown key 'question' beside the list of questions; did you mean 'questions'?"),
    ('{\n "version": 1}', ":1: expected a list of questions, or a mapping with it under 'questions'; found no such li"),
    ('{"questions":\n {}}', ":2: expected a list of questions, or a mapping with it under 'questions'; found no such"),
    ("{questions: []}", f":1: not valid JSON: expected a key in double quotes, got 'q'; {QUOTES}"),
    ("\n7", ":2: expected a list of questions, or a mapping with it under 'questions'; got a number"),
    ("[]", ":1: the file holds no questions; write at least one"),
    ('{"questions": []}', ":1: the file holds no questions; write at least one"),
    ("[" * 100_000, ":1: the value is nested too deep; make it flatter"),
    ('[{"question": "a?"},\n {"question": "a?"}]', ":2: the same question as in line 1; give each an id, or take"),
]


@pytest.mark.parametrize(("content", "expected"), JSON_FAULTS)
def test_json_faults(tmp_path, content, expected):
    assert refusal(tmp_path, ".json", content).startswith(expected)


YAML_FAULTS = [
    ("- id: a\n  question: b?\n- id: c\n", r":3: the field 'question' is missing or empty"),
    ("- question: a?\n-\n  question: b?\n  tag: x\n", r":3: unknown field 'tag'; did you mean 'tags'\?"),
    ("- question: a?\n- b?\n", r":2: expected a mapping with the field 'question', got 'b\?'"),
    ("- question: a?\n-\n- question: b?\n", r":2: expected a mapping with the field 'question', got nothing"),
    ("- question: a?\n  id: x\n  question: b?\n", r":3: the key 'question' is given twice; keep one of them"),
    ("- question: a?\n  metadata:\n    x: 1\n    x: 2\n", r":4: the key 'x' is given twice; keep one of them"),
    ("- question: a?\n  id: !!python/object:os.system x\n", r":2: the YAML tag '.*os\.system' is not allowed; write a"),
    ("- !!set {question: a?}\n", r":1: the YAML tag 'tag:yaml.org,2002:set' is not allowed"),
    ("!x\n- question: a?\n", r":\d: the YAML tag '!x' is not allowed"),
    (
        "- question: a?\n  reference: Note: this\n",
        r":2: not valid YAML: mapping values are not allowed .*; check the ind",
    ),
    ("- question: a?\n\t- b\n", r":2: not valid YAML: found (a tab |character .*cannot start any token)"),
    ("- question: 'a?\n", r":[12]: not valid YAML: found unexpected end of stream"),
    ("- question: *nowhere\n", r":1: the alias 'nowhere' has no anchor of its name above it"),
    ("- &a\n  question: a?\n  metadata: *a\n", r":3: the alias 'a' is used inside what it stands for"),
    ("- question: a?\n  <<: x\n", r":2: the key '<<' merges mappings alone"),
    ("- ? [a]\n  : b\n", r":1: a key of a mapping must be a plain word"),
    ("- question: a?\n---\n- question: b?\n", r":2: a second YAML document starts here; keep one document in a file"),
    ("# nothing\n", r":1: the file holds no questions; write at least one"),
    ("questions: []\n", r":1: the file holds no questions; write at least one"),
    ("a text\n", r":1: expected a list of questions, or a mapping with it under 'questions'; got 'a text'"),
    (
        "questions:\n  a: b\n",
        r":2: expected a list of questions, or a mapping with it under 'questions'; found no such",
    ),
    (
        "version: 1\nquestion: a?\n",
        r":2: unknown key 'question' beside the list of questions; did you mean 'questions'",
    ),
    ("- " * 200 + "a", r":1: nested deeper than 100 levels; make it flatter"),
    ("- question: " + "[" * 500, r":1: nested deeper than 100 levels; make it flatter"),
    ("- question: a?\n  answerable: maybe\n", r":1: answerable: expected true or false, got 'maybe'"),
    ("- question: a?\n  thresholds: {mrr: .nan}\n", r":1: thresholds, 'mrr': expected a number, got '\.nan'"),
    ("- question: a?\n  thresholds: {mrr: 2}\n", r":1: thresholds, 'mrr': expected a number from 0 to 1, got 2"),
    ('- question: a?\n  thresholds: {mrr: "0.5"}\n', r":1: thresholds, 'mrr': expected a number, got '0\.5'"),
    ("- question: a?\n  gold: [{doc: a.md, start: one, end: 2}]\n", r":1: gold 1, start: expected a whole number from"),
    ('- question: "a\\0b"\n', r":1: question: control character U\+0000 at character 2"),
    ("- question: a?\n\n- question: a?\n", r":3: the same question as in line 1; give each an id, or take one out"),
    ("- question: a?\n  id: x/y\n", r":1: id: 'x/y' is not of letters.*; write for example 'x-y'"),
    ('- question: "\\UFFFFFFFF"\n', r":1: not valid YAML: "),
]


@pytest.mark.parametrize(("content", "expected"), YAML_FAULTS)
def test_yaml_faults(tmp_path, content, expected):
    assert re.match(expected, refusal(tmp_path, ".yaml", content))


@pytest.mark.parametrize("loader", YAML_LOADERS)
@pytest.mark.parametrize("content", [content for content, _ in YAML_FAULTS])
def test_both_yaml_parsers_refuse_in_the_same_line(content, loader):
    def outcome(chosen):
        try:
            return [row.line for row in yaml_rows(content, "q.yaml", loader=chosen)]
        except DatasetError as error:
            return str(error).split(": ")[0]

    if content != "- question: 'a?\n":  # The two point to either end of an open quote.
        assert outcome(loader) == outcome(yaml.SafeLoader)


@pytest.mark.parametrize("loader", YAML_LOADERS)
def test_aliases_cannot_expand_without_bound(loader):
    levels = ["x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    content = "\n".join([*levels, "questions:", "  - question: a?", "    tags: *a9"])
    with pytest.raises(DatasetError, match=r"q.yaml:6: aliases expand to more than 16,777,216 characters"):
        list(yaml_rows(content, "q.yaml", loader=loader))


CSV_FAULTS = [
    ("question,id\na?,x\n\nb?\n", ":4: 1 cells under a header of 2 columns; put cells that hold commas or quotes in"),
    ('question,id\n"a\nb?",x\nc?,d,e\n', ":4: 3 cells under a header of 2 columns"),
    ("What is it?,It\n", ":1: no column has a name that is known; name the columns in the first row"),
    ("id,reference\nx,y\n", ":1: the header has no column 'question'; name the columns in the first row"),
    ("question,referense\na?,b\n", ":1: unknown column 'referense'; did you mean 'reference'?"),
    ("question,answer\na?,b\n", ":1: unknown column 'answer'; did you mean 'reference'?"),
    (",question\n0,a?\n", ":1: column 1 has no name; name it, or take it out (pandas: to_csv(..., index=False))"),
    ("question,question\na?,b?\n", ":1: the column 'question' is given twice; keep one of them"),
    ("question,input\na?,b?\n", ":2: 'question' and 'input' are the same field; keep one of them"),
    ("id;question\nx;a?\n", ":1: the header is separated by ';'; separate the cells by commas"),
    ("id,question\nx,\n", ":2: the field 'question' is missing or empty; write the question"),
    ('question,id\na?,x\n"b?" c,y\n', ":3: not valid CSV: ',' expected after '\"'; check the double quotes of the row"),
    ('question\n"a?\n\n', ":2: not valid CSV: unexpected end of data; check the double quotes of the row that starts"),
    ("question\n" + "x" * 200_000, ":2: not valid CSV: field larger than field limit (131072); check"),
    ('question,tags\n"a\n?",x\n"b\n?","[1, "\n', ":4: tags: not valid JSON: expecting value (column "),
    ("question,gold\na?,{source: x}\n", ":2: gold: not valid JSON: expecting property name"),
    ("question,thresholds\na?,0.5\n", ":2: thresholds: expected a mapping of metrics to numbers, got a number"),
    ("question,answerable\na?,maybe\n", ":2: answerable: expected true or false, got 'maybe'"),
    ("question\n", ":1: the file holds no questions; write at least one"),
    ('question\n"a\n?"\nb?\n"a\n?"\n', ":5: the same question as in line 2; give each an id, or take one out"),
]


@pytest.mark.parametrize(("content", "expected"), CSV_FAULTS)
def test_csv_faults(tmp_path, content, expected):
    assert refusal(tmp_path, ".csv", content).startswith(expected)


def test_an_impossible_character_in_a_python_list_is_a_fault(tmp_path):
    message = refusal(tmp_path, ".csv", "question,reference_contexts\na?,\"['\\Uffffffff']\"\n")
    assert message.startswith(":2: reference_contexts: an escape names a character that does not exist")


EVERY_SUFFIX = [".yaml", ".yml", ".json", ".jsonl", ".csv"]


@pytest.mark.parametrize("suffix", EVERY_SUFFIX)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ":1: the file is empty; write at least one question"),
        (b"\xef\xbb\xbf \n\n", ":1: the file is empty; write at least one question"),
        (b"\n\n ab\xe9c", ":3: not UTF-8: byte 0xe9 at offset 5; save the file as UTF-8"),
        (b"\xef\xbb\xbf\nab\xff", ":2: not UTF-8: byte 0xff at offset 6; save the file as UTF-8"),
        ("question".encode("utf-16"), ":1: not UTF-8: byte 0xff at offset 0; save the file as UTF-8"),
        (b"question\n\na\x00b", ":3: control character U+0000; take it out"),
        (b"question\n\x1b[31m", ":2: control character U+001B; take it out"),
        (b"\n" + b"x" * MAX_LINE_BYTES + b"y\n", ":2: the line is over the limit of 1 MB; write one question a line"),
    ],
)
def test_faults_of_any_file(tmp_path, suffix, content, expected):
    assert refusal(tmp_path, suffix, content).startswith(expected)


@pytest.mark.parametrize("suffix", EVERY_SUFFIX)
def test_a_line_at_the_limit_is_read(tmp_path, suffix):
    line = b"x" * MAX_LINE_BYTES + b"\n"
    assert "limit of" not in refusal(tmp_path, suffix, line + line + b"y:\n")


@pytest.mark.parametrize("suffix", EVERY_SUFFIX)
def test_a_file_over_the_limit_is_refused_unparsed(tmp_path, suffix):
    path = tmp_path / f"q{suffix}"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DatasetError, match=r"^q: the file is over the limit of 64 MB; split it into several files$"):
        load_questions(path, name="q")


def test_what_is_not_a_file(tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DatasetError, match=r"^q: not a regular file; give the path of a question file$"):
        load_questions(tmp_path / "folder.json", name="q")
    with pytest.raises(DatasetError, match=r"^q: no such file; check the path of the question file$"):
        load_questions(tmp_path / "missing.json", name="q")
    with pytest.raises(DatasetError, match=r"^q: not a question file by its suffix; use one of .csv, .json, .jsonl, "):
        load_questions(tmp_path / "questions.txt", name="q")


@pytest.mark.parametrize("content", ['{"id": "a"}', '{"question": "a?"}\n{"question": "a?"}', '{"question": '])
def test_ids_alone_are_refused_with_the_path(tmp_path, content):
    path = tmp_path / "q.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError) as light:
        question_ids(path)
    with pytest.raises(DatasetError) as full:
        load_questions(path, name=path.as_posix())
    assert str(light.value) == str(full.value)


def test_many_distinct_keys_before_a_double_one_are_no_load(tmp_path):
    keys = {f"k{number}": 0 for number in range(50_000)}
    row = '{"question": "a?", "metadata": ' + json.dumps(keys)[:-1] + ', "k49999": 1}}'
    assert refusal(tmp_path, ".jsonl", row) == f":1: the key 'k49999' {KEEP_ONE}"
