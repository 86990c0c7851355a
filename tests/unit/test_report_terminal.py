from __future__ import annotations

import random
import re
from unicodedata import category, east_asian_width

import pytest

from pytest_ragcheck.comparison import Comparison, MetricChange, Verdict
from pytest_ragcheck.model import Answer, Failure, Question, Result, Run, Score
from pytest_ragcheck.report.colour import ansi
from pytest_ragcheck.report.terminal import metrics_table


def run(*results: Result) -> Run:
    return Run(
        started_at="2026-10-06T12:00:00Z",
        mode="concurrent",
        fingerprints={},
        setup=0.0,
        wall=1.0,
        versions={},
        results=results,
    )


def result(name: str, *scores: Score, answerable: bool = True, **changes) -> Result:
    return Result(
        question=Question(id=name, question="?", answerable=answerable),
        **{"answer": Answer(text="x"), "scores": {score.metric: score for score in scores}, **changes},
    )


def faithfulness(value: float | None, **changes) -> Score:
    return Score(metric="faithfulness", **{"value": value, "threshold": 0.7, **changes})


def recall(value: float | None, **changes) -> Score:
    return Score(metric="recall", value=value, **changes)


HANDBOOK = run(
    result("holidays", faithfulness(0.9), recall(1.0)),
    result("sick-leave", faithfulness(0.41), recall(0.5)),
    result("remote-work", faithfulness(None, error=Failure(message="no JSON")), recall(1.0)),
    result("stock-options", faithfulness(0.8), recall(None, reason="unanswerable"), answerable=False),
    result("notice", answer=None, error=Failure(message="503"), scores={}),
    result("parking", answer=None, not_run="budget spent", scores={}),
)


def test_each_metric_over_the_questions_and_the_states():
    assert metrics_table(HANDBOOK) == (
        """\
  metric        mean       95 %  least  passed  n/a  errors  least in
  faithfulness  0.70  0.06-1.00   0.41  2 of 3    0       1  sick-leave
  recall        0.83  0.12-1.00   0.50       -    1       0  sick-leave
6 questions: 2 passed, 1 failed, 2 error, 1 not run
5 answerable: 1 passed, 1 failed, 2 error, 1 not run; 1 unanswerable: 1 passed"""
    )


def test_columns_that_do_not_fit_are_left_out_from_the_right():
    assert metrics_table(HANDBOOK, width=40).splitlines()[:3] == [
        "  metric        mean       95 %  least",
        "  faithfulness  0.70  0.06-1.00   0.41",
        "  recall        0.83  0.12-1.00   0.50",
    ]
    narrow = metrics_table(run(result("a-question-with-a-long-id", recall(0.5))), width=45)
    assert narrow.splitlines()[1] == "  recall  0.50     -   0.50       -  a-que..."


def test_a_run_without_scores_or_results():
    assert metrics_table(run()) == "0 questions: 0 passed"
    assert metrics_table(run(result("q", answer=None, error=Failure(message="x")))) == "1 question: 0 passed, 1 error"


def change(metric: str, difference: float, verdict: Verdict) -> MetricChange:
    return MetricChange(
        metric=metric,
        verdict=verdict,
        questions=4,
        clusters=4,
        baseline=0.5,
        value=0.5 + difference,
        difference=difference,
        interval=None,
        p_value=None,
        practical_minimum=0.02,
        smallest_visible_drop=None,
    )


def test_against_a_baseline_each_mean_has_its_change():
    comparison = Comparison(
        verdict=Verdict.REGRESSED,
        reasons=(),
        baseline_name="b.json",
        baseline_created="2026-10-01T00:00:00Z",
        metrics={"faithfulness": change("faithfulness", -0.0042, Verdict.REGRESSED)},
    )

    table = metrics_table(HANDBOOK, comparison).splitlines()

    assert table[:3] == [
        "  metric        mean  change       95 %  least  passed  n/a  errors  least in",
        "  faithfulness  0.70  -0.004  0.06-1.00   0.41  2 of 3    0       1  sick-leave",
        "  recall        0.83       -  0.12-1.00   0.50       -    1       0  sick-leave",
    ]
    painted = metrics_table(HANDBOOK, comparison, paint=ansi).splitlines()
    assert "\x1b[31m-0.004\x1b[0m" in painted[1]


def test_colour_is_for_misses_errors_and_states_alone():
    plain = metrics_table(HANDBOOK)
    painted = metrics_table(HANDBOOK, paint=ansi)

    assert re.sub(r"\x1b\[\d*m", "", painted) == plain
    assert re.findall(r"\x1b\[(\d\d)m(.*?)\x1b", painted)[:6] == [
        ("31", "2 of 3"),
        ("31", "1"),
        ("32", "2 passed"),
        ("31", "1 failed"),
        ("31", "2 error"),
        ("33", "1 not run"),
    ]
    assert "\x1b" not in metrics_table(run(result("q", answer=None)), paint=ansi).split("0 passed")[0]


def test_a_metric_that_was_nowhere_measured():
    table = metrics_table(run(result("q", faithfulness(None, error=Failure(message="x")))))
    assert table.splitlines()[1] == "  faithfulness     -     -      -       -       1  -"


def shown_columns(text: str) -> int:
    return sum(
        0 if category(char) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(char) in {"W", "F"} else 1 for char in text
    )


@pytest.mark.parametrize("seed", range(40))
def test_random_runs_make_a_presentable_table(seed):
    randomness = random.Random(seed)
    pool = "abc \x1b[2J\r\n\x00\u202e\u2066\u200b\ud800\u4e2d\u0645\u0301\U0001f600\u200d\ufe0f"

    def word() -> str:
        return "".join(randomness.choice(pool) for _ in range(randomness.randrange(90)))

    metrics = [word() for _ in range(5)]
    results = [
        result(
            word(),
            *(Score(metric=metric, value=randomness.random(), threshold=0.5) for metric in metrics),
            answerable=randomness.random() < 0.5,
        )
        for _ in range(randomness.randrange(6))
    ]
    width = randomness.choice([40, 60, 80, 160])
    text = metrics_table(run(*results), width=width)
    text.encode()
    for line in text.split("\n"):
        assert shown_columns(line) <= width, line
        assert line == line.rstrip()
        assert all(category(char) not in {"Cc", "Cs", "Zl", "Zp"} for char in line)
        assert not set(line) & set("\u202e\u2066\u200b")
