from __future__ import annotations

import random
import sys

import pytest

from pytest_ragcheck.sentences import BlockKind, block_sentences, sentence_spans, text_blocks


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Mr. Smith met Dr. Jones and Prof. Lee.",
        "Bring a form of identity, e.g. A passport, i.e. The real one.",
        "See No. 5 and Fig. 3 on pp. 10 of Vol. 2.",
        "The U.S. Government employs J. R. Tolkien.",
        "It costs $3.14 or 2.5 percent of 1,000.00 in v1.2.3.",
        "Acme Inc. Headquarters and Acme Co. Limited merged.",
        "It starts at 9 a.m. Monday, or at 5 p.m. ET.",
        'He asked "Really?" and left.',
        "Wait... and see.",
        "Write to help@example.com or see https://example.com/a.b?c=d.",
        "We met in Jan. 2020 with approx. five people, etc. and so on.",
        "A sentence that is\nwrapped over three\nlines.",
        "It was in the year\n42. before anything else",
        "Smith et al. (2020) found it.",
    ],
)
def test_one_sentence_stays_whole(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He left the U.S. It was late.", ["He left the U.S.", "It was late."]),
        ("No. I think not.", ["No.", "I think not."]),
        ("Is it? Yes! Good.", ["Is it?", "Yes!", "Good."]),
        ("We close at 5 p.m. Employees go home.", ["We close at 5 p.m.", "Employees go home."]),
        ("(All is well.) **Bold.** `Code.` Plain.", ["(All is well.)", "**Bold.**", "`Code.`", "Plain."]),
        ("He said “Stop.” She went.", ["He said “Stop.”", "She went."]),
        ("One [1]. Two.[2][3] Three. [4, 5] Four.", ["One [1].", "Two.[2][3]", "Three. [4, 5]", "Four."]),
        ("Read it. [1](http://a.b) tells more.", ["Read it.", "[1](http://a.b) tells more."]),
        ("Install it with pip. pytest finds it.", ["Install it with pip. pytest finds it."]),
        ("Then install. pytest finds it.", ["Then install.", "pytest finds it."]),
        ("これは文です。次の文！終わり", ["これは文です。", "次の文！", "終わり"]),
        ("It costs $5. 20 people came.", ["It costs $5.", "20 people came."]),
        ("Nobody ended it\r\nhere. There\r\n\r\nit is", ["Nobody ended it\r\nhere.", "There", "it is"]),
        ("Choose plan B. The end.", ["Choose plan B.", "The end."]),
    ],
)
def test_borders_within_a_paragraph(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_markdown_blocks_are_borders() -> None:
    text = (
        "# Title\nIntro without a stop\n\n1. First. More\n2. Second\n   goes on\n- third\n* **fourth**\n\n"
        "Under\n=====\n| a | b |\n|---|---|\n| c. D | e |\n***\n> quoted\n> text\nplain"
    )
    assert sentences(text) == [
        "# Title",
        "Intro without a stop",
        "1. First.",
        "More",
        "2. Second\n   goes on",
        "- third",
        "* **fourth**",
        "Under\n=====",
        "| a | b |",
        "|---|---|",
        "| c. D | e |",
        "***",
        "> quoted\n> text",
        "plain",
    ]


def test_blocks_tell_their_kind_and_headings_their_level() -> None:
    blocks = text_blocks("### Deep\nText\n\nTitle\n---\n```py\n# no heading\n\n| no | row |\n```\n| a |\n\n***")
    assert [(block.kind, block.level) for block in blocks] == [
        (BlockKind.HEADING, 3),
        (BlockKind.TEXT, 0),
        (BlockKind.HEADING, 2),
        (BlockKind.CODE, 0),
        (BlockKind.TABLE_ROW, 0),
        (BlockKind.RULE, 0),
    ]


def test_a_fenced_block_is_one_sentence_and_an_unclosed_fence_is_text() -> None:
    code = "~~~~\na. B\n\n~~~\n# c\n~~~~"
    assert sentences(f"Before.\n{code}\nAfter.") == ["Before.", code, "After."]
    assert sentences("```\nFirst one.\n\n# Heading") == ["```\nFirst one.", "# Heading"]


@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t\n"])
def test_no_text_has_no_sentences(text: str) -> None:
    assert sentence_spans(text) == []


PIECES = [
    "word ", "Word. ", "e.g. ", "U.S. ", "No. ", "5 ", "3.14 ", "\n", "\n\n", "\r\n", "\r", "# ", "- ", "1. ", "> ",
    "| a | ", "```\n", "~~~\n", "---\n", "===\n", "!", "?", "...", "[1]", "。", "é", "\u2028", "\x0c", "\u00a0",
    "\"", "**", "(", ")", "\t", "😀", "\x1c",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(200))
def test_spans_cover_everything_but_white_space_in_order(seed: int) -> None:
    chosen = random.Random(seed)
    text = "".join(chosen.choices(PIECES, k=chosen.randrange(80)))
    position = 0
    for start, end in sentence_spans(text):
        assert not text[position:start].strip()
        assert position <= start < end
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()
    assert sentence_spans(text) == [span for block in text_blocks(text) for span in block_sentences(text, block)]


def steps(text: str) -> int:
    """How many lines of Python run."""
    lines = 0

    def count(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        sentence_spans(text)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    "piece", [".", '."', "a. ", "A. B ", "```\n", "~~~~x\n", "> ", "a | ", ". [1", "\n", "- ", "a\n-\n", "```\n~~~\n"]
)
def test_work_grows_with_the_length_alone(piece: str) -> None:
    short, long = piece * 300, piece * 1200
    assert steps(long) < 4 * steps(short) + 400


def test_fences_of_falling_length_are_not_searched_again_and_again() -> None:
    def falling(count: int) -> str:
        return "".join("`" * length + "x\n" for length in range(count, 2, -1))

    assert steps(falling(400)) < 4 * steps(falling(100)) + 400


@pytest.mark.parametrize("piece", [".", "[", ". [1", "`", " ", "#", "-", "|", ">", "1.", '"', "\u00a0"])
def test_long_runs_of_marks_end(piece: str) -> None:
    """A pattern that goes back over what it has read would take minutes for these."""
    text = piece * (1_000_000 // len(piece))
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
