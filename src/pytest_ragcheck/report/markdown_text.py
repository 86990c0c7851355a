"""Hostile text made safe for Markdown as GitHub and GitLab show it.

Nothing in such a text may become a link, an image, a mention, a reference to an issue, a tag or the end of the block
that it stands in. So texts stand in ``<code>`` or in fences alone: there nobody is mentioned and nothing is linked.
Sentences of ours stand plain, but for the names in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_ragcheck.report.textual import one_line, printable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["code", "collapsed", "fenced", "sentence", "table"]

_ACTIVE = re.compile(r"[!#$&()*:<>@\[\\\]^_`{|}~]|(?<=www)\.", re.IGNORECASE)
"""What Markdown, HTML, and GitHub's links of addresses, formulas and emoji by name rest on."""
_PLAIN = re.compile(r"(?:[^\W_]|[ ,.;()%+…-]|:(?= |$)|->)*")
"""What a sentence of ours consists of, beside names; nothing in it is a mark, a mention or a link."""
_BARE_LINK = re.compile(r"www\.", re.IGNORECASE)
_BACKTICKS = re.compile("`+")


def code(text: str, width: int | None = None) -> str:
    """``text`` on one line as ``<code>``, of at most ``width`` columns; also within a table's cell or a tag.

    Marks that could mean something are numeric entities, which no rule of Markdown or HTML takes for the mark.
    """
    line = one_line(text) if width is None else shorten(text, width)
    return f"<code>{_ACTIVE.sub(lambda mark: f'&#{ord(mark[0])};', line)}</code>"


def sentence(text: str, names: Iterable[str], width: int) -> str:
    """A sentence of ours on one line, of at most ``width`` columns, in which only ``names`` stand as ``<code>``.

    All of it does where anything else than words, numbers and punctuation is in the rest.
    """
    line = shorten(text, width)
    found = sorted({name for name in names if name.strip() and name in line}, key=len, reverse=True)
    if not found:
        return line.replace("->", "→") if _is_plain(line) else code(line)
    # Split by a group, the names are at the odd places.
    parts = re.split(rf"(?<![\w-])({'|'.join(map(re.escape, found))})(?![\w-])", line)
    if not all(map(_is_plain, parts[::2])):
        return code(line)
    return "".join(code(part) if place % 2 else part.replace("->", "→") for place, part in enumerate(parts))


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and _BARE_LINK.search(text) is None


def fenced(text: str) -> str:
    """``text`` as a block of code, behind a fence longer than any row of backticks in it."""
    safe = printable(text)
    fence = "`" * max(3, 1 + max((len(row) for row in _BACKTICKS.findall(safe)), default=0))
    return f"{fence}text\n{safe}\n{fence}"


def collapsed(summary: str, body: str) -> str:
    """``body``, folded away under ``summary``; both must be Markdown already."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def table(rows: Sequence[Iterable[str]], *, text_columns: int = 1) -> str:
    """``rows`` of Markdown, the first one the headings; the first ``text_columns`` stand left, the others right."""
    headings, *others = [list(row) for row in rows]
    borders = [":--" if column < text_columns else "--:" for column in range(len(headings))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, borders, *others])
