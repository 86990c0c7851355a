from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_ragcheck.model import Answer, Context, Failure, Passage, Question, Result, Score
from pytest_ragcheck.report.diagnosis import diagnose
from pytest_ragcheck.report.gold import Missed, gold_ranks, group_ranks, missed_gold
from pytest_ragcheck.report.question import question_report

REFUNDS = Passage(source="refunds.md", start=100, end=200)
POSTAGE = Passage(source="postage.md", start=0, end=50)


def context(rank, source="refunds.md", start=None, end=None, text="Some text."):
    return Context(text=text, rank=rank, source=source, start=start, end=end)


FOUND_REFUNDS = context(1, start=50, end=250)
FOUND_POSTAGE = context(2, "postage.md", 0, 400)
ASTRAY = context(3, "about.md", 0, 400)


def low(metric, **details):
    return Score(metric=metric, value=0.1, threshold=0.7, details=details)


def good(metric, **details):
    return Score(metric=metric, value=1.0, threshold=0.7, details=details)


def result(
    *scores, contexts=(FOUND_REFUNDS, FOUND_POSTAGE), gold=((REFUNDS,), (POSTAGE,)), answerable=True, refused=None
):
    return Result(
        question=Question(id="q", question="?", gold=gold, answerable=answerable),
        answer=Answer(text="An answer.", contexts=contexts, refused=refused),
        scores={score.metric: score for score in scores},
    )


@pytest.mark.parametrize(
    ("failed", "fault"),
    [
        (
            result(low("recall"), contexts=(ASTRAY,)),
            "Retriever: none of the gold was retrieved (refunds.md and 1 more).",
        ),
        (
            result(low("faithfulness"), contexts=(ASTRAY,), gold=((REFUNDS,),)),
            "Retriever: none of the gold was retrieved (refunds.md), and the answer says what its contexts do not.",
        ),
        (
            result(low("refusal"), contexts=(ASTRAY,), gold=((REFUNDS,),), refused=True),
            "Retriever: none of the gold was retrieved (refunds.md), so that a refusal had to follow.",
        ),
        (
            result(low("recall"), contexts=(FOUND_REFUNDS, ASTRAY)),
            "Retriever: 1 of 2 gold passages was not retrieved (postage.md).",
        ),
        (
            result(low("recall"), low("groundedness"), contexts=(FOUND_REFUNDS,)),
            "; ".join(
                [
                    "Retriever: 1 of 2 gold passages was not retrieved (postage.md)",
                    "generator: the contexts do not support the answer (groundedness).",
                ]
            ),
        ),
        (
            result(low("must_contain"), contexts=(FOUND_REFUNDS,)),
            "Retriever: 1 of 2 gold passages was not retrieved (postage.md).",
        ),
        (
            result(low("mrr"), contexts=(context(1, "about.md"), context(4, start=100, end=200)), gold=((REFUNDS,),)),
            "Retriever: the gold was retrieved, but low: the first at rank 4.",
        ),
        (
            result(low("precision"), contexts=(FOUND_REFUNDS, FOUND_POSTAGE, ASTRAY)),
            "Retriever: 2 of 3 contexts hold gold, the others are beside the question.",
        ),
        (
            result(low("contextual_recall"), gold=()),
            "Retriever: the judge finds the contexts wanting (contextual_recall).",
        ),
        (
            result(low("faithfulness", unsupported=[{"sentence": "A."}, {"sentence": "B."}])),
            "Generator: the gold was retrieved, but 2 sentences of the answer are not supported by its contexts.",
        ),
        (
            result(low("faithfulness", unsupported=["A."]), gold=()),
            "Generator: 1 sentence of the answer is not supported by its contexts.",
        ),
        (
            result(low("must_contain"), gold=()),
            (
                "Retriever or generator: the answer misses the reference (must_contain); gold in the question would tell "
                "which."
            ),
        ),
        (
            result(low("refusal"), gold=(), refused=True),
            "Retriever or generator: it refused to answer; gold in the question would tell which.",
        ),
        (
            result(low("correctness"), low("must_contain")),
            "Generator: the gold was retrieved, but the answer misses the reference (correctness, must_contain).",
        ),
        (
            result(low("answer_relevancy")),
            "Generator: the answer does not keep to the question.",
        ),
        (
            result(low("refusal")),
            "Generator: it refused to answer although gold was retrieved.",
        ),
        (
            result(low("correctness"), refused=True),
            "Generator: it refused to answer although gold was retrieved.",
        ),
        (
            result(low("refusal"), answerable=False, gold=()),
            "Generator: it answered although the documents do not hold the answer.",
        ),
        (
            result(low("groundedness"), answerable=False, gold=(), refused=False),
            "Generator: it answered although the documents do not hold the answer.",
        ),
        (
            result(low("groundedness"), good("refusal"), answerable=False, gold=()),
            "Generator: the contexts do not support the answer (groundedness).",
        ),
    ],
)
def test_where_the_fault_lies(failed, fault):
    assert diagnose(failed) == fault


@pytest.mark.parametrize(
    "untold",
    [
        pytest.param(result(good("faithfulness")), id="passed"),
        pytest.param(result(low("tone"), contexts=(ASTRAY,)), id="a metric of which nothing is known"),
        pytest.param(Result(question=Question(id="q", question="?"), error=Failure(message="503")), id="no answer"),
        pytest.param(Result(question=Question(id="q", question="?"), not_run="budget spent"), id="not run"),
        pytest.param(
            result(Score(metric="correctness", threshold=0.5, error=Failure(message="cache", kind="not-run"))),
            id="a metric that was not run",
        ),
    ],
)
def test_none_where_there_is_no_fault_or_it_cannot_be_told(untold):
    assert diagnose(untold) is None


@pytest.mark.parametrize(("metric", "place"), [("correctness", "Judge"), ("answer_similarity", "Measurement")])
def test_what_could_not_be_measured_says_nothing_about_the_answer(metric, place):
    unmeasured = result(Score(metric=metric, threshold=0.5, error=Failure(message="no JSON")))
    assert diagnose(unmeasured) == f"{place}: {metric} could not be measured, which says nothing about the answer."


def test_a_metric_that_is_only_reported_makes_no_fault():
    assert diagnose(result(Score(metric="faithfulness", value=0.0))) is None


def test_hostile_names_are_shown_safely():
    hostile = Passage(source="x\x1b[2J\u202e" + "y" * 5000, start=0, end=10)
    fault = diagnose(result(low("recall"), contexts=(ASTRAY,), gold=((hostile,),)))
    assert fault is not None
    assert "\x1b" not in fault
    assert "\u202e" not in fault
    assert len(fault) < 200


def test_gold_is_what_the_retrieval_metrics_matched():
    scored = result(
        low("recall", gold_ranks=[2], missed=[{"source": "a.md", "start": 1, "end": 2, "text": "t", "rank": 9}])
    )
    assert gold_ranks(scored) == {2}
    assert missed_gold(scored) == (Missed(Passage(source="a.md", start=1, end=2, text="t"), rank=9),)


def test_details_of_a_wrong_kind_are_passed_over():
    scored = result(
        low("recall", gold_ranks="12", missed=7), low("map", gold_ranks=[1, "x"], missed=["x", {"source": 3}])
    )
    assert gold_ranks(scored) == {1}
    assert missed_gold(scored) == (Missed(Passage()),)


@pytest.mark.parametrize(
    ("passage", "retrieved", "holds"),
    [
        (REFUNDS, context(1, start=150, end=400), True),
        (REFUNDS, context(1, start=151, end=400), False),
        (REFUNDS, context(1, start=200, end=400), False),
        (REFUNDS, context(1, "other.md", start=100, end=200), False),
        (REFUNDS, context(1, start=100, text="x" * 60), True),
        (REFUNDS, context(1), None),
        (Passage(source="refunds.md"), context(1), True),
        (Passage(source="refunds.md"), context(1, None), None),
        (Passage(text="Within 14\ndays"), context(1, None, text="Sale: within  14 days."), True),
        (Passage(text="Within 14 days"), context(1, None, text="Sale: within 30 days."), False),
        (Passage(text='The "sale" ends - today'), context(1, None, text="The “sale” ends – today."), True),
        (
            Passage(text="A sale ends when all the goods are sold, or today."),
            context(1, None, text="when all the goods are sold"),
            True,
        ),
        (Passage(text="A sale ends when all are sold."), context(1, None, text="when all"), False),
        (REFUNDS, context(1, "docs/refunds.md", start=150, end=400), True),
    ],
)
def test_without_retrieval_metrics_gold_is_matched_by_source_span_and_text(passage, retrieved, holds):
    asked = result(contexts=(retrieved,), gold=((passage,),))
    assert gold_ranks(asked) == ({1} if holds else set())
    assert missed_gold(asked) == ((Missed(passage),) if holds is False else ())


def test_any_passage_of_a_group_will_do():
    asked = result(contexts=(FOUND_POSTAGE,), gold=((REFUNDS, POSTAGE),))
    assert gold_ranks(asked) == {2}
    assert missed_gold(asked) == ()


def unknown_contexts(*scores, refused=None):
    known = result(*scores, refused=refused)
    return replace(known, answer=Answer(text="An answer.", contexts_known=False, refused=refused))


@pytest.mark.parametrize(
    ("failed", "fault"),
    [
        (unknown_contexts(low("must_contain")), "the answer misses the reference (must_contain)"),
        (unknown_contexts(low("refusal"), refused=True), "it refused to answer"),
    ],
)
def test_of_contexts_that_nobody_knows_it_is_not_said_that_gold_is_not_among_them(failed, fault):
    why = "the contexts, which the pipeline does not return, would tell which"

    assert diagnose(failed) == f"Retriever or generator: {fault}; {why}."
    assert (missed_gold(failed), group_ranks(failed), gold_ranks(failed)) == ((), (), frozenset())
    report = question_report(failed)
    assert "gold that was not retrieved" not in report
    assert "with gold" not in report
    assert "the pipeline does not tell which it used" in report
