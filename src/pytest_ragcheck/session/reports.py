"""The files of ``--ragcheck-report``, written where the run is made: in the only process, or in xdist's controller."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.report.files import write_report
from pytest_ragcheck.session.terminal import write_notice

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ragcheck.model import Run
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.recorder import Recorder
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog

__all__ = ["Reports", "check_places"]


def check_places(options: Options, folder: Path) -> None:
    """UsageError for a report that could not be written at the session's end; paths are relative to ``folder``."""
    for path in options.reports:
        problem = _obstacle(folder / path)
        if problem is not None:
            raise pytest.UsageError(f"ragcheck: --ragcheck-report {path}: {problem}")


def _obstacle(place: Path) -> str | None:
    if place.is_dir():
        return "is a folder; name a file in it"
    above = next(folder for folder in place.parents if os.path.lexists(folder))
    if not above.is_dir():
        return f"{above} is no folder"
    return None if os.access(above, os.W_OK | os.X_OK) else f"the folder {above} cannot be written to"


class Reports:
    """A plugin that writes the reports once the session has ended, and says where they are."""

    def __init__(self, config: pytest.Config, options: Options, recorder: Recorder, catalog: SuiteCatalog) -> None:
        self._config = config
        self._options = options
        self._recorder = recorder
        self._catalog = catalog
        self._written: list[Path] = []
        self._problems: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write them; a report that cannot be written fails a session that would have passed."""
        run = self._recorder.run
        if run is None or self._options.plan:
            return
        sequential, folder = self._sequential(run), self._config.invocation_params.dir
        for path in self._options.reports:
            try:
                write_report(folder / path, run, self._recorder.comparison, sequential=sequential)
                self._written.append(path)
            except OSError as problem:
                self._problems.append(f"{path}: {problem.strerror}; the report was not written")
        if self._problems and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was written, and why not."""
        for path in self._written:
            write_notice(terminalreporter, f"wrote {path}")
        for problem in self._problems:
            write_notice(terminalreporter, problem, red=True)
        if not self._written and not self._problems:
            why = "--ragcheck-plan calls nothing" if self._options.plan else "no question was asked"
            write_notice(terminalreporter, f"no report was written: {why}", yellow=True)

    def _sequential(self, run: Run) -> Run | None:
        """The last sequential run of the same questions, to set beside a concurrent one; only HTML shows it."""
        if run.mode != "concurrent" or not any(path.suffix.lower() == ".html" for path in self._options.reports):
            return None
        from pytest_ragcheck.report.timing import first_comparable
        from pytest_ragcheck.session.runs import RunFolder

        return first_comparable(run, RunFolder.of(self._catalog, self._config.rootpath).newest("sequential"))
