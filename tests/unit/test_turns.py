"""Where calls must wait: the longest chain of calls first, and earlier questions first."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ragcheck.call_context import (
    current_calls_after,
    current_question,
    question_scope,
    scope_of_calls_before,
)
from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.gateway import Gateway, ModelRequest
from pytest_ragcheck.model import Answer, Context, Question, Score
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

pytestmark = pytest.mark.asyncio
MODEL = "claude-haiku-5-5"


class Noting:
    """A pipeline and a metric that note whose turn it is, and how many calls come after theirs."""

    name = "noting"
    needs_answer = True

    def __init__(self, **said):
        self.seen = {}
        self.after = {}
        vars(self).update(said)

    async def prepare(self, questions):
        pass

    async def retrieve(self, question):
        self.after["retrieval"] = current_calls_after()
        return (Context(text="about it", rank=1),)

    async def generate(self, question, contexts):
        self.seen.setdefault(question.id, []).append(current_question())
        self.after["generation"] = await asyncio.to_thread(current_calls_after)
        return Answer(text="so", contexts=contexts)

    async def measure(self, case):
        self.after["judging"] = current_calls_after()
        self.seen[case.question.id].append(await asyncio.create_task(self.turn()))
        return Score(metric=self.name, value=1.0)

    @staticmethod
    async def turn():
        return current_question()


async def test_each_question_has_its_turn_and_keeps_it():
    noting = Noting()
    questions = [Question(id=f"q{number}", question="?") for number in range(4)]
    jobs = [Job(key=one.id, question=one, pipeline=noting, metrics=(noting,), thresholds={}) for one in questions]
    engine = Engine(jobs, slots=Slots(sequential=False))
    engine.start()
    for one in questions:
        await engine.result(one.id)
    await engine.close()
    assert noting.seen == {f"q{number}": [number, number] for number in range(4)}
    assert current_question() == 0


@pytest.mark.parametrize(("said", "calls"), [({}, 1), ({"calls_in_a_row": 2}, 2)])
async def test_what_comes_after_a_call_is_known_where_it_is_made(said, calls):
    noting = Noting(**said)
    question = Question(id="q", question="?")
    engine = Engine(
        [Job(key="q", question=question, pipeline=noting, metrics=(noting,), thresholds={})],
        slots=Slots(sequential=False),
    )
    engine.start()
    await engine.result("q")
    await engine.close()
    assert noting.after == {"retrieval": calls + 1, "generation": calls, "judging": 0}


async def test_calls_that_wait_go_by_question_and_by_what_comes_after_them():
    asked = []

    def reply(params):
        asked.append(params["messages"][0]["content"])
        return "yes"

    with MessagesApi(Behaviour(latency=0.02), reply=reply) as api:
        async with Gateway(base_url=api.url, api_key="any", concurrency=1) as gateway:
            await gateway.open()
            calls = [
                call(gateway, turn, f"{kind} {turn}", after)
                for turn in (7, 2, 0)
                for kind, after in (("judging", 0), ("generation", 3))
            ]
            await asyncio.gather(ask(gateway, "the first that comes"), *calls)

    assert asked == [
        "the first that comes",
        "generation 0",
        "generation 2",
        "judging 0",
        "judging 2",
        "generation 7",
        "judging 7",
    ]


async def call(gateway, turn, text, after):
    with question_scope(turn), scope_of_calls_before(after):
        await ask(gateway, text)


async def ask(gateway, text):
    await gateway.complete(ModelRequest(model=MODEL, messages=[{"role": "user", "content": text}]))
