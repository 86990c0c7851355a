"""At which rank gold stands that was not retrieved."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.retrieval import RetrievalMetric
from pytest_ragcheck.model import Answer, Context, Passage, Question, Result, Score
from pytest_ragcheck.rag.depth import DEPTH, DeeperSearch
from pytest_ragcheck.report.diagnosis import diagnose
from pytest_ragcheck.report.gold import missed_gold
from pytest_ragcheck.report.question import question_report
from pytest_ragcheck.session.depth import looking_deeper

RANKING = tuple(Context(text=f"text {rank}", rank=rank, source=f"{rank}.md", start=0, end=9) for rank in range(1, 51))


def question(*sources):
    return Question(id="q", question="Who?", gold=tuple((Passage(source=source),) for source in sources))


class Ranking:
    """An index that counts its searches."""

    def __init__(self, found=RANKING):
        self.asked = []
        self._found = found

    def search_deeper(self, text, depth):
        self.asked.append((text, depth))
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


async def measured(asked, *, top_k=2, deeper=None, name="recall"):
    metric = RetrievalMetric(name, top_k, deeper=deeper)
    return await metric.measure(Case(question=asked, contexts=RANKING[:top_k], answer=None))


@pytest.mark.asyncio
async def test_missed_gold_has_the_rank_at_which_it_stands():
    index = Ranking()
    score = await measured(question("1.md", "7.md", "99.md"), deeper=DeeperSearch(index))

    assert score.value == pytest.approx(1 / 3)
    assert [(entry["source"], entry["rank"], entry["searched"]) for entry in score.details["missed"]] == [
        ("7.md", 7, 50),
        ("99.md", None, 50),
    ]
    assert index.asked == [("Who?", DEPTH)]


@pytest.mark.asyncio
async def test_without_a_miss_nothing_is_searched_and_no_value_depends_on_it():
    index = Ranking()
    deeper = DeeperSearch(index)
    await measured(question("1.md"), deeper=deeper)
    assert index.asked == []

    for name in ("hit_rate", "ndcg", "map"):
        shallow = await measured(question("1.md", "7.md"), name=name)
        deep = await measured(question("1.md", "7.md"), name=name, deeper=deeper)
        assert deep.value == shallow.value
        assert "rank" not in shallow.details["missed"][0]
    assert len(index.asked) == 1, "the metrics of a question share one search"


@pytest.mark.asyncio
async def test_metrics_that_ask_at_the_same_time_share_one_search():
    index = Ranking()
    deeper = DeeperSearch(index)
    await asyncio.gather(*(measured(question("7.md"), deeper=deeper) for _ in range(5)))
    assert len(index.asked) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("found", [OSError("no vectors"), ()])
async def test_a_search_that_fails_fails_no_score(found):
    score = await measured(question("7.md"), deeper=DeeperSearch(Ranking(found)))
    assert score.value == 0
    assert "rank" not in score.details["missed"][0]


def test_only_retrieval_metrics_that_see_less_look_deeper():
    metrics = [RetrievalMetric("recall", 5), RetrievalMetric("recall", DEPTH), object()]
    made = looking_deeper(metrics, Ranking())
    assert [getattr(metric, "deeper", None) is not None for metric in made] == [True, False, False]
    assert made[2] is metrics[2]


@pytest.mark.asyncio
async def test_the_report_says_where_it_stands():
    score = await measured(question("1.md", "7.md", "99.md"), deeper=DeeperSearch(Ranking()))
    result = Result(
        question=question("1.md", "7.md", "99.md"),
        answer=Answer(text="Me.", contexts=RANKING[:2]),
        scores={"recall": Score(metric="recall", value=score.value, threshold=1.0, details=score.details)},
    )

    assert [missed.rank for missed in missed_gold(result)] == [7, None]
    assert diagnose(result) == "Retriever: 2 of 3 gold passages were not retrieved (7.md at rank 7 and 1 more)."
    report = question_report(result)
    assert "gold that was not retrieved\n  rank 7  7.md\n  beyond rank 50  99.md" in report
