"""What stands at the end of a session, and what is written of it, as whole texts: tests/snapshots.

``RAGCHECK_UPDATE_SNAPSHOTS=1 python -m pytest tests/unit/test_report_snapshots.py`` writes them anew; look at the
difference before it is committed.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_ragcheck.comparison import Comparison, MetricChange, Verdict
from pytest_ragcheck.model import (
    Answer,
    Call,
    Context,
    Failure,
    ModelCalls,
    Passage,
    Question,
    Result,
    Run,
    Score,
    Timing,
    Usage,
)
from pytest_ragcheck.report.calls import calls_lines
from pytest_ragcheck.report.colour import plain
from pytest_ragcheck.report.difference import difference_markdown, difference_text, run_difference
from pytest_ragcheck.report.markdown import markdown_report
from pytest_ragcheck.report.question import question_report
from pytest_ragcheck.report.question_colour import QuestionPainter
from pytest_ragcheck.report.terminal import metrics_table
from pytest_ragcheck.report.timing import timing_table

ARABIC = "يحق للموظفين 25 يومًا من الإجازة السنوية كل عام، ويمكن ترحيل خمسة أيام إلى السنة التالية."
JAPANESE = "年次有給休暇は年間25日です。翌年に繰り越せるのは5日までで、3月31日に失効します。"


def question(name: str, text: str, **changes) -> Question:
    return Question(id=name, question=text, dataset="evals/handbook.yaml", **changes)


def scored(faithfulness: float | None, recall: float, *, missed: tuple[dict, ...] = ()) -> dict[str, Score]:
    error = None if faithfulness is not None else Failure(message="the judge's reply is not JSON", kind="malformed")
    claim = {"claim": "Leave never expires.", "reason": "the contexts say 31 March"}
    scores = [
        Score(
            metric="faithfulness",
            value=faithfulness,
            threshold=0.8,
            reason="one claim of two is supported",
            error=error,
            details={"rejected": [claim]} if faithfulness is not None and faithfulness < 0.8 else {},
        ),
        Score(
            metric="recall",
            value=recall,
            threshold=1.0,
            reason="gold passages in 3 contexts",
            details={"gold_ranks": [1], "missed": list(missed)},
        ),
    ]
    return {score.metric: score for score in scores}


def contexts(*texts: str) -> tuple[Context, ...]:
    return tuple(
        Context(text=text, rank=rank, score=0.9 - rank / 10, source=f"docs/{rank}.md", start=0, end=len(text))
        for rank, text in enumerate(texts, start=1)
    )


def timing(started: float, seconds: float) -> Timing:
    return Timing(
        retrieval=0.02,
        generation=seconds,
        evaluation=2 * seconds,
        started=started,
        finished=started + 3 * seconds,
        retrieval_span=(0.0, 0.1),
        generation_span=(started, started + seconds),
        evaluation_span=(started + seconds, started + 3 * seconds),
    )


BROKEN = Result(
    question=question(
        "carry-over",
        "How many days of leave can be carried over?",
        reference="Five days, until 31 March.",
        gold=((Passage(source="docs/leave.md", start=120, end=180),),),
    ),
    answer=Answer(
        text="Five days can be carried over. Leave never expires.",
        contexts=contexts(
            "Up to five days can be carried over into the next year. " * 6, "Leave is booked early.", "-"
        ),
        model="claude-haiku-5-5",
        latency=1.25,
    ),
    scores=scored(
        0.5,
        0.5,
        missed=({"source": "docs/leave.md", "start": 120, "end": 180, "text": "They expire on 31 March.", "rank": 12},),
    ),
    timing=timing(0.1, 1.25),
    calls=(Call(purpose="generation", model="claude-haiku-5-5", started=0.1, queued=0.4, wire=1.25, attempts=1),),
)
SCRIPTS = replace(
    BROKEN,
    question=question("leave-日本", JAPANESE, reference=ARABIC),
    answer=Answer(text=f"{ARABIC} {JAPANESE} 👩‍🔬🇪🇺 cafe\u0301", contexts=contexts(ARABIC * 4, JAPANESE * 8)),
    timing=timing(0.2, 2.0),
)
RUN = Run(
    started_at="2026-10-06T12:00:00+00:00",
    mode="concurrent",
    fingerprints={"evals/handbook.yaml": {"documents": "a", "prompt": "p"}},
    setup=0.8,
    wall=7.5,
    versions={"pytest-ragcheck": "0.1.0"},
    results=(
        Result(
            question=question("days-of-leave", "How many days of leave?"),
            answer=Answer(text="25.", contexts=contexts("25 days."), cached=True),
            scores=scored(1.0, 1.0),
            timing=timing(0.1, 0.01),
        ),
        BROKEN,
        SCRIPTS,
        Result(
            question=question("parking", "Where can I park?", answerable=False),
            answer=Answer(text="The documents do not say.", refused=True),
            scores=scored(None, 1.0),
            timing=timing(0.3, 0.5),
        ),
        Result(question=question("pension", "Is there a pension?"), error=Failure(message="503: overloaded")),
        Result(question=question("stock", "Is there a stock plan?"), not_run="0.50 of 0.50 USD spent"),
    ),
    model_calls=ModelCalls(
        asked=14,
        cached=3,
        failed=1,
        retries=4,
        refused=2,
        cost=0.0421,
        saved=0.01,
        usage=Usage(input_tokens=9120, output_tokens=1210),
    ),
)
COMPARISON = Comparison(
    verdict=Verdict.REGRESSED,
    reasons=("faithfulness fell by 0.21",),
    baseline_name="ragcheck-baseline.json",
    baseline_created="2026-10-01T09:00:00+00:00",
    metrics={
        "faithfulness": MetricChange(
            metric="faithfulness",
            verdict=Verdict.REGRESSED,
            questions=3,
            clusters=3,
            baseline=0.88,
            value=0.67,
            difference=-0.21,
            interval=(-0.4, -0.02),
            p_value=0.01,
            practical_minimum=0.02,
            smallest_visible_drop=0.15,
            mean_fell=True,
        ),
    },
)


def marked(text: str, style: str) -> str:
    """Colours that can be read."""
    return f"<{style}>{text}</{style}>"


def summary(width, paint=plain, comparison=None):
    blocks = [
        metrics_table(RUN, comparison, width=width, paint=paint),
        timing_table(RUN, width=width),
        calls_lines(RUN.model_calls, width=width),
    ]
    return "\n\n".join(blocks)


@pytest.mark.parametrize("width", [80, 160])
def test_the_end_of_a_session(snapshot, width):
    snapshot(f"summary_{width}.txt", summary(width))


def test_the_end_of_a_session_against_a_baseline_in_colour(snapshot):
    snapshot("summary_coloured.txt", summary(100, marked, COMPARISON))


@pytest.mark.parametrize("width", [80, 160])
def test_a_question_in_scripts_that_are_wide_or_run_from_the_right(snapshot, width):
    snapshot(f"scripts_{width}.txt", question_report(SCRIPTS, width=width))


def test_a_question_in_colour(snapshot):
    painter = QuestionPainter(marked)
    lines = question_report(BROKEN, width=76, rerun="pytest --ragcheck -k carry-over").splitlines()
    snapshot("question_coloured.txt", "\n".join(painter.line(line) for line in lines))


def test_markdown(snapshot):
    snapshot("run.md", markdown_report(RUN).rstrip("\n"))


def test_two_runs(snapshot):
    better = replace(RUN, results=(replace(BROKEN, scores=scored(1.0, 1.0)), *RUN.results[2:]), wall=3.0)
    difference = run_difference(RUN, better)
    snapshot("compare.txt", difference_text(difference, ("before.json", "after.json")))
    snapshot("compare.md", difference_markdown(difference, ("before.json", "after.json")).rstrip("\n"))
