"""What GitHub Actions shows beside its log: annotations at a question's line, and the step's summary."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.baseline.datasets import path_from
from pytest_ragcheck.model import State
from pytest_ragcheck.session.terminal import write_notice

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pytest_ragcheck.model import Result, Run
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.recorder import Recorder

__all__ = ["GitHub", "is_on_github"]

MOST_ANNOTATIONS = 10
"""GitHub shows no more of one step."""
LARGEST_SUMMARY = 1_000_000
"""Characters; GitHub takes a MiB."""


def is_on_github() -> bool:
    """Whether the run is a step of GitHub Actions."""
    return _reads_the_log() or bool(os.environ.get("GITHUB_STEP_SUMMARY"))


def _reads_the_log() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


@contextmanager
def _without_commands(write_line: Callable[[str], None]) -> Iterator[None]:
    """The runner takes no line for a command meanwhile, be it in an answer or in a document.

    What ends it cannot be guessed. docs.github.com, workflow commands, "Stopping and starting workflow commands".
    """
    if not _reads_the_log():
        yield
        return
    token = secrets.token_hex(16)
    write_line(f"::stop-commands::{token}")
    try:
        yield
    finally:
        write_line(f"::{token}::")


class GitHub:
    """A plugin that writes both once the session has ended."""

    def __init__(self, config: pytest.Config, options: Options, recorder: Recorder) -> None:
        self._config = config
        self._options = options
        self._recorder = recorder

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Annotations are lines of the log that the runner takes for commands: ours, and none of the text before."""
        with _without_commands(terminalreporter.write_line):
            yield
        run = self._recorder.run
        if run is None or self._options.plan:
            return
        if _reads_the_log():
            for line in self._annotations(run):
                terminalreporter.write_line(line)
        if (problem := self._write_summary(run)) is not None:
            write_notice(terminalreporter, problem, yellow=True)

    def _write_summary(self, run: Run) -> str | None:
        """Append to the step's summary; what went wrong."""
        from pytest_ragcheck.report.markdown import markdown_report

        place = os.environ.get("GITHUB_STEP_SUMMARY")
        if not place:
            return None
        try:
            with Path(place).open("a", encoding="utf-8") as summary:
                summary.write(markdown_report(run, self._recorder.comparison, limit=LARGEST_SUMMARY))
        except OSError as problem:
            return f"the step's summary was not written: {place}: {problem.strerror}"
        return None

    def _annotations(self, run: Run) -> Iterator[str]:
        from pytest_ragcheck.report.question import first_line

        for result in [result for result in run.results if self._counts(result)][:MOST_ANNOTATIONS]:
            place = {"file": self._shown(result), "line": str(result.question.line or 1), "title": "ragcheck"}
            properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
            yield f"::error {properties}::{_message(first_line(result))}"

    def _counts(self, result: Result) -> bool:
        """Whether the result makes the run fail."""
        if result.state is State.ERROR:
            return True
        if self._options.fail_on != "regression":
            return result.state is State.FAILED
        comparison = self._recorder.comparison
        key = result.question.dataset, result.question.id, result.variant
        return comparison is not None and any(
            key == (change.dataset, change.id, change.variant) for change in comparison.broken
        )

    def _shown(self, result: Result) -> str:
        """The question file as the repository knows it."""
        file = self._recorder.question_files.get(result.question.dataset)
        if file is None:
            return result.question.dataset
        return path_from(Path(os.environ.get("GITHUB_WORKSPACE") or self._config.rootpath).resolve(), file.questions)


def _message(text: str) -> str:
    """As the runner's commands want it, so that no text of a dataset or a model starts another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
