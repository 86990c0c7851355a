"""A system behind HTTP, on a loopback socket."""

from __future__ import annotations

import asyncio
import json
import socket
import tracemalloc
import zlib
from collections import deque

import pytest

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.gateway.retry import RetryPolicy
from pytest_ragcheck.model import Context, Question, Turn
from pytest_ragcheck.rag.endpoint import HttpEndpoint
from pytest_ragcheck.rag.endpoint.json_path import MISSING, JsonPath, NotThereError
from pytest_ragcheck.rag.endpoint.replies import ReplyReader
from pytest_ragcheck.testing.http1 import LoopbackServer, encode_head

QUESTION = Question(id="q", question="How long?")
FOLLOW_UP = Question(
    id="q", question="And then?", history=(Turn(role="user", text="What now?"), Turn(role="assistant", text="Tea."))
)
MESSAGES = [{"role": "user", "content": "What now?"}, {"role": "assistant", "content": "Tea."}]
ANSWER = {"answer": "25 days.", "contexts": [{"text": "25 days", "source": "leave.md"}]}
EAGER = RetryPolicy(base=0.001, ceiling=0.001)
TOKEN = "tok-0123456789abcdef"


class Service:
    """Says what it was told to, one reply after another, the last one again and again, and keeps what it was asked."""

    def __init__(self):
        self.replies = deque([(200, json.dumps(ANSWER), "application/json")])
        self.requests = []
        self.in_flight = self.peak = 0
        self.together = 1
        self._server = LoopbackServer(self._handle)
        self.url = self._server.url + "/ask"

    def will_say(self, *replies):
        self.replies = deque(
            reply if isinstance(reply, tuple) else (200, json.dumps(reply), "application/json") for reply in replies
        )

    @property
    def bodies(self):
        return [json.loads(request.body) for request in self.requests]

    async def _handle(self, request, connection):
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        while self.peak < self.together:
            await asyncio.sleep(0.005)
        self.in_flight -= 1
        status, body, *more = self.replies[0] if len(self.replies) == 1 else self.replies.popleft()
        if status == "reset":
            connection.reset()
            return
        if status == "hang":
            await asyncio.Event().wait()
        content_type, *headers = more
        data = body if isinstance(body, bytes) else body.encode()
        connection.send(encode_head(status, [("content-type", content_type), *headers], length=len(data)) + data)

    def close(self):
        self._server.close()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


def asked(endpoint, *questions):
    async def ask():
        try:
            return await asyncio.gather(
                *(endpoint.generate(question, None) for question in questions or [QUESTION]), return_exceptions=True
            )
        finally:
            await endpoint.close()

    answers = asyncio.run(ask())
    return answers if questions else answers[0]


def failed(endpoint, *, kind=MeasurementError):
    problem = asked(endpoint)
    assert isinstance(problem, kind), problem
    assert "\n" not in str(problem)
    return problem


# ---- What is sent ----------------------------------------------------------------------------


def test_without_settings_the_question_is_posted_and_the_reply_read_as_any_pipelines(service):
    answer = asked(HttpEndpoint(service.url))

    [request] = service.requests
    assert (request.method, request.path, request.headers["content-type"]) == ("POST", "/ask", "application/json")
    assert service.bodies == [{"question": "How long?"}]
    assert answer.text == "25 days."
    assert answer.contexts == (Context(text="25 days", rank=1, source="leave.md"),)
    assert answer.latency > 0


@pytest.mark.parametrize(
    "request_",
    [
        {"query": {"text": "Q: $question", "k": 3}, "stream": False, "price": "$$5"},
        '{"query": {"text": "Q: ${question}", "k": 3}, "stream": false, "price": "$$5"}',
    ],
    ids=["table", "json"],
)
def test_a_request_template_and_a_question_that_is_all_escapes(service, request_):
    text = 'Say "\\n", {"a": $b}, $question, ${history} and \u2028 \U0001f600?'

    asked(HttpEndpoint(service.url, request=request_), Question(id="q", question=text))

    assert service.bodies == [{"query": {"text": f"Q: {text}", "k": 3}, "stream": False, "price": "$5"}]


def test_earlier_turns(service):
    messages = {
        "messages": [{"role": "system", "content": "Be brief."}, "$history", {"role": "user", "content": "$question"}]
    }
    asked(HttpEndpoint(service.url, request=messages), FOLLOW_UP)
    asked(HttpEndpoint(service.url, request={"q": "$question", "turns": "$history"}), FOLLOW_UP)
    [problem] = asked(HttpEndpoint(service.url), FOLLOW_UP)

    assert service.bodies == [
        {"messages": [{"role": "system", "content": "Be brief."}, *MESSAGES, {"role": "user", "content": "And then?"}]},
        {"q": "And then?", "turns": MESSAGES},
    ]
    assert problem.kind == "no-history"


@pytest.mark.parametrize(
    ("path", "request_", "expected"),
    [
        ("?q=$question&k=3", None, "/ask?q=How%20long%3F%20%26%20why&k=3"),
        ("", {"q": "$question", "tags": ["a", "b"]}, "/ask?q=How+long%3F+%26+why&tags=a&tags=b"),
        ("?k=3", None, "/ask?k=3&question=How+long%3F+%26+why"),
    ],
)
def test_get(service, path, request_, expected):
    asked(
        HttpEndpoint(service.url + path, method="get", request=request_), Question(id="q", question="How long? & why")
    )

    [request] = service.requests
    assert (request.method, request.path, request.body) == ("GET", expected, b"")


def test_headers_and_address_from_the_environment(service, monkeypatch):
    monkeypatch.setenv("RAG_TOKEN", f"{TOKEN}\n")  # as it comes out of many a file
    monkeypatch.setenv("RAG_PORT", service.url.rpartition(":")[2].partition("/")[0])
    endpoint = HttpEndpoint(
        "http://127.0.0.1:$RAG_PORT/ask",
        headers={"Authorization": "Bearer $RAG_TOKEN", "Content-Type": "application/x+json"},
    )

    asked(endpoint)

    [request] = service.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/x+json"
    assert endpoint.shown == "http://127.0.0.1:$RAG_PORT/ask"


def test_a_secret_is_seen_nowhere(service, monkeypatch):
    monkeypatch.setenv("RAG_TOKEN", TOKEN)
    monkeypatch.setenv("TENANT", "handbook")
    service.will_say(
        (500, f"no such token: {TOKEN}", "text/plain"),
        {"answer": f"handbook says {TOKEN}", "contexts": [{"text": TOKEN, "source": TOKEN}]},
    )
    headers = {"Authorization": "Bearer $RAG_TOKEN", "X-Tenant": "$TENANT"}

    problem = failed(HttpEndpoint(service.url, headers=headers))
    answer = asked(HttpEndpoint(service.url, headers=headers))

    assert str(problem) == f"{service.url}: status 500: no such token: [key]"
    assert answer.text == "handbook says [key]"
    assert answer.contexts == (Context(text="[key]", rank=1, source="[key]"),)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"method": "DELETE"}, "method: must be GET or POST or PUT, got 'DELETE'"),
        ({"stream": "websocket"}, "stream: must be sse or ndjson, got 'websocket'"),
        ({"sources": "a"}, "sources: they belong to contexts"),
        ({"request": {"q": "$quesion"}}, "request: unknown $quesion; did you mean 'question'? (write a dollar sign as $$)"),
        ({"request": {"q": "5 $"}}, "request: '5 $': a $ without a name; write a dollar sign as $$"),
        ({"request": {"q": 1}}, 'request: "$question" stands nowhere in it'),
        ({"request": '{"q": $question}'}, "request: not valid JSON (Expecting value: line 1 column 7 (char 6)); $question"),
        ({"request": {"q": "$question", "h": "so far: $history"}}, "request: $history is a list of messages: write it alone"),
        ({"answer": "a..b"}, "answer: 'a..b' is no path; write names with dots between them"),
        ({"contexts": "hits[*"}, "contexts: 'hits[*' is no path"),
        ({"answer": ""}, "answer: '' is no path"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(arguments, told):
    with pytest.raises(ConfigurationError) as caught:
        HttpEndpoint("http://127.0.0.1:1/ask", **arguments)

    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("url", "headers", "told"),
    [
        ("http://127.0.0.1:1", {"Authorization": "Bearer $RAG_MISSING"}, "headers.Authorization: the environment variable RAG_MISSING is not set"),
        ("http://127.0.0.1:1", {"Authorization": "$RAG_ODD"}, "headers.Authorization: the environment variable RAG_ODD holds characters that cannot be sent"),
        ("http://127.0.0.1:$RAG_MISSING", {}, "url: the environment variable RAG_MISSING is not set"),
        ("http://user:secret@127.0.0.1:1", {}, "url: the address holds a password; take it out"),
        ("http://:80/ask", {}, "url: http://:80/ask is no address of a host"),
        ("http://127.0.0.1:http/ask?key=secret", {}, "url: http://127.0.0.1:http/ask is no address of a host"),
    ],
)  # fmt: skip
def test_an_environment_that_cannot_be_used(monkeypatch, url, headers, told):
    monkeypatch.setenv("RAG_ODD", "sec\u00e9ret")

    with pytest.raises(ConfigurationError) as caught:
        HttpEndpoint(url, headers=headers).check()

    assert str(caught.value).startswith(told)
    assert "ret@" not in str(caught.value)
    assert "sec\u00e9" not in str(caught.value)


# ---- What comes back -------------------------------------------------------------------------

HITS = {
    "data": {"answer": "25 days."},
    "hits": [{"body": {"txt": "25 days"}, "file": "leave.md"}, {"body": {"txt": "five"}}],
}


def test_places_in_the_reply(service):
    service.will_say(HITS)

    answer = asked(HttpEndpoint(service.url, answer="data.answer", contexts="hits[*].body.txt", sources="hits[*].file"))

    assert answer.text == "25 days."
    assert answer.contexts == (Context(text="25 days", rank=1, source="leave.md"), Context(text="five", rank=2))


@pytest.mark.parametrize(
    ("places", "contexts"),
    [
        ({"answer": "answer"}, ["25 days"]),
        ({"contexts": "contexts"}, ["25 days"]),
        ({"contexts": "contexts[*].text"}, ["25 days"]),
        ({"answer": "answer", "contexts": "contexts[0:1]"[:8]}, ["25 days"]),
    ],
)
def test_what_has_no_path_is_read_as_any_pipelines(service, places, contexts):
    answer = asked(HttpEndpoint(service.url, **places))

    assert (answer.text, [context.text for context in answer.contexts]) == ("25 days.", contexts)


def test_a_reply_without_contexts_does_not_pass_for_one_without_hits(service):
    service.will_say(
        {"answer": "a"}, {"answer": "a", "contexts": []}, (200, "just a text", "text/plain; charset=utf-8")
    )

    answers = [asked(HttpEndpoint(service.url)) for _ in range(3)]

    assert [(answer.text, answer.contexts_known) for answer in answers] == [
        ("a", False),
        ("a", True),
        ("just a text", False),
    ]


@pytest.mark.parametrize(
    ("reply", "places", "told"),
    [
        (HITS, {"answer": "data.text"}, "the answer 'data.text' is not there: data is an object with the keys 'answer'"),
        (HITS, {"answer": "data[0]"}, "the answer 'data[0]' is not there: data is an object with the keys 'answer'"),
        (HITS, {"answer": "data"}, "the answer 'data' is no text: {\"answer\": \"25 days.\"}"),
        (HITS, {"answer": "data.answer", "contexts": "hits[*].text"}, "the contexts 'hits[*].text' is not there: hits[0] is an object with the keys 'body', 'file'"),
        (HITS, {"answer": "data.answer", "contexts": "data[*]"}, "the contexts 'data[*]' is not there: data is no list but an object"),
        (HITS, {"answer": "hits[7].text"}, "the answer 'hits[7].text' is not there: hits is a list of 2"),
        (HITS, {}, "context 1 has no text: got dict with the keys 'body', 'file'; a context is"),
        ((200, "<html>Sign in</html>\x1b[2J", "text/html"), {}, "the reply is not JSON: <html>Sign in</html>"),
        ((200, "", "application/json"), {}, "the reply is empty"),
        ((200, "[" * 100_000, "application/json"), {}, "the reply is not JSON: [["),
        ((302, "", "text/plain", ("location", "http://127.0.0.1:1/")), {}, "status 302"),
        ((404, "<h1>Not\nhere</h1>" + "x" * 5000, "text/html"), {}, "status 404: <h1>Not here</h1>xxx"),
    ],
)  # fmt: skip
def test_replies_that_are_no_answer(service, reply, places, told):
    service.will_say(reply)

    problem = failed(HttpEndpoint(service.url, **places))

    assert str(problem).startswith(f"{service.url}: {told}")
    assert len(str(problem)) < 1000
    assert "\x1b" not in str(problem)
    assert len(service.requests) == 1
    assert problem.details["status"] in {200, 302, 404}


SSE = """\
: a comment
event: sources
data: {"documents": [{"page_content": "25 days", "metadata": {"source": "leave.md"}}]}

data: {"delta": "25 "}

data: {"delta":
data: "days"}

data: {"delta": null, "done": true}

data: [DONE]

data: {"delta": "never read"}

"""
OPENAI = [
    {"choices": [{"delta": {"role": "assistant"}}]},
    {"choices": [{"delta": {"content": "25 "}}], "context": [{"chunk": {"t": "25 days"}, "at": "leave.md"}]},
    {"choices": [{"delta": {"content": "days"}}], "context": [{"chunk": {"t": "five"}, "at": "more.md"}]},
]
OPENAI_PLACES = {"answer": "choices[0].delta.content", "contexts": "context[*].chunk.t", "sources": "context[*].at"}
LEAVE = Context(text="25 days", rank=1, source="leave.md")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_server_sent_events(service, line_end):
    service.will_say((200, SSE.replace("\n", line_end), "text/event-stream; charset=utf-8"))

    answer = asked(HttpEndpoint(service.url))

    assert (answer.text, answer.contexts) == ("25 days", (LEAVE,))


def test_plain_pieces_of_text_as_events(service):
    service.will_say((200, "data: 25\n\ndata:  days\n\ndata: .\n", "text/event-stream"))

    answer = asked(HttpEndpoint(service.url))

    assert (answer.text, answer.contexts_known) == ("25 days.", False)


@pytest.mark.parametrize("kind", ["sse", "ndjson", "ndjson by setting"])
def test_streams_with_places(service, kind):
    if kind == "sse":
        service.will_say((200, "".join(f"data: {json.dumps(event)}\n\n" for event in OPENAI), "text/event-stream"))
    else:
        content_type = "application/x-ndjson" if kind == "ndjson" else "text/plain"
        service.will_say((200, "\n".join(map(json.dumps, OPENAI)) + "\n\n", content_type))

    answer = asked(HttpEndpoint(service.url, **OPENAI_PLACES, stream=None if kind in {"sse", "ndjson"} else "ndjson"))

    assert answer.text == "25 days"
    assert answer.contexts == (LEAVE, Context(text="five", rank=2, source="more.md"))


@pytest.mark.parametrize(
    ("body", "content_type", "told"),
    [
        ("event: error\ndata: the model is overloaded\n\n", "text/event-stream", "the stream ended with an error: the model"),
        ('{"answer": "25"}\n{"error": "overloaded"}\n', "application/x-ndjson", 'the stream ended with an error: "overloaded"'),
        ('{"answer": "25"}\n{"answer": "da', "application/x-ndjson", 'line 2 of the stream is not JSON: {"answer": "da'),
        ('data: {"kind": "start"}\n\n', "text/event-stream", 'no event of the stream holds a piece of the answer; the first: {"kind": "start"}'),
        ("", "text/event-stream", "no event of the stream holds a piece of the answer; the first: nothing"),
    ],
)  # fmt: skip
def test_streams_that_are_no_answer(service, body, content_type, told):
    service.will_say((200, body, content_type))

    assert str(failed(HttpEndpoint(service.url))).startswith(f"{service.url}: {told}")


def test_a_stream_that_its_server_keeps_open_ends_with_its_last_event():
    async def handle(request, connection):
        body = SSE.partition("data: [DONE]")[0] + "data: [DONE]\n\n"
        connection.send(encode_head(200, [("content-type", "text/event-stream")], length=10**6) + body.encode())
        await asyncio.Event().wait()

    server = LoopbackServer(handle)
    try:
        assert asked(HttpEndpoint(server.url, timeout=60)).text == "25 days"
    finally:
        server.close()


# ---- Again, at once, and never ---------------------------------------------------------------


@pytest.mark.parametrize("trouble", [408, 502, 503, 504, "reset"])
def test_trouble_of_the_moment_is_tried_again(service, trouble):
    bad = (trouble, "not now", "text/plain")
    service.will_say(bad, bad, ANSWER)

    assert asked(HttpEndpoint(service.url, retries=EAGER)).text == "25 days."
    assert len(service.requests) == 3


def test_a_refusal_for_a_rate_limit_is_waited_out(service):
    service.will_say((429, "not now", "text/plain", ("retry-after-ms", "10")), ANSWER)

    assert asked(HttpEndpoint(service.url, retries=EAGER)).text == "25 days."
    assert len(service.requests) == 2


def test_a_wait_that_the_server_tells_is_kept(service):
    service.will_say((429, "", "text/plain", ("retry-after", "100")))

    problem = failed(HttpEndpoint(service.url, timeout=60))

    assert (problem.kind, problem.details["status"], len(service.requests)) == ("rate-limited", 429, 1)


@pytest.mark.parametrize(("status", "requests"), [(503, 7), (500, 1), (400, 1), (403, 1), (422, 1)])
def test_what_stays_is_told_with_its_status(service, status, requests):
    service.will_say((status, '{"detail": "broken"}', "application/json"))

    problem = failed(HttpEndpoint(service.url, retries=EAGER))

    assert str(problem).startswith(f'{service.url}: status {status}: {{"detail": "broken"}}')
    assert (problem.kind, problem.details["status"]) == ("http-error", status)
    assert len(service.requests) == requests
    assert ("gave up after 7 attempts" in str(problem)) == (requests > 1)


def test_a_service_that_hangs(service):
    service.will_say(("hang", "", "text/plain"))

    problem = failed(HttpEndpoint(service.url, timeout=1.0))

    assert str(problem) == f"{service.url}: no answer within 1 s"
    assert problem.kind == "timeout"
    assert len(service.requests) == 1


def test_refused_credentials_stop_everything(service, monkeypatch):
    monkeypatch.setenv("RAG_TOKEN", TOKEN)
    service.will_say((401, "who are you?", "text/plain"))
    endpoint = HttpEndpoint(service.url, headers={"Authorization": "Bearer $RAG_TOKEN"}, concurrency=1)

    problems = asked(endpoint, QUESTION, QUESTION, QUESTION)

    assert {type(problem) for problem in problems} == {ConfigurationError}
    assert {str(problem) for problem in problems} == {
        f"{service.url}: status 401: who are you?: the credentials were refused; check the environment variable RAG_TOKEN"
    }
    assert len(service.requests) == 1


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = HttpEndpoint(f"http://127.0.0.1:{port}/ask", retries=EAGER)

    problem = failed(endpoint, kind=ConfigurationError)

    assert str(problem).startswith(f"http://127.0.0.1:{port}/ask: cannot be reached (")
    assert str(problem).endswith("; start the service, or correct the address")


def test_a_service_that_went_away_is_no_wrong_address(service):
    async def ask():
        endpoint = HttpEndpoint(service.url, retries=EAGER)
        try:
            await endpoint.generate(QUESTION, None)
            service.close()
            with pytest.raises(MeasurementError) as caught:
                await endpoint.generate(QUESTION, None)
            return caught.value
        finally:
            await endpoint.close()

    problem = asyncio.run(ask())

    assert (problem.kind, problem.details["attempts"]) == ("connection", 7)


@pytest.mark.parametrize("concurrency", [1, 5])
def test_no_more_requests_are_in_flight_than_allowed(service, concurrency):
    service.together = concurrency

    answers = asked(HttpEndpoint(service.url, concurrency=concurrency), *[QUESTION] * 12)

    assert [answer.text for answer in answers] == ["25 days."] * 12
    assert service.peak == concurrency


def test_a_reply_without_end_is_given_up(service, monkeypatch):
    monkeypatch.setattr("pytest_ragcheck.rag.endpoint.client.MAX_REPLY_BYTES", 1024**2)
    service.will_say((200, "x" * 2 * 1024**2, "application/json"))

    assert "longer than 1 MB" in str(failed(HttpEndpoint(service.url)))


def test_a_small_reply_that_unfolds_without_end_is_given_up(service):
    squeeze = zlib.compressobj(wbits=31)
    bomb = b"".join([*(squeeze.compress(bytes(1 << 20)) for _ in range(200)), squeeze.flush()])
    assert len(bomb) < 300_000
    service.will_say((200, bomb, "application/json", ("content-encoding", "gzip")))
    failed(HttpEndpoint(service.url))  # imports

    tracemalloc.start()
    try:
        assert "longer than 32 MB" in str(failed(HttpEndpoint(service.url)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 60_000_000


@pytest.mark.parametrize(
    "reply",
    [
        (500, "{}", "text/plain"),
        (200, "{}", "application/json"),
        (200, '{{"said": "{}"}}', "application/json"),
        (200, "{}", "application/x-ndjson"),
        (200, "event: error\ndata: {}\n\n", "text/event-stream"),
        (200, 'data: {{"x": "{}"}}\n\n', "text/event-stream"),
    ],
)
def test_a_secret_is_taken_out_before_an_error_is_cut(service, monkeypatch, reply):
    monkeypatch.setenv("RAG_TOKEN", TOKEN)
    status, form, content_type = reply
    endpoint = HttpEndpoint(service.url, answer="answer", headers={"Authorization": "Bearer $RAG_TOKEN"})
    for before in range(260, 310, 3):
        service.will_say((status, form.format("x" * before + TOKEN), content_type))
        problem = failed(endpoint)
        shown = f"{problem} {problem.details}"
        assert not any(TOKEN[:size] in shown for size in range(6, len(TOKEN) + 1)), shown


def test_a_redirect_is_named_and_not_followed(service):
    service.will_say((302, "", "text/plain", ("location", "https://user:pw@other.example/login?key=abcdef")))

    told = str(failed(HttpEndpoint(service.url)))
    assert "status 302: it leads to https://other.example, and redirects are not followed; correct the address" in told
    assert len(service.requests) == 1


def test_a_service_on_this_machine_is_asked_without_a_proxy(service, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert asked(HttpEndpoint(service.url)).text == "25 days."


def test_contexts_that_are_null_are_not_known(service):
    service.will_say({"a": "25 days.", "c": None})

    assert not asked(HttpEndpoint(service.url, answer="a", contexts="c")).contexts_known


def test_a_reply_that_is_no_answer_is_told(service):
    service.will_say({"error": {"reason": "the index is gone"}})

    assert failed(HttpEndpoint(service.url)).details["reply"] == '{"error": {"reason": "the index is gone"}}'


# ---- Paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", {"b-c": [[1, 2], [3]], "d e": "x"}),
        ("a.b-c[1][0]", 3),
        ("a.b-c[-1]", [3]),
        ("a.b-c[*][0]", [1, 3]),
        ("a.b-c[*][*]", [1, 2, 3]),
        ('a["d e"]', "x"),
        ('["a"]["d e"]', "x"),
        ("list[*].n", [1, None]),
        ("none", None),
    ],
)
def test_paths(path, found):
    value = {"a": {"b-c": [[1, 2], [3]], "d e": "x"}, "list": [{"n": 1}, {}], "none": None}

    assert JsonPath.parsed(path).looked_up(value) == found


@pytest.mark.parametrize("path", ["a.x", "a.b-c[9]", "a[*]", "none.x", "a.b-c.x"])
def test_what_is_not_there(path):
    value = {"a": {"b-c": [1]}, "none": None}

    assert JsonPath.parsed(path).looked_up(value) is MISSING
    with pytest.raises(NotThereError):
        JsonPath.parsed(path).in_(value)


@pytest.mark.parametrize("path", [".a", "a.", "a b", "a[b]", "a[]", "[", "a[*]b", "a[1:2]", "$.a", "a.[0]"])
def test_what_is_no_path(path):
    with pytest.raises(ConfigurationError, match="is no path"):
        JsonPath.parsed(path)


def test_bytes_that_are_no_utf_8_do_not_break_a_reader():
    assert ReplyReader().read(b'{"answer": "25 \xff"}', "application/json").text == "25 \ufffd"
