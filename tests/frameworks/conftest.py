"""Before any of the libraries is imported: none of them tells anybody that it is used."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from pytest_ragcheck.model import Question, Turn
from pytest_ragcheck.rag.pipeline import as_pipeline

QUIET = {"HAYSTACK_TELEMETRY_ENABLED": "false", "LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}
os.environ.update(QUIET)


@pytest.fixture
def question():
    return Question(id="q", question="How many days of leave do staff have?")


@pytest.fixture
def follow_up():
    turns = (Turn(role="user", text="Is there leave?"), Turn(role="assistant", text="There is."))
    return Question(id="q", question="How many days?", history=turns)


@pytest.fixture
def answered():
    """Asks a system as the engine does; the answers without how long they took, which differs each time."""

    def ask(system, *questions):
        async def ask_all():
            pipeline = as_pipeline(system)

            async def ask_one(question):
                answer = await pipeline.generate(question, await pipeline.retrieve(question))
                return replace(answer, latency=None)

            return await asyncio.gather(*map(ask_one, questions))

        return asyncio.run(ask_all())

    return ask
