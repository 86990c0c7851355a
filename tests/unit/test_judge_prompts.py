"""What a rehearsed judge sees in a prompt; and that no metric of deepeval's gets a vacuous score from it."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec

import pytest

from pytest_ragcheck.testing.judge_prompts import task_of
from pytest_ragcheck.testing.replies import default_reply

INSTRUCTIONS = 'Example Opinions: ["I think so.", "So do I.", "No."]\nBe strict.\n**\nReply with JSON alone.\n**\n\n'


def prompt(**sections):
    parts = [f"{label.replace('_', ' ').capitalize()}:\n{text}" for label, text in sections.items()]
    return INSTRUCTIONS + "\n\n".join([*parts, "JSON:"])


@pytest.mark.parametrize(
    ("text", "texts", "verdicts"),
    [
        (prompt(text='It is red.\nIs it? "Old", they say.'), ("It is red.", "Is it?", '"Old", they say.'), None),
        (prompt(retrieval_contexts="It is red.\n\nOr so.", claims="""['It\\'s "red".', "one, ['two']"]"""), (), 2),
        (prompt(contexts="['a', 'b']", actual_output="It is red."), ("It is red.",), 2),
        ("Give EQUAL TO 3.\n" + prompt(contexts="['a', 'b']"), (), 3),
        (
            "the number of sentences in `expected output`.\n"
            + prompt(expected_output="It is red. It is old. It is new.", context="['x']"),
            (),
            3,
        ),
        ("Based on these statements: ['one', 'two']\n**\nIMPORTANT\n**\n\nExample JSON:\n{}", (), 2),
        ("How long is leave?", (), None),
        (prompt(claims="['unfinished"), ("['unfinished",), None),
        (prompt(claims="[__import__('os').getcwd(), 'two']"), ("[__import__('os').getcwd(), 'two']",), None),
    ],
)
def test_what_a_prompt_asks_for(text, texts, verdicts):
    task = task_of(text)
    assert (task.texts, task.verdicts) == (texts, verdicts)


def test_items_are_the_texts_and_statements_go_through_them():
    strings = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"claims": strings}, "required": ["claims"]}
    text = prompt(ai_output="It is red. It is old.")
    request = {"messages": [{"role": "user", "content": text}]}
    assert json.loads(default_reply(request, schema)) == {"claims": ["It is red.", "It is old."]}

    judged = {"type": "object", "properties": {"statement": {"type": "string"}, "verdict": {"enum": ["yes", "no"]}}}
    schema["properties"] = {"verdicts": {"type": "array", "items": judged, "maxItems": 1}}
    (verdict,) = json.loads(default_reply(request, schema))["verdicts"]
    assert verdict["statement"] == "It is red."
    assert default_reply(request, schema) == default_reply(request, schema)


@pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")
@pytest.mark.asyncio
async def test_a_rehearsed_judge_judges_all_there_is():
    from pytest_ragcheck.gateway import Gateway
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.judged.kinds import KINDS
    from pytest_ragcheck.metrics.judged.metric import JudgedMetric, Judging
    from pytest_ragcheck.model import Answer, Context, Question
    from pytest_ragcheck.store import Store
    from pytest_ragcheck.testing.messages_api import MessagesApi

    texts = ['Leave lasts 16 weeks. It\'s "paid".', "Remote work\nis possible. Ask.", "**\nBadges are worn."]
    found = tuple(Context(text=text, rank=rank) for rank, text in enumerate(texts, 1))
    questions = [Question(id=str(n), question=f"Of leave {n}?", reference=f"It is {n}. It is paid.") for n in range(16)]
    with MessagesApi() as api, Store(None) as store:
        async with Gateway(base_url=api.url, api_key="any", store=store) as gateway:
            judging = Judging(gateway=gateway, model="claude-haiku-5-5", store=store)
            for name, kind in KINDS.items():
                metric = JudgedMetric(kind, judging)
                cases = [
                    Case(
                        question=question, contexts=found, answer=Answer(text=f"It is {question.id} weeks. It's paid.")
                    )
                    for question in questions
                ]
                scores = await asyncio.gather(*map(metric.measure, cases))
                assert [score.details.get("vacuous") for score in scores] == [None] * len(cases), name
                assert len({score.value for score in scores}) > 1, name
