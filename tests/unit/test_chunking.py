from __future__ import annotations

import random
from itertools import pairwise

import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import Chunk, Document
from pytest_ragcheck.rag.chunking import chunk_document, chunk_documents, count_words
from pytest_ragcheck.sentences import BlockKind, text_blocks


def chunks_of(text: str, size: int, overlap: int = 0) -> tuple[Chunk, ...]:
    return chunk_document(Document(source="docs/a.md", text=text), size=size, overlap=overlap)


def texts_of(text: str, size: int, overlap: int = 0) -> list[str]:
    return [chunk.text for chunk in chunks_of(text, size, overlap)]


def sentence(words: int, name: str = "w") -> str:
    return " ".join(f"{name}{number}" for number in range(words - 1)) + " end."


# ---- Properties of any document


def random_document(seed: int) -> str:
    chosen = random.Random(seed)

    def block() -> str:
        return chosen.choice(
            [
                lambda: " ".join(sentence(chosen.randrange(1, 30)).capitalize() for _ in range(chosen.randrange(1, 8))),
                lambda: "#" * chosen.randrange(1, 6) + " Heading of " + "x " * chosen.randrange(6),
                lambda: "\n".join(f"- item {sentence(chosen.randrange(1, 9))}" for _ in range(chosen.randrange(1, 6))),
                lambda: "\n".join(f"| {number} | cell |" for number in range(chosen.randrange(1, 6))),
                lambda: "```\n" + "code line\n" * chosen.randrange(1, 20) + "```",
                lambda: "endless " * chosen.randrange(1, 150),
                lambda: "y" * chosen.randrange(1, 700),
                lambda: "漢字" * chosen.randrange(1, 40) + "。",
                lambda: "Follows:",
                lambda: "Title\n=====",
                lambda: "---",
                lambda: "\u00a0\u2028\x0c😀 \x1c",
            ]
        )()

    gaps = ["\n\n", "\n", "\r\n\r\n", "\n\n\n\n", " "]
    return "".join(block() + chosen.choice(gaps) for _ in range(chosen.randrange(25)))


def settings(seed: int) -> tuple[int, int]:
    chosen = random.Random(-seed - 1)
    size = chosen.choice([1, 2, 5, 20, 50, 200])
    return size, chosen.randrange(size)


@pytest.mark.parametrize("seed", range(300))
def test_chunks_are_slices_that_cover_the_document_within_the_size(seed: int) -> None:
    text = random_document(seed)
    size, overlap = settings(seed)
    chunks = chunks_of(text, size, overlap)
    covered = 0
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end] == chunk.text.strip() != ""
        assert not text[covered : chunk.start].strip()
        assert chunk.end > covered
        assert len(chunk.text.split()) <= count_words(chunk.text) <= size
        covered = chunk.end
    assert not text[covered:].strip()
    assert [chunk.start for chunk in chunks] == sorted({chunk.start for chunk in chunks})
    assert chunks == chunks_of(text, size, overlap)


@pytest.mark.parametrize("seed", range(300))
def test_a_heading_ends_no_chunk_but_the_last(seed: int) -> None:
    text = random_document(seed)
    size, overlap = settings(seed)
    blocks = text_blocks(text)
    # Headings that together fill a chunk cannot stay with what follows.
    run, loose = 0, set()
    for block in blocks:
        run = run + count_words(text[block.start : block.end]) if block.kind is BlockKind.HEADING else 0
        if run >= size:
            loose.add(block.end)
    ends_of_headings = {block.end for block in blocks if block.kind is BlockKind.HEADING}
    if not loose:
        assert not ends_of_headings & {chunk.end for chunk in chunks_of(text, size, overlap)[:-1]}


@pytest.mark.parametrize("seed", range(100))
def test_rows_and_code_that_fit_are_not_torn(seed: int) -> None:
    text = random_document(seed)
    chunks = chunks_of(text, 200, 30)
    for block in text_blocks(text):
        whole = text[block.start : block.end]
        if block.kind in {BlockKind.TABLE_ROW, BlockKind.CODE} and count_words(whole) < 100:
            assert any(chunk.start <= block.start and block.end <= chunk.end for chunk in chunks), whole


# ---- Borders


def test_a_short_document_is_one_chunk_with_a_stable_id() -> None:
    assert chunks_of("  A short one. \n\n And more.\n", 50) == (
        Chunk(id="docs/a.md#2-27", text="A short one. \n\n And more.", source="docs/a.md", start=2, end=27),
    )


def test_no_text_has_no_chunks() -> None:
    assert chunks_of(" \n ", 50) == ()


def test_chunks_end_with_sentences() -> None:
    text = " ".join(sentence(6).capitalize() for _ in range(10))
    assert all(chunk.endswith("end.") and count_words(chunk) == 18 for chunk in texts_of(text, 20)[:-1])


def test_a_heading_starts_a_chunk_once_a_third_is_full() -> None:
    small, enough = sentence(9), sentence(10)
    rest = sentence(25)
    assert texts_of(f"{small}\n\n# New\n\n{sentence(15)}\n\n{rest}", 30)[0].endswith(
        "end.\n\n" + f"# New\n\n{sentence(15)}"
    )
    assert texts_of(f"{enough}\n\n# New\n\n{sentence(15)}\n\n{rest}", 30)[0] == enough


def test_nothing_is_shared_across_a_heading_that_cuts() -> None:
    text = f"{sentence(5)} {sentence(5).capitalize()}\n\n## Next\n\n{sentence(5)} {sentence(9).capitalize()}"
    first, second = chunks_of(text, 17, 8)
    assert second.text.startswith("## Next")
    assert first.end < second.start


def test_what_is_left_at_the_end_joins_the_last_section_where_it_fits() -> None:
    text = f"{sentence(60)}\n\n## Resources\n\n- One link\n- Another link"
    assert texts_of(text, 100) == [text]
    assert len(texts_of(text, 65)) == 2


def test_a_heading_goes_with_what_follows() -> None:
    text = f"{sentence(5)}\n\n# One\n\n## Two\n\n{sentence(18)}"
    assert texts_of(text, 24) == [sentence(5), f"# One\n\n## Two\n\n{sentence(18)}"]


def test_an_announcement_goes_with_what_follows() -> None:
    text = f"{sentence(5)}\n\nYou need:\n\n- {sentence(9)}"
    assert texts_of(text, 12) == [sentence(5), f"You need:\n\n- {sentence(9)}"]


def test_consecutive_chunks_share_about_the_overlap() -> None:
    text = " ".join(sentence(words).capitalize() for words in random.Random(7).choices(range(3, 12), k=200))
    chunks = chunks_of(text, 100, 20)
    assert len(chunks) > 10
    for before, after in pairwise(chunks):
        shared = text[after.start : before.end]
        assert 14 <= count_words(shared) <= 26
        assert shared.startswith("W0")
        assert shared.endswith("end.")


def test_what_is_shared_starts_at_most_with_its_section() -> None:
    text = f"Go. {sentence(5).capitalize()}\n\n# New\n\n{sentence(10)} {sentence(12).capitalize()} The end."
    first, second = texts_of(text, 31, 28)
    assert first.startswith("Go. ")
    assert second.startswith("# New")


def test_without_overlap_nothing_is_shared() -> None:
    chunks = chunks_of(" ".join(sentence(7).capitalize() for _ in range(50)), 30, 0)
    assert all(before.end < after.start for before, after in pairwise(chunks))


def test_a_sentence_longer_than_the_overlap_is_not_shared() -> None:
    first, second, third = sentence(20), sentence(20).capitalize(), sentence(20).capitalize()
    assert texts_of(f"{first} {second} {third}", 40, 5) == [f"{first} {second}", third]


def test_an_over_long_sentence_is_torn_between_words_and_shares_some() -> None:
    text = " ".join(f"w{number}" for number in range(100))
    chunks = chunks_of(text, 30, 10)
    assert [chunk.text.split()[0] for chunk in chunks] == ["w0", "w20", "w40", "w60", "w80"][: len(chunks)]
    assert all(count_words(chunk.text) == 30 for chunk in chunks[:-1])


def test_over_long_code_is_torn_between_lines() -> None:
    code = "```\n" + "".join(f"a = b + {number}\n" for number in range(40)) + "```"
    for chunk in texts_of(code, 23)[:-1]:
        assert chunk.splitlines()[-1].startswith("a = b + ")


def test_a_row_that_fits_is_whole_and_an_over_long_one_is_torn() -> None:
    row = "| " + " | ".join(f"c{number}" for number in range(10)) + " |"
    table = "\n".join([row] * 5)
    assert texts_of(table, 45) == ["\n".join([row] * 2)] * 2 + [row]
    assert len(texts_of(row, 10)) == 3


def test_data_without_white_space_is_bounded_too() -> None:
    assert max(len(text) for text in texts_of("x" * 10_000, 20)) == 2_000


def test_chinese_characters_are_words() -> None:
    assert count_words("漢字とabc def。") == 5
    assert all(count_words(text) <= 20 for text in texts_of("漢字" * 200, 20, 5))


def test_line_ends_are_kept() -> None:
    assert texts_of("One.\r\n\r\nTwo.\rThree.", 50) == ["One.\r\n\r\nTwo.\rThree."]


# ---- Several documents


def test_copies_but_for_white_space_are_kept_once() -> None:
    documents = [
        Document(source="b.md", text="Same text here.\n"),
        Document(source="a.md", text="Same  text\nhere."),
        Document(source="c.md", text="Other text."),
    ]
    assert [chunk.source for chunk in chunk_documents(documents, size=10, overlap=2)] == ["b.md", "c.md"]


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (10, 10), (10, -1), (10, 11)])
def test_impossible_sizes_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ConfigurationError, match=r"chunking: (size|overlap) is"):
        chunks_of("Text.", size, overlap)
    with pytest.raises(ConfigurationError):
        list(chunk_documents([], size=size, overlap=overlap))


@pytest.mark.parametrize("piece", ["a ", "a", "\n", "# x\n", "a:\n\n", "漢", ". ", "x. Y ", "| a |\n", "```\nx\n```\n"])
def test_text_of_chunks_grows_with_the_document_alone(piece: str) -> None:
    """Hostile documents give no more chunks than their length and the overlap explain."""
    text = piece * 5_000
    chunks = chunks_of(text, 100, 20)
    assert sum(len(chunk.text) for chunk in chunks) < 1.5 * len(text) + 100
    assert len(chunks) <= 2 + 2 * count_words(text) / 80
