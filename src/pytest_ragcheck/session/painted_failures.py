"""Failures in colour: pytest would show every line of a question's report in bold red."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.report.colour import ansi
from pytest_ragcheck.report.question_colour import QuestionPainter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

__all__ = ["PaintedFailures"]

MISS = "ragcheck.ThresholdNotMet: "
FAILURE_MARKUP = {"bold": True, "red": True}


class PaintedFailures:
    """A plugin that lays colour over question reports while pytest writes the failures, and only then.

    What other plugins make of a report (JUnit, HTML, JSON) stays without it.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, Any, Any]:
        """Around pytest's own, which writes the failures."""
        if not terminalreporter.hasmarkup:
            return (yield)
        reports = [*terminalreporter.stats.get("failed", []), *terminalreporter.stats.get("error", [])]
        with _painted(reports):
            return (yield)


@contextmanager
def _painted(reports: Iterable[Any]) -> Iterator[None]:
    before = [(report, report.longrepr) for report in reports if _is_question(report)]
    for report, shown in before:
        report.longrepr = _PaintedRepr(shown)
    try:
        yield
    finally:
        for report, shown in before:
            report.longrepr = shown


def _is_question(report: Any) -> bool:
    """Whether it tells of a question: of a miss, or of an answer or a metric that could not be had."""
    if not hasattr(report.longrepr, "toterminal"):
        return False
    properties = dict(getattr(report, "user_properties", ()))
    return report.when == "call" or (report.when == "setup" and properties.get("ragcheck.state") == "error")


class _PaintedRepr:
    """Stands for what pytest keeps of an exception."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)

    def __str__(self) -> str:
        return str(self._shown)

    def toterminal(self, tw: Any) -> None:
        """Write it, painted."""
        self._shown.toterminal(_PaintingWriter(tw))


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
