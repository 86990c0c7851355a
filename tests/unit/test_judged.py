"""The judge and what surrounds it, without deepeval."""

from __future__ import annotations

import json
import re
import sys
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from pytest_ragcheck.errors import ConfigurationError, MeasurementError, MissingExtraError
from pytest_ragcheck.gateway.requests import ModelReply
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.judged import evidence, library
from pytest_ragcheck.metrics.judged.judge import Judge
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.judged.scores import Judged, Scores
from pytest_ragcheck.metrics.judged.settings import JudgeSettings, is_own_judge, judge_model, named_judge
from pytest_ragcheck.metrics.registry import create_metrics, required_inputs
from pytest_ragcheck.model import Answer, Call, Context, Question, Usage
from pytest_ragcheck.store import Store

MODEL = "claude-haiku-5-5"


class Verdict(BaseModel):
    verdict: str


class Scripted:
    """Stands for the gateway: replies with texts, or raises, one after another."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.requests = []

    async def complete(self, request):
        self.requests.append(request)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return ModelReply(
            text=outcome,
            stop_reason="end_turn",
            model=MODEL,
            usage=Usage(),
            latency=0.0,
            request_id="req_1",
            call=Call(purpose=request.purpose, model=MODEL, started=0.0),
        )


def cut_off():
    return MeasurementError("cut off", kind="truncated", stop_reason="max_tokens")


def case(answer="It is red.", contexts=("Red.", "Blue."), **fields):
    question = {"id": "q", "question": "Which colour?", "reference": "Red."} | fields
    return Case(
        question=Question(**question),
        contexts=tuple(Context(text=text, rank=rank) for rank, text in enumerate(contexts, 1)),
        answer=None if answer is None else Answer(text=answer),
    )


# ---- The judge -------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_text_json_and_instances():
    gateway = Scripted("so", '{"verdict": "yes"}', '{"verdict": "no"}')
    judge = Judge(gateway=gateway, model=MODEL, purpose="mine")
    assert await judge.ask("?") == "so"
    schema = {"type": "object", "properties": {"verdict": {"type": "string"}}}
    assert await judge.ask("?", schema=schema) == {"verdict": "yes"}
    assert await judge.ask("?", schema=Verdict) == Verdict(verdict="no")
    assert [request.schema and request.schema["type"] for request in gateway.requests] == [None, "object", "object"]
    assert {request.purpose for request in gateway.requests} == {"mine"}


@pytest.mark.asyncio
async def test_a_reply_that_is_cut_off_gets_more_room_once():
    gateway = Scripted(cut_off(), "whole")
    assert await Judge(gateway=gateway, model=MODEL, max_tokens=10).ask("?") == "whole"
    assert [request.max_tokens for request in gateway.requests] == [10, 40]

    gateway = Scripted(cut_off(), cut_off(), "too late")
    with pytest.raises(MeasurementError, match="cut off"):
        await Judge(gateway=gateway, model=MODEL).ask("?")
    assert len(gateway.requests) == 2


@pytest.mark.asyncio
async def test_no_second_try_where_more_room_would_not_help():
    full = MeasurementError("cut off", kind="truncated", stop_reason="model_context_window_exceeded")
    gateway = Scripted(full, "too late")
    with pytest.raises(MeasurementError):
        await Judge(gateway=gateway, model=MODEL).ask("?")
    assert len(gateway.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ['{"verdict": "ye', "{}", '{"verdict": 1}', "[]", "yes", ""])
async def test_another_shape_is_an_error_without_the_text(text):
    with pytest.raises(MeasurementError, match="does not follow the schema") as caught:
        await Judge(gateway=Scripted(text), model=MODEL).ask("?", schema=Verdict)
    assert caught.value.kind == "invalid-reply"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("said", ["", "anthropic", "anthropic:", "openai:gpt-4", "mine: judge", "claude"])
def test_a_judge_that_is_not_known(said):
    with pytest.raises(ConfigurationError, match='use "anthropic:MODEL"'):
        judge_model(said)


def test_a_judge_by_name():
    assert judge_model(f"anthropic:{MODEL}") == MODEL
    assert judge_model("mine.judges:local") == "mine.judges:local"
    assert [is_own_judge(judge) for judge in (MODEL, "mine.judges:local")] == [False, True]
    assert [named_judge(judge) for judge in (MODEL, "mine:local")] == [f"anthropic:{MODEL}", "mine:local"]


def test_without_deepeval_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepeval", None)
    with pytest.raises(MissingExtraError, match=r'judging needs an extra: .*"pytest-ragcheck\[deepeval\]"'):
        library.check_installed()


# ---- What is settled without a call -------------------------------------------------------------


def test_what_each_metric_needs():
    assert {name for name, kind in KINDS.items() if not kind.needs_answer} == {
        "contextual_precision",
        "contextual_recall",
        "contextual_relevancy",
    }
    assert required_inputs("contextual_recall") == {"judge", "contexts", "reference"}
    assert required_inputs("answer_relevancy") == {"judge", "answer"}
    with pytest.raises(ConfigurationError, match="metric 'faithfulness' needs a judge"):
        create_metrics(["faithfulness"], top_k=5, embed=None)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.needs_answer])
@pytest.mark.parametrize("answer", ["", " \n\t"])
def test_an_empty_answer_is_an_error(name, answer):
    with pytest.raises(MeasurementError, match="the answer is empty"):
        KINDS[name].settled(case(answer))


@pytest.mark.parametrize("contexts", [(), ("", "  ")])
def test_without_contexts(contexts):
    for name, kind in KINDS.items():
        settled = kind.settled(case(contexts=contexts))
        expected = 0.0 if "contexts" in kind.needs else None
        assert (settled.value if settled else None) == expected, name
    assert KINDS["faithfulness"].settled(case("I do not know.", contexts)).value is None


def test_unanswerable_questions_and_questions_without_reference():
    for name, kind in KINDS.items():
        unanswerable = kind.settled(case(answerable=False))
        about_the_reference = "reference" in kind.needs
        assert (unanswerable is not None) == (about_the_reference or not kind.needs_answer), name
        assert (kind.settled(case(reference=" ")) is not None) == about_the_reference, name


def test_nothing_is_settled_where_there_is_something_to_judge():
    assert [kind.settled(case()) for kind in KINDS.values()] == [None] * len(KINDS)


# ---- Evidence --------------------------------------------------------------------------------


def verdicts(*words):
    return [SimpleNamespace(verdict=word, reason=f"because {n}", statement=f"s{n}") for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("claims", "given", "truths", "vacuous"),
    [
        (["a", "b"], ["yes", "no"], ["t"], None),
        ([], [], ["t"], "the judge found no claim in the answer"),
        (["a", "b"], ["yes"], ["t"], "the judge gave 1 verdict for 2 claims"),
        (["a"], ["yes", "yes"], ["t"], "the judge gave 2 verdicts for 1 claim"),
        (["a"], ["yes"], [], "the judge found nothing stated in the contexts"),
    ],
)
def test_scores_without_evidence(claims, given, truths, vacuous):
    metric = SimpleNamespace(claims=claims, verdicts=verdicts(*given), truths=truths, penalize_ambiguous_claims=False)
    assert evidence.of_items("claim", "claims")(metric, case()).vacuous == vacuous


def test_rejected_claims():
    metric = SimpleNamespace(
        claims=["a", "b", "c"],
        verdicts=verdicts("yes", "borderline", "no"),
        truths=["t"],
        penalize_ambiguous_claims=False,
    )
    found = evidence.of_items("claim", "claims")(metric, case())
    assert found.rejected == ({"claim": "c", "reason": "because 2"},)
    assert found.summary == "the judge accepts 2 of 3 claims"
    metric.penalize_ambiguous_claims = True
    assert [one["claim"] for one in evidence.of_items("claim", "claims")(metric, case()).rejected] == ["b", "c"]


def test_rejected_contexts_sentences_and_statements():
    metric = SimpleNamespace(verdicts=verdicts("no", "yes"))
    assert evidence.of_contexts_judged(metric, case()).rejected[0]["claim"] == "context 1"
    of_recall = evidence.of_recall(metric, case(reference="It is red. It is old."))
    assert of_recall.rejected == ({"claim": "It is red.", "reason": "because 0"},)
    assert (
        evidence.of_recall(metric, case(reference="It is red.")).rejected[0]["claim"] == "statement 1 of the reference"
    )
    assert (
        evidence.of_recall(SimpleNamespace(verdicts=[]), case()).vacuous == "the judge gave no verdict on the reference"
    )
    metric = SimpleNamespace(verdicts_list=[SimpleNamespace(verdicts=verdicts("no")), SimpleNamespace(verdicts=[])])
    found = evidence.of_statements_in_contexts(metric, case())
    assert found.rejected == ({"claim": "s0", "reason": "because 0"},)
    assert found.vacuous == "the judge found no statement in context 2"


FACTS = ("The museum opens at nine in the morning.", "Tickets cost twelve euros for adults.", "Dogs must wait outside.")
REFERENCE = " ".join(FACTS)


def judged(name, order, words=("yes", "no", "no")):
    """A metric that has judged the three facts; ``order`` says which verdict stands where."""
    given = [
        SimpleNamespace(verdict=words[n], reason=f"It says '{FACTS[n]}', so: {words[n]}.", statement=FACTS[n])
        for n in order
    ]
    by_context = [SimpleNamespace(verdicts=given[n : n + 1]) for n in range(min(len(given), 3))]
    if len(given) > 3:
        by_context[-1] = SimpleNamespace(verdicts=given[2:])
    metric = SimpleNamespace(
        claims=list(FACTS), statements=list(FACTS), truths=["t"], verdicts=given, verdicts_list=by_context
    )
    judged_case = case(REFERENCE, FACTS, question="What is said?", reference=REFERENCE)
    return KINDS[name].evidence(metric, judged_case)


LISTS = ["faithfulness", "answer_relevancy", "contextual_precision", "contextual_relevancy", "hallucination"]


@pytest.mark.parametrize("name", [*LISTS, "contextual_recall"])
def test_a_verdict_for_each_is_evidence(name):
    assert judged(name, [0, 1, 2]).vacuous is None


@pytest.mark.parametrize("name", [*LISTS, "contextual_recall"])
def test_verdicts_that_were_left_out_are_no_evidence(name):
    for order in ([0], [0, 1], [2, 0]):
        assert re.match(r"the judge (gave|judged) \d verdicts? for 3 ", judged(name, order).vacuous), order


@pytest.mark.parametrize("name", [*LISTS, "contextual_recall"])
def test_verdicts_that_are_too_many_are_no_evidence(name):
    found = judged(name, [0, 1, 2, 2]).vacuous
    assert re.match(r"the judge gave 4 verdicts for 3 |the judge judged a statement of context 3 twice", found)


@pytest.mark.parametrize("name", ["faithfulness", "answer_relevancy", "contextual_relevancy"])
@pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0], [1, 2, 0]])
def test_verdicts_in_another_order_are_no_evidence(name, order):
    assert re.search(
        "reasons speak of other .* than they stand for|judged a statement of context . as one of context .",
        judged(name, order, ("no", "no", "no")).vacuous,
    )


@pytest.mark.parametrize("name", ["contextual_precision", "hallucination"])
@pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0], [1, 2, 0]])
def test_verdicts_on_contexts_in_another_order_are_no_evidence(name, order):
    metric = SimpleNamespace(verdicts=[SimpleNamespace(verdict="no", reason=f'"{FACTS[n]}"') for n in order])
    contexts = case("Yes.", FACTS, question="What is said?", reference="It opens at nine.")
    assert "the order is not certain" in KINDS[name].evidence(metric, contexts).vacuous
    # A reason may quote the reference, whose words stand in another context, for what its own context lacks.
    about_the_reference = case("Yes.", FACTS, question="What is said?", reference=REFERENCE)
    assert KINDS[name].evidence(metric, about_the_reference).vacuous is None


@pytest.mark.parametrize(
    "reasons",
    [
        ["It's not said in Bob's or anybody's notes.", "", None],
        [f"Unlike '{FACTS[1]}', this is off the point.", "Off the point.", "Off the point."],
        ["'The museum opens' early.", "'cost twelve euros'", "'Dogs must wait ...'"],
        ["'" * 5_000, '"' * 5_000, "‘’" * 5_000],
    ],
)
def test_reasons_that_quote_little_prove_no_other_order(reasons):
    metric = SimpleNamespace(verdicts=[SimpleNamespace(verdict="no", reason=reason) for reason in reasons])
    contexts = case("Yes.", FACTS, question="What is said?", reference="Nine.")
    assert KINDS["hallucination"].evidence(metric, contexts).vacuous is None


@pytest.mark.parametrize(
    ("reference", "count", "vacuous"),
    [
        ("Open daily: nine to five; closed on Monday.", 1, False),
        ("Open daily: nine to five; closed on Monday.", 3, False),
        ("Open daily: nine to five; closed on Monday.", 4, True),
        ("Bring:\n- a passport\n- a photo", 3, False),
        ("It costs 2.50 euros, e.g. for a child.", 1, False),
        ("One. Two. Three.", 2, True),
    ],
)
def test_a_judge_may_see_more_sentences_in_a_reference_but_not_fewer(reference, count, vacuous):
    metric = SimpleNamespace(verdicts=verdicts(*["yes"] * count))
    found = KINDS["contextual_recall"].evidence(metric, case(reference=reference)).vacuous
    assert (found is not None) == vacuous, found


def test_statements_of_a_context_are_its_own_and_enough():
    def found(*by_context):
        given = [
            SimpleNamespace(verdicts=[SimpleNamespace(verdict="yes", reason=None, statement=text) for text in texts])
            for texts in by_context
        ]
        contexts = (REFERENCE, "The canteen opens at noon. It serves soup.")
        return (
            KINDS["contextual_relevancy"]
            .evidence(SimpleNamespace(verdicts_list=given), case(contexts=contexts))
            .vacuous
        )

    assert found(["It opens at nine, for twelve euros.", "Dogs wait."], ["The canteen serves soup at noon."]) is None
    assert found(FACTS[:1], ["It serves soup."]) == "the judge judged 1 statement of 3 sentences in context 1"
    assert found(FACTS, []) == "the judge found no statement in context 2"
    assert found(FACTS, FACTS[:1]) == "the judge judged a statement of context 1 as one of context 2"
    assert found(FACTS) == "the judge gave 1 verdict for 2 contexts"


# ---- Kept scores -----------------------------------------------------------------------------


def test_scores_are_kept_whole():
    judged = Judged.of(
        0.5, evidence.Evidence(summary="1 of 2", vacuous="why", rejected=({"claim": "a", "reason": "b"},)), reason=None
    )
    with Store(None) as store:
        scores = Scores(store)
        key = scores.key(metric="m", case={"question": "?"})
        assert scores.get(key) is None
        scores.put(key, judged)
        assert scores.get(key) == judged
        assert Scores(store, since=4e9).get(key) is None
        store.put("judged-score", key, json.dumps({"value": 1}).encode())
        assert scores.get(key) is None
    score = judged.score("m")
    assert (score.value, score.reason) == (0.5, "vacuous: why; 1 of 2")
    assert score.details == {"rejected": [{"claim": "a", "reason": "b"}], "vacuous": "why"}


def test_only_what_changes_the_score_is_in_its_key():
    faithfulness, recall = KINDS["faithfulness"], KINDS["contextual_recall"]
    assert recall.looks_at(case("one")) == recall.looks_at(case("another"))
    assert faithfulness.looks_at(case("one")) != faithfulness.looks_at(case("another"))
    assert faithfulness.looks_at(case(reference="one")) == faithfulness.looks_at(case(reference="another"))
    assert faithfulness.looks_at(case(contexts=("a",))) != faithfulness.looks_at(case(contexts=("b",)))
    strict = JudgeSettings(penalize_ambiguous_claims=True)
    assert faithfulness.chosen(strict) != faithfulness.chosen(JudgeSettings())
    assert KINDS["correctness"].chosen(strict) == KINDS["correctness"].chosen(JudgeSettings(near=0.5, max_tokens=1))
