"""Example questions, taken from documents so that they run before anybody has written one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.lexical import content_keys
from pytest_ragcheck.sentences import BlockKind, block_sentences, text_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_ragcheck.model import Document
    from pytest_ragcheck.sentences import Block

__all__ = ["EXAMPLE_TAG", "example_rows"]

EXAMPLE_TAG = "example"
_ANSWERABLE = 2
_LEAST_WORDS, _MOST_WORDS = 6, 45
_LEAST_CONTENT_WORDS = 4
_LONGEST_HEADING = 60
_MARKUP = re.compile(r"[|`<>\[\]]|\*\*|__|\]\(")
"""Marks that make a sentence a poor example: a quote has to hold them as well."""
_LEADS_ON = (":", "...", "…")
_HEADING_MARKS = re.compile(r"\A[#\s]*(?:\d{1,3}(?:\.\d{1,3})*[.)]?\s+)?|(?<![#\s])[#\s]++\Z")
"""With the section's number."""
_STRANGE = (
    "Who won the Tour de France in 1903?",
    "How tall is Mount Kilimanjaro?",
    "Which key is Beethoven's Moonlight Sonata in?",
)
"""What no documents answer; the first one is taken of which no word stands in them."""


@dataclass(frozen=True, slots=True)
class _Example:
    source: str
    headings: tuple[str, ...]
    """The document's first heading and the one above the sentence, or one of them."""
    sentence: str


def example_rows(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """Up to two questions with gold quoted from the documents, and one that they do not answer.

    The questions are made from headings: a reader of the file has to replace them, but they run. Without
    headings and sentences to take, there are fewer.
    """
    chosen = _spread([example for document in documents for example in _best(document, documents)], _ANSWERABLE)
    rows = [_answerable(example) for example in chosen]
    known = frozenset().union(*(content_keys(document.text) for document in documents))
    strange = next((question for question in _STRANGE if not content_keys(question) & known), None)
    if strange is not None:
        rows.append({"question": strange, "answerable": False, "tags": [EXAMPLE_TAG]})
    return rows


def _spread(examples: Sequence[_Example], count: int) -> list[_Example]:
    """From different documents, as far apart as may be."""
    if len(examples) <= count:
        return list(examples)
    step = (len(examples) - 1) / (count - 1)
    return [examples[round(step * place)] for place in range(count)]


def _best(document: Document, documents: Sequence[Document]) -> list[_Example]:
    """The document's best example, if it has one: a sentence below a heading of its own, that stands nowhere else."""
    candidates = list(_candidates(document))
    uses = Counter(example.headings[-1] for example in candidates)
    own = [example for example in candidates if uses[example.headings[-1]] == 1] or candidates
    deepest_first = sorted(own, key=lambda example: -len(example.headings))
    unique = (example for example in deepest_first if _occurrences(example.sentence, documents) == 1)
    best = next(unique, None)
    return [best] if best is not None else []


def _occurrences(sentence: str, documents: Iterable[Document]) -> int:
    return sum(document.text.count(sentence) for document in documents)


def _candidates(document: Document) -> Iterator[_Example]:
    """The first sentence below each heading."""
    title = ""
    heading = ""
    for block in text_blocks(document.text):
        if block.kind is BlockKind.HEADING:
            heading = _heading(document.text, block)
            title = title or heading
        elif heading and block.kind is BlockKind.TEXT:
            sentence = _first_sentence(document.text, block)
            if sentence is not None:
                yield _Example(document.source, tuple(dict.fromkeys((title, heading))), sentence)
            heading = ""


def _heading(text: str, block: Block) -> str:
    first_line = text[block.start : block.end].splitlines()[0]
    heading = _HEADING_MARKS.sub("", first_line).replace('"', "'")
    return heading if len(heading) <= _LONGEST_HEADING and not _MARKUP.search(heading) else ""


def _first_sentence(text: str, block: Block) -> str | None:
    start, end = block_sentences(text, block)[0]
    sentence = text[start:end]
    words = len(sentence.split())
    is_plain = _MARKUP.search(sentence) is None and "\n" not in sentence and sentence.isprintable()
    is_whole = sentence[0].isalnum() and not sentence.endswith(_LEADS_ON)
    tells = _LEAST_WORDS <= words <= _MOST_WORDS and len(content_keys(sentence)) >= _LEAST_CONTENT_WORDS
    return sentence if is_plain and is_whole and tells else None


def _answerable(example: _Example) -> dict[str, Any]:
    return {
        "question": _question(example),
        "reference": example.sentence,
        "gold": [{"source": example.source, "quote": example.sentence}],
        "tags": [EXAMPLE_TAG],
    }


def _question(example: _Example) -> str:
    heading = example.headings[-1]
    if heading.endswith("?"):
        return heading
    place = f' in "{example.headings[0]}"' if len(example.headings) > 1 else ""
    return f'What is said about "{heading}"{place}?'
