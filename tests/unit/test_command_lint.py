from __future__ import annotations

import json
import random

import pytest

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.commands.lint.duplicates import LEAST_WORDS, _sharing
from pytest_ragcheck.session.config_file import find_configuration

LEAVE = """\
# Annual leave

Staff have 25 days of annual leave a year. Leave is booked in the calendar.

## Carrying over

Up to six days of leave can be carried over into the next year. They expire on 31 March.
"""
EXPENSES = "# Expenses\n\nClaims are submitted within 30 days, with receipts. Meals are paid up to 40 euros a day.\n"
CARRIED = {"source": "leave.md", "quote": "Up to six days of leave can be carried over"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    find_configuration.cache_clear()
    (tmp_path / "leave.md").write_text(LEAVE)
    (tmp_path / "expenses.md").write_text(EXPENSES)
    return tmp_path


@pytest.fixture
def lint(folder, capsys):
    """Lints questions under a configuration; the lines that were printed, the last one apart."""

    def run(*rows, toml="", arguments=(), code=0, name="q.jsonl"):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "ragcheck.toml").write_text(f'questions = "{name}"\ndocuments = ["*.md"]\n{toml}')
        find_configuration.cache_clear()
        assert main(["lint", *arguments]) == code, capsys.readouterr().out
        *lines, summary = capsys.readouterr().out.splitlines()
        run.summary = summary
        return lines

    return run


def row(question="How many days can be carried over?", **fields):
    return {"question": question, "gold": [CARRIED], "reference": "Six days.", **fields}


def test_sound_questions_are_one_line(lint):
    assert lint(row(), row("Who pays?", answerable=False, gold=None)) == []
    assert lint.summary == (
        "q.jsonl: 2 questions, compared with 2 documents: nothing found "
        "(near-duplicates by words; --embeddings finds them by meaning)"
    )


def test_stale_gold_is_an_error_that_names_what_is_nearest(lint):
    stale = {"source": "leave.md", "quote": "No more than five days of leave can be carried over into the next year."}
    [line] = lint(row(gold=[CARRIED, stale]), code=1)

    assert line.startswith("q.jsonl:1: error: gold: gold 2 of 'how-many-days-can-be-carried-over': the quote 'No more")
    assert line.endswith("; nearest is leave.md:7 'Up to six days of leave can be carried over into the next year.'")
    assert lint.summary.startswith("q.jsonl: 1 question, compared with 2 documents: 1 error (")


def test_gold_that_moved_is_looked_for_in_all_documents(lint):
    [line] = lint(
        row(gold=[{"source": "expenses.md", "quote": "Leave must be booked in the calendar"}], reference="x"), code=1
    )

    assert line.endswith("; nearest is leave.md:3 'Leave is booked in the calendar.'")


def test_every_stale_passage_is_told(lint):
    rows = [row(f"Question {n}?", gold=["nothing of this kind is written", "gone.md"], reference=None) for n in (1, 2)]
    lines = lint(*rows, code=1)

    assert [line.split(" ")[0] for line in lines] == ["q.jsonl:1:", "q.jsonl:1:", "q.jsonl:2:", "q.jsonl:2:"]
    assert lines[0].endswith("; nothing is near it")
    assert "gold 2 of 'question-1': no document 'gone.md'; there are 'expenses.md', 'leave.md'" in lines[1]


def test_every_fault_of_the_file_is_told_and_the_rest_is_checked(lint):
    lines = lint({"question": "A?", "refernce": "x"}, {"id": "b"}, row(reference="Nine days."), code=1)

    assert [line.partition(";")[0] for line in lines] == [
        "q.jsonl:1: error: question: unknown field 'refernce'",
        "q.jsonl:2: error: question: the field 'question' is missing or empty",
        "q.jsonl:3: warning: reference: the reference says 'Nine', which is not where the gold is",
    ]


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("Six days, until 31 March.", None),
        ("6 days.", None),
        ("Up to six.", None),
        ("Five days.", "the reference says 'Five', which is not where the gold is"),
        ("25 days.", "the reference says '25', which is not where the gold is"),  # in another section
        ("Ask the personnel department, politely.", "the reference shares few words with where the gold is (0% of"),
    ],
)
def test_references_must_stand_where_the_gold_is(lint, reference, told):
    lines = lint(row(reference=reference))

    assert [line.partition("reference: ")[2].startswith(told) for line in lines] == ([True] if told else [])


def test_the_whole_document_is_where_the_gold_is_if_it_is_named_alone(lint):
    assert lint(row(reference="25 days, six of them later.", gold=["leave.md"])) == []


def test_facts_must_stand_where_the_gold_is(lint):
    [line] = lint(row(must_contain=[["6 days", "six days"], "31 March", "in April"]))

    assert line == (
        "q.jsonl:1: warning: must_contain: must_contain asks for 'in April', which is not where the gold is; "
        "correct it, add the documents' spelling, or the gold"
    )


def test_strict_makes_warnings_fail(lint):
    assert lint(row(reference="Nine days."), arguments=["--strict"], code=1)
    assert lint(row(), arguments=["--strict"]) == []


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("How many days of leave can be carried over?", "How many days of leave can I carry over?", True),
        ("What is annual leave?", "What's annual leave?", True),
        ("When is annual leave?", "Who is on annual leave?", False),
        ("What notice must staff in band 1 give?", "What notice must staff in band 2 give?", False),
        ("Who approves leave in Bergen?", "Who approves leave in Tromsø?", False),
        ("May I carry leave over?", "May I not carry leave over?", False),
        ("Who pays for meals on business trips?", "Who pays for hotels on business trips?", False),
        ("¿?", "¿?!", False),
    ],
)
def test_near_duplicates_by_words(lint, first, second, same):
    lines = lint(row(first, id="first"), row(second, id="second"))

    assert bool(lines) == same
    if same:
        assert lines[0].startswith(
            "q.jsonl:2: warning: duplicate: asks the same as 'first' in q.jsonl:1 (100% of their words)"
        )


def test_the_same_words_after_other_turns_are_another_question(lint):
    turns = [{"user": "What is remote work?", "assistant": "Work from home."}]
    assert lint(row("How many days?", id="a"), row("How many days?", id="b", history=turns)) == []


def test_near_duplicates_are_all_found():
    draw = random.Random(5)
    words = [f"w{n}" for n in range(30)]
    sets = [frozenset(draw.sample(words, draw.randint(1, 9))) for _ in range(400)]

    def near(first, second):
        return len(sets[first] & sets[second]) >= LEAST_WORDS * len(sets[first] | sets[second])

    every = {(a, b) for b in range(400) for a in range(b) if near(a, b)}
    assert len(every) > 30
    candidates = list(_sharing(sets))
    assert every <= set(candidates)
    assert len(candidates) == len(set(candidates)) < 400 * 399 / 4


def test_near_duplicates_by_meaning(lint, folder):
    pytest.importorskip("numpy")
    (folder / "letters.py").write_text(
        "import numpy as np\n"
        "class Embedder:\n"
        "    fingerprint = 'letters'\n"
        "    def load(self): ...\n"
        "    def embed(self, texts):\n"
        "        rows = np.array([[text.count(a) for a in 'abcdefghijklmnopqrstuvwxyz'] for text in texts], 'float32')\n"
        "        return rows / np.linalg.norm(rows, axis=1, keepdims=True)\n"
    )
    rows = [row("Who has leave?", id="a"), row("Who leaves, ha?", id="b"), row("Why is the sky blue?", id="c")]
    toml = 'embedder = "letters:Embedder"\n'
    assert lint(*rows, toml=toml) == []
    [line] = lint(*rows, toml=toml, arguments=["--embeddings"])

    assert line.startswith("q.jsonl:2: warning: duplicate: asks the same as 'a' in q.jsonl:1 (cosine ")
    assert lint.summary.endswith("1 warning (near-duplicates by meaning)")


def test_answers_in_the_prompt_are_errors(lint):
    prompt = "$contexts  Remember: six days, until\\n31 MARCH. Who signs claims for expenses? $question"
    toml = f'top_k = 4\n[generation]\nsystem = "Be brief."\nprompt = "{prompt}"\n'
    rows = [
        row(id="a", reference="Six days, until 31 March."),
        row("Who signs claims for expenses?", id="b", reference="Six."),
    ]
    lines = lint(*rows, toml=toml, code=1)

    assert [line.partition(";")[0] for line in lines] == [
        "ragcheck.toml:6: error: leak: generation.prompt contains the reference answer of 'a': its score says nothing",
        "ragcheck.toml:6: error: leak: generation.prompt contains the text of 'b': its score says nothing",
    ]


def test_an_answer_in_its_own_question_is_a_warning(lint):
    assert lint(row("Is it six days of leave that can be carried over?", reference="Six days.")) != []
    assert lint(row("Can six days be carried over?", reference="Yes.")) == []


def test_what_has_no_gold_is_told(lint):
    lines = lint(
        row(),
        row("Who?", gold=None),
        row("Where?", gold=None, reference=None),
        row("Why not?", answerable=False),
        {"question": "Whence?", "answerable": False},
    )

    assert [line.partition(";")[0].partition("gold: ")[2] for line in lines] == [
        "answerable, but without gold",
        "answerable, but nothing says what is right: no gold, reference or must_contain",
        "an unanswerable question has gold, so the documents do speak of it",
    ]


def test_a_file_without_any_gold_is_told_once(lint):
    lines = lint(row(gold=None), row("Who?", gold=None))

    assert lines == [
        (
            "q.jsonl:1: warning: gold: no question has gold, so retrieval is not measured; "
            "quote the passages that must be found"
        )
    ]


def test_quotes_that_stand_in_many_documents_are_told(lint, folder):
    for name in "abc":
        (folder / f"{name}.md").write_text("See the handbook for more about it.")
    lines = lint(row(gold=["the handbook"], reference=None), row("B?", gold=[["a.md", "b.md", "c.md"]], reference=None))

    assert [line.partition("gold: ")[2] for line in lines] == [
        "gold 1 stands in 3 documents, and any of them counts: 'the handbook'; quote more words, or name the source"
    ]


def test_names_of_metrics_are_checked(lint, folder):
    (folder / "conftest.py").write_text(
        "import pytest_ragcheck\n\n@pytest_ragcheck.metric\ndef politeness(answer): ...\n"
    )
    toml = "[metrics]\nhitrate = 1.0\npoliteness = 0.5\nmust_contain = 1.0\n"
    rows = [row(id="a", thresholds={"groundednes": 0.5, "politeness": 1, "hit_rate": 1}), row("B?", id="b", gold=None)]
    rows[1]["thresholds"] = {"recall": 0.5}
    lines = lint(*rows, toml=toml, code=1)

    assert [line.partition(";")[0] for line in lines] == [
        "q.jsonl:1: error: thresholds: unknown metric 'groundednes'",
        "q.jsonl:2: warning: gold: answerable, but without gold",
        "q.jsonl:2: warning: thresholds: 'recall' does not apply to a question without gold",
        "ragcheck.toml:4: error: metric: unknown metric 'hitrate'",
        "ragcheck.toml:6: error: metric: metric 'must_contain' needs must_contain, and no question of q.jsonl has any",
    ]


def test_misspelt_tags_are_told(lint):
    tags = [["leave"], ["leave", "pay"], ["leave"], ["leve"], ["Leave"], ["expenses"], ["pay-day"]]
    lines = lint(*(row(f"Question number {n}?", tags=tags[n], id=f"q{n}") for n in range(7)))

    assert [line.partition(" tags: ")[2] for line in lines] == [
        "the tag 'leve' is used once, 'leave' 3 times; did you mean 'leave'?",
        "the tag 'Leave' is used once, 'leave' 3 times; did you mean 'leave'?",
    ]


def test_documents_that_cannot_be_read_are_errors(lint, folder):
    (folder / "bad.md").write_bytes(b"\xff")
    [line] = lint(row(), code=1)

    assert line == "bad.md: error: documents: not UTF-8 at byte 0; save it as UTF-8"
    assert lint.summary.startswith("q.jsonl: 1 question, no documents to compare with: 1 error")


def test_files_that_are_named_are_checked_under_their_own_configuration(lint, folder, capsys):
    lint(row())
    (folder / "sub").mkdir()
    (folder / "sub" / "ragcheck.toml").write_text('documents = ["*.txt"]\n')
    (folder / "sub" / "notes.txt").write_text("Nothing here.")
    (folder / "sub" / "more.csv").write_text("question,gold\nA?,Nothing here\n")
    assert main(["lint", "q.jsonl", "sub/more.csv"]) == 0

    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["q.jsonl", "sub/more.csv"]


def test_a_configuration_without_questions_is_one_line(folder, capsys):
    (folder / "ragcheck.toml").write_text("top_k = 5\n")
    assert main(["lint"]) == 4
    assert capsys.readouterr().err == (
        "ragcheck.toml: no questions; name the file: python -m pytest_ragcheck lint FILE\n"
    )


def test_a_check_writes_nothing(lint, folder):
    lint(row())
    assert sorted(path.name for path in folder.iterdir()) == ["expenses.md", "leave.md", "q.jsonl", "ragcheck.toml"]


def test_hostile_text_is_shown_as_escapes(lint):
    [line] = lint(row(gold=[CARRIED], reference="Six \u202edays on page 7."))
    assert "'7'" in line
    [line] = lint(row(tags=["x"], gold=["\u202ereversed and not there"]), code=1)
    assert "\u202e" not in line
