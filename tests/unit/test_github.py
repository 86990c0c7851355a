"""What GitHub Actions is told: annotations and the step's summary, whatever text a dataset or a model has."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ragcheck.baseline.datasets import QuestionFile
from pytest_ragcheck.comparison import Comparison, QuestionChange, ScoreChange, Verdict
from pytest_ragcheck.model import Answer, Failure, Question, Result, Run, Score
from pytest_ragcheck.session.github import MOST_ANNOTATIONS, GitHub, is_on_github
from pytest_ragcheck.session.options import Options

HOSTILE = "a\n::error::owned\r::set-output name=x::y%0A::stop-commands::z"

OTHERS = "::add-mask::of an answer"


class Terminal:
    def __init__(self):
        self.lines = []

    def write_line(self, line, **_):
        self.lines.append(line)


def after_others(lines):
    """The lines that follow those of others, which the runner must not read."""
    place = lines.index(OTHERS)
    if place == 0:
        return lines[1:]
    token = re.fullmatch("::stop-commands::([0-9a-f]{32})", lines[place - 1])[1]
    assert lines[place - 1 : place + 2] == [f"::stop-commands::{token}", OTHERS, f"::{token}::"]
    return lines[place + 2 :]


def result(name="q1", value=0.0, *, line=7, **fields):
    score = Score(metric="hit_rate", value=value, threshold=1.0)
    question = Question(id=name, question="Who?", dataset="questions.yaml", line=line)
    return Result(**{"question": question, "answer": Answer(text="x"), "scores": {"hit_rate": score}, **fields})


def broken(name):
    score = ScoreChange(metric="hit_rate", baseline=1.0, value=0.0, threshold=1.0, broke=True)
    return QuestionChange(id=name, dataset="questions.yaml", scores={"hit_rate": score})


def comparison(*questions):
    return Comparison(
        verdict=Verdict.REGRESSED, reasons=("r",), baseline_name="b", baseline_created="now", questions=questions
    )


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What the terminal shows at the end of a session with these results."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def tell(*results, compared=None, file="evals/questions.yaml", **options):
        recorder = SimpleNamespace(
            run=Run(
                started_at="2026-01-01T00:00:00+00:00",
                mode="concurrent",
                fingerprints={},
                setup=0.0,
                wall=0.0,
                versions={},
                results=results,
            ),
            comparison=compared,
            question_files={"questions.yaml": QuestionFile(questions=tmp_path / file)},
        )
        terminal = Terminal()
        config = SimpleNamespace(rootpath=tmp_path / "elsewhere")
        summary = GitHub(config, Options(**options), recorder).pytest_terminal_summary(terminal)
        next(summary)
        terminal.write_line(OTHERS)
        assert next(summary, "done") == "done"
        return after_others(terminal.lines)

    return tell


def test_what_fails_the_run_is_annotated_at_its_line(told):
    failed = Failure(kind="timeout", message="no answer in 60 s")
    lines = told(result("q1"), result("q2", 1.0), result("q3", answer=None, scores={}, error=failed, line=9))

    assert lines == [
        "::error file=evals/questions.yaml,line=7,title=ragcheck::hit_rate 0.00 < 1.00 [q1]",
        "::error file=evals/questions.yaml,line=9,title=ragcheck::no answer: no answer in 60 s [q3]",
    ]


def test_under_regression_only_what_broke_and_errors_are(told):
    error = result("q3", answer=None, scores={}, error=Failure(kind="timeout", message="late"))
    lines = told(result("q1"), result("q2"), error, compared=comparison(broken("q2")), fail_on="regression")

    assert [line.rpartition("[")[2] for line in lines] == ["q2]", "q3]"]
    assert len(told(result("q1"), result("q2"), compared=comparison(broken("q2")), fail_on="both")) == 2


def test_no_text_starts_another_command(told):
    failure = Failure(kind=HOSTILE, message=HOSTILE)
    name = f"{HOSTILE},line=1:x"
    lines = told(
        result(name), result("q2", answer=None, scores={}, error=failure), file="evals,title=x::y\n::error::z.yaml"
    )

    assert len(lines) == 2
    for line in lines:
        assert not set("\r\n") & set(line)
        head, separator, message = line.removeprefix("::error ").partition("::")
        assert separator
        assert head.count(",") == 2
        assert head.startswith("file=evals%2Ctitle=x%3A%3Ay%0A%3A%3Aerror%3A%3Az.yaml,line=7,")
        assert "%0A" not in message.replace("%250A", "")


def test_no_more_annotations_than_are_shown(told):
    assert len(told(*(result(f"q{number}") for number in range(30)))) == MOST_ANNOTATIONS


def test_the_summary_is_added_to_and_a_place_that_cannot_be_written_is_a_notice(told, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert is_on_github()
    assert told(result(), compared=comparison(broken("q1"))) == []
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert "RAG gate: regressed" in text

    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "summary.md"))
    (line,) = told(result())
    assert (
        line == f"ragcheck: the step's summary was not written: {tmp_path}/none/summary.md: No such file or directory"
    )
    assert not Path(tmp_path, "none").exists()

    assert told(result(), plan=True) == []
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert not is_on_github()
    assert told(result()) == []
