"""The gate in whole sessions: a baseline is written, compared with and required, and the exit status follows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections import Counter
from importlib.util import find_spec
from random import Random

import pytest

from pytest_ragcheck.baseline.file import load_baseline
from pytest_ragcheck.trials import SAMPLES_OF_A_FALL

GATE = ("--ragcheck-fail-on", "regression")
UPDATE = "--ragcheck-update-baseline"
needs_xdist = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
needs_deepeval = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")

SYSTEM = """\
import json
import os
import signal
from pathlib import Path

import pytest

from pytest_ragcheck import Context

HERE = Path(__file__).parent
SAID = json.loads((HERE / "said.json").read_text())


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        number = question.split()[-1].rstrip("?")
        with (HERE / "asked.log").open("a") as log:
            log.write(number + "\\n")
        said = SAID.get(number, SAID["others"])
        if said == "die" or (said == "die once" and not (HERE / "died").exists()):
            (HERE / "died").write_text(said)
            os.kill(os.getpid(), signal.SIGKILL)
        if said == "raise":
            raise RuntimeError("the system is down")
        if isinstance(said, list):  # one for each time it is asked
            turns = HERE / f"turn-{number}"
            turn = int(turns.read_text()) if turns.exists() else 0
            turns.write_text(str(turn + 1))
            said = said[turn % len(said)]
        return said, [Context(text=f"{said} stands in a file.", rank=1, source=f"docs/{number}.md")]

    return ask
"""


class System:
    """Questions ``q0`` and on, each with ten words as its reference, and a system that says what it is told to."""

    WORDS = "amber birch cedar delta ember flint grove haven inlet jetty"

    def __init__(self, project):
        self.project = project
        self.baseline = project.path / "ragcheck-baseline.json"
        project.write("conftest.py", SYSTEM)
        project.write("test_own.py", "def test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n")
        self.configure()
        self.says()

    def ask(self, count, **fields):
        rows = [{"id": f"q{n}", "question": f"What of {n}?", "reference": self.WORDS} for n in range(count)]
        self.project.questions([row | fields for row in rows])

    def configure(self, least=0.6, **values):
        return self.project.configure(documents=None, embedder=None, metrics={"reference_coverage": least}, **values)

    def gate(self, **values):
        """The table ``[gate]`` of the configuration."""
        path = self.configure()
        path.write_text(
            "\n".join([path.read_text(), "[gate]", *(f"{name} = {value}" for name, value in values.items())])
        )

    def says(self, others=WORDS, **answers):
        """``q3="..."`` for one question; a number stands for so many words of the reference."""
        said = {name.removeprefix("q"): self._text(text) for name, text in answers.items()}
        self.project.write("said.json", json.dumps({**said, "others": self._text(others)}))

    def _text(self, said):
        if isinstance(said, list):
            return [self._text(one) for one in said]
        return " ".join(["Said", *self.WORDS.split()[:said]]) if isinstance(said, int) else said

    def run(self, *arguments, **options):
        return self.project.run(*arguments, **options)

    def asked(self):
        log = self.project.path / "asked.log"
        return log.read_text().split() if log.exists() else []

    def entries(self):
        """The baseline's scores, by question."""
        (dataset,) = load_baseline(self.baseline).datasets.values()
        return {entry.id: [*entry.scores["reference_coverage"]] for entry in dataset.questions}


@pytest.fixture
def system(bare_project):
    system = System(bare_project)
    system.ask(8)
    return system


def verdict(result):
    """The line that the gate's part of the output starts with, without the reason."""
    return next(line.split(": ")[1] for line in result.outlines if line.startswith("gate: "))


def gate_report_in(result):
    """The gate's part of the output."""
    first = next(number for number, line in enumerate(result.outlines) if line.startswith("gate: "))
    last = next(n for n, line in enumerate(result.outlines) if n > first and line.startswith(("ragcheck: ", "=====")))
    return "\n".join(result.outlines[first:last]).rstrip()


def from_files(project, *arguments):
    """``python -m pytest_ragcheck gate`` over the last report and the baseline."""
    command = [sys.executable, "-m", "pytest_ragcheck", "gate", "run.json", "ragcheck-baseline.json", *arguments]
    done = subprocess.run(
        command, cwd=project.path, env=project.environment(), capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


# ---- Making one ------------------------------------------------------------------------------


def test_the_first_run_names_the_command_that_makes_the_baseline_and_that_makes_it(system):
    system.says(q2=0)
    first = system.run(*GATE, "-k", "not q7")

    assert first.ret == 0
    first.stdout.fnmatch_lines(
        [
            "1 below a threshold, left to the gate (xfail)",
            f"ragcheck: no baseline to compare with (*); to make one: pytest * {' '.join(GATE)} -k 'not q7' {UPDATE}",
        ]
    )
    system.run("-k", "not q7").stdout.no_fnmatch_line("*no baseline*")
    system.run().stdout.fnmatch_lines(["ragcheck: no baseline to compare with (*"])
    assert not system.baseline.exists()

    made = system.run(UPDATE)
    assert made.ret == 1, "an update does not hide what is below its threshold"
    made.stdout.fnmatch_lines(["ragcheck: wrote the baseline ragcheck-baseline.json: 8 questions, 8 of now"])
    assert system.entries() == {f"q{n}": [0.0 if n == 2 else 1.0] for n in range(8)}
    (dataset,) = load_baseline(system.baseline).datasets.values()
    assert dataset.setup.fingerprint == {"generator": "ragcheck_pipeline"}, "the configured generator did not answer"

    again = system.run(*GATE, "--ragcheck-require-baseline")
    assert (again.ret, verdict(again)) == (0, "same")
    again.stdout.fnmatch_lines(["1 known failure: below a threshold in the baseline already, and no worse"])
    again.stdout.no_fnmatch_line("*questions that broke*")


def test_what_cannot_be_compared_with_ends_the_session_before_anything_is_asked(system):
    required = system.run("--ragcheck-require-baseline", *GATE)
    assert required.ret == 4
    required.stderr.fnmatch_lines(
        [f"ERROR: ragcheck: ragcheck-baseline.json: no baseline; write it with {UPDATE} and commit it"]
    )
    named = system.run("--ragcheck-baseline", "evals/other.json", "--ragcheck-require-baseline")
    named.stderr.fnmatch_lines(["ERROR: ragcheck: evals/other.json: no baseline; write it with *"])
    assert system.asked() == []

    system.run(UPDATE).assert_outcomes(passed=8)
    fewer = system.run(UPDATE, "--ragcheck-metrics", "refusal")
    assert fewer.ret == 4
    fewer.stderr.fnmatch_lines(["ERROR: ragcheck: *--ragcheck-metrics would drop the other metrics from the baseline*"])
    lines = system.baseline.read_text().splitlines()
    broken = next(number for number, line in enumerate(lines, start=1) if '"q5"' in line)
    lines[broken - 1] = lines[broken - 1].replace('"q5"', '"q5')
    system.baseline.write_text("\n".join(lines))
    for arguments in ([], [UPDATE]):
        damaged = system.run(*GATE, *arguments)
        assert damaged.ret == 4
        told = [line for line in damaged.errlines if line]
        assert len(told) == 1
        assert told[0].startswith(f"ERROR: ragcheck: ragcheck-baseline.json:{broken}: it is no JSON (")
        assert "delete it and write it anew" in told[0]
    assert len(system.asked()) == 8


def test_a_run_over_some_questions_compares_and_updates_these(system):
    system.run(UPDATE).assert_outcomes(passed=8)
    system.says(q1=7, q2=0)

    some = system.run(*GATE, "-k", "q1 or q3")
    assert (some.ret, verdict(some)) == (0, "inconclusive")
    some.stdout.fnmatch_lines(["2 questions compared with *"])
    assert system.run(UPDATE, "-k", "q1 or q3").ret == 0
    assert system.entries() == {f"q{n}": [0.7 if n == 1 else 1.0] for n in range(8)}


def test_a_run_that_was_stopped_is_neither_compared_nor_kept(system):
    system.run(UPDATE).assert_outcomes(passed=8)
    before = system.baseline.read_bytes()
    system.says(others=0)
    stopped = system.run("--ragcheck-fail-on", "both", "-x")
    assert stopped.ret == 1
    stopped.stdout.fnmatch_lines(["ragcheck: not compared with the baseline: the run was interrupted or stopped early"])
    stopped.stdout.no_fnmatch_line("gate: *")
    kept = system.run(UPDATE, "-x")
    kept.stdout.fnmatch_lines(["ragcheck: the baseline was not updated: the run was interrupted or stopped early"])
    system.project.write(
        "test_own.py",
        """\
        def test_own(ragcheck_result):
            if ragcheck_result.question.id == "q3":
                raise KeyboardInterrupt
        """,
    )
    assert system.run(UPDATE).ret == 2
    assert system.baseline.read_bytes() == before


# ---- The exit status -------------------------------------------------------------------------


def test_a_worse_mean_is_red_where_the_gate_decides_though_every_item_passes(system):
    system.run(UPDATE).assert_outcomes(passed=8)
    system.says(others=8)

    regression = system.run(*GATE, "--ragcheck-report", "run.json", "--ragcheck-report", "out.md")
    regression.assert_outcomes(passed=8)
    assert (regression.ret, verdict(regression)) == (1, "regressed")
    regression.stdout.fnmatch_lines(["ragcheck: the gate is closed: regressed (reference_coverage fell by 0.20, *"])
    written = json.loads((system.project.path / "run.json").read_text())["comparison"]
    assert (written["verdict"], written["metrics"]["reference_coverage"]["mean_fell"]) == ("regressed", True)
    assert "### ❌ RAG gate: regressed: <code>reference&#95;coverage</code> fell by 0.20" in (
        system.project.path / "out.md"
    ).read_text(encoding="utf-8")
    assert system.run("--ragcheck-fail-on", "both").ret == 1
    threshold = system.run()
    assert (threshold.ret, verdict(threshold)) == (0, "regressed")
    threshold.stdout.no_fnmatch_line("*the gate is closed*")
    assert from_files(system.project, "--fail-on", "threshold")[0] == 0

    system.gate(minimum=0.3)
    meant = system.run(*GATE)
    assert meant.ret == 0, "a drop that the configuration calls unimportant"


def test_a_known_failure_is_red_under_both_alone_and_what_broke_is_shown_first(system):
    system.says(q2=0)
    system.run(UPDATE)
    system.says(q2=0, q5=0)

    both = system.run("--ragcheck-fail-on", "both")
    both.assert_outcomes(passed=6, failed=2)
    told = ["*[[]q2]*", "*reference_coverage  0.00 < 0.60*baseline 0.00"]
    told += ["*[[]q5]*", "*reference_coverage  0.00 < 0.60*baseline 1.00"]
    both.stdout.fnmatch_lines(told)
    gated = system.run(*GATE)
    gated.assert_outcomes(passed=6, xfailed=2)
    assert gated.ret == 1
    gated.stdout.fnmatch_lines(
        [
            "*= ragcheck: questions that broke =*",
            "reference_coverage 0.00 < 0.60 [[]q5]",
            "*= ragcheck =*",
            "2 below a threshold, left to the gate (xfail)",
            "gate: regressed: 1 question broke: q5 (reference_coverage 1.00 -> 0.00)",
            "  reference_coverage *  1 broke *",
            "1 known failure: below a threshold in the baseline already, and no worse",
            "ragcheck: the gate is closed: regressed (1 question broke: q5 *",
        ],
        consecutive=False,
    )
    gated.stdout.no_fnmatch_line("*[[]q2]*")

    system.says(q2=0)
    system.ask(8, tags=["xfail"])
    marked = system.run(*GATE)
    marked.assert_outcomes(xpassed=7, xfailed=1)
    marked.stdout.fnmatch_lines(["1 failed as expected (xfail)"])


# ---- Why ---------------------------------------------------------------------------------------


def test_worse_retrieval_is_found_in_the_contexts_alike_in_serial_by_workers_and_from_the_files(project):
    project.configure(top_k=1)
    project.run(UPDATE).assert_outcomes(passed=4)
    project.write(
        "docs/faq.md", "How many days of annual leave do staff have? How many days? That is told elsewhere.\n"
    )
    reports = []
    for arguments in ([], *([["-n", "2"]] if find_spec("xdist") else [])):
        summary = project.path / "summary.md"
        summary.unlink(missing_ok=True)
        on_github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": ""}
        gated = project.run(*GATE, *arguments, "--ragcheck-report", "run.json", environment=on_github)
        reports.append(gate_report_in(gated))
        assert gated.ret == 1
        assert re.findall("^## RAG|^### .*gate", summary.read_text(encoding="utf-8"), re.MULTILINE) == [
            "## RAG",
            "### ❌ RAG gate",
        ], "workers write nothing"
        annotations = [line for line in gated.outlines if line.startswith("::error")]
        assert annotations == [
            "::error file=questions.json,line=2,title=ragcheck::hit_rate 0.00 < 1.00 [days-of-leave]"
        ]
        stop, *_, go = [line for line in gated.outlines if line.startswith("::") and "error" not in line]
        assert stop == f"::stop-commands::{go.strip(':')}"
    code, text = from_files(project)

    assert [code, *reports] == [1, *[text.rstrip()] * len(reports)]
    assert text.startswith("gate: regressed: 1 question broke: days-of-leave (hit_rate 1.00 -> 0.00)\n")
    assert (
        "  days-of-leave: hit_rate 1.00 -> 0.00, needs 1.00\n"
        "    contexts changed\n"
        "    gold rank 1 -> not retrieved: docs/leave.md: Staff have 25 days of annual\n"
        "    leave a year.\n"
    ) in text


@needs_xdist
def test_what_was_lost_with_a_worker_is_red_with_the_reason(system):
    system.run(UPDATE).assert_outcomes(passed=8)
    before = system.baseline.read_bytes()
    system.says(q3="die")
    nothing = system.run(*GATE, "-n", "1", "--max-worker-restart", "0")
    assert nothing.ret == 1
    nothing.stdout.fnmatch_lines(["ragcheck: not compared with a baseline: no question has a result"])

    system.says()
    system.project.write(
        "test_own.py",
        """\
        import os
        import signal


        def test_own(ragcheck_result):
            if ragcheck_result.question.id == "q3":
                os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    for arguments, told in ((GATE, "not compared with the baseline"), ([UPDATE], "the baseline was not updated")):
        some = system.run(*arguments, "-n", "1", "--max-worker-restart", "0")
        some.assert_outcomes(passed=3, failed=1)
        some.stdout.re_match_lines([rf"ragcheck: {told}: (the run was interrupted .*|\d items? never reported)"])
    assert system.baseline.read_bytes() == before

    system.project.write("test_own.py", "def test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n")
    system.says(q3="die once")
    (system.project.path / "died").unlink()
    once = system.run("--ragcheck-fail-on", "both", "-n", "1")
    assert (once.ret, verdict(once)) == (1, "invalid"), "the item that the worker died with has no result"
    once.stdout.fnmatch_lines(["ragcheck: the gate is closed: invalid (1 selected question of the baseline without *"])


@pytest.mark.parametrize(
    ("arguments", "told"), [(GATE, "not compared with a baseline"), ([UPDATE], "the baseline was not updated")]
)
def test_results_that_got_lost_are_red_though_every_item_passed(system, arguments, told):
    hook = """
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(item):
        kept, item.stash = item.stash, pytest.Stash()
        try:
            return (yield)
        finally:
            item.stash = kept
    """
    conftest = system.project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + textwrap.dedent(hook))

    lost = system.run(*arguments)

    lost.assert_outcomes(passed=8)
    assert lost.ret == 1
    lost.stdout.fnmatch_lines([f"ragcheck: {told}: no question has a result, and 8 should have one"])


def test_a_system_that_is_down_is_no_regression_but_invalid(system):
    system.run(UPDATE).assert_outcomes(passed=8)
    system.says(others="raise")

    down = system.run(*GATE)
    down.assert_outcomes(errors=8)
    assert (down.ret, verdict(down)) == (1, "invalid")
    down.stdout.fnmatch_lines(["*0.0% of the scores could be measured, 95% are needed*"])
    assert system.run(UPDATE).ret == 1
    assert set(map(tuple, system.entries().values())) == {(1.0,)}, "what could not be measured keeps its line"

    system.says(q1="raise")
    system.gate(coverage=0.5)
    one = system.run(*GATE)
    one.assert_outcomes(passed=7, errors=1)
    assert (one.ret, verdict(one)) == (1, "same"), "the gate is open, but an error is an error"


def test_trials_are_compared_by_their_means_and_a_noisy_system_stays_green(system):
    noisy = [[10, 7, 8, 10, 6, 9], [7, 10, 9, 8, 10, 8, 7]]
    system.says(**{f"q{n}": noisy[n % 2] for n in range(8)})
    system.run("--ragcheck-trials", "3", UPDATE).assert_outcomes(passed=8)
    assert {len(trials) for trials in system.entries().values()} == {3}
    for _ in range(2):
        again = system.run("--ragcheck-trials", "3", *GATE)
        assert again.ret == 0

    system.says(others=8, q4=2)
    worse = system.run("--ragcheck-trials", "3", *GATE)
    assert (worse.ret, verdict(worse)) == (1, "regressed")
    worse.stdout.fnmatch_lines(["*1 question broke: q4*"])


ROUNDS = ("--ragcheck-trials", "5", "--ragcheck-stop-trials", "--ragcheck-report", "run.json")
WAYS = [
    (),
    ("--ragcheck-sequential",),
    *([("-n", "2"), ("-n", "3", "--ragcheck-concurrency", "1")] if find_spec("xdist") else []),
]


def trials_of(project):
    """How many trials each question had, by its id."""
    return {
        one["question"]["id"]: len(one["trials"])
        for one in json.loads((project.path / "run.json").read_text())["results"]
    }


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_trials_end_with_the_round_that_decides_against_the_baseline(system, way):
    """Whoever asks the questions: the test is made with the results of all."""
    noisy = [[9, 8, 9, 9, 9, 8, 9], [8, 9, 9, 9, 9, 9, 8]]
    system.says(**{f"q{n}": noisy[n % 2] for n in range(8)})
    system.run("--ragcheck-trials", "5", UPDATE).assert_outcomes(passed=8)

    def asked_by():
        before = len(system.asked())
        done = system.run(*GATE, *ROUNDS, *way)
        return done, len(system.asked()) - before

    unchanged, count = asked_by()
    assert (unchanged.ret, count) == (0, 8), "nothing looks worse after the first round"
    assert verdict(unchanged) in {"same", "inconclusive"}

    system.says(others=8, **{f"q{n}": [8, 9] for n in range(0, 8, 2)})
    doubtful, count = asked_by()
    assert (doubtful.ret, count) == (0, 12), "four fell by 0.1 in the first round, and they alone are asked further"
    assert from_files(system.project)[0] == 0
    assert trials_of(system.project) == {f"q{n}": 2 - n % 2 for n in range(8)}
    results = json.loads((system.project.path / "run.json").read_text())["results"]
    assert {(one["planned_trials"], one["looks"]) for one in results} == {(5, 5)}

    system.says(others=7)
    worse, count = asked_by()
    assert (worse.ret, verdict(worse), count) == (1, "regressed", 8), "all fell in the first round"
    assert from_files(system.project)[0] == 1


@pytest.mark.parametrize("way", WAYS[:3], ids=" ".join)
def test_a_question_that_fell_in_rounds_is_asked_again_whoever_asks(system, way):
    system.run("--ragcheck-trials", "5", UPDATE).assert_outcomes(passed=8)
    system.says(q6=2)
    asked = len(system.asked())

    gated = system.run(*GATE, *ROUNDS, *way)

    rounds = trials_of(system.project)["q6"]
    assert set(trials_of(system.project).values()) == {rounds}
    again = max(0, SAMPLES_OF_A_FALL - 2 * rounds)
    assert sorted(system.asked()[asked:]) == sorted([*"01234567"] * rounds + ["6"] * again)
    assert (gated.ret, verdict(gated)) == (1, "regressed")
    gated.stdout.fnmatch_lines(["gate: regressed: *1 question broke: q6*"])


@needs_xdist
def test_rounds_go_on_where_a_worker_is_lost_in_one(system):
    """What it had answered counts, and what it was at is asked by others."""
    system.run("--ragcheck-trials", "5", UPDATE).assert_outcomes(passed=8)
    system.says(q3="die once")

    gated = system.run("--ragcheck-fail-on", "both", *ROUNDS, "-n", "2")

    assert set(trials_of(system.project).values()) == {2}, "a fall of one question leaves the first round open"
    assert (gated.ret, verdict(gated)) == (1, "invalid"), "the item that the worker died with has no result"


@pytest.mark.parametrize("way", WAYS[:3], ids=" ".join)
def test_each_suite_ends_its_own_rounds(bare_project, way):
    """One of them fell in the first round; of the other, half fell a little and is asked once more."""
    names = ("fell", "noisy")
    questions = [f"{name}/questions.json" for name in names]
    asked = bare_project.path / "asked.log"
    bare_project.write("conftest.py", SYSTEM)
    for name in names:
        rows = [{"id": f"{name}{n}", "question": f"What of {name}{n}?", "reference": System.WORDS} for n in range(8)]
        bare_project.write(f"{name}/questions.json", json.dumps(rows))
        bare_project.write(
            f"{name}/ragcheck.toml", 'questions = "questions.json"\n[metrics]\nreference_coverage = 0.5\n'
        )

    def says(fell):
        words = System.WORDS.split()
        noisy = [[9, 8, 9, 9, 9, 8, 9], [8, 9, 9, 9, 9, 9, 8]] if fell == 9 else [[9, 8], [8]]
        said = {f"noisy{n}": [" ".join(words[:count]) for count in noisy[n % 2]] for n in range(8)}
        bare_project.write("said.json", json.dumps({**said, "others": " ".join(words[:fell])}))

    says(9)
    assert bare_project.run(*questions, "--ragcheck-trials", "5", UPDATE).ret == 0
    says(7)
    asked.unlink()

    gated = bare_project.run(*questions, *GATE, *ROUNDS, *way)

    assert gated.ret == 1
    assert Counter(asked.read_text().split()) == {
        f"{name}{n}": 2 if name == "noisy" and n % 2 == 0 else 1 for name in names for n in range(8)
    }


def test_a_question_that_fell_is_asked_again_before_it_counts_as_broken(system):
    """Questions that flip are told from one that broke, alike in serial, by workers and from the files."""
    system.run(UPDATE).assert_outcomes(passed=8)
    workers = [[], ["-n", "2"]] if find_spec("xdist") else [[]]
    for arguments in workers:
        system.says(q5=[2, 10, 10], q6=2)
        asked = len(system.asked())
        gated = system.run(*GATE, *arguments, "--ragcheck-report", "run.json")

        gated.assert_outcomes(passed=6, xfailed=2)
        assert (gated.ret, sorted(system.asked()[asked:])) == (1, sorted([*"01234567", *"55", *"6666666666"]))
        assert gate_report_in(gated) == from_files(system.project)[1].rstrip()
        gated.stdout.fnmatch_lines(
            [
                "asked again, as it passed in the baseline",
                "  reference_coverage 10 times 0.20",
                "gate: regressed: 1 question broke: q6 (reference_coverage 1.00 -> 0.20)",
                "  q6: reference_coverage 1.00 -> 0.20 (again 10 times 0.20), needs 0.60",
                "1 question fell, but passed when asked again, and did not break: q5",
            ]
        )

    system.says(q5=[2, 10, 10])
    (system.project.path / "turn-5").unlink()
    flipped = system.run(*GATE)
    assert (flipped.ret, verdict(flipped)) == (0, "inconclusive")
    asked = len(system.asked())
    system.run("--ragcheck-fail-on", "threshold")
    assert len(system.asked()) == asked + 8, "where the gate does not decide, nothing is spent on it"


# ---- The judge -------------------------------------------------------------------------------


class Judge:
    """Of ten statements it finds so many relevant as ``says`` gives for a prompt."""

    def __init__(self, says):
        self.says = says

    def __call__(self, params):
        properties = params["output_config"]["format"]["schema"]["properties"]
        prompt = params["messages"][0]["content"]
        if "statements" in properties:
            # What is judged next knows the answer by these alone.
            of = "worse" if "worse" in prompt else "good"
            return {"statements": [f"Statement {number} of a {of} answer." for number in range(10)]}
        if "verdicts" in properties:
            good = self.says(prompt)
            return {"verdicts": [{"verdict": "yes" if n < good else "no", "reason": "so"} for n in range(10)]}
        return {"reason": "the judge's own words"}


@pytest.fixture
def judged_by(judged):
    """Sets the judge of ten questions, and what the system answers."""
    numbers = [number for number in range(11) if number != 3]
    judged.project.questions([{"id": f"q{n}", "question": f"Colour of item {n}?"} for n in numbers])
    judged.configure({"answer_relevancy": 0.5})

    def set_judge(says, *, said="has colour 0."):
        judged.api._reply = Judge(says)
        judged.answer(said=said)
        return judged

    return set_judge


def refreshed(judged, *arguments):
    return judged.run("--ragcheck-cache", "refresh", *GATE, *arguments)


@needs_deepeval
def test_a_judge_that_moved_is_told_from_a_system_that_did(judged_by):
    judged = judged_by(lambda prompt: 9)
    judged.run(UPDATE).assert_outcomes(passed=10)

    judged_by(lambda prompt: 6)
    drifted = refreshed(judged)
    assert (drifted.ret, verdict(drifted)) == (1, "judge drifted")
    text = " ".join(gate_report_in(drifted).split())
    assert "but the judge now gives 10 stored answers of the baseline 0.30 less than then" in text
    assert "judged again, to tell whether the judge moved: 10 stored answers of the baseline, for $0." in text
    spent = len(judged.calls())
    capped = refreshed(judged, "--ragcheck-max-cost", "0")
    assert (capped.ret, verdict(capped), len(judged.calls())) == (1, "invalid", spent)

    judged_by(lambda prompt: 6 if "worse answer" in prompt else 9, said="is of a worse colour.")
    worse = judged.run(*GATE)
    assert (worse.ret, verdict(worse)) == (1, "regressed")
    assert "judged again, to tell whether the judge moved: 10 stored answers" in " ".join(gate_report_in(worse).split())
    only = judged.run(*GATE, "--ragcheck-cache", "only")
    assert (only.ret, verdict(only)) == (1, "regressed")
    assert "judged again" not in gate_report_in(only)


@needs_deepeval
def test_a_noisy_judge_with_nothing_changed_stays_green(judged_by):
    draws = Random(11)
    judged = judged_by(lambda prompt: draws.choice([7, 8, 9]))
    judged.run(UPDATE).assert_outcomes(passed=10)
    scores = []
    for _ in range(2):
        again = refreshed(judged)
        assert (again.ret, verdict(again)) in {(0, "inconclusive"), (0, "same"), (0, "better")}
        scores.append(tuple(one["answer_relevancy"]["value"] for one in judged.scores().values()))
    assert len(set(scores)) == 2, "the judge was noisy"
