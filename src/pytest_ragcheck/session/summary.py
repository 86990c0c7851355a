"""What stands at the end of the terminal's output."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.model import Run, State
from pytest_ragcheck.report.figures import plural
from pytest_ragcheck.session.terminal import painter, summary_width, write_notice

if TYPE_CHECKING:
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.recorder import Recorder
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog

__all__ = ["Summary"]


class Summary:
    """A plugin that prints what the recorder recorded."""

    def __init__(self, recorder: Recorder, catalog: SuiteCatalog, options: Options) -> None:
        self._options = options
        self._recorder = recorder
        self._catalog = catalog

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
        """Notices, lost items, scores, money, times; with ``-v`` also questions that passed, with ``-q`` no times."""
        for notice in dict.fromkeys((*self._catalog.notices, *self._recorder.notices)):
            write_notice(terminalreporter, notice, yellow=True)
        run = self._recorder.run
        if run is None:
            if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
                self._write_way_without_test_file(terminalreporter, config)
            return
        terminalreporter.write_sep("=", "ragcheck")
        if config.get_verbosity() > 0:
            self._write_questions(terminalreporter, run, config)
        for text in self._blocks(run, config):
            terminalreporter.write_line(text)
            terminalreporter.write_line("")
        if self._recorder.lost:
            write_notice(terminalreporter, _lost(self._recorder.lost), red=True)

    def _write_way_without_test_file(self, terminalreporter: Any, config: pytest.Config) -> None:
        for questions in dict.fromkeys(suite.settings.questions for suite in self._catalog.suites):
            if questions is not None:
                shown = os.path.relpath(questions, config.invocation_params.dir)
                write_notice(
                    terminalreporter,
                    f"no test asks for ragcheck_result; to ask the questions without a test file: "
                    f"pytest --ragcheck {shlex.quote(shown)}",
                )

    def _blocks(self, run: Run, config: pytest.Config) -> list[str]:
        from pytest_ragcheck.report.calls import calls_lines, plan_lines
        from pytest_ragcheck.report.terminal import metrics_table
        from pytest_ragcheck.report.timing import timing_table

        width, paint, comparison = summary_width(config), painter(config), self._recorder.comparison
        if self._options.plan:
            return [plan_lines(self._recorder.plans, unforeseen=self._recorder.unforeseen, width=width)]
        blocks = [metrics_table(run, comparison, width=width, paint=paint) + self._expected()]
        if config.get_verbosity() >= 0 or run.mode == "sequential":
            blocks.append(timing_table(run, width=width))
        if run.model_calls is not None:
            blocks.append(calls_lines(run.model_calls, width=width))
        if run.mode == "sequential":
            blocks.append(self._against_concurrent(run, config, width))
        if comparison is not None:
            from pytest_ragcheck.report.gate import gate_report

            blocks.append(gate_report(comparison, width=width, paint=paint))
        return blocks

    def _against_concurrent(self, run: Run, config: pytest.Config, width: int) -> str:
        from pytest_ragcheck.report.timing import last_comparable, timing_comparison
        from pytest_ragcheck.session.runs import RunFolder

        last = last_comparable(run, RunFolder.of(self._catalog, config.rootpath).newest("concurrent"))
        return timing_comparison(run, last, width=width)

    def _expected(self) -> str:
        failures = self._recorder.expected_failures
        expected = f"\n{failures.count:,} failed as expected (xfail)" if failures.count else ""
        left = failures.left_to_the_gate
        return expected + (f"\n{left:,} below a threshold, left to the gate (xfail)" if left else "")

    def _write_questions(self, terminalreporter: Any, run: Run, config: pytest.Config) -> None:
        from pytest_ragcheck.report.question import question_report
        from pytest_ragcheck.report.question_colour import QuestionPainter

        width, paint = summary_width(config), painter(config)
        for result in run.results:
            if result.state is State.PASSED:  # the others stand among the failures
                question = QuestionPainter(paint)
                for line in question_report(result, width=width).splitlines():
                    terminalreporter.write_line(question.line(line))
                terminalreporter.write_line("")


def _lost(nodeids: Any) -> str:
    shown = ", ".join(nodeids[:5]) + (" ..." if len(nodeids) > 5 else "")  # noqa: PLR2004
    return f"{plural(len(nodeids), 'selected item')} never reported, so this run fails: {shown}"
