from __future__ import annotations

import pytest

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.model import Answer, ModelCalls, Question, Result, Run, Score
from pytest_ragcheck.run_file import load_run, save_run


def run(value: float) -> Run:
    score = Score(metric="recall", value=value, threshold=0.5)
    question = Question(id="sick-leave", question="How long?", dataset="q.yaml")
    return Run(
        started_at="2026-10-06T12:00:00Z",
        mode="concurrent",
        fingerprints={"q.yaml": {"questions": "a"}},
        setup=0.1,
        wall=1.0,
        versions={},
        results=(Result(question=question, answer=Answer(text="x"), scores={"recall": score}),),
        model_calls=ModelCalls(asked=1, cost=0.42),
    )


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    save_run(run(1.0), tmp_path / "a.json")
    save_run(run(0.2), tmp_path / "b.json")
    return tmp_path


def test_the_end_of_the_session_once_more(files, capsys):
    assert main(["report", "b.json"]) == 0

    text = capsys.readouterr().out
    assert "recall  0.20     -   0.20  0 of 1  sick-leave" in text
    assert "1 question: 0 passed, 1 failed" in text
    assert "timing (concurrent, 1 question)" in text
    assert "cost: $0.42" in text
    assert "\x1b" not in text


def test_reports_are_written_by_their_suffix(files, capsys):
    pytest.importorskip("jinja2")
    assert main(["report", "b.json", "-o", "sub/b.md", "-o", "b.html", "--output", "copy.JSON"]) == 0

    assert capsys.readouterr().out == "wrote sub/b.md\nwrote b.html\nwrote copy.JSON\n"
    assert (files / "sub" / "b.md").read_text().startswith("## RAG: 1 of 1 question did not pass\n")
    assert "<html" in (files / "b.html").read_text()
    assert load_run(files / "copy.JSON") == run(0.2)


def test_two_runs_side_by_side(files, capsys):
    assert main(["compare", "a.json", "b.json"]) == 0
    assert "sick-leave  passed -> failed" in capsys.readouterr().out

    assert main(["compare", "a.json", "b.json", "--format", "md"]) == 0
    assert "| <code>sick-leave</code> | **passed → failed** |" in capsys.readouterr().out


@pytest.mark.parametrize(("variable", "painted"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_colour_as_the_environment_says(files, capsys, monkeypatch, variable, painted):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")

    main(["compare", "a.json", "b.json"])

    assert ("\x1b[31m" in capsys.readouterr().out) is painted


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["report", "none.json"], "none.json: No such file or directory; runs are*"),
        (["compare", "a.json", "none.json"], "none.json: No such file or directory; runs are*"),
        (["report", "a.json", "-o", "a.json/x.md"], "a.json/x.md: *; the report was not written"),
        (["report", "a.json", "--sequential", "bad.json"], "bad.json: not a run of pytest-ragcheck (*"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(files, capsys, arguments, problem):
    (files / "bad.json").write_text("[]")

    assert main(arguments) == 4

    (line,) = capsys.readouterr().err.splitlines()
    head, star, _ = problem.partition("*")
    assert line.startswith(head) if star else line == problem


def test_another_kind_of_report_is_refused(files, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["report", "a.json", "-o", "a.pdf"])

    assert stopped.value.code == 2
    assert "'a.pdf' has no kind of report for a suffix: use .html, .md, .json" in capsys.readouterr().err
