"""deepeval metrics that a user gives: copied for each question, asked of the right judge, their numbers deepeval's."""

from __future__ import annotations

import asyncio
import threading
from hashlib import sha256
from importlib.util import find_spec

import pytest

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.gateway.requests import ModelReply
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.judged.metric import JudgedMetric, Judging
from pytest_ragcheck.metrics.judged.settings import JudgeSettings
from pytest_ragcheck.metrics.own import metric as register_metric
from pytest_ragcheck.metrics.own import spec_of
from pytest_ragcheck.metrics.registry import MetricParts
from pytest_ragcheck.model import Answer, Call, Context, Question, Usage
from pytest_ragcheck.store import Store
from pytest_ragcheck.testing.replies import default_reply

pytestmark = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")

MODEL = "claude-haiku-5-5"


@pytest.fixture(scope="module")
def deepeval():
    from pytest_ragcheck.metrics.judged.library import Library

    Library().load()
    import deepeval.metrics

    return deepeval


class Rehearsed:
    """Stands for the gateway: replies as the rehearsal server does, each once, and notes what it was asked."""

    def __init__(self):
        self.asked = []
        self._kept = {}

    async def complete(self, request):
        key = request.key("")
        if key not in self._kept:
            self.asked.append(request)
            seed = sha256(key).digest()[0]
            await asyncio.sleep(seed / 50_000)  # questions overtake one another
            self._kept[key] = default_reply({"messages": list(request.messages)}, request.schema)
        return ModelReply(
            text=self._kept[key],
            stop_reason="end_turn",
            model=request.model,
            usage=Usage(),
            latency=0.0,
            request_id=None,
            call=Call(purpose=request.purpose, model=request.model, started=0.0),
        )


def case_of(number):
    texts = [f"It is {number + page}. It may be old. So they say." for page in range(3)]
    return Case(
        question=Question(id=str(number), question=f"What is {number}?", reference=f"It is {number}."),
        contexts=tuple(Context(text=text, rank=rank) for rank, text in enumerate(texts, 1)),
        answer=Answer(text=f"I think it is {number}. It is old. It costs {number} euros."),
    )


@pytest.fixture
def judging():
    with Store(None) as store:
        yield Judging(gateway=Rehearsed(), model=MODEL, store=store)


def made(thing, judging, *, name="mine", **more):
    return spec_of(thing, name=name).make(MetricParts(top_k=5, judging=judging, **more))


def own_model(name="own", **settings):
    from deepeval.models import DeepEvalBaseLLM

    class Own(DeepEvalBaseLLM):
        def load_model(self):
            return threading.Lock()  # as a client has one: it cannot be copied

        def get_model_name(self):
            return name

        def generate(self, *_):
            raise NotImplementedError

        async def a_generate(self, prompt, schema=None):
            raise NotImplementedError

    model = Own()
    model.settings = settings
    return model


@pytest.mark.asyncio
async def test_one_object_serves_many_questions_at_once(deepeval, judging):
    """deepeval keeps what it measures on the object: used as it is, about half of the scores would be another's."""
    from pytest_ragcheck.metrics.judged.models import stand_in

    given = deepeval.metrics.FaithfulnessMetric(model=stand_in(), penalize_ambiguous_claims=True)
    before = {name: repr(value) for name, value in vars(given).items()}
    cases = [case_of(number) for number in range(40)]
    metric = made(given, judging)
    scores = await asyncio.gather(*map(metric.measure, cases))
    named = JudgedMetric(KINDS["faithfulness"], Judging(gateway=judging.gateway, model=MODEL, store=judging.store,
                         settings=JudgeSettings(penalize_ambiguous_claims=True)))  # fmt: skip
    assert [score.value for score in scores] == [(await named.measure(case)).value for case in cases]
    assert len({score.value for score in scores}) > 2
    assert {name: repr(value) for name, value in vars(given).items()} == before


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["BiasMetric", "ToxicityMetric", "SummarizationMetric", "ContextualRecallMetric"])
async def test_a_class_alone(deepeval, judging, name):
    metric = made(getattr(deepeval.metrics, name), judging)
    assert metric.needs_answer == (name != "ContextualRecallMetric")
    scores = await asyncio.gather(*(metric.measure(case_of(number)) for number in range(6)))
    assert all(0 <= score.value <= 1 for score in scores)
    assert {request.purpose for request in judging.gateway.asked} == {"mine"}


@pytest.mark.asyncio
async def test_reasons_are_asked_for_where_they_are_read_and_alone(deepeval):
    gateways = Rehearsed(), Rehearsed()
    with Store(None) as store:
        for gateway, wanted in zip(gateways, (False, True), strict=True):
            judging = Judging(gateway=gateway, model=MODEL, store=store, every_reason=wanted)
            score = await made(deepeval.metrics.BiasMetric, judging).measure(case_of(1))
            assert bool(score.reason) == wanted
    first, second = ([request.messages[0]["content"] for request in gateway.asked] for gateway in gateways)
    assert second[:-1] == first


@pytest.mark.asyncio
async def test_a_graph_of_metrics_asks_the_judge_throughout(deepeval, judging):
    from deepeval.metrics.dag import BinaryJudgementNode, DeepAcyclicGraph, VerdictNode
    from deepeval.test_case import SingleTurnParams

    def polite(model):
        judged = deepeval.metrics.GEval(
            name="tone", evaluation_steps=["Look."], evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT], model=model
        )
        node = BinaryJudgementNode(
            criteria="Is it polite?",
            evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT],
            children=[VerdictNode(verdict=False, score=1), VerdictNode(verdict=True, child=judged)],
        )
        return deepeval.metrics.DAGMetric(name="polite", dag=DeepAcyclicGraph(root_nodes=[node]), model=model)

    metric = made(polite, judging)
    scores = await asyncio.gather(*(metric.measure(case_of(number)) for number in range(12)))
    assert all(score.value is not None for score in scores)
    assert len({score.value for score in scores}) > 2
    assert len(judging.gateway.asked) > 12


@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*same direction:DeprecationWarning")  # deepeval gives it once a process
async def test_what_deepeval_takes_without_a_model_is_replaced_and_what_the_user_chose_stays(
    deepeval, judging, monkeypatch
):
    from pytest_ragcheck.metrics.judged import models

    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")
    models._default_model.cache_clear()
    try:
        unchosen, chosen = deepeval.metrics.BiasMetric(), deepeval.metrics.BiasMetric(model=own_model(temperature=1))
        assert spec_of(unchosen).needs >= {"judge"}
        assert "judge" not in spec_of(chosen).needs
        await made(unchosen, judging).measure(case_of(1))
        assert judging.gateway.asked
    finally:
        models._default_model.cache_clear()

    by = []
    others = Judging(gateway=Rehearsed(), model="own", store=judging.store)
    asked = len(judging.gateway.asked)
    metric = made(chosen, judging, judging_by=lambda model: by.append(model) or others)
    await metric.measure(case_of(1))
    assert by == [chosen.model]
    assert (len(judging.gateway.asked), len(others.gateway.asked) > 0) == (asked, True)


@pytest.mark.asyncio
async def test_a_metric_that_asks_no_model(deepeval):
    metric = made(deepeval.metrics.ExactMatchMetric, None)
    assert (await metric.measure(case_of(1))).value == 0.0
    unanswerable = Case(question=Question(id="q", question="?", answerable=False), contexts=(), answer=Answer(text="!"))
    assert (await metric.measure(unanswerable)).reason == "unanswerable question"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise KeyError('no page')", "deepeval: KeyError: 'no page'"),
        ("self.score = 1.5", "the judge gave 1.5, which is not from 0 to 1"),
        ("pass", "the metric gave no score"),
    ],
)
async def test_what_a_metric_does_wrong_is_an_error_of_that_question(deepeval, body, told):
    class Broken(deepeval.metrics.BaseMetric):
        async def a_measure(self, test_case, *_, **__):
            exec(body)  # noqa: S102

        def measure(self, test_case):
            raise NotImplementedError

    with pytest.raises(MeasurementError) as caught:
        await made(Broken, None).measure(case_of(1))
    assert str(caught.value) == told


@pytest.mark.asyncio
async def test_a_metric_as_deepevals_documentation_writes_one(deepeval):
    class Length(deepeval.metrics.BaseMetric):
        def __init__(self, threshold=0.5):
            self.threshold = threshold

        def measure(self, test_case):
            self.score = min(1, len(test_case.actual_output) / 100)
            self.success = self.score >= self.threshold
            return self.score

        async def a_measure(self, test_case):
            return self.measure(test_case)

        def is_successful(self):
            return self.success

    score = await made(Length, None).measure(case_of(1))
    assert score.value == len(case_of(1).answer.text) / 100


def test_names_thresholds_and_directions(deepeval):
    class Length(deepeval.metrics.BaseMetric):
        threshold = 0.3

        def measure(self, test_case):
            return 0.0

        async def a_measure(self, test_case, *_, **__):
            return 0.0

        def is_successful(self):
            return self.score <= self.threshold

        @property
        def __name__(self):
            return "Length of answer!"

    spec = spec_of(Length())
    assert (spec.name, spec.threshold) == ("length_of_answer", pytest.approx(0.7))
    named = spec_of(deepeval.metrics.ExactMatchMetric(threshold=0.5))
    assert (named.name, named.threshold, named.needs) == ("exact_match", 0.5, {"answer", "reference"})


def test_what_cannot_be_a_metric_here(deepeval, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def without_model():
        return deepeval.metrics.BiasMetric()

    def nothing(model):
        return model

    class Held(deepeval.metrics.BaseMetric):
        def __init__(self):
            self.lock = threading.Lock()

    told = {
        "give the function a parameter `model`, which is the judge, and pass it on": without_model,
        "metric 'mine' is a ConfiguredJudge, not a metric of deepeval's for single answers": nothing,
        "cannot be copied for each question .*; give its class, or a function that makes it": Held(),
        "cannot be made: TypeError: GEval.__init__.. missing 1 .*; name a function that makes it": deepeval.metrics.GEval,
        "needs expected_tools and tools_called, which no answer here has": deepeval.metrics.ToolCorrectnessMetric,
        "is a KnowledgeRetentionMetric, not a metric": deepeval.metrics.KnowledgeRetentionMetric,
        "looks at a trace, and there is none": lambda model: deepeval.metrics.GEval(
            name="mine", criteria="Is it?", model=model
        ),
        "must be a function, or a class with a method `measure`": 3,
    }
    for problem, thing in told.items():
        with pytest.raises(ConfigurationError, match=problem):
            spec_of(thing, name="mine")
    with pytest.raises(ConfigurationError, match=r'"module:BiasMetric" = 0.7\), or return it from the fixture'):
        register_metric(deepeval.metrics.BiasMetric)


def test_the_stand_in_answers_nothing(deepeval):
    from pytest_ragcheck.metrics.judged.models import stand_in

    with pytest.raises(MeasurementError, match="only while a question is measured"):
        asyncio.run(stand_in().a_generate("?"))
    assert stand_in().get_model_name() == "the configured judge"
