"""What stands at the end of the terminal's output."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.model import Run, State

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.recorder import Recorder
    from pytest_ragcheck.session.suites import SuiteCatalog

__all__ = ["Summary", "report_width"]

MARGIN = 4
"""pytest puts ``E   `` before each line of a failure."""
WIDEST = 160


def report_width(config: pytest.Config) -> int:
    """Columns that a report may take; there is not always a terminal reporter (``-p no:terminal``)."""
    has_terminal = config.pluginmanager.hasplugin("terminalreporter")
    columns = config.get_terminal_writer().fullwidth if has_terminal else shutil.get_terminal_size().columns
    return max(40, min(WIDEST, columns) - MARGIN)


class Summary:
    """A plugin that prints what the recorder recorded."""

    def __init__(self, recorder: Recorder, catalog: SuiteCatalog, options: Options) -> None:
        self._options = options
        self._recorder = recorder
        self._catalog = catalog

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
        """Print notices, lost items, scores and times."""
        width = report_width(config) + MARGIN
        for notice in [*self._catalog.notices, *self._recorder.notices]:
            terminalreporter.write_line(f"ragcheck: {notice}", yellow=True)
        run = self._recorder.run
        if run is None:
            if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
                self._write_way_without_test_file(terminalreporter, config)
            return
        terminalreporter.section("ragcheck")
        if config.get_verbosity() > 0:
            self._write_questions(terminalreporter, run, width)
        for text in self._blocks(run, width, config.rootpath):
            terminalreporter.write_line(text)
            terminalreporter.write_line("")
        if self._recorder.lost:
            terminalreporter.write_line(_lost(self._recorder.lost), red=True)

    def _write_way_without_test_file(self, terminalreporter: Any, config: pytest.Config) -> None:
        for questions in dict.fromkeys(suite.settings.questions for suite in self._catalog.suites):
            if questions is not None:
                shown = os.path.relpath(questions, config.invocation_params.dir)
                terminalreporter.write_line(
                    f"ragcheck: no test asks for ragcheck_result; to ask the questions without a test file: "
                    f"pytest --ragcheck {shlex.quote(shown)}"
                )

    def _blocks(self, run: Run, width: int, root: Path) -> list[str]:
        from pytest_ragcheck.report.calls import calls_lines, plan_lines
        from pytest_ragcheck.report.terminal import metrics_table
        from pytest_ragcheck.report.timing import last_comparable, timing_comparison, timing_table
        from pytest_ragcheck.session.runs import RunFolder

        if self._options.plan:
            return [plan_lines(self._recorder.plans, unforeseen=self._recorder.unforeseen, width=width)]
        blocks = [metrics_table(run, width=width) + self._expected(), timing_table(run, width=width)]
        if run.model_calls is not None:
            blocks.append(calls_lines(run.model_calls, width=width))
        if run.mode == "sequential":
            last = last_comparable(run, RunFolder.of(self._catalog, root).newest("concurrent"))
            blocks.append(timing_comparison(run, last, width=width))
        return blocks

    def _expected(self) -> str:
        count = self._recorder.expected_failures
        return f"\n{count} failed as expected (xfail)" if count else ""

    def _write_questions(self, terminalreporter: Any, run: Run, width: int) -> None:
        from pytest_ragcheck.report.question import question_report

        for result in run.results:
            if result.state is State.PASSED:  # the others stand among the failures
                terminalreporter.write_line(question_report(result, width=width))
                terminalreporter.write_line("")


def _lost(nodeids: Any) -> str:
    shown = ", ".join(nodeids[:5]) + (" ..." if len(nodeids) > 5 else "")  # noqa: PLR2004
    return f"ragcheck: {len(nodeids)} selected items never reported, so this run fails: {shown}"
