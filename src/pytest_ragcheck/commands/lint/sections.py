"""Documents by their sentences and sections: where a quote nearly stands, and what stands around a passage."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from pytest_ragcheck.lexical import content_keys
from pytest_ragcheck.sentences import BlockKind, sentence_spans, text_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_ragcheck.model import Passage

__all__ = ["Near", "Sections"]

LEAST_SHARE = 0.5
"""Of a quote's words that must stand in a sentence, and of the sentence's in the quote, for it to be near."""


@dataclass(frozen=True, slots=True)
class Near:
    """A sentence that is nearly a quote."""

    source: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class _Sentence:
    source: str
    start: int
    end: int
    size: int
    """Different content words."""


class Sections:
    """The documents' sentences, found by their words; the documents' sections, found by place."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = documents

    def nearest(self, quote: str, source: str | None = None) -> Near | None:
        """The sentence that shares most words with ``quote``, in the document ``source`` or anywhere; None if few."""
        keys = content_keys(quote)
        shared = Counter(number for key in keys for number in self._holders.get(key, ()))
        candidates = [number for number in shared if source is None or self._sentences[number].source == source]
        if not candidates:
            return None

        def likeness(number: int) -> float:
            return shared[number] / max(len(keys), self._sentences[number].size)

        best = max(candidates, key=lambda number: (likeness(number), -number))
        if likeness(best) < LEAST_SHARE:
            return None
        found = self._sentences[best]
        content = self._documents[found.source]
        line = content.count("\n", 0, found.start) + 1
        return Near(found.source, line, " ".join(content[found.start : found.end].split()))

    def around(self, passage: Passage) -> str:
        """The whole section in which a resolved passage stands, with the headings above it."""
        if passage.source is None or passage.source not in self._documents:
            return passage.text or ""
        content = self._documents[passage.source]
        if passage.start is None or passage.end is None:
            return content
        headings = _headings(content)
        first = max(bisect_right(headings, (passage.start, len(content))) - 1, 0)
        start = headings[first][0] if headings and headings[first][0] <= passage.start else 0
        end = next((begin for begin, _ in headings if begin >= passage.end), len(content))
        above = [content[begin:stop] for begin, stop in headings if begin < start]
        return "\n".join([*above[:1], *above[1:][-2:], content[start:end]])

    @cached_property
    def _sentences(self) -> list[_Sentence]:
        return [sentence for source, text in self._documents.items() for sentence in _sentences(source, text)]

    @cached_property
    def _holders(self) -> Mapping[str, Iterable[int]]:
        """By word, the numbers of the sentences that hold it."""
        holders: defaultdict[str, list[int]] = defaultdict(list)
        for number, sentence in enumerate(self._sentences):
            for key in content_keys(self._documents[sentence.source][sentence.start : sentence.end]):
                holders[key].append(number)
        return holders


def _sentences(source: str, text: str) -> Iterable[_Sentence]:
    for start, end in sentence_spans(text):
        yield _Sentence(source, start, end, len(content_keys(text[start:end])))


@lru_cache(maxsize=256)
def _headings(text: str) -> list[tuple[int, int]]:
    return [(block.start, block.end) for block in text_blocks(text) if block.kind is BlockKind.HEADING]
