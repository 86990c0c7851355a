"""JSON that was asked for, in the forms in which models and proxies send it."""

from __future__ import annotations

import json
import time

import pytest
from pydantic import BaseModel

from pytest_ragcheck.gateway import ModelRequest
from pytest_ragcheck.gateway.replies import with_form
from pytest_ragcheck.gateway.transport import AttemptResult, Message, Response, RetryAction, classify
from pytest_ragcheck.metrics.judged.judge import Judge
from pytest_ragcheck.model import Usage


class Verdict(BaseModel):
    verdict: str


WANTED = '{"verdict": "yes"}'
PLAIN = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["yes", "no"]},
        "score": {"type": ["number", "null"]},
        "parts": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["verdict"],
}


def request(schema=Verdict):
    judge = Judge(gateway=None, model="m", schema_of=lambda kind: kind.model_json_schema())
    return judge.request("So?", schema=schema)


def said(text="", *, tools=(), reason="end_turn"):
    return AttemptResult(
        effect=RetryAction.DONE,
        message=Message(text=text, tool_inputs=tuple(tools), stop_reason=reason, model="m", usage=Usage()),
    )


@pytest.mark.parametrize(
    "text",
    [
        WANTED,
        f"\n  {WANTED}\n",
        f"```json\n{WANTED}\n```",
        f"```\n{WANTED}```",
        f"Here it is:\n\n```JSON\n{WANTED}\n```\nI hope that helps {{see above}}.",
        f"Let me think. The set {{a, b}} has two elements.\n{WANTED}",
        f"{WANTED}\n\nI chose yes [1].",
        f"I weighed [1, 2] and [3]: {WANTED}",
        f'I thought of {{"verdict": "no"}} first.\n```json\n{WANTED}\n```',
    ],
)
def test_one_fence_or_prose_and_one_json_is_that_json(text):
    verdict = with_form(said(text), request())
    assert (verdict.effect, json.loads(verdict.message.text)) == (RetryAction.DONE, json.loads(WANTED))


def test_a_list_that_was_asked_for_is_found_beside_objects():
    verdict = with_form(said('Of {"a": 1} I take ["x"].'), request({"type": "array", "items": {"type": "string"}}))
    assert verdict.message.text == '["x"]'


def test_a_tools_input_is_that_json():
    content = [{"type": "text", "text": "I call it."}, {"type": "tool_use", "name": "f", "input": json.loads(WANTED)}]
    body = {"type": "message", "content": content, "stop_reason": "tool_use", "usage": {}, "model": "m"}
    got = classify(Response(status=200, headers={"content-type": "application/json"}, body=json.dumps(body).encode()))
    verdict = with_form(got, request())
    assert (verdict.effect, json.loads(verdict.message.text)) == (RetryAction.DONE, json.loads(WANTED))


@pytest.mark.parametrize(
    "reply",
    [
        said("Yes, I think so."),
        said('{"verdict": "yes"} or rather {"verdict": "no"}'),
        said('```json\n{"verdict": "yes"}\n```\n```json\n{"verdict": "no"}\n```'),
        said('{"verdict": "ye'),
        said("{" * 100_000),
        said('{"a":' * 100_000),
        said(tools=["{}", "{}"], reason="tool_use"),
        said(),
    ],
)
def test_what_may_mean_several_things_is_not_guessed(reply):
    verdict = with_form(reply, request())
    assert (verdict.effect, verdict.kind) == (RetryAction.MALFORMED, "invalid-reply")
    assert verdict.cause.startswith("the reply is not the JSON that was asked for")
    assert "use a model that replies with JSON to a schema" in verdict.remedy


@pytest.mark.parametrize("reply", [said('{"verdict": 3}'), said("{}"), said("[]"), said("true"), said(tools=["null"])])
def test_the_schema_decides(reply):
    verdict = with_form(reply, request())
    assert verdict.effect is RetryAction.MALFORMED
    assert "does not follow the schema that was asked for" in verdict.cause


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"verdict": "yes", "score": 0.5, "parts": [1, 2], "more": 1}, None),
        ({"verdict": "yes", "score": None}, None),
        ({}, "the reply lacks 'verdict'"),
        ({"verdict": "perhaps"}, "the reply.verdict must be one of"),
        ({"verdict": True}, "the reply.verdict must be of type string, got bool"),
        ({"verdict": "no", "score": True}, "the reply.score must be of type"),
        ({"verdict": "no", "score": "1"}, "the reply.score must be of type"),
        ({"verdict": "no", "parts": [1, "2"]}, "the reply.parts[1] must be of type integer, got str"),
        (["yes"], "the reply must be of type object, got list"),
    ],
)
def test_a_plain_schema_decides_too(value, told):
    verdict = with_form(said(json.dumps(value)), request(PLAIN))
    if told is None:
        assert json.loads(verdict.message.text) == value
    else:
        assert told in verdict.cause


def test_text_that_was_asked_for_is_left_as_it_is():
    asked = ModelRequest(model="m", messages=[{"role": "user", "content": "So?"}])
    assert with_form(said("```json\n{}\n```"), asked).message.text == "```json\n{}\n```"
    assert with_form(said(" \n"), asked).effect is RetryAction.MALFORMED
    assert with_form(said(tools=["{}"], reason="tool_use"), asked).cause == "the reply has no text"


def test_a_reply_that_was_cut_keeps_its_own_cause():
    cut = said('{"verdict": "ye', reason="max_tokens")
    assert with_form(cut, request()) is cut


@pytest.mark.parametrize("text", ['{"a' * 300_000, "{" * 1_000_000, '{"a": [' * 200_000, "```x" * 200_000])
def test_a_hostile_reply_takes_no_time(text):
    begun = time.process_time()
    assert with_form(said(text), request()).effect is RetryAction.MALFORMED
    assert time.process_time() - begun < 5
