"""``python -m pytest_ragcheck gate``: the same verdict from the files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.baseline.file import save_baseline, updated
from pytest_ragcheck.baseline.measures import by_formula
from pytest_ragcheck.model import Answer, Failure, Question, Result, Run, Score
from pytest_ragcheck.run_file import save_run

FORMULA = by_formula(1, contexts_alone=True)


def run(*values, measure=FORMULA, threshold=0.5, **changes):
    results = tuple(
        Result(
            question=Question(id=f"q{number}", question="?", dataset="q.yaml"),
            answer=Answer(text="x"),
            scores={
                "hit_rate": Score(
                    metric="hit_rate",
                    value=value,
                    threshold=threshold,
                    error=Failure(message="503") if value is None else None,
                )
            },
        )
        for number, value in enumerate(values)
    )
    return Run(
        started_at="2026-03-04T05:06:07+00:00",
        mode="concurrent",
        fingerprints={"q.yaml": {"embedder": "e"}},
        setup=0.0,
        wall=1.0,
        versions={},
        results=results,
        scoring={"q.yaml": {"hit_rate": measure}},
        **changes,
    )


GOOD = [1.0] * 30
FALLEN = [0.0] * 8 + [1.0] * 22


@pytest.fixture
def gate(tmp_path, monkeypatch, capsys):
    """Run the command on two runs: the first becomes the baseline. Exit code and output."""
    monkeypatch.chdir(tmp_path)

    def decide(before, now, *options):
        save_baseline(updated(None, before), tmp_path / "baseline.json")
        save_run(now, tmp_path / "run.json")
        code = main(["gate", "run.json", "baseline.json", *options])
        return code, capsys.readouterr().out

    return decide


def test_earlier_runs_show_how_far_runs_lie_apart(gate, tmp_path):
    """Each run's scores lie as much higher or lower together as the last one's."""

    def of(shift, day):
        values = [0.5 + 0.01 * (number % 7) + shift for number in range(30)]
        return replace(run(*values, measure="judge-1", threshold=None), started_at=f"2026-03-{day:02}T05:06:07+00:00")

    folder = tmp_path / "runs"
    for day, shift in enumerate((0.05, -0.05, 0.05, 0.0, -0.05, 0.05), start=1):
        save_run(of(shift, day), folder / f"2026-03-{day:02}.json")
    (folder / "2026-03-09.json").write_text("{")
    worse = of(0.04, 20), of(-0.01, 21)

    assert gate(*worse)[0] == 1
    code, text = gate(*worse, "--earlier-runs", "runs", "--format", "json")
    metric = json.loads(text)["metrics"]["hit_rate"]
    assert (code, metric["verdict"]) == (0, "inconclusive")
    assert metric["run_spread"] == pytest.approx(0.06, abs=0.02)
    assert gate(*worse, "--earlier-runs", "nowhere")[0] == 4


@pytest.mark.parametrize(
    ("before", "now", "code", "verdict"),
    [
        (run(*GOOD), run(*GOOD), 0, "same"),
        (run(*FALLEN), run(*GOOD), 0, "better"),
        (run(*GOOD, measure="j"), run(*GOOD[:2], 0.2, *GOOD[3:], measure="j", threshold=None), 0, "inconclusive"),
        (run(*GOOD), run(*FALLEN), 1, "regressed"),
        (run(*GOOD), run(*GOOD, measure="other"), 1, "not comparable"),
        (run(*GOOD), run(*GOOD, complete=False), 1, "invalid"),
        (run(*GOOD), run(*[None] * 5, *GOOD[5:]), 1, "invalid"),
    ],
)
def test_the_exit_code_follows_the_verdict(gate, before, now, code, verdict):
    told, out = gate(before, now)

    assert out.startswith(f"gate: {verdict}: ")
    assert told == code


def test_the_three_formats_tell_the_same(gate):
    runs = run(*GOOD), run(*FALLEN)
    _, text = gate(*runs, "--format", "text")
    _, markdown = gate(*runs, "--format", "md")
    _, plain = gate(*runs, "--format", "json")
    whole = json.loads(plain)

    assert "8 questions broke" in text
    assert "8 questions broke" in markdown
    assert markdown.startswith("### ❌ RAG gate: regressed")
    assert (whole["verdict"], whole["fails"], whole["below_threshold"]) == ("regressed", True, 0)
    assert whole["metrics"]["hit_rate"]["difference"] == pytest.approx(-8 / 30)
    assert whole["baseline_name"] == "baseline.json"
    assert sum(any(score["broke"] for score in one["scores"].values()) for one in whole["questions"]) == 8


@pytest.mark.parametrize("minimum", ["0.5", "hit_rate=0.5", "=0.5"])
def test_the_practical_minimum_is_for_all_metrics_or_for_one(gate, minimum):
    lowered = run(*[0.7] * 30, measure="judge")
    assert gate(run(*GOOD, measure="judge"), lowered)[0] == 1
    assert gate(run(*GOOD, measure="judge"), lowered, "--minimum", "other=0.5")[0] == 1
    assert gate(run(*GOOD, measure="judge"), lowered, "--minimum", "other=0.1", "--minimum", minimum)[0] == 0


def test_coverage_can_be_lowered(gate):
    runs = run(*GOOD), run(*[None] * 5, *GOOD[5:])
    assert gate(*runs, "--coverage", "0.8")[0] == 0


@pytest.mark.parametrize(
    ("now", "fail_on", "code"),
    [
        (FALLEN, "regression", 0),
        (FALLEN, "threshold", 1),
        (FALLEN, "both", 1),
        ([*FALLEN[:8], None, *FALLEN[9:]], "threshold", 1),
        ([0.0, *FALLEN[:8], *GOOD[:21]], "threshold", 1),
    ],
)
def test_known_failures_fail_by_their_threshold_alone(gate, now, fail_on, code):
    told, out = gate(run(*FALLEN), run(*now), "--fail-on", fail_on, "--coverage", "0.9")

    assert told == code
    assert ("below a threshold or not measured" in out) is (fail_on != "regression")


def test_a_drop_fails_by_regression_and_not_by_a_threshold_that_is_kept(gate):
    runs = run(*GOOD, threshold=None), run(*[0.4] * 30, threshold=None)

    assert gate(*runs, "--fail-on", "threshold")[0] == 0
    assert gate(*runs, "--fail-on", "both")[0] == 1


def test_files_that_cannot_be_read_are_usage_errors_of_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_run(run(*GOOD), tmp_path / "run.json")
    (tmp_path / "baseline.json").write_text("<<<<<<< HEAD\n{}\n", encoding="utf-8")

    assert main(["gate", "nope.json", "baseline.json"]) == 4
    assert (
        capsys.readouterr().err
        == "nope.json: No such file or directory; runs are the files of .ragcheck/runs, and JSON reports\n"
    )
    assert main(["gate", "run.json", "nope.json"]) == 4
    assert capsys.readouterr().err == (
        "nope.json: No such file or directory; write it with --ragcheck-update-baseline\n"
    )
    assert main(["gate", "run.json", "baseline.json"]) == 4
    assert capsys.readouterr().err.startswith("baseline.json:1: unresolved merge conflict at line 1; ")
    assert main(["gate", "baseline.json", "run.json"]) == 4
    assert "baseline.json: not a run of pytest-ragcheck" in capsys.readouterr().err
    assert main(["gate", "run.json", "run.json"]) == 4
    assert capsys.readouterr().err.startswith("run.json: it is a run, not a baseline; ")


@pytest.mark.parametrize("option", ["--minimum=x", "--minimum=hit_rate=2", "--coverage=-1", "--fail-on=never"])
def test_wrong_options_are_refused(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["gate", "run.json", "baseline.json", option])
    assert stopped.value.code == 2
    assert "usage: python -m pytest_ragcheck gate" in capsys.readouterr().err
