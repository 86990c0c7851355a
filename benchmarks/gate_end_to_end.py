"""The gate from end to end: what whole pytest runs end with where nothing changed, and where something is broken.

    python benchmarks/gate_end_to_end.py [--unchanged 20] [--questions 24] [--seed 1]

First a judge that is noisy, on a loopback Messages API: of ten statements it finds seven, eight or nine relevant, and
says something else in every run. Nothing else changes; an alarm is a run that the gate does not let through. With the
judge's replies in the store there is nothing to be noisy. Asked anew in each run, it may raise an alarm in one of
twenty runs: that is the gate's level. Then a copy of examples/handbook: made worse, damaged and broken in turn.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from support import PYTEST, measure, print_table, project_folder

from pytest_ragcheck.testing.messages_api import MessagesApi

GATED = ("--ragcheck", "--ragcheck-fail-on", "regression", "--ragcheck-require-baseline")
UPDATE = ("--ragcheck", "--ragcheck-update-baseline")
BASELINE = "ragcheck-baseline.json"
WIDTH = 100
KILLER = """
import os, signal

import pytest


@pytest.fixture(autouse=True)
def killed(request, worker_id):
    if worker_id == "gw1":
        os.kill(os.getpid(), signal.SIGKILL)
"""
SYSTEM = """
import pytest


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return lambda question: (f"It is told of: {question}", ["a context"])
"""


# ---- Nothing changed, a noisy judge ----------------------------------------------------------


class NoisyJudge:
    """What it says of a prompt follows from the seed, the run's number, the prompt, and how often that was asked."""

    def __init__(self, seed):
        self.seed = seed
        self.run = 0
        self.asked = Counter()

    def __call__(self, params):
        """The reply to one request."""
        properties = params["output_config"]["format"]["schema"]["properties"]
        prompt = params["messages"][0]["content"]
        if "statements" in properties:
            told = re.findall(r"What of number (\d+)\?", prompt)[-1]
            return {"statements": [f"Statement {letter} of answer {told}." for letter in "abcdefghij"]}
        if "verdicts" in properties:
            self.asked[self.run, prompt] += 1
            drawn = f"{self.seed} {self.run} {self.asked[self.run, prompt]} {prompt}"
            good = Random(drawn).choice([7, 8, 9])
            return {"verdicts": [{"verdict": "yes" if n < good else "no", "reason": "so"} for n in range(10)]}
        return {"reason": "as it is"}


WAYS = {
    "replies in the store": (),
    "asked anew": ("--ragcheck-cache", "refresh"),
    "asked anew, three trials": ("--ragcheck-cache", "refresh", "--ragcheck-trials", "3"),
}


def unchanged(folder, *, runs, questions, seed):
    """A row for each way: how many runs were let through, and how often each verdict came."""
    for number, (way, arguments) in enumerate(WAYS.items()):
        place = folder / f"way-{number}"
        set_up(place, questions)
        counts = judged_runs(place, arguments, runs, NoisyJudge(seed))
        through = sum(count for (status, _), count in counts.items() if status == 0)
        told = ", ".join(f"{count} {name}" for (_, name), count in sorted(counts.items()))
        yield [way, f"{through} of {runs}", told]


def set_up(folder, questions):
    """A project that the judge measures."""
    folder.mkdir(parents=True)
    (folder / "ragcheck.toml").write_text(
        'questions = "questions.json"\njudge = "anthropic:claude-haiku-5-5"\n[metrics]\nanswer_relevancy = 0.5\n'
    )
    rows = [{"id": f"q{number}", "question": f"What of number {number}?"} for number in range(questions)]
    (folder / "questions.json").write_text(json.dumps(rows))
    (folder / "conftest.py").write_text(SYSTEM)
    (folder / "test_judged.py").write_text("def test_judged(ragcheck_result):\n    ragcheck_result.assert_passed()\n")


def judged_runs(folder, arguments, runs, judge):
    """How often whole runs ended with each exit code and verdict."""
    with MessagesApi(reply=judge) as api:
        environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "none-is-needed-on-loopback"}
        ended(measure((*PYTEST, *UPDATE, *arguments), folder, **environment), 0)
        done = []
        for judge.run in range(1, runs + 1):
            run = measure((*PYTEST, *GATED, *arguments), folder, **environment)
            done.append((run.status, verdict(run.output)))
    return Counter(done)


# ---- A copy of the example, broken -----------------------------------------------------------


def example(folder):
    """A row for each thing that is done to a copy of the example: exit code, verdict, reason."""
    shutil.copytree(project_folder() / "examples" / "handbook", folder, ignore=shutil.ignore_patterns(".ragcheck"))
    ended(measure((*PYTEST, *UPDATE), folder), 0)
    yield row("nothing changed", gated(folder, "--ragcheck-report", "run.json"))
    yield row("a result taken out of the run's file", with_a_result_less(folder))
    yield row("a worker killed", with_a_killed_worker(folder))
    yield row("chunks of 25 words", with_small_chunks(folder))
    yield row("the baseline damaged", with_a_damaged_baseline(folder))
    (folder / BASELINE).unlink()
    yield row("the baseline gone", gated(folder))


def gated(folder, *arguments):
    return measure((*PYTEST, *GATED, *arguments), folder)


def with_a_result_less(folder):
    run = json.loads((folder / "run.json").read_text())
    run["results"].pop()
    (folder / "less.json").write_text(json.dumps(run))
    return measure((sys.executable, "-m", "pytest_ragcheck", "gate", "less.json", BASELINE), folder)


def with_a_killed_worker(folder):
    (folder / "conftest.py").write_text(KILLER)
    run = gated(folder, "-n", "2", "--max-worker-restart", "0")
    (folder / "conftest.py").unlink()
    return run


def with_small_chunks(folder):
    path = folder / "ragcheck.toml"
    before = path.read_text()
    path.write_text(before.replace("size = 200", "size = 25").replace("overlap = 40", "overlap = 5"))
    run = gated(folder)
    path.write_text(before)
    return run


def with_a_damaged_baseline(folder):
    path = folder / BASELINE
    path.write_text(path.read_text()[:-200])
    return gated(folder)


# ---- What was seen ---------------------------------------------------------------------------


def row(what, run):
    return [what, run.status, verdict(run.output), reason(run.output)[:WIDTH]]


def verdict(output):
    found = re.search(r"^gate: ([a-z ]+)", output, re.MULTILINE)
    return found[1] if found else "-"


def reason(output):
    """What follows the verdict, or the line that says why there is none."""
    lines = output.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("gate: "):
            more = [following.strip() for following in lines[number + 1 : number + 3] if following.startswith("  ")]
            return " ".join([line.split(": ", 2)[-1], *more])
    told = [line for line in lines if re.match(r"(ERROR: )?ragcheck: .*(baseline|not compared)", line)]
    return told[0].replace("ERROR: ", "").removeprefix("ragcheck: ") if told else "-"


def ended(run, status):
    if run.status != status:
        sys.exit(f"a run ended with {run.status}:\n{run.output}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unchanged", type=int, default=20, metavar="RUNS")
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judged = Path(folder, "judged")
        rows = unchanged(judged, runs=options.unchanged, questions=options.questions, seed=options.seed)
        print_table([f"nothing changed, {options.questions} questions, a noisy judge", "green", "verdicts"], rows)
        print()
        print_table(["what was done to the example", "exit", "verdict", "reason"], example(Path(folder, "handbook")))


if __name__ == "__main__":
    main()
