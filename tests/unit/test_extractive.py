"""The offline generator."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pytest_ragcheck.lexical import content_keys, is_refusal
from pytest_ragcheck.model import Context
from pytest_ragcheck.rag.extractive import REFUSAL_TEXT, ExtractiveGenerator

LEAVE = """\
# Annual leave

Employees accrue annual leave by years of service:

* Up to 3 years: 4 hours per pay period
* Between 3 and 15 years: 6 hours per pay period

You can **carry over** a maximum of 240 annual leave hours into the [next year](https://example.org/year).

# Sick leave

There is no maximum amount of sick leave you can accrue.
"""
SECURITY = """\
# Reporting incidents

## When should I report?

Report a suspected incident within one hour to it@example.org.
Do not turn the computer off.

| Level | Cash |
| --- | --- |
| Five | 3.85% |
"""
GARDEN = "Tulips flower in April. Prune the roses after frost. Water the lawn in the evening."


def context(text, rank=1, score=0.6):
    return Context(text=text, rank=rank, score=score, source=f"{rank}.md", start=0, end=len(text))


HANDBOOK = (context(LEAVE, 1, 0.7), context(SECURITY, 2, 0.5), context(GARDEN, 3, 0.2))


def answer(question, contexts=HANDBOOK, **options):
    return ExtractiveGenerator(**options).answer(question, contexts)


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("How many hours of annual leave can I carry over?", "240"),
        ("Is there a maximum of sick leave?", "no maximum"),
        ("How many hours does an employee with 5 years of service accrue?", "6 hours"),
        ("How quickly must a suspected incident be reported, and to whom?", "one hour to it@example.org"),
        ("What is the cash for level five?", "3.85%"),
        ("When do tulips flower?", "April"),
    ],
)
def test_it_answers_with_the_supporting_passage(question, fact):
    given = answer(question)
    assert given.refused is False
    assert fact in given.text
    assert given.model == "extractive"
    assert given.contexts == HANDBOOK


@pytest.mark.parametrize("question", ["Which airline gives free upgrades?", "Who painted the ceiling?"])
def test_it_refuses_what_the_contexts_do_not_speak_of(question):
    contexts = tuple(context(item.text, item.rank, 0.2) for item in HANDBOOK)
    given = answer(question, contexts)
    assert given.refused is True
    assert given.text == REFUSAL_TEXT
    assert given.contexts == contexts


def test_its_refusal_is_understood_as_one():
    assert is_refusal(REFUSAL_TEXT)


@pytest.mark.parametrize(
    "contexts", [(), (context("", 1, 0.9),), (context("** \n| |", 1, 0.9),), (context("It is.", 1, 0.9),)]
)
def test_it_refuses_without_anything_to_say(contexts):
    assert answer("How many hours?", contexts).refused is True


@pytest.mark.parametrize("question", ["", "?", "Is it?", "What should I do?"])
def test_a_question_without_a_subject(question):
    assert answer(question, tuple(context(item.text, item.rank, 0.1) for item in HANDBOOK)).refused is True


def test_contexts_need_no_scores():
    contexts = tuple(Context(text=item.text, rank=item.rank) for item in HANDBOOK)
    assert "240" in answer("How many annual leave hours can I carry over?", contexts).text
    assert answer("Which airline gives free upgrades?", contexts).refused is True


def test_markdown_marks_are_taken_off():
    given = answer("How many annual leave hours can I carry over into the next year?")
    assert "You can carry over a maximum of 240 annual leave hours into the next year." in given.text.splitlines()
    assert not set("*#|[]") & set(answer("What is the cash for level five?").text)


def test_a_list_comes_with_the_sentence_that_leads_it_in():
    lines = answer("By what do employees accrue annual leave, years of service?").text.splitlines()
    place = lines.index("Employees accrue annual leave by years of service:")
    assert lines[place + 1 : place + 3] == [
        "Up to 3 years: 4 hours per pay period",
        "Between 3 and 15 years: 6 hours per pay period",
    ]


def test_a_question_in_the_text_is_no_answer():
    assert "?" not in answer("When should I report an incident?").text


def test_passages_keep_the_order_of_the_contexts_and_are_not_repeated():
    text = "Leave requests go to your supervisor. Travel requests go to the director of travel."
    given = answer("To whom do leave requests and travel requests go?", (context(text, 1), context(text, 2)))
    assert given.text.splitlines() == [
        "Leave requests go to your supervisor.",
        "Travel requests go to the director of travel.",
    ]


def test_rare_words_of_the_corpus_count_for_more():
    texts = ["The office orders paper.", "The office pays for sabbaticals."]
    common = Counter({"office": 100, "order": 90, "paper": 90, "pai": 90, "pay": 90, "sabbat": 1})
    key = next(iter(content_keys("sabbaticals")))
    common[key] = 1
    given = answer(
        "Does the office order sabbaticals?",
        tuple(context(text, rank, 0.5) for rank, text in enumerate(texts, start=1)),
        corpus_frequencies=common,
        chunk_count=100,
    )
    assert "sabbaticals" in given.text.splitlines()[-1]
    assert "paper" not in given.text


def test_the_same_input_gives_the_same_answer_and_says_nothing_of_its_own():
    rng = random.Random(5)
    words = [
        *LEAVE.split(),
        *SECURITY.split(),
        *GARDEN.split(),
        "\n\n",
        "\n- ",
        "\n# ",
        "?",
        ":",
        "|",
        "漢字",
        "\U0001f600",
    ]
    generator = ExtractiveGenerator()
    for _ in range(300):
        texts = [" ".join(rng.choices(words, k=rng.randint(0, 40))) for _ in range(rng.randint(0, 4))]
        contexts = tuple(
            context(text, rank, rng.choice([None, rng.random()])) for rank, text in enumerate(texts, start=1)
        )
        question = " ".join(rng.choices(words, k=rng.randint(0, 10)))
        given = generator.answer(question, contexts)
        assert given == ExtractiveGenerator().answer(question, contexts)
        assert given.text.strip()
        assert given.refused is (given.text == REFUSAL_TEXT)
        if not given.refused:
            said = frozenset().union(*(content_keys(text) for text in texts))
            assert content_keys(given.text) <= said


def test_long_contexts_are_no_trouble():
    for piece in ("a: \n", "- x y z\n", "| a | b |\n", "[a](", "Lead:\n- a\n\n", "# h\n", "word " * 20):
        assert answer("What is a word x y?", (context(piece * 2000, 1, 0.9),)).text
