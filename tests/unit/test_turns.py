"""Where calls must wait: earlier questions first, and generation some questions ahead of judging."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ragcheck.call_context import GENERATION_PRIORITY, current_question, question_scope
from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.gateway import Gateway, ModelRequest
from pytest_ragcheck.model import Answer, Context, Question, Score
from pytest_ragcheck.rag.claude import ClaudeGenerator
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

pytestmark = pytest.mark.asyncio
MODEL = "claude-haiku-5-5"


class Noting:
    """A pipeline and a metric that note whose turn it is."""

    name = "noting"
    needs_answer = True

    def __init__(self):
        self.seen = {}

    async def prepare(self, questions):
        pass

    async def retrieve(self, question):
        return (Context(text="about it", rank=1),)

    async def generate(self, question, contexts):
        self.seen.setdefault(question.id, []).append(current_question())
        return Answer(text="so", contexts=contexts)

    async def measure(self, case):
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


async def test_calls_that_wait_are_made_in_the_order_of_their_questions():
    asked = []

    def reply(params):
        asked.append(params["messages"][0]["content"])
        return "yes"

    with MessagesApi(Behaviour(latency=0.02), reply=reply) as api:
        async with Gateway(base_url=api.url, api_key="any", concurrency=1) as gateway:
            await gateway.open()
            last = GENERATION_PRIORITY + 3
            calls = [
                call(gateway, turn, f"{kind} {turn}", GENERATION_PRIORITY if kind == "generation" else 0)
                for turn in (last, 2, 0)
                for kind in ("judging", "generation")
            ]
            await asyncio.gather(ask(gateway, "the first that comes", 0), *calls)

    before_all, *others = asked
    assert before_all == "the first that comes"
    assert others == [
        "generation 0",
        "generation 2",
        "judging 0",
        "judging 2",
        f"generation {last}",
        f"judging {last}",
    ]


async def call(gateway, turn, text, priority):
    with question_scope(turn):
        await ask(gateway, text, priority)


async def ask(gateway, text, priority):
    await gateway.complete(ModelRequest(model=MODEL, messages=[{"role": "user", "content": text}], priority=priority))


async def test_answers_are_asked_for_ahead_of_judging():
    generator = ClaudeGenerator(gateway=None, model=MODEL)
    assert generator.request("?", ()).priority == GENERATION_PRIORITY
