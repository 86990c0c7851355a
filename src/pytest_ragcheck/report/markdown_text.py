"""Hostile text made safe for Markdown as GitHub and GitLab show it.

Nothing in such a text may become a link, an image, a mention, a reference to an issue, a tag or the end of the block
that it stands in. So texts stand in ``<code>`` or in fences alone: there nobody is mentioned and nothing is linked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_ragcheck.report.textual import one_line, printable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["code", "collapsed", "fenced", "table"]

_ACTIVE = re.compile(r"[!#$&()*:<>@\[\\\]^_`{|}~]|(?<=www)\.", re.IGNORECASE)
"""What Markdown, HTML, and GitHub's links of addresses, formulas and emoji by name rest on."""
_BACKTICKS = re.compile("`+")


def code(text: str, width: int | None = None) -> str:
    """``text`` on one line as ``<code>``, of at most ``width`` columns; also within a table's cell or a tag.

    Marks that could mean something are numeric entities, which no rule of Markdown or HTML takes for the mark.
    """
    line = one_line(text) if width is None else shorten(text, width)
    return f"<code>{_ACTIVE.sub(lambda mark: f'&#{ord(mark[0])};', line)}</code>"


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
