"""Documents to chunks: slices of a document that end where its sentences and sections end.

The unit of size is the word: a run of characters between white space, where each Chinese or
Japanese character counts as one, and so does each started hundred characters of a longer run
(so that data without white space cannot hide in a chunk of one "word").
"""

from __future__ import annotations

import hashlib
import re
from itertools import accumulate, islice
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import Chunk, Document
from pytest_ragcheck.sentences import BlockKind, block_sentences, text_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CHUNKING_VERSION", "chunk_document", "chunk_documents", "count_words"]

CHUNKING_VERSION = 2
"""Part of what fingerprints an index; it rises whenever the same document gives other chunks."""

_UNSPACED = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,100}}")


def count_words(text: str) -> int:
    """The words of ``text``, as chunk sizes count them."""
    return sum(1 for _ in _WORD.finditer(text))  # a list of the words of 20 MB would take a gigabyte


def chunk_documents(documents: Iterable[Document], *, size: int, overlap: int) -> Iterator[Chunk]:
    """The chunks of all ``documents`` in order, one document after another, see :func:`chunk_document`.

    Of documents that differ at most in white space only the first is kept: a copy would take the
    places of other contexts in every retrieval.
    """
    _check_bounds(size, overlap)
    seen: set[bytes] = set()
    for document in documents:
        digest = hashlib.sha256(" ".join(document.text.split()).encode("utf-8", "surrogatepass")).digest()
        if digest not in seen:
            seen.add(digest)
            yield from chunk_document(document, size=size, overlap=overlap)


def chunk_document(document: Document, *, size: int, overlap: int) -> tuple[Chunk, ...]:
    """Cut ``document`` into chunks of at most ``size`` words that share about ``overlap`` words.

    ``document.text[chunk.start:chunk.end] == chunk.text`` holds for each of them, and every character
    that is not white space lies in at least one. A chunk ends with a sentence, a table row or a code
    block; one that does not fit into a chunk (together with the headings above it) is torn between
    words. A heading starts a new chunk once the chunk before it holds a third of ``size``, and then
    nothing is shared (unless what is left of the document is a scrap that still fits); a heading stays
    with what follows it.

    Raises:
        ConfigurationError: unless ``size >= 1`` and ``0 <= overlap < size``.

    """
    _check_bounds(size, overlap)
    units = list(_units(document.text, size, overlap))
    return tuple(
        _chunk(document, units[first].start, units[last - 1].end)
        for first, last in _Packer(units, size, overlap).ranges()
    )


def _check_bounds(size: int, overlap: int) -> None:
    if size < 1:
        raise ConfigurationError(f"chunking: size is {size}; it must be at least 1 word")
    if not 0 <= overlap < size:
        raise ConfigurationError(
            f"chunking: overlap is {overlap}; it must be at least 0 and less than the size ({size} words)"
        )


def _chunk(document: Document, start: int, end: int) -> Chunk:
    return Chunk(
        id=f"{document.source}#{start}-{end}",
        text=document.text[start:end],
        source=document.source,
        start=start,
        end=end,
    )


# ---- Units: what packing does not tear -------------------------------------------------------


class _Unit(NamedTuple):
    start: int
    end: int
    words: int
    heading: bool = False
    announces: bool = False
    """Whether it ends with a colon, so that what follows belongs to it."""


def _units(text: str, size: int, overlap: int) -> Iterator[_Unit]:
    """The sentences of ``text``; those that fit into no chunk come in pieces."""
    heading_words = 0
    for block in text_blocks(text):
        for start, end in block_sentences(text, block):
            words = count_words(text[start:end])
            room = size - heading_words if heading_words < size else size
            if block.kind is BlockKind.HEADING and words < size:
                heading_words += words
                yield _Unit(start, end, words, heading=True)
                continue
            heading_words = 0
            if words <= room:
                announces = block.kind is BlockKind.TEXT and text[end - 1] == ":"
                yield _Unit(start, end, words, announces=announces)
            else:
                yield from _pieces(text, start, end, room=room, length=overlap or size)


def _pieces(text: str, start: int, end: int, *, room: int, length: int) -> Iterator[_Unit]:
    """An over-long sentence between words, in pieces so short that chunks can share one."""
    words = (match.span() for match in _WORD.finditer(text, start, end))
    limit = min(room, length)
    window = list(islice(words, limit + 1))
    while window:
        last = len(window) if len(window) <= limit else _last_of_piece(text, window)
        yield _Unit(window[0][0], window[last - 1][1], last)
        limit = length
        window = window[last:]
        window += islice(words, limit + 1 - len(window))


def _last_of_piece(text: str, window: list[tuple[int, int]]) -> int:
    """Where a piece of all words of ``window`` but the last ends: at the last line's end in its second half, if any."""
    last = len(window) - 1
    for candidate in range(last, last // 2, -1):
        if "\n" in text[window[candidate - 1][1] : window[candidate][0]]:
            return candidate
    return last


# ---- Packing ---------------------------------------------------------------------------------

_SECTION_SHARE = 3
"""A heading cuts where the chunk before it holds at least this part (one third) of the size."""


class _Packer:
    """Groups units to chunks, front to back; ranges of units are ``[first, last)``."""

    def __init__(self, units: list[_Unit], size: int, overlap: int) -> None:
        self._units = units
        self._size = size
        self._overlap = overlap
        self._words_before = list(accumulate((unit.words for unit in units), initial=0))

    def ranges(self) -> Iterator[tuple[int, int]]:
        first = covered = 0
        while covered < len(self._units):
            last = self._without_loose_end(max(first, covered), self._reach(first))
            yield first, last
            covered = last
            first = last if last == len(self._units) else self._start_of_shared(first, last)

    def _words(self, first: int, last: int) -> int:
        return self._words_before[last] - self._words_before[first]

    def _reach(self, first: int) -> int:
        """How far a chunk that starts with the unit ``first`` can go."""
        last = first + 1
        while last < len(self._units) and self._words(first, last + 1) <= self._size:
            if self._opens_section(last) and self._is_good_cut(first, last):
                break
            last += 1
        return last

    def _opens_section(self, index: int) -> bool:
        return self._units[index].heading and not self._units[index - 1].heading

    def _is_good_cut(self, first: int, last: int) -> bool:
        """Whether the chunk is large enough, and what is left of the document is no scrap that fits into it."""
        left = self._words(last, len(self._units))
        is_scrap = left * _SECTION_SHARE < self._size and self._words(first, last) + left <= self._size
        return self._words(first, last) * _SECTION_SHARE >= self._size and not is_scrap

    def _without_loose_end(self, least: int, last: int) -> int:
        """``last`` before the headings and the announcement that would end the chunk and belong to the next.

        At least the unit ``least`` stays.
        """
        if last == len(self._units):
            return last
        end = self._before_headings(least, last)
        if end - 1 > least and self._units[end - 1].announces:
            end = self._before_headings(least, end - 1)
        return last if self._units[end - 1].heading else end

    def _before_headings(self, least: int, last: int) -> int:
        while last - 1 > least and self._units[last - 1].heading:
            last -= 1
        return last

    def _start_of_shared(self, first: int, last: int) -> int:
        """Where the next chunk starts so that it shares as nearly as possible ``overlap`` words with this one."""
        if self._units[last].heading:
            return last
        start = last
        while start - 1 > first:
            shared, longer = self._words(start, last), self._words(start - 1, last)
            overshoots = abs(longer - self._overlap) >= abs(shared - self._overlap)
            if overshoots or longer + self._units[last].words > self._size:
                break
            start -= 1
            if self._opens_section(start):
                break
        return start
