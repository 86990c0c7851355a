"""The registry of metrics."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.registry import (
    MetricSpec,
    create_metrics,
    metric_names,
    register,
    required_inputs,
    unregister,
)
from pytest_ragcheck.model import Answer, Question, Score

RETRIEVAL = {"hit_rate", "recall", "precision", "mrr", "ndcg", "map"}
TEXT = {"groundedness", "answer_similarity", "reference_coverage", "must_contain", "refusal"}


async def no_embedding(texts):
    raise AssertionError(texts)


def test_every_metric_can_be_made_and_carries_its_name():
    names = metric_names()
    assert set(names) >= RETRIEVAL | TEXT
    offline = [name for name in names if name in RETRIEVAL | TEXT]
    metrics = create_metrics(offline, top_k=5, embed=no_embedding)
    assert [metric.name for metric in metrics] == offline
    assert {metric.name for metric in metrics if not metric.needs_answer} == RETRIEVAL


def test_what_metrics_need():
    assert {name for name in RETRIEVAL | TEXT if "gold" in required_inputs(name)} == RETRIEVAL
    assert required_inputs("answer_similarity") == {"answer", "reference", "embedder"}
    assert required_inputs("reference_coverage") == {"answer", "reference"}
    assert required_inputs("must_contain") == {"answer", "must_contain"}
    assert required_inputs("groundedness") == {"answer", "contexts"}
    assert required_inputs("refusal") == {"answer"}
    assert all("contexts" in required_inputs(name) for name in RETRIEVAL)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"unknown metric 'groundednes'; did you mean 'groundedness'\?"):
        create_metrics(["recall", "groundednes"], top_k=5, embed=None)
    with pytest.raises(ConfigurationError, match="unknown metric 'mmr'"):
        required_inputs("mmr")


def test_a_metric_without_its_embedder():
    with pytest.raises(ConfigurationError, match="'answer_similarity' needs an embedder"):
        create_metrics(["answer_similarity"], top_k=5, embed=None)


def test_a_name_given_twice_makes_one_metric():
    assert len(create_metrics(["recall", "map", "recall"], top_k=5, embed=None)) == 2


def test_top_k_reaches_the_retrieval_metrics():
    (metric,) = create_metrics(["precision"], top_k=7, embed=None)
    assert metric.top_k == 7


class Shout:
    name = "shout"
    needs_answer = True

    async def measure(self, case):
        return Score(metric=self.name, value=float(case.answer.text.isupper()))


def test_a_metric_of_ones_own():
    register(MetricSpec(name="shout", make=lambda _: Shout(), needs=frozenset({"reference"})))
    try:
        assert metric_names()[-1] == "shout"
        assert required_inputs("shout") == {"reference"}
        (metric,) = create_metrics(["shout"], top_k=5, embed=None)
        case = Case(question=Question(id="q", question="?"), contexts=(), answer=Answer(text="YES"))
        assert asyncio.run(metric.measure(case)).value == 1
        with pytest.raises(ConfigurationError, match="'shout' exists already"):
            register(MetricSpec(name="shout", make=lambda _: Shout()))
    finally:
        unregister("shout")
    assert "shout" not in metric_names()


def test_built_in_metrics_stay():
    with pytest.raises(ConfigurationError, match="'recall' exists already"):
        register(MetricSpec(name="recall", make=lambda _: Shout()))
    unregister("recall")
    assert "recall" in metric_names()
