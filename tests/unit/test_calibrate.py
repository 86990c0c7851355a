"""``python -m pytest_ragcheck calibrate`` and the file it writes."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics.judged.agreement import agreement
from pytest_ragcheck.metrics.judged.calibration import (
    FILE_NAME,
    Calibration,
    load_calibrations,
    save_calibration,
    told,
)
from pytest_ragcheck.testing.messages_api import MessagesApi

JUDGE = "anthropic:claude-haiku-5-5"


def calibration(**changes):
    people, judge = [1.0, 0.0] * 20, [0.9, 0.2] * 19 + [0.1, 0.8]
    known = {"correctness": agreement(people, judge, threshold=0.8)}
    values = {"judge": JUDGE, "judging": "ab12", "deepeval": "4.3.1", "date": "2026-03-01", "metrics": known}
    return Calibration(**{**values, **changes})


# ---- The file --------------------------------------------------------------------------------


def test_a_calibration_is_kept_whole_and_takes_the_place_of_its_forerunner(tmp_path):
    path = tmp_path / FILE_NAME
    assert load_calibrations(path) == ()
    save_calibration(path, calibration(date="2026-01-01"))
    save_calibration(path, calibration(judge="mine:judge"))
    save_calibration(path, calibration())
    assert [(one.judge, one.date) for one in load_calibrations(path)] == [
        (JUDGE, "2026-03-01"),
        ("mine:judge", "2026-03-01"),
    ]
    kept, expected = load_calibrations(path)[0].metrics["correctness"], calibration().metrics["correctness"]
    assert kept.kappa == pytest.approx(expected.kappa, abs=1e-4)
    assert kept.kappa_interval == pytest.approx(expected.kappa_interval, abs=1e-4)
    assert (kept.answers, kept.threshold, kept.caution) == (40, 0.8, expected.caution)


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 2}', '{"version": 1, "calibrations": [{"judge": 1}]}'])
def test_a_file_that_is_none_is_told(tmp_path, content):
    path = tmp_path / FILE_NAME
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"{FILE_NAME}: .*calibrate again"):
        load_calibrations(path)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({}, "calibrated on 40 answers (2026-03-01): kappa correctness 0.90"),
        ({"judge": "anthropic:other"}, "never calibrated"),
        ({"judging": "cd34"}, "calibrated under other settings only"),
        ({"metrics": ["faithfulness"]}, "never calibrated for faithfulness"),
        (
            {"metrics": ["correctness", "faithfulness"], "deepeval": "4.4.0"},
            "calibrated on 40 answers (2026-03-01): kappa correctness 0.90; never for faithfulness; with deepeval 4.3.1",
        ),
    ],
)
def test_what_is_told_of_a_judge(asked, line):
    usual = {"judge": JUDGE, "judging": "ab12", "deepeval": "4.3.1", "metrics": ["correctness"]}
    assert told([calibration()], **{**usual, **asked}) == line


# ---- The command -----------------------------------------------------------------------------

needs_deepeval = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")
CONFIGURATION = f"""
questions = "questions.json"
judge = "{JUDGE}"
[metrics]
correctness = 0.8
[judging]
evaluation_steps = ["Compare."]
"""


def strict(params):
    """A judge that gives a grade to each answer by its number, and none to the twelfth."""
    prompt = params["messages"][0]["content"]
    number = int(prompt.partition("answer number ")[2].partition(".")[0])
    if number == 11:
        return {"type": "message", "content": [], "stop_reason": "refusal"}
    return {"reason": "so", "score": number}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    human = [{"answer": f"This is answer number {n}.", "scores": {"correctness": n >= 7}} for n in range(12)]
    rows = [{"question": "Which?", "reference": "This.", "human": human}, {"question": "What?"}]
    (tmp_path / "questions.json").write_text(json.dumps(rows))
    (tmp_path / "ragcheck.toml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test-of-calibrate-0123456789")
    return tmp_path


@needs_deepeval
def test_the_judge_scores_what_people_scored(folder, monkeypatch, capsys):
    with MessagesApi(reply=strict) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        assert main(["calibrate"]) == 1  # one answer has no score
        first = capsys.readouterr()
        asked = api.stats.distinct_bodies
        assert main(["calibrate", "questions.json", "--cache", "only"]) == 1
        assert api.stats.distinct_bodies == asked
    lines = first.out.splitlines()
    assert lines[-1] == f"written: {FILE_NAME}; commit it"
    assert lines[0] == f"judge {JUDGE}, 12 scored answers in questions.json"
    assert "correctness, 11 answers, passing from 0.80 on" in lines
    assert [line.split()[-2:] for line in lines if line.startswith("  people")] == [["3", "1"], ["0", "7"]]
    assert any(line.startswith("  Cohen's kappa 0.79 (95 % ") for line in lines)
    assert any(line.startswith("  Spearman      0.84 (95 % ") for line in lines)
    assert "  caution: people pass 4 and fail 7; score at least 5 answers of each kind, better 15" in lines
    assert first.err == (
        "questions.json:1: human 12: correctness has no score: claude-haiku-5-5: the model refused to reply\n"
    )
    (kept,) = load_calibrations(folder / FILE_NAME)
    assert kept.metrics["correctness"].answers == 11
    assert "sk-ant" not in (folder / FILE_NAME).read_text()


@needs_deepeval
@pytest.mark.parametrize(
    ("human", "configuration", "told"),
    [
        (
            {"correctnes": 1},
            {},
            "questions.json:1: human, scores: unknown metric 'correctnes'; did you mean 'correctness'?",
        ),
        ({"faithfulness": 1}, {}, "metric 'faithfulness' looks at contexts; write them beside the answer"),
        ({"refusal": 1}, {}, "metric 'refusal' asks no judge, so that there is nothing to calibrate"),
        (None, {}, "questions.json: no question has scored answers; write them under 'human'"),
        ({"correctness": 1}, {"judge": ""}, 'ragcheck.toml: there is no judge; set `judge = "anthropic:MODEL"`'),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(folder, capsys, human, configuration, told):
    row = {"question": "Which?", "reference": "This."}
    row |= {} if human is None else {"human": {"answer": "That.", "scores": human}}
    (folder / "questions.json").write_text(json.dumps([row]))
    if configuration:
        (folder / "ragcheck.toml").write_text('questions = "questions.json"\n')
    assert main(["calibrate"]) == 4
    seen = capsys.readouterr()
    assert told in seen.err
    assert (seen.out, seen.err.count("\n")) == ("", 1)
    assert not (folder / FILE_NAME).exists()
