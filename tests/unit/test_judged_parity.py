"""Our scores are deepeval's: the same judge replies give the same number, to 1e-9."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest

from pytest_ragcheck.errors import MeasurementError, NotRunError
from pytest_ragcheck.gateway import Gateway
from pytest_ragcheck.gateway.requests import ModelReply
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.judged.ahead import asking_ahead
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.judged.library import Library
from pytest_ragcheck.metrics.judged.metric import JudgedMetric, Judging
from pytest_ragcheck.metrics.judged.settings import JudgeSettings
from pytest_ragcheck.model import Answer, Call, Context, Question, Usage
from pytest_ragcheck.store import Store
from pytest_ragcheck.testing.messages_api import MessagesApi
from pytest_ragcheck.testing.replies import default_reply
from pytest_ragcheck.testing.schema_values import schema_value

pytestmark = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")

CASES, FEWER_CASES = 200, 40
"""Against deepeval's own runner, and against its metrics alone under several settings."""
MODEL = "claude-haiku-5-5"
WORDS = [
    "leave",
    "day",
    "manager",
    "expense",
    "claim",
    "remote",
    "office",
    "week",
    "euro",
    "meal",
    "receipt",
    "travel",
    "year",
    "calendar",
    "policy",
]


def judged_json(prompt, schema):
    """What the judge replies to a prompt: any number of items and any verdicts, and nothing at all now and then."""
    seed = sha256(json.dumps([prompt, schema], sort_keys=True).encode()).hexdigest()
    value = schema_value(schema, seed=seed, material=prompt[-2000:])
    draw = Random(seed)
    for key, items in value.items():
        if isinstance(items, list):
            value[key] = items * draw.choice([0, 1, 1, 2])
        for item in value[key] if key == "verdicts" else ():
            item["verdict"] = draw.choice(["yes", "no", "no" if "statement" in item else "yes"])
    return value


class HashedReplies:
    """Stands for the gateway."""

    def __init__(self):
        self.requests = []

    async def complete(self, request):
        self.requests.append(request)
        text = json.dumps(judged_json(request.messages[0]["content"], request.schema))
        call = Call(purpose=request.purpose, model=request.model, started=0.0)
        return ModelReply(
            text=text,
            stop_reason="end_turn",
            model=request.model,
            usage=Usage(),
            latency=0.0,
            request_id=None,
            call=call,
        )


def text_of(draw, sentences):
    return " ".join(" ".join(draw.choices(WORDS, k=draw.randint(3, 9))).capitalize() + "." for _ in range(sentences))


def case_of(number):
    draw = Random(number)
    texts = [text_of(draw, draw.randint(1, 3)) for _ in range(draw.choice([1, 1, 2, 3, 5]))]
    return Case(
        question=Question(id=str(number), question=text_of(draw, 1) + "?", reference=text_of(draw, draw.randint(1, 4))),
        contexts=tuple(Context(text=text, rank=rank) for rank, text in enumerate(texts, 1)),
        answer=Answer(text=text_of(draw, draw.randint(1, 4))),
    )


@pytest.fixture(scope="module")
def deepeval():
    """Imported as the plugin does it; what deepeval would tell its makers at exit goes nowhere."""
    Library()._import()
    import deepeval

    return deepeval


def new_judge_class():
    from anthropic import transform_schema
    from deepeval.models import DeepEvalBaseLLM

    class HashedJudge(DeepEvalBaseLLM):
        """A user's own judge, that never heard of this project."""

        def load_model(self):
            return self

        def get_model_name(self):
            return MODEL

        def generate(self, prompt, schema=None):
            return schema.model_validate(judged_json(prompt, transform_schema(schema)))

        async def a_generate(self, prompt, schema=None):
            return self.generate(prompt, schema)

    return HashedJudge


@pytest.fixture(scope="module")
def judge_class(deepeval):
    return new_judge_class()


def their_metric(name, model, settings):
    import warnings

    import deepeval.metrics
    from deepeval.test_case import SingleTurnParams as Params

    warnings.simplefilter("ignore")
    if name == "correctness":
        params = [Params.INPUT, Params.ACTUAL_OUTPUT, Params.EXPECTED_OUTPUT]
        return deepeval.metrics.GEval(
            name="correctness", criteria=settings.criteria, evaluation_params=params, model=model
        )
    extra = {"penalize_ambiguous_claims": settings.penalize_ambiguous_claims} if name == "faithfulness" else {}
    return getattr(deepeval.metrics, KINDS[name].metric)(model=model, **extra)


def their_case(case):
    from deepeval.test_case import LLMTestCase

    contexts = [context.text for context in case.contexts]
    return LLMTestCase(
        input=case.question.question,
        actual_output=case.answer.text,
        expected_output=case.question.reference,
        retrieval_context=contexts,
        context=contexts,
    )


async def their_scores(name, judge_class, settings, cases):
    scores = []
    for case in cases:
        metric = their_metric(name, judge_class(), settings)
        await metric.a_measure(their_case(case), _show_indicator=False)
        scores.append((metric.score, metric.reason))
    return scores


async def our_scores(name, settings, cases, **more):
    gateway = HashedReplies()
    with Store(None) as store:
        judging = Judging(gateway=gateway, model=MODEL, store=store, settings=settings, **more)
        metric = JudgedMetric(KINDS[name], judging)
        scores = await asyncio.gather(*(metric.measure(case) for case in cases))
    return scores, gateway.requests


SETTINGS = [
    JudgeSettings(criteria="The actual output says what the expected output says."),
    JudgeSettings(criteria="Nothing is invented.", penalize_ambiguous_claims=True),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, SETTINGS[0]) for name in KINDS), ("faithfulness", SETTINGS[1]), ("correctness", SETTINGS[1])],
)
async def test_the_same_number_as_deepeval(name, settings, judge_class):
    cases = [case_of(number) for number in range(FEWER_CASES)]
    theirs = await their_scores(name, judge_class, settings, cases)
    ours, _ = await our_scores(name, settings, cases)
    assert [score.value for score in ours] == pytest.approx([value for value, _ in theirs], abs=1e-9)
    assert len({round(value, 6) for value, _ in theirs}) >= 4, "the cases are all alike"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", KINDS)
async def test_the_same_reason_as_deepeval(name, judge_class):
    """The judge is asked for it as deepeval would have asked, after the score and without measuring again."""
    cases = [case_of(number) for number in range(FEWER_CASES)]
    theirs = await their_scores(name, judge_class, SETTINGS[0], cases)
    ours, with_reasons = await our_scores(name, SETTINGS[0], cases, every_reason=True)
    for score, (_, reason) in zip(ours, theirs, strict=True):
        assert score.reason.endswith(reason)
    _, without = await our_scores(name, SETTINGS[0], cases)
    assert len(with_reasons) - len(without) == (0 if name == "correctness" else len(cases))


# ---- Through the loopback API, and deepeval's own runner ---------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("name", KINDS)
async def test_the_same_number_through_the_api(name, judge_class):
    """The rehearsal server replies to the same prompt and schema as the other judge is told."""

    class Rehearsed(judge_class):
        async def a_generate(self, prompt, schema=None):
            from anthropic import transform_schema

            request = {"messages": [{"role": "user", "content": prompt}]}
            return schema.model_validate_json(default_reply(request, transform_schema(schema)))

    cases = [case_of(number) for number in range(12)]
    theirs = await their_scores(name, Rehearsed, SETTINGS[0], cases)
    with MessagesApi() as api, Store(None) as store:
        async with Gateway(base_url=api.url, api_key="any", store=store) as gateway:
            judging = Judging(gateway=gateway, model=MODEL, store=store, settings=SETTINGS[0])
            metric = JudgedMetric(KINDS[name], judging)
            ours = await asyncio.gather(*(metric.measure(case) for case in cases))
    assert [score.value for score in ours] == pytest.approx([value for value, _ in theirs], abs=1e-9)


@pytest.mark.asyncio
async def test_what_is_asked_ahead_changes_neither_scores_nor_calls(deepeval):
    cases = [case_of(number) for number in range(FEWER_CASES)]
    expected, requests = await our_scores("faithfulness", SETTINGS[0], cases)
    gateway = HashedReplies()

    with Store(None) as store:
        judging = Judging(gateway=gateway, model=MODEL, store=store, settings=SETTINGS[0])
        (metric,) = asking_ahead([JudgedMetric(KINDS["faithfulness"], judging)])
        begun = [metric.begin(replace(case, answer=None)) for case in cases]
        await asyncio.gather(*(each._asked for each in begun))
        ahead = len(gateway.requests)
        scores = await asyncio.gather(*(each.measure(case) for each, case in zip(begun, cases, strict=True)))

    assert ahead == FEWER_CASES
    assert scores == expected
    assert sorted(map(prompt_of, gateway.requests)) == sorted(map(prompt_of, requests))


@pytest.mark.asyncio
async def test_what_was_asked_ahead_about_other_contexts_is_asked_again(deepeval):
    gateway = HashedReplies()

    with Store(None) as store:
        judging = Judging(gateway=gateway, model=MODEL, store=store, settings=SETTINGS[0])
        plain = JudgedMetric(KINDS["faithfulness"], judging)
        (metric,) = asking_ahead([plain])
        begun = metric.begin(replace(case_of(1), answer=None))
        score = await begun.measure(case_of(2))
        expected = (await our_scores("faithfulness", SETTINGS[0], [case_of(2)]))[0]

    assert [score] == expected


@pytest.mark.asyncio
async def test_a_failure_of_what_was_asked_ahead_is_the_scores(deepeval):
    class Failing:
        async def complete(self, request):
            raise MeasurementError("the server is down", kind="connection")

    with Store(None) as store:
        (metric,) = asking_ahead(
            [JudgedMetric(KINDS["faithfulness"], Judging(gateway=Failing(), model=MODEL, store=store))]
        )
        begun = metric.begin(replace(case_of(1), answer=None))
        with pytest.raises(MeasurementError, match="the server is down"):
            await begun.measure(case_of(1))
        await begun.close()
        assert metric.begin(replace(case_of(1), contexts=(), answer=None)) is None


def prompt_of(request):
    return request.messages[0]["content"]


EVALUATE = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {folder!r})
import test_judged_parity as parity
from deepeval import evaluate
from deepeval.evaluate.configs import AsyncConfig, CacheConfig, DisplayConfig

cases = [parity.case_of(number) for number in range({count})]
metrics = [parity.their_metric(name, parity.new_judge_class()(), parity.SETTINGS[0]) for name in parity.KINDS]
outcome = evaluate(
    [parity.their_case(case) for case in cases],
    metrics,
    async_config=AsyncConfig(run_async=True),
    cache_config=CacheConfig(write_cache=False),
    display_config=DisplayConfig(show_indicator=False, print_results=False),
)
rows = {{}}
for result in outcome.test_results:
    rows[result.input] = {{data.name: data.score for data in result.metrics_data}}
json.dump(rows, open("scores.json", "w"))
"""
THEIR_NAMES = {
    "faithfulness": "Faithfulness",
    "answer_relevancy": "Answer Relevancy",
    "contextual_precision": "Contextual Precision",
    "contextual_recall": "Contextual Recall",
    "contextual_relevancy": "Contextual Relevancy",
    "hallucination": "Hallucination",
    "correctness": "correctness [GEval]",
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The scores that deepeval's own runner gives, by question and metric; it writes files and prints."""
    folder = tmp_path_factory.mktemp("evaluate")
    script = folder / "evaluate.py"
    script.write_text(EVALUATE.format(folder=str(Path(__file__).parent), count=CASES))
    quiet = {"DEEPEVAL_TELEMETRY_OPT_OUT": "1", "DEEPEVAL_DISABLE_DOTENV": "1", "HOME": str(folder)}
    subprocess.run([sys.executable, script], cwd=folder, env=os.environ | quiet, check=True, capture_output=True)
    return json.loads((folder / "scores.json").read_text())


@pytest.mark.asyncio
@pytest.mark.parametrize("name", KINDS)
async def test_the_same_number_as_deepevals_evaluate(name, evaluated):
    cases = [case_of(number) for number in range(CASES)]
    ours, _ = await our_scores(name, SETTINGS[0], cases)
    theirs = [evaluated[case.question.question][THEIR_NAMES[name]] for case in cases]
    assert [score.value for score in ours] == pytest.approx(theirs, abs=1e-9)


# ---- Errors ----------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "problem",
    [
        MeasurementError("prompt is too long: 9 > 8", kind="api-error", status=400),  # words that deepeval looks for
        NotRunError("the budget is spent"),
        TypeError("a mistake of ours"),  # to deepeval: a model that knows no schemas
    ],
    ids=lambda problem: type(problem).__name__,
)
async def test_an_error_of_the_judge_stays_what_it_is(name, problem, deepeval):
    asked = []

    class Failing:
        async def complete(self, request):
            asked.append(request)
            raise problem

    with Store(None) as store:
        metric = JudgedMetric(KINDS[name], Judging(gateway=Failing(), model=MODEL, store=store))
        with pytest.raises((MeasurementError, NotRunError)) as caught:
            await metric.measure(case_of(3))
        assert store.size().entries == {}
    assert str(problem) in str(caught.value)
    assert isinstance(caught.value, NotRunError) == isinstance(problem, NotRunError)
    assert len({request.messages[0]["content"] for request in asked}) == len(asked), "something was asked twice"
