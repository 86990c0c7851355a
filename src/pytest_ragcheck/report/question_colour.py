"""Colour for a question's report, line by line.

The report itself is the message of an exception, which goes to JUnit files, logs and editors too; so colour is not in
it, but is laid over it where a terminal shows it. No text from outside can pass for a part of the report: such texts
are always indented, see :func:`~pytest_ragcheck.report.question.question_report`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ragcheck.report.colour import Paint, Style

__all__ = ["QuestionPainter"]

_MARK = re.compile(r"  (FAIL|ERROR|pass)(?= )")
_MARK_STYLES: dict[str, Style] = {"FAIL": "bad", "ERROR": "bad", "pass": "good"}
_MISS = re.compile(r"(?:\d\.\d+|just) < \d\.\d+(?=$| )")
_GOLD = re.compile(r"((?<! ) +\d+  +\S+  )(gold)(?=  )")


class QuestionPainter:
    """Paints the lines of one report in their order: the verdict, titles, marks, misses and gold."""

    def __init__(self, paint: Paint) -> None:
        self._paint = paint
        self._section: str | None = None
        self._verdict: Style | None = None
        self._in_verdict = True

    def line(self, text: str) -> str:
        """The next line, painted."""
        if self._section is None and text:
            return self._head(text)
        if not text.startswith(" "):
            self._section = text.partition(" (")[0]
            return self._paint(text, "title") if text else text
        if self._section == "metrics":
            return self._metric(text)
        return self._context(text) if self._section == "contexts" else text

    def _head(self, text: str) -> str:
        """The first line and what of it stands below, indented; then where the fault lies."""
        if self._verdict is None:
            self._verdict = "good" if text.startswith("passed") else "bad"
        elif not text.startswith(" "):
            self._in_verdict = False
        return self._paint(text, self._verdict) if self._in_verdict else text

    def _metric(self, text: str) -> str:
        mark = _MARK.match(text)
        if mark is None:
            return text
        rest = text[mark.end() :]
        if mark[1] == "FAIL":
            rest = _MISS.sub(lambda miss: self._paint(miss[0], "bad"), rest)
        return f"  {self._paint(mark[1], _MARK_STYLES[mark[1]])}{rest}"

    def _context(self, text: str) -> str:
        return _GOLD.sub(lambda gold: gold[1] + self._paint(gold[2], "gold"), text, count=1)
