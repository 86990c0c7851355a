"""``--ragcheck-report``: what is written, where it is said, and what is refused."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from pytest_ragcheck.run_file import load_run

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
FAILING = "def test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n"


@pytest.mark.parametrize("arguments", [(), pytest.param(("-n", "2"), marks=NEEDS_XDIST)], ids=["serial", "workers"])
def test_each_kind_is_written_where_it_was_named(own_system, arguments):
    pytest.importorskip("jinja2")
    own_system.write("sub/keep.txt", "")
    reports = ["new/folder/run.html", "run.MD", "../run.json", "run.MD"]

    result = own_system.run(
        *arguments,
        "..",
        *(f"--ragcheck-report={path}" for path in reports),
        folder="sub",
        environment={"COLUMNS": "80"},
    )

    assert result.ret == 0
    lines = result.outlines
    written = [line for line in lines if line.startswith("ragcheck: wrote")]
    assert written == ["ragcheck: wrote new/folder/run.html", "ragcheck: wrote run.MD", "ragcheck: wrote ../run.json"]
    assert lines.index(written[0]) > lines.index("4 questions: 4 passed")
    html, markdown, run = (own_system.path / "sub" / path for path in reports[:3])
    assert "<html" in html.read_text(encoding="utf-8")
    assert markdown.read_text(encoding="utf-8").startswith("## RAG: 4 questions, none failed\n")
    assert {result.question.id for result in load_run(run).results} == {"q0", "q1", "q2", "q3"}
    (kept,) = (own_system.path / ".ragcheck" / "runs").glob("*.json")
    reported = json.loads(run.read_bytes())
    assert reported.pop("metrics")
    assert reported == json.loads(kept.read_bytes())
    ordinary = own_system.write("ordinary", "").stat().st_mode
    assert {path.stat().st_mode for path in (html, markdown, run)} == {ordinary}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("report.pdf", "*--ragcheck-report: 'report.pdf' has no kind of report for a suffix: use .html, .md, .json"),
        (
            "test_own.py/a/report.md",
            "ERROR: ragcheck: --ragcheck-report test_own.py/a/report.md: *test_own.py is no folder",
        ),
    ],
)
def test_what_cannot_become_a_report_is_refused_before_anything_is_asked(own_system, asked, path, problem):
    result = own_system.run("--ragcheck-report", path)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([problem])
    assert "Traceback" not in result.stderr.str()
    assert asked() == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--ragcheck-plan"], "--ragcheck-plan calls nothing"),
        (["-k", "nothing"], "no question was asked"),
    ],
)
def test_without_a_run_there_is_no_report_and_it_says_so(own_system, arguments, why):
    result = own_system.run(*arguments, "--ragcheck-report", "run.md")

    result.stdout.fnmatch_lines([f"ragcheck: no report was written: {why}"])
    assert not (own_system.path / "run.md").exists()


def test_without_ragcheck_nothing_is_written(own_system):
    result = own_system.run("--ragcheck-report", "run.md", ragcheck=False)

    result.assert_outcomes(skipped=4)
    assert "report" not in result.stdout.str().replace("--ragcheck-report", "")
    assert not (own_system.path / "run.md").exists()


@pytest.mark.parametrize("arguments", [[], ["-p", "no:terminal"]], ids=["terminal", "no terminal"])
def test_a_report_that_cannot_be_written_fails_the_run(own_system, arguments):
    own_system.write(
        "test_own.py",
        """\
        from pathlib import Path

        def test_own(ragcheck_result):
            ragcheck_result.assert_passed()
            Path("reports").write_text("a file where the folder should be")
        """,
    )

    result = own_system.run("--ragcheck-report", "reports/run.md", "--ragcheck-report", "run.json", *arguments)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    if not arguments:
        result.assert_outcomes(passed=4)
        result.stdout.fnmatch_lines(
            ["ragcheck: wrote run.json", "ragcheck: reports/run.md: *; the report was not written"]
        )
    assert load_run(own_system.path / "run.json").complete
