"""Bad input is one line with file, line and remedy, before anything is collected; good input is found where it is."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec

import pytest

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
PLAIN = 'questions = "questions.json"\ndocuments = ["docs/*.md"]\nembedder = "embedder:Embedder"\n'
QUESTION = {"id": "q", "question": "How many days?"}


def told(result):
    """The one line that tells what is wrong."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "collected" not in result.stdout.str()
    lines = [line for line in result.errlines if line.strip()]
    assert len(lines) == 1, lines
    return lines[0].removeprefix("ERROR: ")


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("questions = [\n", r"ragcheck\.toml:\d: not valid TOML: .*"),
        (PLAIN + "concurency = 3\n", r"ragcheck\.toml:4: unknown key 'concurency'; did you mean 'concurrency'\?"),
        ('question = "questions.json"\n', r"ragcheck\.toml:1: unknown key 'question'; did you mean 'questions'\?"),
        (PLAIN + "[chunking]\nsizes = 3\n", r"ragcheck\.toml:5: unknown key 'chunking\.sizes'; did you mean 'size'\?"),
        (PLAIN + 'top_k = "5"\n', r"ragcheck\.toml:4: top_k: must be an? .*integer, got '5'"),
        (PLAIN + "top_k = 0\n", r"ragcheck\.toml:4: top_k: must be greater than or equal to 1, got 0"),
        (PLAIN + "request_timeout = nan\n", r"ragcheck\.toml:4: request_timeout: .*"),
        ("questions = 3\n", r"ragcheck\.toml:1: questions: must be a string, got 3"),
        (
            'questions = "questions.json"\ndocuments = "docs"\n',
            r"ragcheck\.toml:2: documents: must be a list, got 'docs'",
        ),
        ("chunking = 3\n" + PLAIN, r"ragcheck\.toml:1: chunking: .*, got 3"),
        (PLAIN + "[chunking]\noverlap = 200\n", r"ragcheck\.toml:5: chunking\.overlap must be smaller than .*"),
        (PLAIN + "[metrics]\nhit_rate = 1.5\n", r"ragcheck\.toml:5: metrics\.hit_rate: .* from 0 to 1, got 1\.5"),
        (PLAIN + '[metrics]\nhit_rate = "yes"\n', r"ragcheck\.toml:5: metrics\.hit_rate: .*, got 'yes'"),
        (PLAIN + "[metrics]\nhit_rate = true\n", r"ragcheck\.toml:5: metrics\.hit_rate: .*, got True"),
        (
            PLAIN + "[metrics]\nhitrate = 1.0\n",
            r"ragcheck\.toml(:5)?: unknown metric 'hitrate'; did you mean 'hit_rate'\?",
        ),
        (
            PLAIN + "[metrics]\nmust_contain = 1.0\n",
            r"ragcheck\.toml(:5)?: metric 'must_contain' needs must_contain, .*",
        ),
        (PLAIN.replace("questions.json", "no.yaml"), r".*no\.yaml: .*"),
        (PLAIN.replace("questions.json", "docs"), r".*docs: .*"),
        (PLAIN.replace("docs/*.md", "dosc/*.md"), r".*'dosc/\*\.md' matches no document .*"),
        (PLAIN + 'generator = "extractiv"\n', r"ragcheck\.toml(:4)?: generator = 'extractiv'.*extractive.*"),
        (
            PLAIN.replace("embedder:", "embeder:"),
            r"ragcheck\.toml(:3)?: embedder = 'embeder:Embedder'.* no module 'embeder'.*",
        ),
        (
            PLAIN.replace(":Embedder", ":Embeder"),
            r"ragcheck\.toml(:3)?: embedder = 'embedder:Embeder'.* has no 'Embeder'.*",
        ),
    ],
    ids=lambda value: value.splitlines()[-1] if value.endswith("\n") else None,
)
def test_bad_configuration(project, configuration, expected):
    project.write("ragcheck.toml", configuration)

    line = told(project.run())

    assert re.fullmatch(r"ragcheck: " + expected, line), line


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ([QUESTION, QUESTION | {"question": "When?"}], r"questions\.json:\d+: the id 'q' is that of line \d+ too; .*"),
        ([QUESTION | {"thresholds": {"hitrate": 1}}], r"questions\.json:\d+: thresholds: unknown metric 'hitrate'; did you.*"),
        ([QUESTION | {"gold": ["docs/laeve.md"]}], r"questions\.json:\d+: .*docs/laeve\.md.*"),
        ([QUESTION | {"gold": [{"source": "docs/leave.md", "quote": "26 days"}]}], r"questions\.json:\d+: .*26 days.*"),
        ([QUESTION | {"tags": ["parametrize"]}], r"questions\.json:\d+: tag 'parametrize'.*choose another name"),
    ],
    ids=["duplicate id", "threshold", "document", "quote", "tag"],
)  # fmt: skip
def test_bad_questions(project, questions, expected):
    project.configure(metrics={"groundedness": "report"})
    project.questions(questions)

    line = told(project.run())

    assert re.fullmatch(r"ragcheck: " + expected, line), line


@NEEDS_XDIST
def test_bad_input_ends_the_run_before_any_worker_starts(project):
    project.write("ragcheck.toml", PLAIN + "top_k = 0\n")

    assert told(project.run("-n", "2")).endswith("top_k: must be greater than or equal to 1, got 0")


@pytest.mark.parametrize(
    ("pyproject", "expected"),
    [
        ("[ragcheck]\ntop_k = 0\n", None),
        ("[tool]\nragcheck = 3\n", r"pyproject\.toml(:2)?: tool\.ragcheck must be a table, got 3"),
        (
            '[tool.other]\ntop_k = 0\n[tool.ragcheck]\nquestions = "questions.json"\ntop_k = 0\n',
            r"pyproject\.toml:5: top_k: .*",
        ),
    ],
    ids=["no table of ours", "no table", "the line in our table"],
)
def test_pyproject(project, pyproject, expected):
    (project.path / "ragcheck.toml").unlink()
    project.write("pyproject.toml", pyproject)
    if expected is None:
        project.write("test_handbook.py", "def test_plain(): ...")
        project.run().assert_outcomes(passed=1)
        return

    line = told(project.run())

    assert re.fullmatch(r"ragcheck: " + expected, line), line


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--ragcheck-concurrency=0", "*--ragcheck-concurrency: expected a whole number from 1, got '0'"),
        ("--ragcheck-concurrency=many", "*--ragcheck-concurrency: expected a whole number from 1, got 'many'"),
        ("--ragcheck-cache=maybe", "*--ragcheck-cache: invalid choice: 'maybe'*"),
        ("--ragcheck-metrics=,", "*--ragcheck-metrics: expected metric names, separated by commas"),
        (
            "--ragcheck-metrics=hit_rate,recal",
            "*ragcheck: --ragcheck-metrics: unknown metric 'recal'; did you mean 'recall'?",
        ),
        ("--ragcheck-metrics=must_contain", "*ragcheck: *metric 'must_contain' needs must_contain*"),
    ],
)
def test_bad_options(project, option, expected):
    result = project.run(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([expected])
    assert "Traceback" not in result.stderr.str()


def test_a_missing_extra_is_told_with_what_to_install(project):
    project.write("ragcheck.toml", 'questions = "questions.json"\ndocuments = ["docs/*.md"]\n')
    project.write(
        "not_installed.py",
        """\
        import sys


        class Without:
            def __init__(self, finder):
                self.finder = finder

            def find_spec(self, name, path=None, target=None):
                missing = name.partition(".")[0] in {"faiss", "tokenizers"}
                return None if missing else self.finder.find_spec(name, path, target)

            def __getattr__(self, name):
                return getattr(self.finder, name)


        sys.modules.pop("faiss", None)
        sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
        """,
    )

    result = project.run("-p", "not_installed")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    shown = [line for line in result.outlines + result.errlines if "pytest-ragcheck[rag]" in line]
    assert len(shown) == 1
    assert 'needs an extra: python -m pip install "pytest-ragcheck[rag]"' in shown[0]
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert "pytest_ragcheck/" not in result.stdout.str()


def test_the_nearest_configuration_wins_and_its_paths_are_relative_to_it(project):
    project.write(
        "pyproject.toml", '[project]\nname = "x"\ndependencies = ["pytest-ragcheck"]\n[tool.ragcheck]\ntop_k = 0\n'
    )
    plain = PLAIN.replace("docs", "../docs").replace("embedder:", "part_embedder:")
    project.write("part/ragcheck.toml", plain + "[metrics]\nhit_rate = 1.0\n")
    project.write("part/part_embedder.py", (project.path / "embedder.py").read_text())
    project.write("part/questions.json", json.dumps([QUESTION | {"gold": ["../docs/leave.md"]}]))
    project.write("part/pyproject.toml", "[tool.ragcheck]\ntop_k = 0\n")
    project.write("part/deep/er/test_part.py", "def test_part(ragcheck_result):\n    ragcheck_result.assert_passed()\n")
    project.write("elsewhere/keep.txt", "")

    from_root = project.run("-v")
    from_elsewhere = project.run("../part/deep/er/test_part.py", "-v", folder="elsewhere")
    by_question_file = project.run("../part/questions.json", "-v", folder="elsewhere")

    from_root.assert_outcomes(passed=5)
    from_elsewhere.assert_outcomes(passed=1)
    by_question_file.assert_outcomes(passed=1)
    assert (project.path / "part" / ".ragcheck" / "cache.sqlite").exists()
    assert not (project.path / "elsewhere" / ".ragcheck").exists()
    from_root.stdout.fnmatch_lines(["5 questions: 5 passed"])


def test_a_broken_pyproject_further_up_is_none_of_ours(project):
    project.write("../pyproject.toml", 'dependencies = ["pytest-ragcheck"\n[[[')

    project.run().assert_outcomes(passed=4)


def test_without_any_configuration_a_question_file_is_enough(own_system):
    (own_system.path / "ragcheck.toml").unlink()
    (own_system.path / "test_own.py").unlink()

    own_system.run("questions.json", "--ragcheck-metrics", "reference_coverage").assert_outcomes(passed=4)


def test_only_the_named_metrics_are_measured(project):
    project.configure(metrics={"hit_rate": 1.0, "recall": 1.0})

    result = project.run("--ragcheck-metrics", "recall, groundedness", "-k", "meals")

    result.assert_outcomes(passed=1, deselected=3)
    (run,) = (project.path / ".ragcheck" / "runs").glob("*.json")
    (measured,) = json.loads(run.read_text())["results"]
    assert {name: score["threshold"] for name, score in measured["scores"].items()} == {
        "recall": 1.0,
        "groundedness": None,
    }


def test_cache_modes(project):
    def run(mode):
        before = len(project.embedded())
        result = project.run("--ragcheck-cache", mode)
        result.assert_outcomes(passed=4)
        return result.stdout.str(), project.embedded()[before:]

    first, embedded = run("use")
    assert embedded == [3, 4]
    assert "0 from the cache" in first
    again, embedded = run("use")
    assert embedded == []
    assert "4 from the cache" in again
    store = (project.path / ".ragcheck" / "cache.sqlite").read_bytes()
    off, embedded = run("off")
    assert 4 in embedded
    assert "0 from the cache" in off
    assert (project.path / ".ragcheck" / "cache.sqlite").read_bytes() == store
    refreshed, _ = run("refresh")
    assert "0 from the cache" in refreshed
    only, embedded = run("only")
    assert embedded == []
    assert "4 from the cache" in only


def test_sequential_runs_tell_what_concurrency_bought(own_system):
    own_system.run().assert_outcomes(passed=4)

    result = own_system.run("--ragcheck-sequential")

    result.assert_outcomes(passed=4)
    result.stdout.re_match_lines(
        [
            r"timing \(sequential, 4 questions\)",
            r"timing, sequential against concurrent \(run of .*\)",
            r"  phase +sequential +concurrent",
            r"  all questions +[\d.]+ m?s +[\d.]+ m?s.*",
        ]
    )


def test_sequential_asks_one_after_the_other(own_system):
    own_system.write(
        "conftest.py",
        """\
        import asyncio
        from pathlib import Path

        import pytest


        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            in_flight = []

            async def ask(question):
                in_flight.append(question)
                with Path(__file__).with_name("peaks.log").open("a") as log:
                    log.write(f"{len(in_flight)}\\n")
                for _ in range(5):
                    await asyncio.sleep(0)
                in_flight.remove(question)
                return f"The answer is {question[-2]}.", []

            return ask
        """,
    )

    def peak(*arguments):
        (own_system.path / "peaks.log").unlink(missing_ok=True)
        own_system.run(*arguments).assert_outcomes(passed=4)
        return max(map(int, (own_system.path / "peaks.log").read_text().split()))

    assert peak("--ragcheck-sequential") == 1
    assert peak("--ragcheck-concurrency", "2") == 2
    assert peak() == 4


def test_a_state_folder_that_cannot_be_written_is_one_line(project):
    project.write(".ragcheck", "a file, where a folder should be")

    remedy = r"make it a folder that can be written, or run with --ragcheck-cache off"
    assert re.fullmatch(rf"ragcheck: .*\.ragcheck: .*; {remedy}", told(project.run()))

    without = project.run("--ragcheck-cache", "off")
    assert without.parseoutcomes()["passed"]
    assert "errors" not in without.parseoutcomes()
    without.stdout.fnmatch_lines(["ragcheck: *.ragcheck: *; this run was not kept"])


def test_a_run_that_cannot_be_kept_is_told_and_fails_nothing(own_system):
    own_system.write(".ragcheck/runs", "a file, where a folder should be")

    result = own_system.run()

    assert result.ret == 0
    result.stdout.fnmatch_lines(["ragcheck: *runs: File exists; this run was not kept"])


HOSTILE = "\n::error file=a.py::hacked\r\x1b[2J\u202ex"
"""What a GitHub runner takes for a command, and a terminal for more."""


@pytest.mark.parametrize(
    "place", ["questions", "documents", "value", "key", "embedder", "generator", "metric", "baseline"]
)
def test_no_error_prints_what_a_file_says_as_it_is(project, place):
    text = json.dumps(HOSTILE).replace("\\u001b", "\\u001B")
    arguments = []
    if place in {"questions", "embedder", "generator"}:
        project.configure(**{place: HOSTILE})
    elif place == "documents":
        project.configure(documents=[HOSTILE])
    elif place == "value":
        project.configure(top_k=HOSTILE)
    elif place == "key":
        project.write("ragcheck.toml", PLAIN + f"{text} = 3\n")
    elif place == "metric":
        project.write("ragcheck.toml", PLAIN + f"[metrics]\n{text} = 0.5\n")
    else:
        folder = project.path / f"a{HOSTILE}"
        folder.mkdir()
        for name in ("questions.json", "docs", "embedder.py"):
            (project.path / name).rename(folder / name)
        (project.path / "ragcheck.toml").unlink()
        (folder / "ragcheck.toml").write_text(PLAIN)
        (folder / "ragcheck-baseline.json").write_text("[]")
        arguments = ["--ragcheck-fail-on", "regression"]
    result = project.run(*arguments)
    assert result.ret in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED}
    printed = (project.path / "stdout").read_text() + (project.path / "stderr").read_text()
    assert "hacked" in printed, "the error quotes what is wrong"
    assert not [line for line in printed.split("\n") if line.startswith("::")]
    assert not {"\r", "\x1b", "\u202e"} & set(printed)
