"""Blocks and sentences of plain or Markdown text, as offsets.

Answers are judged and documents are cut sentence by sentence, so both must agree on what a
sentence is. The rules are fixed (no trained model): the same text gives the same sentences
everywhere. Where the rules are in doubt, two sentences stay together rather than one being torn.

Every function is linear in the length of its text, whatever the text holds.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Block", "BlockKind", "block_sentences", "sentence_spans", "text_blocks"]


class BlockKind(StrEnum):
    """What a block of text is."""

    TEXT = "text"
    """A paragraph or a list item."""
    HEADING = "heading"
    TABLE_ROW = "table row"
    CODE = "code"
    """A fenced code block with its fences."""
    RULE = "rule"
    """A line that holds only marks, such as ``---``."""


class Block(NamedTuple):
    """The block ``text[start:end]``, without surrounding white space."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    """A heading's depth, from 1; otherwise 0."""


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of ``text`` as ``[start, end)`` offsets, in order, without surrounding white space.

    Blank lines, headings, list items, table rows and rules are borders; a table row, a heading and a
    fenced code block are one sentence each. The spans do not overlap, and every character that is
    not white space lies in one of them (so a span may hold nothing but marks).
    """
    return [span for block in text_blocks(text) for span in block_sentences(text, block)]


# ---- Blocks ----------------------------------------------------------------------------------

_LINE = re.compile(r"([^\r\n]*+)(?:\r\n|\n|\r|\Z)")
_QUOTE = re.compile(r"(?:[ \t]*+>)*+")
_HEADING = re.compile(r"[ ]{0,3}(#{1,6})(?=\s|\Z)")
_BULLET = re.compile(r"\s*+(?:[-*+•‣◦▪·](?=\s)|\(?[A-Za-z]\)(?=\s)|\([ivxIVX]{1,5}\)(?=\s))")
_NUMBER = re.compile(r"\s*+\(?(\d{1,4})[.)](?=\s)")
_RULE = re.compile(r"\s*+[-=*_~+#>|: \t]++\Z")
_UNDERLINE = re.compile(r"[ ]{0,3}(=++|--++)\s*+\Z")
_FENCE = re.compile(r"\s*+(`{3,}+|~{3,}+)([^\r\n]*+)")


class _Line(NamedTuple):
    start: int
    end: int
    content: str
    """The line without its block-quote marks."""
    quoted: bool


def text_blocks(text: str) -> list[Block]:
    """The blocks of ``text`` in order; every character that is not white space lies in one of them."""
    return _BlockReader(text).read()


class _BlockReader:
    """Gathers lines to blocks in one pass."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = _lines(text)
        self._closing_fences = _longest_fence_below(self._lines)
        self._blocks: list[Block] = []
        self._open: list[_Line] = []
        self._open_is_list = False

    def read(self) -> list[Block]:
        index = 0
        while index < len(self._lines):
            closing = self._end_of_fence(index)
            if closing is None:
                self._take(self._lines[index])
                index += 1
            else:
                self._close()
                self._add(BlockKind.CODE, self._lines[index].start, self._lines[closing].end)
                index = closing + 1
        self._close()
        return self._blocks

    def _take(self, line: _Line) -> None:
        if not line.content or line.content.isspace():
            self._close()
            self._add(BlockKind.RULE, line.start, line.end)
        elif heading := _HEADING.match(line.content):
            self._close()
            self._add(BlockKind.HEADING, line.start, line.end, len(heading[1]))
        elif self._underlines_a_title(line):
            title = self._open.pop()
            self._add(BlockKind.HEADING, title.start, line.end, 1 if "=" in line.content else 2)
        elif _RULE.match(line.content):
            self._close()
            kind = BlockKind.TABLE_ROW if "|" in line.content else BlockKind.RULE
            self._add(kind, line.start, line.end)
        elif line.content.lstrip().startswith("|") or " | " in line.content:
            self._close()
            self._add(BlockKind.TABLE_ROW, line.start, line.end)
        else:
            self._take_text(line)

    def _take_text(self, line: _Line) -> None:
        starts_item = self._starts_list_item(line)
        if starts_item or (self._open and self._open[-1].quoted != line.quoted):
            self._close()
        if not self._open:
            self._open_is_list = starts_item
        self._open.append(line)

    def _starts_list_item(self, line: _Line) -> bool:
        if _BULLET.match(line.content):
            return True
        number = _NUMBER.match(line.content)
        # As in CommonMark: "…in the year\n42. Then" is a wrapped sentence, not the 42nd item of a list.
        return number is not None and (not self._open or self._open_is_list or int(number[1]) <= 1)

    def _underlines_a_title(self, line: _Line) -> bool:
        return len(self._open) == 1 and not self._open_is_list and _UNDERLINE.match(line.content) is not None

    def _end_of_fence(self, index: int) -> int | None:
        """The line that closes the fence which the line ``index`` opens; a fence that is never closed is text."""
        fence = _FENCE.match(self._lines[index].content)
        if fence is None or ("`" in fence[1] and "`" in fence[2]):
            return None
        mark, length = fence[1][0], len(fence[1])
        if self._closing_fences[mark][index + 1] < length:
            return None
        closing = index + 1
        while _closing_fence_length(self._lines[closing], mark) < length:
            closing += 1
        return closing

    def _close(self) -> None:
        if self._open:
            self._add(BlockKind.TEXT, self._open[0].start, self._open[-1].end)
            self._open.clear()
        self._open_is_list = False

    def _add(self, kind: BlockKind, start: int, end: int, level: int = 0) -> None:
        start, end = _trimmed(self._text, start, end)
        if start < end:
            self._blocks.append(Block(kind, start, end, level))


def _lines(text: str) -> list[_Line]:
    lines = []
    for match in _LINE.finditer(text):
        content = match[1]
        marks = _QUOTE.match(content)
        quote_end = marks.end() if marks else 0
        lines.append(_Line(match.start(1), match.end(1), content[quote_end:], quote_end > 0))
    return lines


def _closing_fence_length(line: _Line, mark: str) -> int:
    if mark not in line.content:
        return 0
    stripped = line.content.strip()
    return len(stripped) if not stripped.strip(mark) else 0


def _longest_fence_below(lines: list[_Line]) -> dict[str, list[int]]:
    """Of each mark and each line, the length of the longest closing fence from there on.

    It tells at once whether a fence is ever closed; looking ahead from each fence would be quadratic.
    """
    longest = {}
    for mark in "`~":
        lengths = [0] * (len(lines) + 1)
        for index in range(len(lines) - 1, -1, -1):
            lengths[index] = max(lengths[index + 1], _closing_fence_length(lines[index], mark))
        longest[mark] = lengths
    return longest


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - (len(piece) - len(piece.rstrip())))


# ---- Sentences of a block --------------------------------------------------------------------

_CLEAR_MARKS = "。！？｡।॥؟۔։።፧။។៕᱾᱿"
"""Marks that end a sentence whatever follows: East Asian, Indic, Arabic, Armenian, Ethiopic, Burmese and Khmer ones."""
# The closing marks and the reference marks ("[1]", "[^note]") after a full stop belong to its sentence.
_END = re.compile(
    rf"(?P<marks>[.!?…{_CLEAR_MARKS}]++)"
    r"""(?P<closers>["'”’»)\]}*_`~」』）]*+)"""
    r"(?:[ \t]?+\[(?:\^\w{1,24}|[A-Za-z]?\d{1,4}(?:[,;–-] ?[A-Za-z]?\d{1,4}){0,9})\](?![(:]))*+",
)
_NEXT = re.compile(r"""\s*+["'“‘«(\[{*_`~¿¡「『（]*+(?P<word>[\w’']{0,24}+)""")
_ITEM_MARK = re.compile(r"[>\s*_+-]*+\(?(?:\d{1,4}(?:\.\d{1,4})*|[A-Za-z]|[ivxIVX]{1,5})[.)]*+(?=[\s*_])")
_DOTTED = re.compile(r"(?:\w{1,3}\.)+\w{1,3}\Z")
_LONGEST_WORD = 24
_SHORTEST_PLAIN_WORD = 4
"""A shorter word before "." and a small letter may be an abbreviation that is not listed here."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _words(
    """mr mrs ms mx dr prof gen sen rep gov lt col capt cmdr sgt rev hon pres messrs mme mlle e.g i.e eg ie cf vs v
    approx incl excl viz ca resp"""
)
"""Words that, with a full stop, go before something."""
_BEFORE_NUMBER = _words(
    """no nos nr art sec secs sect ch chap fig figs eq eqs eqn vol vols p pp par para ver app ex ext tel
    jan feb mar apr jun jul aug sep sept oct nov dec"""
)
"""Words that, with a full stop, go before a number."""
_ANYWHERE = _words(
    """inc ltd co corp llc bros jr sr esq al dept univ assn st ave blvd rd mt ft ed eds est max min avg ref
    ph.d phd dist gov't govt intl natl"""
)
"""Words that, with a full stop, stand inside a sentence or end it."""
_HALF_DAYS = _words("a.m p.m am pm")
_AFTER_HALF_DAY = _words(
    """monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thurs fri sat sun
    january february march april may june july august september october november december
    et est edt ct cst cdt mt mst mdt pt pst pdt gmt utc cet eastern central mountain pacific"""
)
_STARTERS = _words(
    """the this that these those a an it its it's he she they we you i in on at for from to if when while as but and
    or so there here what who how why where which our your his her their my by with after before during until however
    therefore please see is are do does don't not no yes all any some each every most many once then also since
    because although though unless under both only one two"""
)
"""Words that, written large, nearly always open a sentence."""


def block_sentences(text: str, block: Block) -> list[tuple[int, int]]:
    """The sentences of one block of ``text``; a block that is no running text is one sentence."""
    if block.kind is not BlockKind.TEXT:
        return [(block.start, block.end)]
    spans = []
    start = block.start
    item_mark = _ITEM_MARK.match(text, block.start, block.end)
    search_from = item_mark.end() if item_mark else block.start
    for end in _END.finditer(text, search_from, block.end):
        if _ends_sentence(text, start, end, block.end):
            spans.append(_trimmed(text, start, end.end()))
            start = end.end()
    rest = _trimmed(text, start, block.end)
    return [*spans, rest] if rest[0] < rest[1] else spans


def _ends_sentence(text: str, start: int, end: re.Match[str], block_end: int) -> bool:
    if end.end() == block_end:
        return True
    marks = end["marks"]
    if marks[-1] in _CLEAR_MARKS:
        return True
    if not text[end.end()].isspace():
        return False
    following = _NEXT.match(text, end.end(), block_end)
    next_word = following["word"] if following else ""
    if marks != ".":
        return not next_word[:1].islower()
    return _full_stop_ends(_word_before(text, start, end.start()), next_word)


def _word_before(text: str, start: int, stop: int) -> str:
    """The end of what stands before ``stop`` without white space, stripped of opening marks."""
    tail = text[max(start, stop - _LONGEST_WORD) : stop]
    words = tail.split()
    return words[-1].lstrip("\"'“‘«([{*_`~—–-/") if words and not tail[-1].isspace() else ""


def _full_stop_ends(before: str, following: str) -> bool:
    """Whether the full stop after the word ``before`` ends its sentence, given the next word."""
    word, starter = before.lower(), following[:1].isupper() and following.lower() in _STARTERS
    if word in _NEVER_LAST:
        return False
    if word in _BEFORE_NUMBER:
        return not following[:1].isdigit() and not following[:1].islower()
    if word in _HALF_DAYS:
        return following[:1].isupper() and following.lower() not in _AFTER_HALF_DAY
    if word in _ANYWHERE or _DOTTED.match(before) or _is_initial(before):
        return starter
    if following[:1].islower():
        return len(word) >= _SHORTEST_PLAIN_WORD and word.isalpha()
    return True


def _is_initial(word: str) -> bool:
    return len(word) == 1 and word.isupper()
