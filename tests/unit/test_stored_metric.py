from __future__ import annotations

import pytest

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.stored import AnswerMetric
from pytest_ragcheck.metrics.text import Groundedness
from pytest_ragcheck.model import Answer, Context, Question
from pytest_ragcheck.store import Store, digest

pytestmark = pytest.mark.asyncio


class Counted:
    """Groundedness that counts how often it is measured."""

    name = "groundedness"
    needs_answer = True

    def __init__(self):
        self.measured = 0

    async def measure(self, case):
        self.measured += 1
        return await Groundedness().measure(case)


def case(answer="Five days can be carried over.", context="Up to five days of leave can be carried over."):
    contexts = (Context(text=context, rank=1),)
    return Case(
        question=Question(id="q", question="How many?"),
        contexts=contexts,
        answer=Answer(text=answer, contexts=contexts),
    )


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
def metric(counted):
    with Store(None) as store:
        yield AnswerMetric(counted, store)


async def test_the_same_answer_is_measured_once(metric, counted):
    first = await metric.measure(case())
    again = await metric.measure(case())

    assert counted.measured == 1
    assert again == first == await Groundedness().measure(case())


@pytest.mark.parametrize("other", [case(answer="Six days."), case(context="Nothing about it.")])
async def test_another_answer_or_context_is_measured_anew(metric, counted, other):
    await metric.measure(case())
    score = await metric.measure(other)

    assert counted.measured == 2
    assert score == await Groundedness().measure(other)


async def test_a_metric_that_does_not_apply_is_kept_too(metric, counted):
    refusal = case(answer="The documents do not answer this question.")

    assert (await metric.measure(refusal)) == (await metric.measure(refusal))
    assert counted.measured == 1


async def test_an_error_is_not_kept(metric, counted):
    for _ in range(2):
        with pytest.raises(MeasurementError):
            await metric.measure(case(answer=" "))
    assert counted.measured == 2


async def test_scores_of_an_older_version_of_the_metric_are_not_used(metric, counted):
    older = digest("1", "groundedness", "None", case().answer.text, case().contexts[0].text)
    metric.store.put("score", older, b'{"value": 0.25, "reason": "", "details": {}}')

    score = await metric.measure(case())

    assert counted.measured == 1
    assert score.value == 1
