"""A FastAPI service under uvicorn on 127.0.0.1: whole and streamed answers, slow and failing ones."""

# ruff: noqa: E402 (what is not installed is skipped before it is imported)
from __future__ import annotations

import asyncio
import json
import socket
import threading

import pytest

pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.gateway.retry import RetryPolicy
from pytest_ragcheck.model import Context, Question, Turn
from pytest_ragcheck.rag.endpoint import HttpEndpoint

LEAVE = Context(text="25 days", rank=1, source="leave.md")


class Message(BaseModel):
    role: str
    content: str


class Asked(BaseModel):
    question: str
    history: list[Message] = []


AT_ONCE = 4


async def until_together(state):
    while state["peak"] < AT_ONCE:
        await asyncio.sleep(0.01)


def make_app(state):
    app = FastAPI()

    @app.post("/ask")
    async def ask(asked: Asked, authorization: str = Header("")):
        if authorization != "Bearer tok-0123456789":
            raise HTTPException(401, "who are you?")
        state["in_flight"] += 1
        state["peak"] = max(state["peak"], state["in_flight"])
        await until_together(state)
        state["in_flight"] -= 1
        turns = "".join(f"[{message.role}: {message.content}] " for message in asked.history)
        return {"answer": f"{turns}{asked.question} 25.", "hits": [{"text": "25 days", "source": "leave.md"}]}

    @app.post("/stream/{kind}")
    async def stream(kind: str, asked: Asked):
        async def events():
            for event in (
                {"sources": [{"text": "25 days", "source": "leave.md"}]},
                {"delta": "25 "},
                {"delta": "days."},
            ):
                yield f"data: {json.dumps(event)}\n\n" if kind == "sse" else f"{json.dumps(event)}\n"
                await asyncio.sleep(0.001)

        return StreamingResponse(events(), media_type="text/event-stream" if kind == "sse" else "application/x-ndjson")

    @app.post("/slow")
    async def slow(asked: Asked):
        await asyncio.sleep(30)

    @app.post("/flaky")
    async def flaky(asked: Asked):
        state["tries"] += 1
        if state["tries"] < 3:
            raise HTTPException(503, "warming up")
        return {"answer": "25.", "contexts": []}

    @app.post("/broken")
    async def broken(asked: Asked):
        raise HTTPException(500, "the index is gone")

    return app


@pytest.fixture(scope="module")
def service():
    state = {"in_flight": 0, "peak": 0, "tries": 0}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(state), log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        state["url"] = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield state
        server.should_exit = True
        thread.join(120)


def asked(endpoint, *questions):
    async def ask():
        try:
            return await asyncio.gather(*(endpoint.generate(question, None) for question in questions))
        finally:
            await endpoint.close()

    return asyncio.run(ask())


QUESTION = Question(id="q", question="How many?")


def test_whole_answers_side_by_side(service, monkeypatch):
    monkeypatch.setenv("RAG_TOKEN", "tok-0123456789")
    endpoint = HttpEndpoint(
        f"{service['url']}/ask",
        request={"question": "$question", "history": "$history"},
        headers={"Authorization": "Bearer $RAG_TOKEN"},
        answer="answer",
        contexts="hits",
        concurrency=AT_ONCE,
    )
    turns = (Turn(role="user", text="Is there leave?"), Turn(role="assistant", text="Yes."))
    questions = [Question(id=f"q{n}", question=f"Number {n}?", history=turns if n == 5 else ()) for n in range(20)]

    answers = asked(endpoint, *questions)

    expected = [f"Number {n}? 25." for n in range(20)]
    expected[5] = f"[user: Is there leave?] [assistant: Yes.] {expected[5]}"
    assert [answer.text for answer in answers] == expected
    assert {answer.contexts for answer in answers} == {(LEAVE,)}
    assert service["peak"] == AT_ONCE


@pytest.mark.parametrize("kind", ["sse", "ndjson"])
def test_streamed_answers(service, kind):
    [answer] = asked(HttpEndpoint(f"{service['url']}/stream/{kind}"), QUESTION)

    assert (answer.text, answer.contexts) == ("25 days.", (LEAVE,))


def test_slow_and_failing_answers(service):
    def failing(path, **settings):
        with pytest.raises(MeasurementError) as caught:
            asked(HttpEndpoint(f"{service['url']}{path}", **settings), QUESTION)
        return str(caught.value).removeprefix(service["url"])

    assert failing("/slow", timeout=0.3) == "/slow: no answer within 0.3 s"
    assert failing("/broken") == '/broken: status 500: {"detail":"the index is gone"}'
    assert failing("/nowhere") == '/nowhere: status 404: {"detail":"Not Found"}'
    assert failing("/broken", request={"q": "$question"}).startswith("/broken: status 422: ")
    with pytest.raises(ConfigurationError, match="who are you"):
        asked(HttpEndpoint(f"{service['url']}/ask"), QUESTION)


def test_a_service_that_warms_up(service):
    eager = RetryPolicy(base=0.001, ceiling=0.001)

    [answer] = asked(HttpEndpoint(f"{service['url']}/flaky", retries=eager), QUESTION)

    assert (answer.text, service["tries"]) == ("25.", 3)
