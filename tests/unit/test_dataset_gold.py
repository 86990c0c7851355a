"""Gold passages against the documents."""

from __future__ import annotations

import json

import pytest

from pytest_ragcheck.dataset import load_questions, resolve_gold
from pytest_ragcheck.errors import DatasetError
from pytest_ragcheck.model import Passage, Question

LEAVE = "# Leave\n\nEveryone gets 25 days\nof annual leave. Sick leave\tis unlimited.\n\nEveryone gets a coat."
COAT = LEAVE.rindex("Everyone")
BENEFITS = "# Benefits\n\nEveryone gets 25 days of annual leave.\n"
DOCUMENTS = {"handbook/leave.md": LEAVE, "handbook/benefits.md": BENEFITS, "handbook/old/benefits.md": "Old."}


def resolved(*group, documents=DOCUMENTS):
    question = Question(id="q", question="q?", dataset="evals/q.yaml", line=3, gold=(group,))
    (after,) = resolve_gold([question], documents)
    (passages,) = after.gold
    for passage in passages:
        assert passage.text == documents[passage.source][passage.start : passage.end]
    return [(passage.source, passage.start, passage.end) for passage in passages]


def refusal(*group, documents=DOCUMENTS):
    with pytest.raises(DatasetError) as caught:
        resolved(*group, documents=documents)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("evals/q.yaml:3: gold 1 of 'q': ")
    return message.removeprefix("evals/q.yaml:3: gold 1 of 'q': ")


def test_a_whole_document():
    assert resolved(Passage(source="handbook/leave.md")) == [("handbook/leave.md", None, None)]


@pytest.mark.parametrize("source", ["leave.md", "./leave.md", "handbook/leave.md"])
def test_a_path_s_unique_end_is_enough(source):
    assert resolved(Passage(source=source)) == [("handbook/leave.md", None, None)]


def test_a_path_s_end_must_start_at_a_folder():
    assert refusal(Passage(source="ave.md")).startswith("no document 'ave.md'; did you mean 'handbook/leave.md'?")


def test_a_full_path_wins_over_an_end():
    documents = {"a.md": "one", "old/a.md": "two"}
    assert resolved(Passage(source="a.md"), documents=documents) == [("a.md", None, None)]


def test_offsets():
    assert resolved(Passage(source="leave.md", start=9, end=17)) == [("handbook/leave.md", 9, 17)]
    assert LEAVE[9:17] == "Everyone"
    whole = Passage(source="leave.md", start=0, end=len(LEAVE))
    assert resolved(whole) == [("handbook/leave.md", 0, len(LEAVE))]


def test_offsets_and_quote_that_agree_but_for_white_space():
    passage = Passage(source="leave.md", start=9, end=39, text="Everyone gets 25 days of annual")
    start = LEAVE.index("Everyone")
    end = start + len("Everyone gets 25 days\nof annual")
    assert resolved(Passage(source="leave.md", start=start, end=end, text=passage.text)) == [
        ("handbook/leave.md", start, end)
    ]


def test_a_quote_is_looked_for_in_its_document():
    start = LEAVE.index("Everyone gets 25")
    end = LEAVE.index(" Sick")
    found = resolved(Passage(source="leave.md", text="Everyone gets 25 days  of annual leave."))
    assert found == [("handbook/leave.md", start, end)]


def test_a_quote_is_looked_for_as_it_is_first():
    """Only benefits.md holds it on one line, so the broken line of leave.md is no second place."""
    found = resolved(Passage(text="25 days of annual leave"))
    assert found == [("handbook/benefits.md", BENEFITS.index("25"), BENEFITS.index(".\n"))]


def test_every_place_of_a_quote_is_an_alternative():
    first, second = LEAVE.index("Everyone"), LEAVE.rindex("Everyone")
    found = resolved(Passage(text="Everyone gets"), Passage(source="leave.md", text="Everyone"))
    assert found == [
        ("handbook/leave.md", first, first + 13),
        ("handbook/leave.md", second, second + 13),
        ("handbook/benefits.md", BENEFITS.index("Everyone"), BENEFITS.index("Everyone") + 13),
        ("handbook/leave.md", first, first + 8),
        ("handbook/leave.md", second, second + 8),
    ]


def test_a_place_named_twice_is_one_alternative():
    assert len(resolved(Passage(text="unlimited"), Passage(source="leave.md", text="unlimited"))) == 1


def test_groups_stay_apart_and_resolving_again_changes_nothing():
    gold = ((Passage(source="leave.md"),), (Passage(text="Old."),), (Passage(text="Sick leave is"),))
    once = resolve_gold([Question(id="q", question="q?", gold=gold), Question(id="r", question="r?")], DOCUMENTS)
    assert [len(group) for group in once[0].gold] == [1, 1, 1]
    assert once[0].gold[0][0].text == LEAVE
    assert once[1].gold == ()
    assert resolve_gold(once, DOCUMENTS) == once


@pytest.mark.parametrize(
    ("passage", "expected"),
    [
        (Passage(source="leaf.md"), "no document 'leaf.md'; did you mean 'handbook/leave.md'?"),
        (Passage(source="handbook/laeve.md"), "no document 'handbook/laeve.md'; did you mean 'handbook/leave.md'?"),
        (
            Passage(source="xyz"),
            "no document 'xyz'; there are 'handbook/leave.md', 'handbook/benefits.md', 'handbook/old/benefits.md'",
        ),
        (
            Passage(source="benefits.md"),
            "'benefits.md' may be 'handbook/benefits.md', 'handbook/old/benefits.md'; write more of the path",
        ),
        (
            Passage(source="leave.md", start=0, end=10_000),
            f"0:10000 is not within 'handbook/leave.md', which has {len(LEAVE)} characters; correct the offsets",
        ),
        (
            Passage(source="leave.md", start=0, end=4, text="Everyone\ngets a coat."),
            f"offsets and quote disagree: 0:4 of 'handbook/leave.md' is '# Le', the quote is at {COAT}:{len(LEAVE)};",
        ),
        (
            Passage(source="leave.md", start=0, end=7, text="no such text"),
            "offsets and quote disagree: 0:7 of 'handbook/leave.md' is '# Leave', the quote is nowhere in the document",
        ),
        (
            Passage(source="leave.md", text="Everyone gets 25 days of sick leave."),
            (
                "the quote 'Everyone gets 25 days of sick leave.' is not in 'handbook/leave.md'; 'handbook/leave.md' "
                "has its first 5 words, then 'annual leave. Sick leave is unlimited.'; quote the document word for word"
            ),
        ),
        (
            Passage(text="Everyone gets a coat. And a hat."),
            (
                "the quote 'Everyone gets a coat. And a hat.' is not in any document; 'handbook/leave.md' has its "
                "first 4 words, then ends; quote the document word for word"
            ),
        ),
        (
            Passage(text="nothing like it"),
            "the quote 'nothing like it' is not in any document; quote the document word",
        ),
    ],
)
def test_faults(passage, expected):
    assert refusal(passage).startswith(expected)


def test_faults_without_documents():
    assert refusal(Passage(source="a.md"), documents={}).startswith("no document 'a.md'; there are no documents, check")
    assert refusal(Passage(text="a"), documents={}).startswith("the quote 'a' is not in any document;")


def test_a_quote_that_is_everywhere():
    message = refusal(Passage(text="a"), documents={"a.md": "a " * 2000})
    assert message == "the quote 'a' occurs more than 1,000 times; quote more words"


def test_hostile_white_space_is_no_load():
    """A pattern that tried every way to split the spaces would never end here."""
    documents = {"a.md": ("word" + " " * 5_000) * 200}
    assert refusal(Passage(text="word word\tword x"), documents=documents).startswith("the quote 'word word\\tword x'")
    assert len(resolved(Passage(text="word word"), documents=documents)) == 100


def test_a_handbook_s_rows_from_file_to_spans(tmp_path):
    at = LEAVE.index("25 days\nof annual leave")
    also = BENEFITS.index("25 days of annual leave")
    row = {
        "id": "hb-1",
        "question": "How much leave?",
        "must_contain": [["25 days"]],
        "gold": [
            {"doc": "leave.md", "start": at, "end": at + 23, "text": "25 days\nof annual leave"},
            {
                "doc": "handbook/benefits.md",
                "start": also,
                "end": also + 23,
                "text": "25 days of annual leave",
                "also": True,
            },
            {"doc": "leave.md", "text": "Everyone gets a coat."},
        ],
    }
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (question,) = resolve_gold(load_questions(path, name="questions.jsonl"), DOCUMENTS)
    assert [[(p.source, p.text) for p in group] for group in question.gold] == [
        [("handbook/leave.md", "25 days\nof annual leave"), ("handbook/benefits.md", "25 days of annual leave")],
        [("handbook/leave.md", "Everyone gets a coat.")],
    ]


def test_each_document_is_asked_for_once_for_all_quotes_that_name_none():
    """Where the texts are too many for memory, asking for one is reading a file."""

    class Counted(dict):
        asked = 0

        def __getitem__(self, source):
            Counted.asked += 1
            return super().__getitem__(source)

        def items(self):
            return ((source, self[source]) for source in self)

    documents = Counted({f"page-{number}.md": f"Fact {number}.\n\nEnd of {number}." for number in range(50)})
    quotes = [f"Fact {number}." for number in range(50)] + [f"{number}. End of {number}." for number in range(50)]
    questions = [
        Question(id=quote, question="q?", gold=((Passage(text=quote), Passage(source="page-7.md")),))
        for quote in quotes
    ]
    after = resolve_gold(questions, documents)
    assert [question.gold[0][0].source for question in after] == [f"page-{number}.md" for number in range(50)] * 2
    assert len({id(question.gold[0][1]) for question in after}) == 1
    assert documents.asked < 2 * len(documents) + 3 * len(quotes)
