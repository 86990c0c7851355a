"""HTML to plain text in which headings, lists, tables and code keep their borders.

The standard library's parser is not used: how it reads broken markup changed between patch
releases of Python, and some of them need quadratic time for it. Gold passages are offsets into
the extracted text, so the same page must give the same text everywhere. This reader knows just
enough of the HTML standard to do that: it goes through the page once and never fails.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["html_to_text"]


def html_to_text(markup: str) -> str:
    """The readable text of a page.

    Headings become ``# `` lines by their level, list items ``- `` or ``1. `` lines, table cells are
    joined by `` | ``, ``<pre>`` becomes a fenced code block, other blocks become paragraphs. White
    space is folded outside ``<pre>``; scripts, styles, templates and the page's head are left out.
    Linear in the length of ``markup``.
    """
    writer = _Writer()
    for token in _tokens(markup):
        if token.tag is None:
            writer.text(token.text)
        elif token.closes:
            writer.end(token.tag)
        else:
            writer.start(token.tag)
    return writer.finish()


# ---- Reading ---------------------------------------------------------------------------------


class _Token(NamedTuple):
    text: str
    tag: str | None = None
    closes: bool = False


_DROPPED = frozenset({"script", "style", "template", "noscript", "title", "iframe", "noembed", "noframes"})
"""Elements whose content is no text of the page. All others in a page's head are empty."""
_DROPPED_MARK = {tag: re.compile(rf"<(/?){tag}(?=[\s/>])", re.IGNORECASE) for tag in _DROPPED}
_NESTING = frozenset({"template"})

_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]{0,40})[^\s/>]*+")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+(?P<double>"|\Z)|'[^']*+(?P<single>'|\Z)|[^\s>]*+))?"""
)
_TAG_END = re.compile(r"[\s/]*+>")
_BOGUS_COMMENT = re.compile(r"<(?:[!?]|/[^A-Za-z])")


def _tokens(markup: str) -> Iterator[_Token]:
    """Texts and tags in order; what is never closed goes on to the end, as in a browser."""
    position = 0
    while position < len(markup):
        opening = markup.find("<", position)
        if opening < 0:
            opening = len(markup)
        if position < opening:
            yield _Token(_unescaped(markup[position:opening]))
        if markup.startswith("<!--", opening):
            position = _after(markup, "-->", opening + 2)
        elif _BOGUS_COMMENT.match(markup, opening):
            position = _after(markup, ">", opening)
        elif tag := _TAG.match(markup, opening):
            position = _end_of_tag(markup, tag.end())
            name, closes = tag[2].lower(), bool(tag[1])
            yield _Token("", name, closes)
            if name in _DROPPED and not closes and markup[position - 2 : position] != "/>":
                position = _end_of_dropped(markup, name, position)
        else:
            if opening < len(markup):
                yield _Token("<")
            position = opening + 1


def _after(markup: str, end: str, start: int) -> int:
    found = markup.find(end, start)
    return found + len(end) if found >= 0 else len(markup)


def _end_of_tag(markup: str, position: int) -> int:
    while (end := _TAG_END.match(markup, position)) is None:
        attribute = _ATTRIBUTE.match(markup, position)
        if attribute is None:
            return len(markup)
        if "" in (attribute["double"], attribute["single"]):  # A quote that is never closed spoils its tag alone.
            return _after(markup, ">", position)
        position = attribute.end()
    return end.end()


def _end_of_dropped(markup: str, tag: str, position: int) -> int:
    depth = 1
    for mark in _DROPPED_MARK[tag].finditer(markup, position):
        if mark[1]:
            depth -= 1
        elif tag in _NESTING:
            depth += 1
        if not depth:
            return _after(markup, ">", mark.end())
    return len(markup)


_LEADING_ZEROS = re.compile(r"&#([xX]?)0++(?=[0-9A-Fa-f])")
_HUGE_NUMBER = re.compile(r"&#(?:[0-9]{8}[0-9]*+|[xX][0-9A-Fa-f]{8}[0-9A-Fa-f]*+);?")


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    # Python refuses to convert numbers of thousands of digits.
    return html.unescape(_HUGE_NUMBER.sub("\ufffd", _LEADING_ZEROS.sub(r"&#\1", text)))


# ---- Writing ---------------------------------------------------------------------------------


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_LISTS = _names("dir menu ol ul")
_CELLS = _names("td th")
_ROW_BORDERS = _names("table tr")
_PARAGRAPHS = _names(
    """address article aside blockquote body caption center details dialog dd div dl dt fieldset figcaption figure
    footer form header hgroup hr html legend main nav optgroup option p search section select summary tbody tfoot thead
    textarea"""
)
_BREAKS_IN_CODE = _PARAGRAPHS | {"br"}
_DEEPEST_INDENT = 6
_GAPS = ("", " ", "\n", "\n\n")
_SPACE = re.compile(r"\s+")
_INVISIBLE = {0x00AD: None, 0x200B: None, 0xFEFF: None}
_BACKTICKS = re.compile(r"`+")


class _Writer:
    """Turns tags and texts to lines; it keeps the lines so far, and what is due before the next text."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._gap = ""
        self._prefix = ""
        """What the next line starts with: ``# ``, ``- ``, an item's number."""
        self._in_heading = False
        self._lists: list[int | None] = []
        """The open lists: the number of the last item, or None where items are not numbered."""
        self._row: list[list[str]] | None = None
        """The texts of the open table row's cells."""
        self._code: list[str] | None = None
        """The texts of the open ``<pre>``."""

    def finish(self) -> str:
        self._end_code()
        self._end_row()
        return "".join(self._parts)

    # -- tags

    def start(self, tag: str) -> None:
        if self._code is not None:
            if tag in _BREAKS_IN_CODE:
                self._code.append("\n")
        elif tag in _HEADINGS:
            self._leave_line()
            self._in_heading = True
            self._prefix = _HEADINGS[tag]
        elif tag == "pre":
            self._leave_line()
            self._code = []
        elif tag in _CELLS:
            self._start_cell()
        elif tag == "li":
            self._start_item()
        elif tag in _LISTS:
            self._need("\n" if self._lists else "\n\n")
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "br":
            self._need(" " if self._in_heading else "\n")
        else:
            self._pass_border(tag)

    def end(self, tag: str) -> None:
        if self._code is not None:
            if tag == "pre":
                self._end_code()
        elif tag in _HEADINGS:
            self._leave_line()
        elif tag == "li":
            self._prefix = ""
            self._need("\n")
        elif tag in _LISTS:
            self._end_list()
        else:
            self._pass_border(tag)

    def _pass_border(self, tag: str) -> None:
        """What opening and closing a block have in common."""
        if tag in _ROW_BORDERS:
            self._end_row()
            self._need("\n" if tag == "tr" else "\n\n")
        elif tag in _PARAGRAPHS:
            self._need("\n\n")

    def _leave_line(self) -> None:
        """Headings and code stand on lines of their own, also within a cell of a table that lays out the page."""
        self._end_row()
        self._in_heading = False
        self._prefix = ""
        self._need("\n\n")

    def _start_cell(self) -> None:
        if self._row is None:
            self._need("\n")
            self._row = []
        self._row.append([])

    def _end_row(self) -> None:
        if self._row is None:
            return
        cells = [_folded("".join(cell)).strip() for cell in self._row]
        self._row = None
        if any(cells):
            self._put(" | ".join(cells).strip())
        self._need("\n")

    def _start_item(self) -> None:
        self._need("\n")
        if self._row is not None or self._in_heading:
            return
        mark = "- "
        if self._lists and (last := self._lists[-1]) is not None:
            self._lists[-1] = last + 1
            mark = f"{last + 1}. "
        self._prefix = "  " * (min(len(self._lists), _DEEPEST_INDENT) - 1) + mark

    def _end_list(self) -> None:
        if self._lists:
            self._lists.pop()
        self._prefix = ""
        self._need("\n" if self._lists else "\n\n")

    def _end_code(self) -> None:
        if self._code is None:
            return
        code = "".join(self._code).strip("\r\n")
        self._code = None
        if code.strip():
            longest = max((len(run) for run in _BACKTICKS.findall(code)), default=0)
            fence = "`" * max(3, longest + 1)
            self._put(f"{fence}\n{code}\n{fence}")
        self._need("\n\n")

    # -- texts

    def text(self, text: str) -> None:
        if self._code is not None:
            self._code.append(text.replace("\r\n", "\n"))
            return
        folded = _folded(text.translate(_INVISIBLE))
        if self._row is not None:
            self._row[-1].append(folded)
            return
        if folded.startswith(" "):
            self._need(" ")
        if words := folded.strip():
            self._put(words)
            if folded.endswith(" "):
                self._need(" ")

    def _put(self, words: str) -> None:
        if self._parts:
            self._parts.append(self._gap)
        self._parts.append(self._prefix + words)
        self._gap = self._prefix = ""

    def _need(self, gap: str) -> None:
        """Ask for at least ``gap`` before the next text; a table row keeps to its line."""
        if self._row is not None:
            self._row[-1].append(" ")
            return
        if gap == "\n\n" and not self._prefix:
            self._in_heading = False
        self._gap = max(self._gap, gap, key=_GAPS.index)


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text)
