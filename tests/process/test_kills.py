"""Runs that are killed (SIGKILL) at random moments, and run again: nothing is lost, paid twice, damaged or left behind.

``RAGCHECK_KILLS=1000 python -m pytest tests/process/test_kills.py -s`` kills so often, at moments chosen at random, and
prints where; without it the plan of 100 kills is the same each time.

What the store promises: a reply is committed before its place in flight is free for the next call. So a kill loses at most
as many replies as calls may be in flight, and what is committed is never asked for again.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_ragcheck.baseline.file import load_baseline
from pytest_ragcheck.run_file import load_run
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

pytestmark = [
    pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval"),
    pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist"),
    pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc, to see what a killed run leaves"),
]

WANTED = os.environ.get("RAGCHECK_KILLS")
KILLS = int(WANTED or 100)
KILLS_PER_TRIAL = 5
TRIALS = math.ceil(KILLS / KILLS_PER_TRIAL)
SEED = 13 if WANTED is None else random.SystemRandom().randrange(10**6)
WORKERS_SHARE = 0.2
"""Of the runs: one with two workers takes three times as long."""
IN_FLIGHT = 3
QUESTIONS = 3
HANGS = 300
MODEL = "claude-haiku-5-5"
PHASES = {"index": 2, "store": 2, "generation": 2, "judging": 3, "any": 6, "run": 2, "baseline": 3}
"""When a run is killed, in the order in which a run comes there, and how often each is chosen."""
EXACT = ("index", "store", "run", "baseline")
"""Phases whose moments ``kill_at.py`` sees."""
STRUCK = "struck"
MADE_BY_TESTS = {"processes", "stdout", "stderr", "junit.xml", "embedded.log", "__pycache__"}


@dataclass
class Undisturbed:
    """What runs without kills come to."""

    template: Path
    old: object
    """The committed baseline, which was made from other documents."""
    new: object
    results: dict
    files: set
    calls: dict
    """How many generations and judge calls are needed."""
    moments: dict
    """By whether the run has workers, and by phase: the most that one of its processes had."""
    seconds: dict


@dataclass
class Figures:
    """What is printed in the end."""

    kills: Counter = field(default_factory=Counter)
    missed: int = 0
    runs: int = 0
    needed: int = 0
    made: int = 0
    lost: Counter = field(default_factory=Counter)
    orphan_seconds: float = 0.0

    def lines(self):
        phases = Counter(phase for phase, _ in self.kills.elements())
        victims = Counter(victim for _, victim in self.kills.elements())
        yield f"{self.kills.total()} kills in {self.runs} runs (seed {SEED}); {self.missed} moments were not reached"
        yield f"phases: {', '.join(f'{phase} {phases[phase]}' for phase in PHASES)}"
        yield f"killed: {', '.join(f'{victim} {count}' for victim, count in sorted(victims.items()))}"
        yield f"model calls: {self.needed} needed, {self.made} made, {self.made - self.needed} of them again"
        yield f"replies lost by a kill: {', '.join(f'{lost}: {count}' for lost, count in sorted(self.lost.items()))}"
        yield f"processes of a killed run ended within {self.orphan_seconds:.1f} s"


@dataclass
class Trials:
    """What all trials of this module share."""

    api: MessagesApi
    folder: Path
    figures: Figures = field(default_factory=Figures)
    undisturbed: Undisturbed | None = None
    """The first trial finds out."""


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    with MessagesApi(Behaviour(latency=0.004, ratelimit_headers=False)) as api:
        trials = Trials(api, tmp_path_factory.mktemp("undisturbed"))
        yield trials
    sys.stdout.write("\n".join(["", *trials.figures.lines(), ""]))


class Runs:
    """Runs of one project, counted by the server and by what the store holds after each."""

    def __init__(self, project, warm, api):
        self.project = project
        self.output = ""
        self.seconds = 0.0
        """That the last run took."""
        self.seen = Counter()
        """Calls that the server was about to answer, by phase."""
        self._warm = warm
        self._api = api
        self._pid = 0
        self._ended = threading.Event()
        self._strikes = []
        api._reply = self._note

    def begin(self, template):
        """In a fresh project, with nothing asked."""
        shutil.rmtree(self.project.path)
        shutil.copytree(template, self.project.path)
        self._api.reset_stats()
        self.seen.clear()

    def asked(self):
        """The digest of each model call's body, when the server has read all that killed processes sent."""
        with urllib.request.urlopen(f"{self._api.url}/__stats__") as reply:  # noqa: S310 (comes after theirs)
            reply.read()
        began = time.monotonic()
        while self._api.stats.open_connections:
            assert time.monotonic() - began < HANGS
            time.sleep(0.001)
        return [line.digest for line in self._api.stats.log if line.path == MESSAGES_PATH]

    def run(self, *, workers, plan=None, undisturbed=None):
        """The exit status, and whether the run was killed as planned."""
        processes = self.project.path / "processes"
        shutil.rmtree(processes, ignore_errors=True)
        processes.mkdir()
        environment = self.project.environment() | {
            "ANTHROPIC_BASE_URL": self._api.url,
            "ANTHROPIC_API_KEY": "sk-ant-process-012345",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RAGCHECK_KILL_AT": json.dumps({} if plan is None else plan.exact_moment(undisturbed)),
        }
        arguments = ["-q", "--ragcheck-update-baseline", *(["-n", "2"] if workers else [])]
        self._ended.clear()
        self._strikes = []
        self._wanted = None if plan is None else plan.call(undisturbed, self.seen)
        self._plan = plan
        self._pid = self._warm.start(self.project.arguments(*arguments), cwd=self.project.path, environment=environment)
        if plan is not None and plan.phase == "any":
            self._strike_after(plan.share * undisturbed.seconds[workers])
        began = time.monotonic()
        status = self._warm.wait(HANGS)
        self._ended.set()
        self.seconds = time.monotonic() - began
        for strike in self._strikes:
            strike.join()
        self._wanted = None
        if status is None:
            os.kill(self._pid, signal.SIGKILL)
            self._warm.wait(HANGS)
        self.output = "\n".join((self.project.path / name).read_text() for name in ("stdout", "stderr"))
        sys.stdout.write(f"{plan}\nexit status {status}\n{self.output}\n")  # shown if the test fails
        assert status is not None, "the run hangs"
        return status, (processes / STRUCK).exists()

    def _note(self, params):
        """The server is about to answer."""
        phase = "judging" if "output_config" in params else "generation"
        self.seen[phase] += 1
        if self._wanted == (phase, self.seen[phase]):
            if self._plan.seconds:
                self._strike_after(self._plan.seconds)
            else:
                self._strike()

    def _strike_after(self, seconds):
        def strike():
            if not self._ended.wait(seconds):
                self._strike()

        self._strikes.append(threading.Thread(target=strike))
        self._strikes[-1].start()

    def _strike(self):
        names = {path.name: int(path.name.rpartition("-")[2]) for path in (self.project.path / "processes").glob("*-*")}
        workers = [pid for name, pid in names.items() if name.startswith("gw")]
        victims = {"controller": [self._pid], "self": workers[:1], "all": [self._pid, *workers]}[self._plan.victim]
        running = {*victims} & {*_processes_in(self.project.path)}
        if running:
            (self.project.path / "processes" / STRUCK).touch()
        for pid in running:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)

    def seconds_to_the_end(self):
        """Wait for all processes of the project."""
        began = time.monotonic()
        while left := _processes_in(self.project.path):
            assert time.monotonic() - began < HANGS, f"left behind: {left}"
            time.sleep(0.005)
        return time.monotonic() - began

    def stored_replies(self):
        """How many the store holds; it is read from a copy, so that the next run meets what the kill left."""
        store = self.project.path / ".ragcheck" / "cache.sqlite"
        if not store.exists():
            return 0
        copy = self.project.path.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for path in store.parent.glob("cache.sqlite*"):
            shutil.copy(path, copy)
        with closing(sqlite3.connect(copy / store.name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            with suppress(sqlite3.OperationalError):  # no table yet
                return connection.execute("SELECT COUNT(*) FROM entries WHERE kind = 'model-reply'").fetchone()[0]
        return 0

    def results(self):
        """Of the last run, without times and without what was in the cache."""
        paths = (self.project.path / ".ragcheck" / "runs").glob("*.json")
        run = load_run(max(paths, key=lambda path: path.stat().st_mtime_ns))
        return {
            result.question.id: (
                result.answer.text,
                [context.text for context in result.answer.contexts],
                {name: (score.value, score.reason) for name, score in result.scores.items()},
            )
            for result in run.results
        }

    def baseline(self):
        """Without the moment of its run."""
        return replace(load_baseline(self.project.path / "ragcheck-baseline.json"), created="")

    def files(self):
        """All files of the project but runs and what the tests make."""
        root = self.project.path
        paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        ours = {str(path) for path in paths if not MADE_BY_TESTS & {*path.parts} and not _is_run(path)}
        return {path for path in ours if not path.endswith(".lock")}


def _is_run(path):
    return path.parent.name == "runs" and path.suffix == ".json" and not path.name.startswith(".")


def _processes_in(folder):
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == folder:
                found.append(int(link.parent.name))
    return found


def set_up(project, runs, folder):
    """Three questions for a model, judged by another one; a baseline of other documents; and what should come of it."""
    shutil.copy(Path(__file__).with_name("kill_at.py"), project.path / "conftest.py")
    project.configure(
        generator=f"anthropic:{MODEL}",
        judge=f"anthropic:{MODEL}",
        concurrency=IN_FLIGHT,
        top_k=2,
        metrics={"hit_rate": 1.0, "contextual_relevancy": "report", "answer_relevancy": "report"},
    )
    project.questions(json.loads((project.path / "questions.json").read_text())[:QUESTIONS])
    leave = project.path / "docs" / "leave.md"
    now = leave.read_text()
    leave.write_text(now + "\nThis was the handbook of another year, with other words about leave.\n")
    assert runs.run(workers=False)[0] == 0
    old = runs.baseline()
    leave.write_text(now)
    shutil.rmtree(project.path / ".ragcheck")
    template = folder / "template"
    shutil.copytree(project.path, template)
    moments, seconds = {}, {}
    for workers in (True, False):
        runs.begin(template)
        assert runs.run(workers=workers)[0] == 0
        seconds[workers] = runs.seconds
        counts = [json.loads(path.read_text()) for path in (project.path / "processes").glob("*.json")]
        moments[workers] = {name: max(count.get(name, 0) for count in counts) for name in EXACT}
    assert runs.stored_replies() == len({*runs.asked()}) == len(runs.asked()) == runs.seen.total()
    assert runs.seen["generation"] == QUESTIONS
    new = runs.baseline()
    assert new != old
    return Undisturbed(template, old, new, runs.results(), runs.files(), dict(runs.seen), moments, seconds)


@dataclass(frozen=True)
class Plan:
    """When to kill a run, and which of its processes."""

    phase: str
    workers: bool
    victim: str
    """``controller`` (or the only process), ``self`` (a worker) or ``all``."""
    share: float
    """Where in the phase, from 0 to 1."""
    later: int
    """Calls of C functions after a moment of ``kill_at.py``."""
    seconds: float
    """After a moment that the server sees."""

    @classmethod
    def draw(cls, phase, draw):
        workers = draw.random() < WORKERS_SHARE
        have_workers_ended = phase in {"run", "baseline"}
        victim = draw.choice(["controller", "all"] if have_workers_ended else ["controller", "all", "self"])
        later = draw.choice([0, 1, 1, 2, 3, 5, 10, draw.randrange(100)])
        seconds = draw.choice([0.0, draw.uniform(0.0, 0.01)])
        return cls(phase, workers, victim if workers else "controller", draw.random(), later, seconds)

    def exact_moment(self, undisturbed):
        """For ``kill_at.py``; another phase gives one that never comes."""
        moments = undisturbed.moments[self.workers].get(self.phase, 0)
        number = 1 + int(self.share * moments)
        return {"phase": self.phase, "number": number, "later": self.later, "victim": self.victim}

    def call(self, undisturbed, seen):
        """Which call of the phase, counted from the first that the server saw."""
        left = max(1, undisturbed.calls.get(self.phase, 0) - seen[self.phase])
        return self.phase, seen[self.phase] + 1 + int(self.share * left)


class Trial:
    """A project whose runs are killed, one after the other, until one comes to its end."""

    def __init__(self, runs, undisturbed, figures):
        self.runs = runs
        self.undisturbed = undisturbed
        self.figures = figures
        self.begin()

    def begin(self):
        """In a fresh project."""
        self.runs.begin(self.undisturbed.template)
        self.asked = []
        self.stored = self.lost = 0
        self.baselines = [self.undisturbed.old, self.undisturbed.new]

    def kill(self, plan):
        """Whether a run was killed as planned, which left all sound; else it came to its end."""
        status, is_struck = self.runs.run(workers=plan.workers, plan=plan, undisturbed=self.undisturbed)
        is_worker = plan.victim == "self" and status != -signal.SIGKILL  # else the moment came in the controller
        if not (is_struck if is_worker else status == -signal.SIGKILL):
            self.figures.missed += 1
            self.check_end(status)
            # A busy machine is faster later, and what is stored takes less time.
            self.undisturbed.seconds[plan.workers] = (self.undisturbed.seconds[plan.workers] + self.runs.seconds) / 2
            return False
        if is_worker:
            assert status in {0, 1}, "pytest-xdist replaces the worker, and its item fails if it was at one"
        seconds = self.runs.seconds_to_the_end()
        # execnet's own start of a worker ends in a BrokenPipeError where the controller is gone.
        self.check_output("INTERNALERROR", "/pytest_ragcheck/", *(["Traceback"] if is_worker else []))
        lost = self.count_lost()
        assert 0 <= lost <= IN_FLIGHT, f"{lost} replies were paid for and are not stored"
        self.check_files(is_partial=is_worker)
        victim = "the only process" if not plan.workers else "a worker" if is_worker else _VICTIMS[plan.victim]
        self.figures.kills[plan.phase, victim] += 1
        self.figures.lost[lost] += 1
        self.figures.orphan_seconds = max(self.figures.orphan_seconds, seconds)
        return True

    def end(self, *, workers):
        """A run that nobody kills."""
        status, _ = self.runs.run(workers=workers)
        self.check_end(status)

    def count_lost(self):
        """Replies that the last run asked for and that are not in the store."""
        stored, asked = self.runs.stored_replies(), self.runs.asked()
        lost = (len(asked) - len(self.asked)) - (stored - self.stored)
        self.stored, self.asked = stored, asked
        self.lost += lost
        self.figures.runs += 1
        return lost

    def check_end(self, status):
        """As if nothing had been killed."""
        needed = sum(self.undisturbed.calls.values())
        self.runs.seconds_to_the_end()
        self.check_output("INTERNALERROR", "Traceback", "Exception ignored", "never retrieved")
        assert status == 0
        assert self.count_lost() == 0
        assert self.stored == needed
        assert len({*self.asked}) == needed
        assert len(self.asked) == needed + self.lost
        assert self.runs.results() == self.undisturbed.results
        assert self.runs.baseline() == self.undisturbed.new
        assert self.runs.files() == self.undisturbed.files, "something is missing, or left behind"
        self.check_files(is_partial=False)
        self.figures.needed += needed
        self.figures.made += len(self.asked)

    def check_output(self, *words):
        for word in words:
            assert word not in self.runs.output

    def check_files(self, *, is_partial):
        """The baseline is the old or the new one; ``is_partial``: of questions whose worker was killed the old one."""
        baseline = self.runs.baseline()
        if is_partial:
            sides = [_entries(self.undisturbed.old), _entries(self.undisturbed.new)]
            for name, entry in _entries(baseline).items():
                assert entry in [side[name] for side in sides]
            self.baselines.append(baseline)
        assert baseline in self.baselines
        for path in (self.runs.project.path / ".ragcheck" / "runs").glob("*.json"):
            load_run(path)


_VICTIMS = {
    "controller": "the controller of workers",
    "self": "the controller of workers",
    "all": "controller and workers",
}


def _entries(baseline):
    (dataset,) = baseline.datasets.values()
    return {entry.id: replace(entry, setup=None) for entry in dataset.questions}


def order(phase, draw):
    """Of a run's phases the later ones last, so that they are still to come when the earlier ones were killed."""
    names = list(PHASES)
    return draw.uniform(0, len(names)) if phase == "any" else names.index(phase)


@pytest.mark.parametrize("number", range(TRIALS))
def test_a_killed_run_loses_at_most_what_is_in_flight(project, warm_deepeval, trials, number):
    runs = Runs(project, warm_deepeval, trials.api)
    if trials.undisturbed is None:
        trials.undisturbed = set_up(project, runs, trials.folder)
    draw = random.Random(f"{SEED} {number}")
    trial = Trial(runs, trials.undisturbed, trials.figures)
    phases = draw.choices(list(PHASES), list(PHASES.values()), k=min(KILLS_PER_TRIAL, KILLS - KILLS_PER_TRIAL * number))
    for phase in sorted(phases, key=lambda phase: order(phase, draw)):
        while not trial.kill(plan := Plan.draw(phase, draw)):
            trial.begin()
        if plan.victim == "self":  # the other worker has gone on to the end
            trial.end(workers=False)
            trial.begin()
    trial.end(workers=draw.random() < WORKERS_SHARE)
