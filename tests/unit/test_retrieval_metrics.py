"""Retrieval metrics: judgements of contexts, the measures, and their agreement with trec_eval."""

from __future__ import annotations

import asyncio
import random

import pytest

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.matching import KnownDocuments, judge, matches
from pytest_ragcheck.metrics.retrieval import RETRIEVAL_MEASURES, RetrievalMetric
from pytest_ragcheck.model import Answer, Context, Passage, Question

QUOTE = "You can carry over a maximum of 240 annual leave hours."


def context(rank=1, text="text", source="a.md", start=0, end=100):
    return Context(text=text, rank=rank, source=source, start=start, end=end)


def span(start, end, source="a.md", text=None):
    return Passage(source=source, start=start, end=end, text=text)


def measure(name, contexts, gold, *, top_k=5, answerable=True):
    question = Question(id="q", question="?", gold=tuple(gold), answerable=answerable)
    return asyncio.run(RetrievalMetric(name, top_k).measure(Case(question=question, contexts=tuple(contexts))))


# ---- Agreement with trec_eval ----------------------------------------------------------------


def random_case(rng):
    """Contexts and gold that match one to one: each context is a document of its own, each group one document."""
    k = rng.randint(1, 10)
    retrieved = rng.sample(range(30), rng.randint(0, k))
    relevant = rng.sample(range(30), rng.randint(1, 12))
    return k, [f"d{number}" for number in retrieved], [f"d{number}" for number in relevant]


def test_agreement_with_trec_eval():
    pytrec_eval = pytest.importorskip("pytrec_eval")
    rng = random.Random(20)
    for _ in range(600):
        k, retrieved, relevant = random_case(rng)
        run = {name: 1.0 / place for place, name in enumerate(retrieved, start=1)}
        names = {
            "hit_rate": f"success_{k}",
            "recall": f"recall_{k}",
            "precision": f"P_{k}",
            "mrr": "recip_rank",
            "ndcg": f"ndcg_cut_{k}",
            "map": f"map_cut_{k}",
        }
        measures = {name.rpartition("_")[0] + f".{k}" if name[-1].isdigit() else name for name in names.values()}
        judged = {"q": dict.fromkeys(relevant, 1)}
        expected = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate({"q": run or {"none": 1.0}})["q"]
        contexts = [context(rank, source=name) for rank, name in enumerate(retrieved, start=1)]
        gold = [(Passage(source=name),) for name in relevant]
        for ours, theirs in names.items():
            score = measure(ours, contexts, gold, top_k=k)
            assert score.value == pytest.approx(expected[theirs], abs=1e-9), (ours, k, retrieved, relevant)


# ---- Beyond one to one -----------------------------------------------------------------------


def test_values_stay_in_range_and_rise_with_what_is_found():
    rng = random.Random(3)
    for _ in range(2000):
        groups, k = rng.randint(1, 5), rng.randint(1, 8)
        hits = tuple(
            frozenset(rng.sample(range(groups), rng.randint(0, groups) if rng.random() < 0.5 else 0)) for _ in range(k)
        )
        place = rng.randrange(k)
        more = (*hits[:place], hits[place] | {rng.randrange(groups)}, *hits[place + 1 :])
        for name, function in RETRIEVAL_MEASURES.items():
            value = function(hits, groups, k)
            assert 0 <= value <= 1
            assert function(more, groups, k) >= value - 1e-12, (name, hits, more)


@pytest.mark.parametrize("name", ["hit_rate", "recall", "mrr", "ndcg", "map"])
def test_one_context_that_holds_everything_at_the_top_is_perfect(name):
    contexts = [context(1), context(2, source="b.md")]
    gold = [(span(0, 10),), (span(20, 30),), (span(50, 90),)]
    assert measure(name, contexts, gold, top_k=3).value == pytest.approx(1)


def test_a_group_counts_once():
    twice = [context(1), context(2), context(3, source="b.md")]
    gold = [(span(0, 50),), (span(0, 50, source="c.md"),)]
    assert measure("recall", twice, gold).value == 0.5
    assert measure("ndcg", twice, gold).value == measure("ndcg", twice[:1], gold).value
    assert measure("map", twice, gold).value == 0.5
    assert measure("precision", twice, gold).value == 2 / 5


def test_any_passage_of_a_group_is_enough():
    group = (span(0, 50, source="x.md"), span(0, 50))
    score = measure("recall", [context(1)], [group])
    assert score.value == 1
    assert score.details["group_ranks"] == [1]


def test_contexts_beyond_top_k_do_not_count():
    contexts = [context(rank, source=f"{rank}.md") for rank in range(1, 7)]
    gold = [(Passage(source="6.md"),)]
    assert measure("hit_rate", contexts, gold, top_k=5).value == 0
    assert measure("hit_rate", contexts, gold, top_k=6).value == 1


def test_ranks_count_not_the_order_of_the_tuple():
    contexts = [context(2, source="b.md"), context(1, source="a.md")]
    assert measure("mrr", contexts, [(Passage(source="b.md"),)]).value == 0.5


def test_precision_divides_by_top_k():
    assert measure("precision", [context(1)], [(span(0, 100),)], top_k=4).value == 0.25


def test_no_contexts_is_a_measured_zero():
    for name in RETRIEVAL_MEASURES:
        assert measure(name, [], [(Passage(source="a.md"),)]).value == 0


def test_details():
    contexts = [context(1, source="b.md"), context(2), context(3)]
    gold = [(span(0, 50),), (span(200, 300, text="word  " * 200),)]
    score = measure("recall", contexts, gold)
    assert score.details["gold_ranks"] == [2, 3]
    assert score.details["group_ranks"] == [2, None]
    (missed,) = score.details["missed"]
    assert (missed["source"], missed["start"], missed["end"]) == ("a.md", 200, 300)
    assert len(missed["text"]) == 200
    assert missed["text"].endswith("…")
    assert score.reason == "1 of 2 gold passages in 3 contexts, first at rank 2"


@pytest.mark.parametrize("name", RETRIEVAL_MEASURES)
def test_not_applicable(name):
    without_gold = measure(name, [context()], [])
    assert (without_gold.value, without_gold.error, without_gold.reason) == (None, None, "no gold")
    unanswerable = measure(name, [context()], [(Passage(source="a.md"),)], answerable=False)
    assert (unanswerable.value, unanswerable.error) == (None, None)
    assert "unanswerable" in unanswerable.reason


def test_needs_no_answer():
    metric = RetrievalMetric("recall", 5)
    assert metric.needs_answer is False
    question = Question(id="q", question="?", gold=((Passage(source="a.md"),),))
    with_answer = Case(question=question, contexts=(context(),), answer=Answer(text="x"))
    assert asyncio.run(metric.measure(with_answer)).value == 1


# ---- Judgements ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 100, True),
        (10, 20, True),
        (95, 105, True),
        (96, 106, False),
        (100, 110, False),
        (50, 250, True),
        (51, 250, False),
        (10, 10, False),
    ],
)
def test_spans_match_from_half_of_the_shorter(start, end, expected):
    assert matches(context(), span(start, end)) is expected


def test_a_span_of_another_document_does_not_match():
    assert matches(context(), span(0, 100, source="b.md", text="text")) is False


def test_a_whole_document_matches_by_source():
    assert matches(context(), Passage(source="a.md")) is True
    assert matches(context(), Passage(source="b.md")) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Before. You can  carry over a\nmaximum of 240 ANNUAL leave hours. After.", True),
        ("a maximum of 240 annual leave hours", True),
        ("annual leave hours", False),
        (QUOTE.upper(), True),
        ("You can carry over a maximum of 250 annual leave hours.", False),
        ("", False),
    ],
)
def test_without_offsets_by_text(text, expected):
    assert matches(Context(text=text, rank=1), Passage(text=QUOTE)) is expected
    assert matches(Context(text=text, rank=1, source="a.md"), span(0, 9, text=QUOTE)) is expected


def test_without_spaces_by_text():
    quote = "有給休暇は年に二十日です"
    assert matches(Context(text=f"規則。{quote}。以上。", rank=1), Passage(text=quote)) is True
    assert matches(Context(text="休暇", rank=1), Passage(text=quote)) is False


def test_what_cannot_be_compared_is_an_error_not_a_miss():
    for gold in (Passage(source="a.md"), span(0, 9)):
        with pytest.raises(MeasurementError, match="rank 3 cannot be compared with a") as caught:
            judge([Context(text="some text", rank=3)], [(gold,)])
        assert caught.value.kind == "unmatchable-gold"


def test_one_comparable_passage_of_a_group_settles_it():
    group = (Passage(source="a.md"), Passage(text=QUOTE))
    assert judge([Context(text=QUOTE, rank=1)], [group]) == (frozenset({0}),)


@pytest.mark.parametrize(
    ("context", "gold", "same"),
    [
        ("leave.md", "docs/leave.md", True),
        ("/srv/handbook/docs/leave.md", "docs/leave.md", True),
        ("docs/leave.md", "docs/leave.md", True),
        ("paid-leave.md", "docs/leave.md", False),
        ("docs/pay.md", "docs/leave.md", False),
        ("", "docs/leave.md", False),
    ],
)
def test_a_source_may_be_told_from_another_folder(context, gold, same):
    found = matches(Context(text="text", rank=1, source=context), Passage(source=gold))
    assert found is same


def test_without_offsets_the_text_tells_where_sources_are_named_otherwise():
    gold = Passage(source="docs/leave.md", start=10, end=60, text="Staff have 25 days of annual leave a year.")
    page = Context(text="Leave. Staff have 25 days of annual leave a year.", rank=1, source="https://intranet/leave")
    other = Context(text="Meals are paid up to 40 euros a day.", rank=2, source="https://intranet/meals")
    assert matches(page, gold) is True
    assert matches(other, gold) is False


# ---- With the documents that gold was resolved against ---------------------------------------

NOTICE = "Questions about this page go to the people team in the main office."
DOCUMENTS = {
    "uk/leave.md": f"Staff have 25 days of annual leave a year. {NOTICE}",
    "fr/leave.md": f"Staff have 30 days of annual leave a year. {NOTICE}",
    "docs/pay.md": f"Pay day is the last working day of each month. {NOTICE}",
    "pay.md": "An old page about pay that nobody reads.",
}
UK = Passage(source="uk/leave.md", text=DOCUMENTS["uk/leave.md"])


def hit(source, text, gold=UK):
    question = Question(id="q", question="?", gold=((gold,),))
    contexts = (Context(text=text, rank=1, source=source),)
    metric = RetrievalMetric("hit_rate", 5, documents=KnownDocuments(DOCUMENTS))
    return asyncio.run(metric.measure(Case(question=question, contexts=contexts))).value


def test_a_paragraph_that_documents_share_makes_no_hit_of_the_wrong_document():
    for source in (
        "fr/leave.md",
        "/srv/handbook/fr/leave.md",
        "docs/pay.md",
        "./fr/leave.md",
        "handbook\\fr\\leave.md",
    ):
        assert hit(source, NOTICE) == 0
    assert hit("uk/leave.md", NOTICE) == 1


@pytest.mark.parametrize("source", [None, "node-17", "leave.md", "", "https://intranet/17"])
def test_a_context_without_a_known_source_is_told_by_text_that_is_only_there(source):
    assert hit(source, "Staff have 25 days of annual leave a year.") == 1
    assert hit(source, "Staff have 30 days of annual leave a year.") == 0
    with pytest.raises(MeasurementError, match=r"cannot be compared with uk/leave\.md") as caught:
        hit(source, NOTICE)
    assert caught.value.kind == "unmatchable-gold"


def test_a_known_source_outweighs_the_quote():
    quote = Passage(source="uk/leave.md", start=43, end=43 + len(NOTICE), text=NOTICE)
    assert hit("fr/leave.md", NOTICE, quote) == 0
    assert hit("uk/leave.md", NOTICE, quote) == 1
    assert hit("node-17", NOTICE, quote) == 1


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("docs/pay.md", "docs/pay.md"),
        ("pay.md", "pay.md"),
        ("/srv/docs/pay.md", "docs/pay.md"),
        ("/srv/other/pay.md", "pay.md"),
        ("leave.md", None),
        ("uk/leave.md", "uk/leave.md"),
        ("C:\\handbook\\uk\\leave.md", "uk/leave.md"),
        ("file:///srv/uk/leave.md", "uk/leave.md"),
        ("eave.md", None),
        ("", None),
        (None, None),
    ],
)
def test_sources_are_resolved_by_unique_ends_of_paths(written, source):
    assert KnownDocuments(DOCUMENTS).source(written) == source


def test_all_measures_judge_once():
    class Counting(dict):
        read = 0

        def items(self):
            self.read += 1
            return super().items()

    documents = Counting(DOCUMENTS)
    known = KnownDocuments(documents)
    case = Case(
        question=Question(id="q", question="?", gold=((UK,),)),
        contexts=(Context(text="Staff have 25 days of annual leave a year.", rank=1),),
    )
    for name in RETRIEVAL_MEASURES:
        assert asyncio.run(RetrievalMetric(name, 5, documents=known).measure(case)).value > 0
    assert documents.read == 1
