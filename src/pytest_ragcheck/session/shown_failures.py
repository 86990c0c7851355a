"""How pytest shows failed questions: in colour, and in the short summary with one line each.

By itself pytest would write every line of a question's report in bold red, and, in CI and with ``-vv``, all of the
report once more in the summary.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.report.colour import ansi
from pytest_ragcheck.report.question_colour import QuestionPainter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

__all__ = ["ShownFailures"]

MISS = "ragcheck.ThresholdNotMet: "
FAILURE_MARKUP = {"bold": True, "red": True}


class ShownFailures:
    """A plugin that changes how question reports are shown while pytest writes the failures, and only then.

    What other plugins make of a report (JUnit, HTML, JSON) stays as it is.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, Any, Any]:
        """Around pytest's own, which writes the failures."""
        reports = [*terminalreporter.stats.get("failed", []), *terminalreporter.stats.get("error", [])]
        with _shown_by(_PaintedFailure if terminalreporter.hasmarkup else _ShownFailure, reports):
            return (yield)


@contextmanager
def _shown_by(kind: type[_ShownFailure], reports: Iterable[Any]) -> Iterator[None]:
    before = [(report, report.longrepr) for report in reports if _is_question(report)]
    for report, kept in before:
        report.longrepr = kind(kept)
    try:
        yield
    finally:
        for report, kept in before:
            report.longrepr = kept


def _is_question(report: Any) -> bool:
    """Whether it tells of a question: of a miss, or of an answer or a metric that could not be had."""
    if not hasattr(report.longrepr, "toterminal"):
        return False
    if report.when == "call":
        crash = getattr(report.longrepr, "reprcrash", None)
        return crash is not None and crash.message.startswith(MISS)
    properties = dict(getattr(report, "user_properties", ()))
    return bool(report.when == "setup" and properties.get("ragcheck.state") == "error")


class _ShownFailure:
    """Stands for what pytest keeps of an exception."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kept, name)

    def __str__(self) -> str:
        return str(self._kept)

    @property
    def reprcrash(self) -> Any:
        """What the short summary quotes: the first line."""
        crash = self._kept.reprcrash
        return crash and replace(crash, message=crash.message.partition("\n")[0])


class _PaintedFailure(_ShownFailure):
    def toterminal(self, tw: Any) -> None:
        """Write it, painted."""
        self._kept.toterminal(_PaintingWriter(tw))


class _PaintingWriter:
    """A terminal writer that knows the lines of question reports.

    After an assertion pytest writes them behind ``E   ``, all in bold red; where an item could not be set up, as they
    are, and then the line's end by itself.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._painter: QuestionPainter | None = None
        self._indent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def line(self, text: str = "", **markup: bool) -> None:
        """A line of a traceback, or of an assertion's message."""
        if markup != FAILURE_MARKUP:
            self._writer.line(text, **markup)
            return
        if self._painter is None and MISS in text:
            self._painter, self._indent = QuestionPainter(ansi), text.index(MISS)
        if self._painter is None:
            self._writer.line(text, **markup)
            return
        mark = self._writer.markup(text[: self._indent].rstrip(), **markup)
        self._writer.line(mark + " " * (self._indent - 1) + self._painter.line(text[self._indent :]))

    def write(self, text: str, *, flush: bool = False, **markup: bool) -> None:
        """A line of the message of an item that could not be set up, or whatever else pytest writes."""
        if markup or text == "\n" or "\n" in text:
            self._writer.write(text, flush=flush, **markup)
            return
        if self._painter is None:
            self._painter = QuestionPainter(ansi)
        self._writer.write(self._painter.line(text), flush=flush)
