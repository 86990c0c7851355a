"""The gate in a session: which baseline counts, whether the run is worse, and what becomes of the exit status."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.errors import ConfigurationError, RagcheckError
from pytest_ragcheck.report.figures import plural
from pytest_ragcheck.session.recorder import runners_left_out
from pytest_ragcheck.session.terminal import painter, summary_width, write_notice

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from pytest_ragcheck.baseline.datasets import QuestionFile
    from pytest_ragcheck.baseline.entries import Baseline
    from pytest_ragcheck.baseline.settings import GateSettings
    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.model import Run
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.recorder import Recorder
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog

__all__ = ["Gate", "check_baselines"]

SOME_METRICS = (
    "--ragcheck-update-baseline with --ragcheck-metrics would drop the other metrics from the baseline; leave one out"
)
MOST_EARLIER_RUNS = 10
BROKEN_SHOWN = 3
"""Question reports of broken questions where these do not stand among the failures already."""


def check_baselines(options: Options, catalog: SuiteCatalog) -> None:
    """UsageError for a baseline that could not be compared with at the session's end, as far as it is known now."""
    if options.update_baseline and options.metrics is not None:
        raise pytest.UsageError(f"ragcheck: {SOME_METRICS}")
    baselines = catalog.baselines
    for path in dict.fromkeys([*baselines.named, *(baselines.path_of(suite.file) for suite in catalog.suites)]):
        try:
            baseline = baselines.load(path)
        except ConfigurationError as problem:
            raise pytest.UsageError(f"ragcheck: {_shortened(str(problem))}") from None
        if baseline is None and options.require_baseline and not options.update_baseline:
            raise pytest.UsageError(f"ragcheck: {_shortened(_absent(path))}")


class Gate:
    """A plugin that compares the recorder's run with its baseline, or makes it the baseline."""

    def __init__(self, config: pytest.Config, options: Options, recorder: Recorder, catalog: SuiteCatalog) -> None:
        self._config = config
        self._options = options
        self._recorder = recorder
        self._catalog = catalog
        self._notices: list[str] = []
        self._problems: list[str] = []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Decide, and let a run that does not pass fail."""
        run = self._recorder.run
        if self._options.plan:
            return
        try:
            if self._recorder.elsewhere and (self._options.gates or self._options.update_baseline):
                self._refuse_elsewhere()
            elif run is None:
                self._tell_nothing()
            elif self._options.update_baseline:
                self._update(run)
            else:
                self._compare(run)
        except RagcheckError as problem:
            self._problems.append(_shortened(str(problem)))
        if self._problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(wrapper=True, trylast=True)  # within pytest's own, which shows the failures first
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """What broke, before all figures, as failures stand there; what became of the baseline, after them."""
        comparison = self._recorder.comparison
        if comparison is not None and self._options.fail_on == "regression":
            self._write_broken(terminalreporter, comparison)
        yield
        for notice in self._notices:
            write_notice(terminalreporter, notice)
        for problem in self._problems:
            write_notice(terminalreporter, problem, red=True)

    def _tell_nothing(self) -> None:
        """There is no result: fine where no question was selected, and a failure where some were."""
        if not self._options.gates and not self._options.update_baseline:
            return
        told = f"{self._undone}: no question has a result"
        if self._recorder.selected:
            raise RagcheckError(f"{told}, and {self._recorder.selected:,} should have one")
        self._notices.append(told)

    @property
    def _undone(self) -> str:
        return "the baseline was not updated" if self._options.update_baseline else "not compared with a baseline"

    def _refuse_elsewhere(self) -> None:
        items = plural(self._recorder.elsewhere, "item")
        why = f"{items} have no result here, as a plugin runs them elsewhere; {runners_left_out(self._config)}"
        raise RagcheckError(f"{self._undone}: {why}")

    # ---- Comparing

    def _compare(self, run: Run) -> None:
        from pytest_ragcheck.baseline.datasets import baseline_of, in_variants_of
        from pytest_ragcheck.baseline.gate import compare, may_be_chance, passes

        if self._options.gates and not run.complete:
            raise RagcheckError(f"not compared with the baseline: {self._why_incomplete()}")
        found = {path: (self._catalog.baselines.load(path), files) for path, files in self._files().items()}
        there = {path: baseline_of(whole, files, path) for path, (whole, files) in found.items() if whole is not None}
        absent = [path for path in found if path not in there]
        if absent and self._options.require_baseline:
            raise ConfigurationError(_absent(absent[0]))
        if absent and (self._options.gates or (self._config.get_verbosity() >= 0 and _asked_all(run))):
            self._tell_absent(absent)
        if not there:
            return
        if not run.complete:
            self._notices.append(f"not compared with the baseline: {self._why_incomplete()}")
            return

        name = ", ".join(map(_shown, there))
        baseline, settings = in_variants_of(run, _merged(there)), self._settings()
        decide = partial(compare, run, baseline, name=name, settings=settings)
        comparison = decide()
        if may_be_chance(comparison):
            decide = partial(decide, history=self._earlier_runs(run))
            comparison = self._without_drift(decide(), run, baseline, decide)
        self._recorder.comparison = comparison
        if self._options.gates and not passes(comparison.verdict):
            self._problems.append(f"the gate is closed: {comparison.verdict} ({_first(comparison.reasons)})")

    def _earlier_runs(self, run: Run) -> tuple[Run, ...]:
        """The last runs that this folder knows; they show what happens where nothing changed."""
        from pytest_ragcheck.session.runs import RunFolder

        return tuple(islice(RunFolder.of(self._catalog, self._config.rootpath).newest(run.mode), MOST_EARLIER_RUNS))

    def _without_drift(
        self, comparison: Comparison, run: Run, baseline: Baseline, decide: Callable[..., Comparison]
    ) -> Comparison:
        """The comparison with the judge's own movement taken into account, where a judged metric moved."""
        from pytest_ragcheck.session.drift import judged_changes, rejudge

        names = judged_changes(comparison)
        if not names or self._options.cache == "only":
            return comparison
        drift, told = rejudge(run, baseline, names, options=self._options, files=self._recorder.question_files)
        again = comparison if drift is None else decide(drift=drift)
        return replace(again, notes=(*again.notes, told))

    def _settings(self) -> GateSettings:
        from pytest_ragcheck.baseline.settings import strictest
        from pytest_ragcheck.session.config import load_settings

        invocation = self._config.invocation_params.dir
        folders = [file.configured_in for file in self._recorder.question_files.values()]
        return strictest([load_settings(folder, invocation=invocation).gate for folder in folders or [invocation]])

    def _tell_absent(self, paths: Iterable[Path]) -> None:
        command = shlex.join(["pytest", *self._config.invocation_params.args, "--ragcheck-update-baseline"])
        self._notices.append(f"no baseline to compare with ({', '.join(map(_shown, paths))}); to make one: {command}")

    def _why_incomplete(self) -> str:
        lost = len(self._recorder.lost)
        return f"{plural(lost, 'item')} never reported" if lost else "the run was interrupted or stopped early"

    # ---- Updating

    def _update(self, run: Run) -> None:
        if not run.complete:
            raise ConfigurationError(f"the baseline was not updated: {self._why_incomplete()}")
        from pytest_ragcheck.baseline.datasets import baseline_of, in_variants_of, with_datasets
        from pytest_ragcheck.baseline.file import load_baseline, save_baseline, updated

        for path, files in self._files().items():
            part = replace(run, results=tuple(result for result in run.results if result.question.dataset in files))
            before = load_baseline(path) if path.exists() else None
            known = None
            if before is not None:
                known = in_variants_of(run, baseline_of(before, files, path, is_replaced=True))
            baseline = with_datasets(before, updated(known, part), files, path)
            save_baseline(baseline, path)
            count = sum(len(dataset.questions) for dataset in baseline.datasets.values())
            self._notices.append(
                f"wrote the baseline {_shown(path)}: {plural(count, 'question')}, {len(part.results):,} of now"
            )

    def _files(self) -> dict[Path, dict[str, QuestionFile]]:
        """Baseline files with the question files that each is for."""
        files = self._catalog.baselines.paths(self._recorder.question_files)
        if not files and (self._options.gates or self._options.update_baseline):
            raise RagcheckError("which baseline belongs to the results is not known: the workers that knew it are gone")
        return files

    # ---- Telling

    def _write_broken(self, terminalreporter: Any, comparison: Comparison) -> None:
        from pytest_ragcheck.report.question import question_report
        from pytest_ragcheck.report.question_colour import QuestionPainter

        run = self._recorder.run
        if run is None or not comparison.broken:
            return
        broken = {(change.dataset, change.id, change.variant) for change in comparison.broken}
        results = [one for one in run.results if (one.question.dataset, one.question.id, one.variant) in broken]
        paint = painter(self._config)
        terminalreporter.section("ragcheck: questions that broke")
        for result in results[:BROKEN_SHOWN]:
            question = QuestionPainter(paint)
            for line in question_report(result, width=summary_width(self._config)).splitlines():
                terminalreporter.write_line(question.line(line))
            terminalreporter.write_line("")
        if len(results) > BROKEN_SHOWN:
            terminalreporter.write_line(f"... and {len(results) - BROKEN_SHOWN:,} more\n")


def _merged(baselines: Mapping[Path, Baseline]) -> Baseline:
    """One baseline of all datasets; the oldest file's date counts."""
    whole = min(baselines.values(), key=lambda baseline: baseline.created)
    datasets = {name: dataset for baseline in baselines.values() for name, dataset in baseline.datasets.items()}
    return replace(whole, datasets=datasets)


def _asked_all(run: Run) -> bool:
    """Whether the run is one to make a baseline of: no question was left out by ``-k``, ``--lf`` or a node id."""
    asked = {name: {one for ids in variants.values() for one in ids} for name, variants in run.selected.items()}
    return all(asked.get(name, set()) >= questions.keys() for name, questions in run.datasets.items())


def _absent(path: Path) -> str:
    return f"{path}: no baseline; write it with --ragcheck-update-baseline and commit it"


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _shortened(message: str) -> str:
    """Paths below the current folder are told from there."""
    return message.replace(f"{Path.cwd()}{os.sep}", "")


def _first(reasons: Iterable[str]) -> str:
    return next(iter(reasons), "no reason known")
