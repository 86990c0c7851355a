"""What a session measured, gathered where the reports arrive: in the only process, or in xdist's controller."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_ragcheck.model import ModelCalls, Planned, Result, Run, Usage
from pytest_ragcheck.report.figures import plural
from pytest_ragcheck.report.textual import one_line
from pytest_ragcheck.session.expected import ExpectedFailures
from pytest_ragcheck.session.gateways import model_calls
from pytest_ragcheck.session.roles import is_worker
from pytest_ragcheck.session.selection import selected_items
from pytest_ragcheck.session.spool import SPOOL
from pytest_ragcheck.trials import tally

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from pytest_ragcheck.baseline.datasets import QuestionFile
    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.session.answers import LiveAnswers
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog
    from pytest_ragcheck.session.suites import Suite

__all__ = ["RECORDER", "Recorder", "fail_unmeasured", "record", "runners_left_out"]

RESULT = pytest.StashKey[tuple[Result, tuple[str, ...]]]()
RECORDER = pytest.StashKey["Recorder"]()
UNMEASURED = pytest.StashKey[bool]()
RUNNING_HERE = frozenset({"deepeval", "rerunfailures"})
"""Plugins that run items in pytest's place, and in its process."""
CRASHED = "???"
"""When, in the one report that pytest-xdist makes for the item that a worker died with."""
WORKER_OUTPUT = "ragcheck"
MISCONFIGURED = frozenset({"ConfigurationError", "MissingExtraError", "DocumentError"})
"""Kinds of failures that the user mends once, not question by question."""


def record(item: pytest.Item, result: Result, key: tuple[str, ...]) -> None:
    """Keep an item's result for the run, and its scores for JUnit and other reports.

    ``key`` is the same for all items that share the result, and for no other.
    """
    item.stash[RESULT] = result, key
    _drop_properties(item)  # of an earlier try
    item.user_properties.append(("ragcheck.state", str(result.state)))
    if (trials := tally(result)) is not None and trials.pass_rate is not None:
        item.user_properties.append(("ragcheck.pass_rate", trials.pass_rate))
    for score in result.scores.values():
        if score.value is not None:
            item.user_properties.append((f"ragcheck.{one_line(score.metric)}", float(score.value)))


def stop_if_misconfigured(config: pytest.Config, result: Result) -> None:
    """End the session where the result says that no question can be answered: a missing or refused key, say.

    A worker skips the item, as it must not tell it once more for each; the controller ends the session.
    """
    problem = _misconfigured(result)
    if problem is not None and is_worker(config):
        pytest.skip(problem)
    if problem is not None:
        pytest.exit(f"ragcheck: {problem}", returncode=pytest.ExitCode.USAGE_ERROR)


def _misconfigured(result: Result) -> str | None:
    """The problem, where any trial met one: those that did not had their replies from the store."""
    failures = [one.error for one in (result, *result.trials) if one.error is not None]
    return next((failure.message for failure in failures if failure.kind in MISCONFIGURED), None)


def _drop_properties(item: pytest.Item) -> None:
    item.user_properties[:] = [entry for entry in item.user_properties if not entry[0].startswith("ragcheck.")]


def fail_unmeasured(item: pytest.Item, message: str) -> NoReturn:
    """Fail the item in its set-up, as there is no result to pass or fail by; a mark xfail does not excuse that."""
    __tracebackhide__ = True
    item.stash[UNMEASURED] = True
    raise pytest.fail.Exception(message, pytrace=False)


def runners_left_out(config: pytest.Config) -> str:
    """How to run without the plugins that run items in pytest's place."""
    runners = config.hook.pytest_runtest_protocol.get_hookimpls()
    names = {one.plugin_name for one in runners if not (one.wrapper or one.hookwrapper or _is_pytests(one.plugin))}
    options = " or ".join(f"-p no:{name}" for name in sorted(names - RUNNING_HERE))
    return f"leave it out: {options}" if options else "leave it out"


def _is_pytests(plugin: object) -> bool:
    return str(getattr(plugin, "__name__", type(plugin).__module__)).startswith("_pytest.")


class Recorder:
    """A plugin that turns item reports into one Run.

    ``run`` is there after the session, in the process that has the reports; None where nothing was asked.
    """

    def __init__(self, config: pytest.Config, options: Options, catalog: SuiteCatalog) -> None:
        self._config = config
        self._options = options
        self._catalog = catalog
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        self._results: dict[tuple[str, ...], Result] = {}
        self._facts: list[Mapping[str, Any]] = []
        self._expected: set[str] = set()
        self._reported: set[str] = set()
        self._wanting: set[str] = set()
        self._set_up: set[str] = set()
        """Items that were set up in this process."""
        self._pid = os.getpid()
        self._elsewhere: set[str] = set()
        self._session: pytest.Session | None = None
        self._misconfigured: str | None = None
        self.expected_failures = ExpectedFailures()
        self.live: LiveAnswers | None = None
        self.run: Run | None = None
        self.comparison: Comparison | None = None
        """The run against the baseline; None without one."""
        self.notices: list[str] = []
        """What the user should know of the run's file."""
        self._calls_of_lost: list[dict[str, Any]] = []
        """Counts of the model calls of workers that ended before they reported."""
        self.lost: Sequence[str] = ()
        """Items that should have run and never reported, although the session was not stopped early."""

    @property
    def question_files(self) -> dict[str, QuestionFile]:
        """The question file of each dataset that was asked."""
        from pytest_ragcheck.baseline.datasets import QuestionFile

        plain = ((name, file) for facts in self._facts for name, file in facts["question_files"].items())
        return {name: QuestionFile.from_plain(file) for name, file in plain}

    @property
    def elsewhere(self) -> int:
        """Items that were set up, but not by this process or its workers: their results are not known here."""
        return sum((int(facts["elsewhere"]) for facts in self._facts), start=0)

    def check_process(self, item: pytest.Item) -> None:
        """Fail the item where a plugin has forked a process for it.

        Each of these would ask all questions, within limits of its own, and its result would be lost with it.
        """
        __tracebackhide__ = True
        if os.getpid() != self._pid:
            why = "a plugin runs this item in a process of its own, but ragcheck asks all questions in one process"
            fail_unmeasured(item, f"{why}; {runners_left_out(self._config)}")

    @property
    def plans(self) -> list[Planned]:
        """Under ``--ragcheck-plan``: what would have been called."""
        return [Planned(**plain) for facts in self._facts for plain in facts["plans"]]

    @property
    def selected(self) -> int:
        """Results that there should be, as far as the processes lived to tell."""
        by_variant = [
            ids for facts in self._facts for found in facts["gate"]["selected"].values() for ids in found.values()
        ]
        return sum(map(len, by_variant))

    @property
    def unforeseen(self) -> int:
        """Under ``--ragcheck-plan``: questions whose calls only their own pipeline knows."""
        return sum(facts["unforeseen"] for facts in self._facts)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Send the result with the set-up report, as builtin types: xdist's channel takes nothing else."""
        report = yield
        if report.when == "setup":
            self._set_up.add(item.nodeid)
        if report.when == "setup" and RESULT in item.stash:
            result, key = item.stash[RESULT]
            if is_worker(self._config):
                from pytest_ragcheck.run_file import dump

                report.ragcheck = {"key": list(key), "result": dump(result)}
            else:
                self._note(item.nodeid, key, result)
        if item.stash.get(UNMEASURED, False) and hasattr(report, "wasxfail"):
            del report.wasxfail
            report.outcome = "failed"
        if report.when == "teardown":
            item.stash[UNMEASURED] = False  # it may be run again
        if report.when == "teardown" and RESULT in item.stash:
            del item.stash[RESULT]  # pytest keeps items to its end
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect results: several items of a question share one, two pipelines or suites do not."""
        if report.when in {"teardown", CRASHED}:
            self._reported.add(report.nodeid)
        is_foreign = report.nodeid in self._wanting and report.nodeid not in self._set_up
        if report.when == "setup" and report.passed and is_foreign:
            self._elsewhere.add(report.nodeid)
        self.expected_failures.note_report(report)
        measured = getattr(report, "ragcheck", None)
        if measured is None or is_worker(self._config):  # a worker has yet to send it
            return
        from pytest_ragcheck.run_file import load

        del report.ragcheck  # pytest keeps reports to its end
        result = self._config.stash[SPOOL].spooled(load(Result, measured["result"]))
        misconfigured = _misconfigured(result)
        if misconfigured is None:
            self._note(report.nodeid, tuple(measured["key"]), result)
        else:
            self._stop(f"ragcheck: {misconfigured}")

    def _note(self, nodeid: str, key: tuple[str, ...], result: Result) -> None:
        self._results[key] = result
        self.expected_failures.note_result(nodeid, key)

    def _stop(self, misconfigured: str) -> None:
        """End the session for what a worker found."""
        if self._session is not None and self._misconfigured is None:
            self._misconfigured = self._session.shouldstop = misconfigured

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Keep the session, to be able to end it."""
        self._session = session

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what should run, and what of it wants a result."""
        self._expected |= {item.nodeid for item in session.items}
        self._wanting |= {item.nodeid for item, _ in selected_items(session)}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Note what should run on xdist's workers."""
        self._expected |= set(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what a worker knows beside its items' results."""
        facts = getattr(node, "workeroutput", {}).get(WORKER_OUTPUT)
        if facts is not None:
            self._facts.append(facts)
        else:
            from pytest_ragcheck.session.workers_watch import calls_of_lost

            self._calls_of_lost += calls_of_lost(self._config, node.gateway.id)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Fail closed: an item that vanished (a worker that broke) fails the run."""
        outcome = yield  # raises where the session was stopped early; then nothing counts as lost
        if not is_worker(self._config) and not session.config.option.collectonly:
            self.lost = sorted(self._expected - self._reported)
            session.testsfailed += bool(self.lost)
        return outcome

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Make the Run and write it; on a worker hand over what only the worker knows."""
        if is_worker(self._config):
            self._config.workeroutput[WORKER_OUTPUT] = self._own_facts()  # type: ignore[attr-defined]
            return
        if self._misconfigured is not None:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        self._facts.append(self._own_facts())
        self.notices += dict.fromkeys(notice for facts in self._facts for notice in facts["notices"])
        self.notices += _damage_notices([facts["damaged"] for facts in self._facts])
        if self._results:
            stopped = exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} or bool(session.shouldfail)
            self.run = self._make_run(complete=not stopped and not self.lost)
            if not self._options.plan:
                self._save(self.run)

    def _own_facts(self) -> dict[str, Any]:
        from pytest_ragcheck.session.fingerprints import fingerprints

        return {
            "setup": 0.0 if self.live is None else self.live.setup,
            "phases": self._own_phases(),
            "model_calls": [asdict(calls) for calls in model_calls(self._catalog.gateways.snapshots())],
            "plans": [] if self.live is None else [asdict(plan) for plan in self.live.plans],
            "unforeseen": 0 if self.live is None else self.live.unforeseen,
            "notices": [] if self.live is None else self.live.notices,
            "damaged": self._catalog.damaged,
            "fingerprints": {suite.name: dict(fingerprints(suite)) for suite in self._answered_suites()},
            "gate": self._gate_facts(),
            "elsewhere": len(self._elsewhere),
            "question_files": {suite.name: suite.file.plain() for suite in self._answered_suites()},
        }

    def _gate_facts(self) -> dict[str, Any]:
        from pytest_ragcheck.session.gate_facts import gate_facts

        return gate_facts(self._session, self.live)

    def _answered_suites(self) -> Sequence[Suite]:
        return [] if self.live is None else self.live.suites

    def _own_phases(self) -> dict[str, list[bool]]:
        """For each index of this process, by phase: whether what it needed was there already."""
        indexes = [suite.index for suite in self._answered_suites() if suite.is_set_up]
        return {
            "setup": [not index.built for index in indexes],
            "retrieval": [index.searches_reused > 0 for index in indexes],
        }

    def _cached_phases(self) -> tuple[str, ...]:
        setup, retrieval = (
            [cached for facts in self._facts for cached in facts["phases"][name]] for name in ("setup", "retrieval")
        )
        cached = {"setup": bool(setup) and all(setup), "retrieval": any(retrieval)}
        return tuple(sorted(name for name, is_cached in cached.items() if is_cached))

    def _make_run(self, *, complete: bool) -> Run:
        expected = self.expected_failures.results()
        results = tuple(
            replace(result, expected_failure=True) if key in expected else result
            for key, result in self._results.items()
        )
        spans = [result.timing for result in results if result.timing.finished]
        wall = max((span.finished for span in spans), default=0.0) - min((span.begun for span in spans), default=0.0)
        fingerprints: dict[str, Mapping[str, str]] = {}
        for facts in self._facts:
            fingerprints |= facts["fingerprints"]
        from pytest_ragcheck.session.gate_facts import merged_facts

        return Run(
            started_at=self._started.isoformat(timespec="seconds"),
            mode="sequential" if self._options.sequential else "concurrent",
            fingerprints=fingerprints,
            setup=max(facts["setup"] for facts in self._facts),
            wall=wall,
            versions=_versions(),
            results=results,
            model_calls=self._model_calls(),
            cached_phases=self._cached_phases(),
            complete=complete,
            **merged_facts(facts["gate"] for facts in self._facts),
        )

    def _model_calls(self) -> ModelCalls | None:
        reported = [plain for facts in self._facts for plain in facts["model_calls"]]
        counts = [_calls(plain) for plain in (*reported, *self._calls_of_lost)]
        return sum(counts[1:], counts[0]) if counts else None

    def _save(self, run: Run) -> None:
        from pytest_ragcheck.session.runs import RunFolder

        try:
            RunFolder.of(self._catalog, self._config.rootpath).save(run)
        except OSError as problem:
            place = f"{problem.filename}: " if problem.filename else ""  # a full disk names no file
            self.notices.append(f"{place}{problem.strerror}; this run was not kept")


def _damage_notices(found: Iterable[Mapping[str, Mapping[str, int]]]) -> list[str]:
    """One line for each store, over all processes: each damaged value was dropped and counted by one of them."""
    stores: dict[str, Counter[str]] = {}
    for path, kinds in (entry for one in found for entry in one.items()):
        stores.setdefault(path, Counter()).update(kinds)
    return [
        f"{path}: {plural(kinds.total(), 'stored value')} could not be read and counted as not stored "
        f"({', '.join(f'{kind}: {count}' for kind, count in sorted(kinds.items()))})"
        for path, kinds in stores.items()
    ]


def _calls(plain: Mapping[str, Any]) -> ModelCalls:
    return ModelCalls(**{**plain, "usage": Usage(**plain["usage"])})


def _versions() -> dict[str, str]:
    from importlib import metadata

    versions = {}
    for name in ("pytest-ragcheck", "pytest", "faiss-cpu", "sentence-transformers", "anthropic", "deepeval"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
