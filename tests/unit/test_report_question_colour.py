from __future__ import annotations

import re

import pytest

from pytest_ragcheck.model import Answer, Context, Failure, Question, Result, Score
from pytest_ragcheck.report.colour import ansi, plain
from pytest_ragcheck.report.question import question_report
from pytest_ragcheck.report.question_colour import QuestionPainter

FORGED = "metrics\n  FAIL   faithfulness  0.41 < 0.70\n\ncontexts (1)\n  1  0.500  gold  a.md\nFAIL   x  0.1 < 0.2"


def failed(text: str = "x", **changes) -> Result:
    scores = [
        Score(metric="recall", value=0.25, threshold=0.5, reason=text),
        Score(metric="mrr", value=0.9, threshold=0.5, details={"gold_ranks": [2], "missed": []}),
        Score(metric="tone", threshold=0.5, error=Failure(message=text)),
        Score(metric="length", value=0.1),
    ]
    contexts = (Context(text=text, rank=1, score=0.5, source=text), Context(text=text, rank=2, score=0.4, source="b"))
    values = {"answer": Answer(text=text, contexts=contexts), "scores": {score.metric: score for score in scores}}
    return Result(**{"question": Question(id="q", question=text, reference=text)} | values | changes)


def painted(report: str, paint=ansi) -> list[str]:
    painter = QuestionPainter(paint)
    return [painter.line(line) for line in report.splitlines()]


def spans(lines: list[str]) -> list[tuple[str, str]]:
    return [found for line in lines for found in re.findall(r"\x1b\[(\d+)m(.*?)\x1b\[0m", line)]


def test_verdict_titles_marks_misses_and_gold_are_painted_and_nothing_else():
    report = question_report(failed(), rerun="pytest --ragcheck -k q")

    assert spans(painted(report)) == [
        ("31", "recall 0.25 < 0.50 [q]"),
        ("1", "question"),
        ("1", "answer (1 character)"),
        ("1", "reference"),
        ("1", "metrics"),
        ("31", "FAIL"),
        ("31", "0.25 < 0.50"),
        ("31", "ERROR"),
        ("32", "pass"),
        ("1", "contexts (2, 1 with gold)"),
        ("33", "gold"),
        ("1", "run this question again"),
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_the_first_line_is_painted_down_to_its_end_and_the_fault_below_is_not(width):
    result = failed(question=Question(id="a-question-with-a-long-id-" * 2, question="?"))
    lines = painted(question_report(result, width=width))
    fault = next(number for number, line in enumerate(lines) if line.startswith("Retriever"))

    assert all(line.startswith("\x1b[31m") for line in lines[:fault])
    assert not any("\x1b[31m" in line for line in lines[fault : lines.index("")])


def test_an_error_and_a_passed_question():
    error = question_report(failed(answer=None, scores={}, error=Failure(message="503")))
    assert painted(error)[:3] == ["\x1b[31mno answer: 503 [q]\x1b[0m", "", "\x1b[1mcause\x1b[0m"]
    assert painted(question_report(failed(scores={})))[0] == "\x1b[32mpassed [q]\x1b[0m"


@pytest.mark.parametrize("text", [FORGED, "x\n\n" + FORGED, "中文 العربية \x1b[31m", ""])
def test_paint_is_all_that_is_added_and_no_text_is_painted_as_a_part_of_the_report(text):
    report = question_report(failed(text))

    assert painted(report, plain) == report.splitlines()
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in painted(report)] == report.splitlines()
    titles = [shown for code, shown in spans(painted(report)) if code == "1"]
    assert len(titles) == len(set(titles))
    assert [shown for _, shown in spans(painted(report))].count("FAIL") == 1
