"""The rehearsal server, as raw sockets, http.client and the real SDK see it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import anthropic
import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.testing.faults import ApiError, Draws, RateHeaders, Storm
from pytest_ragcheck.testing.http1_requests import ProtocolError, RequestParser
from pytest_ragcheck.testing.limits import Bucket, Limits, Window
from pytest_ragcheck.testing.messages_api import FAULTS, Behaviour, Exchange, MessagesApi
from pytest_ragcheck.testing.options import build_behaviour, build_parser
from pytest_ragcheck.testing.seconds import count_by_second

HANGS = 300
"""Seconds, against hangs alone."""
MODEL = "claude-haiku-5-5"
PROMPT = (
    "<context>\n[1] Parental leave lasts sixteen weeks. It may be taken in two parts.\n</context>\n"
    "<context>\n[2] The canteen opens at noon.\n</context>\n\nQuestion: How many weeks does parental leave last?"
)
ANSWER = "Parental leave lasts sixteen weeks."


def params(text=PROMPT, **more):
    return {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": text}], **more}


class Client:
    """One keep-alive connection."""

    def __init__(self, api):
        self.connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=HANGS)

    def ask(self, method, path, body=None, headers=None, **more):
        self.connection.request(method, path, body=body, headers=headers or {}, **more)
        response = self.connection.getresponse()
        return response.status, response.headers, json.loads(response.read())

    def post(self, body, headers=None, path="/v1/messages"):
        return self.ask("POST", path, json.dumps(body).encode(), headers)


@pytest.fixture
def api():
    with MessagesApi() as server:
        yield server


@pytest.fixture
def http_client(api):
    client = Client(api)
    with contextlib.closing(client.connection):
        yield client


def sdk(api, **options):
    return anthropic.AsyncAnthropic(
        base_url=api.url, **{"api_key": "test", "max_retries": 0, "timeout": HANGS, **options}
    )


def connect(api):
    host, port = api.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=HANGS)


def raw_request(body=None, *, extra=""):
    payload = json.dumps(body or params()).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: {len(payload)}\r\n{extra}\r\n"
    return head.encode() + payload


def read_response(reader):
    """Status, headers and body of the next response; raises where it ends early."""
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    body = reader.read(int(headers.get("content-length", 0)))
    return status, headers, body


def wait_until(condition):
    """Give the server's thread its turn until the condition holds; the limit only ends a broken run."""
    end = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.002)


# --- HTTP -----------------------------------------------------------------------------------------------------------


def test_message_has_the_shape_of_the_api(api, http_client):
    status, headers, message = http_client.post(params())
    assert status == 200
    assert message["content"] == [{"type": "text", "text": ANSWER}]
    assert (message["type"], message["role"], message["stop_reason"]) == ("message", "assistant", "end_turn")
    assert message["model"] == MODEL
    assert message["usage"]["input_tokens"] == -(-len(PROMPT) // 4)
    assert headers["request-id"] == api.stats.log[0].request_id


def test_connection_is_kept_alive_and_used_again(api, http_client):
    for number in range(5):
        assert http_client.post(params(f"hello {number}"))[0] == 200
    assert (api.stats.connections, api.stats.requests, api.stats.distinct_bodies) == (1, 5, 5)


def test_connection_close_is_obeyed(api):
    with connect(api) as sock, sock.makefile("rb") as reader:
        sock.sendall(raw_request(extra="Connection: close\r\n"))
        assert read_response(reader)[0] == 200
        assert reader.read() == b""


def test_http_1_0_is_closed_after_the_answer(api):
    with connect(api) as sock, sock.makefile("rb") as reader:
        sock.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert read_response(reader)[0] == 200
        assert reader.read() == b""


def test_pipelined_requests_are_answered_in_order(api):
    with connect(api) as sock, sock.makefile("rb") as reader:
        sock.sendall(b"".join(raw_request(params(f"What is number {number}?")) for number in range(20)))
        texts = [json.loads(read_response(reader)[2])["content"][0]["text"] for _ in range(20)]
    assert texts == [f"You asked: What is number {number}?" for number in range(20)]


def test_chunked_body(http_client):
    payload = json.dumps(params()).encode()
    pieces = [payload[at : at + 7] for at in range(0, len(payload), 7)]
    status, _, message = http_client.ask(
        "POST", "/v1/messages", iter(pieces), {"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    assert (status, message["content"][0]["text"]) == (200, ANSWER)
    assert http_client.post(params())[0] == 200  # nothing of the first request is left over


@pytest.mark.parametrize("chunked", [True, False])
def test_parser_takes_bytes_as_they_come(chunked):
    if chunked:
        framed = (
            b"Transfer-Encoding: chunked\r\n\r\n3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
        )
    else:
        framed = b"Content-Length: 13\r\n\r\nabc0123456789"
    parser, requests = RequestParser(), []
    for byte in (b"POST /a HTTP/1.1\r\nHost: x\r\n" + framed) * 2:
        parser.feed(bytes([byte]))
        while request := parser.next_request():
            requests.append(request)
    assert [(request.path, request.body) for request in requests] == [("/a", b"abc0123456789")] * 2
    assert parser.buffered == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcde\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, 400),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(api, raw, status):
    parser = RequestParser()
    parser.feed(raw)
    with pytest.raises(ProtocolError):
        parser.next_request()
    with connect(api) as sock, sock.makefile("rb") as reader:
        sock.sendall(raw)
        assert read_response(reader)[0] == status
        assert reader.read() == b""


def test_expect_100_continue(api):
    with connect(api) as sock, sock.makefile("rb") as reader:
        head, _, payload = raw_request(extra="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        assert reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        reader.readline()
        sock.sendall(payload)
        assert read_response(reader)[0] == 200


def test_unknown_path_is_404_in_the_shape_of_the_api(api, http_client):
    status, headers, body = http_client.ask("GET", "/v1/nothing")
    assert status == 404
    assert body["type"] == "error"
    assert body["error"]["type"] == "not_found_error"
    assert body["request_id"] == headers["request-id"]
    assert api.stats.by_outcome == {"not_found": 1}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (json.dumps({**params(), "model": ""}).encode(), "model"),
        (json.dumps({**params(), "max_tokens": None}).encode(), "max_tokens"),
        (json.dumps({**params(), "messages": []}).encode(), "messages"),
        (json.dumps({**params(), "messages": [{"role": "system", "content": "x"}]}).encode(), "messages.0.role"),
        (json.dumps({**params(), "messages": [{"role": "user", "content": 3}]}).encode(), "messages.0.content"),
        (json.dumps(params(output_config={"format": {"type": "text"}})).encode(), "output_config.format"),
        (
            json.dumps(params(output_config={"format": {"type": "json_schema", "schema": {"$ref": "#/x"}}})).encode(),
            "output_config.format.schema",
        ),
    ],
)
def test_invalid_request_is_400_and_says_where(api, http_client, body, named):
    status, _, answer = http_client.ask("POST", "/v1/messages", body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert named in answer["error"]["message"]
    assert api.stats.by_outcome == {"invalid": 1}
    assert api.stats.in_flight == 0


def test_sampling_parameters_are_refused_for_the_version_that_dropped_them(http_client):
    body = params(temperature=0)
    assert http_client.post(body, {"anthropic-version": "2026-10-21"})[0] == 400
    assert http_client.post(body, {"anthropic-version": "2023-06-01"})[0] == 200


def test_stats_endpoint_counts_all_but_itself(http_client):
    http_client.post(params())
    http_client.ask("GET", "/__stats__")
    _, _, counts = http_client.ask("GET", "/__stats__")
    assert (counts["requests"], counts["replies"], counts["by_status"]) == (1, 1, {"200": 1})
    assert "log" not in counts
    assert http_client.ask("GET", "/__stats__?log")[2]["log"][0]["model"] == MODEL


def test_listens_on_loopback_alone(api):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", api.url)
    assert api._server._socket.getsockname()[0] == "127.0.0.1"


# --- the SDK --------------------------------------------------------------------------------------------------------


def request_of(client, text=PROMPT, **more):
    return client.messages.create(model=MODEL, max_tokens=200, messages=[{"role": "user", "content": text}], **more)


@pytest.mark.asyncio
async def test_sdk_parses_messages_models_and_token_counts(api):
    async with sdk(api) as client:
        message = await request_of(client)
        counted = await client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": PROMPT}])
        models = [model.id async for model in client.models.list()]
    assert message.content[0].text == ANSWER
    assert message.usage.input_tokens == counted.input_tokens
    assert message.usage.output_tokens == -(-len(ANSWER) // 4)
    assert MODEL in models
    assert (api.stats.requests, api.stats.replies, api.stats.distinct_bodies) == (3, 1, 1)


@pytest.mark.asyncio
async def test_sdk_reads_the_same_message_from_a_stream(api):
    async with sdk(api) as client:
        whole = await request_of(client)
        async with client.messages.stream(
            model=MODEL, max_tokens=200, messages=[{"role": "user", "content": PROMPT}]
        ) as stream:
            pieces = [piece async for piece in stream.text_stream]
            streamed = await stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == streamed.content[0].text == whole.content[0].text
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("end_turn", whole.usage.output_tokens)


STATUS_FAULTS = {
    "overloaded": (529, "overloaded_error", "OverloadedError"),
    "server_error": (500, "api_error", "InternalServerError"),
    "unavailable": (503, "api_error", "ServiceUnavailableError"),
    "gateway_timeout": (504, "timeout_error", "GatewayTimeoutError"),
    "rate_limited": (429, "rate_limit_error", "RateLimitError"),
    "spend_limit": (429, "rate_limit_error", "EnforcedSpendLimitReachedError"),
    "bad_request": (400, "invalid_request_error", "BadRequestError"),
    "unauthorized": (401, "authentication_error", "AuthenticationError"),
    "forbidden": (403, "permission_error", "PermissionDeniedError"),
    "not_found": (404, "not_found_error", "NotFoundError"),
    "too_large": (413, "invalid_request_error", "ContentTooLargeError"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", STATUS_FAULTS)
async def test_sdk_raises_the_error_of_a_refusal(api, fault):
    status, kind, error_class = STATUS_FAULTS[fault]
    api.behaviour = Behaviour(faults={fault: 1.0}, retry_after=7)
    async with sdk(api) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await request_of(client)
    assert type(caught.value).__name__ == error_class
    assert (caught.value.status_code, caught.value.body["error"]["type"]) == (status, kind)
    assert caught.value.response.headers.get("retry-after") == ("7" if fault == "rate_limited" else None)
    line = api.stats.log[0]
    assert (line.status, line.outcome, line.request_id) == (status, fault, caught.value.request_id)
    assert api.stats.replies == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "status"), [("reset", 200), ("short_body", 200)])
async def test_sdk_raises_connection_error_where_the_body_breaks_off(api, fault, status):
    api.behaviour = Behaviour(faults={fault: 1.0})
    async with sdk(api) as client:
        with pytest.raises(anthropic.APIConnectionError):
            await request_of(client)
    assert [(line.status, line.outcome) for line in api.stats.log] == [(status, fault)]


@pytest.mark.asyncio
async def test_sdk_times_out_on_a_hang_which_then_is_in_flight_no_more(api):
    api.behaviour = Behaviour(faults={"hang": 1.0})
    async with sdk(api, timeout=1.0) as client:
        with pytest.raises(anthropic.APITimeoutError):
            await request_of(client)
    await asyncio.to_thread(wait_until, lambda: api.stats.by_outcome == {"hang": 1} and api.stats.in_flight == 0)
    line = api.stats.log[0]
    assert (line.status, line.outcome) == (None, "hang")
    assert line.finish > line.arrival


@pytest.mark.asyncio
async def test_sdk_cannot_read_truncated_json(api):
    api.behaviour = Behaviour(faults={"truncated_json": 1.0})
    async with sdk(api) as client:
        with pytest.raises((ValueError, anthropic.APIError)):
            await request_of(client)
    assert api.stats.by_outcome == {"truncated_json": 1}


@pytest.mark.asyncio
async def test_sdk_hands_out_the_page_of_a_proxy_as_text(api):
    api.behaviour = Behaviour(faults={"wrong_content_type": 1.0})
    async with sdk(api) as client:
        page = await request_of(client)
    assert isinstance(page, str)
    assert page.startswith("<!DOCTYPE html>")
    assert api.stats.by_outcome == {"wrong_content_type": 1}


@pytest.mark.asyncio
async def test_sdk_reads_a_huge_body_whole(api):
    api.behaviour = Behaviour(faults={"huge_body": 1.0}, huge_bytes=5_000_000)
    async with sdk(api) as client:
        message = await request_of(client)
    assert len(message.content[0].text) > 4_990_000
    assert message.content[0].text.endswith(ANSWER)
    assert api.stats.by_outcome == {"huge_body": 1}


@pytest.mark.asyncio
async def test_sdk_reads_a_message_without_content_and_one_with_half_its_json(api):
    schema = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
    config = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    async with sdk(api) as client:
        api.behaviour = Behaviour(faults={"empty_reply": 1.0})
        empty = await request_of(client)
        api.behaviour = Behaviour(faults={"malformed_json": 1.0})
        half = await request_of(client, extra_body=config)
        api.behaviour = Behaviour()
        right = await request_of(client, extra_body=config)
    assert (empty.content, empty.stop_reason) == ([], "end_turn")
    assert half.stop_reason == "end_turn"
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(half.content[0].text)
    assert isinstance(json.loads(right.content[0].text)["reason"], str)


@pytest.mark.asyncio
async def test_a_judge_that_miscounts(api):
    """As many verdicts as there are claims, except where the fault says otherwise."""
    verdict = {"type": "object", "properties": {"verdict": {"enum": ["yes", "no"]}}, "required": ["verdict"]}
    lists = {"verdicts": {"type": "array", "items": verdict}}
    schema = {"type": "object", "properties": lists, "required": ["verdicts"]}
    config = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    counts = {}
    async with sdk(api) as client:
        for faults in ({}, {"miscounted": 1.0}):
            api.behaviour = Behaviour(faults=faults)
            for n in range(8):
                prompt = (
                    f"One verdict for each claim.\n**\n\nClaims:\n['It is {n}.', 'It is red.', 'It is old.']\n\nJSON:"
                )
                message = await request_of(client, prompt, extra_body=config)
                verdicts = json.loads(message.content[0].text)["verdicts"]
                counts.setdefault("miscounted" in faults, set()).add(len(verdicts))
    assert counts[False] == {3}
    assert len(counts[True]) > 1
    assert api.stats.by_outcome == {"reply": 8, "miscounted": 8}


def test_drip_comes_byte_by_byte(api):
    api.behaviour = Behaviour(faults={"drip": 1.0}, drip_interval=0.0005, ratelimit_headers=False)
    received = []
    with connect(api) as sock:
        sock.sendall(raw_request(extra="Connection: close\r\n"))
        while data := sock.recv(65536):
            received.append(data)
    head, _, body = b"".join(received).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["content"][0]["text"] == ANSWER
    assert len(received) > 20
    assert api.stats.by_outcome == {"drip": 1}


def test_drip_that_the_client_does_not_wait_for(api):
    api.behaviour = Behaviour(faults={"drip": 1.0}, drip_interval=600)
    with connect(api) as sock:
        sock.sendall(raw_request())
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert api.stats.in_flight == 1
    wait_until(lambda: api.stats.in_flight == 0)
    assert [(line.status, line.outcome) for line in api.stats.log] == [(200, "drip")]


def test_every_fault_is_covered_here():
    others = {
        "hang", "reset", "short_body", "drip", "truncated_json", "wrong_content_type", "huge_body", "empty_reply",
        "malformed_json", "miscounted",
    }  # fmt: skip
    assert set(FAULTS) == set(STATUS_FAULTS) | others


@pytest.mark.asyncio
async def test_sdk_retries_succeed_where_the_fault_is_not_of_every_attempt(api):
    api.behaviour = Behaviour(faults={"overloaded": 0.5}, seed=1)
    async with sdk(api, max_retries=8) as client:
        client._calculate_retry_timeout = lambda *_: 0.0
        answers = await asyncio.gather(*(request_of(client, f"What is {number}?") for number in range(12)))
    assert [answer.content[0].text for answer in answers] == [f"You asked: What is {number}?" for number in range(12)]
    stats = api.stats
    assert stats.by_outcome["reply"] == 12
    assert stats.by_outcome["overloaded"] == stats.requests - 12 > 0
    assert stats.distinct_bodies == 12
    assert max(line.attempt for line in stats.log) > 1


# --- determinism ----------------------------------------------------------------------------------------------------


def outcomes(seed, numbers):
    faults = {"overloaded": 0.2, "server_error": 0.1, "rate_limited": 0.1}
    with MessagesApi(Behaviour(faults=faults, seed=seed)) as api:
        client = Client(api)
        with contextlib.closing(client.connection):
            for number in numbers:
                client.post(params(f"What is {number}?"))
        return {(line.digest, line.attempt): line.outcome for line in api.stats.log}


def test_faults_follow_from_seed_body_and_attempt_not_from_order():
    forwards = outcomes(3, [*range(40), *range(40)])
    backwards = outcomes(3, [*reversed(range(40)), *range(40)])
    assert forwards == backwards
    assert len(forwards) == 80
    assert forwards != outcomes(4, [*range(40), *range(40)])
    first = {digest: outcome for (digest, attempt), outcome in forwards.items() if attempt == 1}
    second = {digest: outcome for (digest, attempt), outcome in forwards.items() if attempt == 2}
    assert any(first[digest] != "reply" and second[digest] == "reply" for digest in first)


def test_faults_reach_their_rates():
    behaviour = Behaviour(faults={"overloaded": 0.05, "hang": 0.01, "server_error": 0.2})
    drawn = [Draws(0, f"{number}", 1).fault(behaviour) for number in range(20_000)]
    assert drawn.count("overloaded") / 20_000 == pytest.approx(0.05, abs=0.005)
    assert drawn.count("hang") / 20_000 == pytest.approx(0.01, abs=0.003)
    assert drawn.count("server_error") / 20_000 == pytest.approx(0.2, abs=0.01)


def test_rates_of_one_leave_nothing_out():
    behaviour = Behaviour(faults={name: 1 / len(FAULTS) for name in FAULTS})
    assert all(Draws(0, f"{number}", 1).fault(behaviour) for number in range(2_000))


def test_latencies_are_log_normal_around_the_median():
    behaviour = Behaviour(latency=0.6, latency_spread=0.25)
    drawn = sorted(Draws(0, f"{number}", 1).latency(behaviour) for number in range(10_000))
    assert drawn[5_000] == pytest.approx(0.6, rel=0.02)
    assert drawn[8_413] / drawn[5_000] == pytest.approx(2.71828**0.25, rel=0.02)
    assert Draws(5, "x", 1).latency(Behaviour(latency=0.6, latency_spread=0)) == 0.6


def test_models_have_latencies_of_their_own(api, http_client):
    api.behaviour = Behaviour(
        latency=0.002, model_latency={"claude-opus-5-5": 0.02, "claude-haiku-4-5": 0}, latency_spread=0
    )
    for model in (MODEL, "claude-opus-5-5", "claude-haiku-4-5"):
        http_client.post(params() | {"model": model})
    assert [line.latency for line in api.stats.log] == [0.002, 0.02, 0]


def test_latency_passes_before_the_answer(api, http_client):
    api.behaviour = Behaviour(latency=0.05)
    http_client.post(params())
    line = api.stats.log[0]
    assert 0 < line.latency <= line.finish - line.arrival


def test_reset_stats_starts_anew():
    behaviour = Behaviour(faults={"overloaded": 0.5}, requests_per_minute=1, request_burst=20)
    with MessagesApi(behaviour) as api:
        client = Client(api)
        with contextlib.closing(client.connection):
            runs = []
            for _ in range(2):
                for number in range(20):
                    client.post(params(f"What is {number}?"))
                runs.append([(line.number, line.digest, line.attempt, line.outcome) for line in api.stats.log])
                api.reset_stats()
    assert runs[0] == runs[1]
    assert {outcome for *_, outcome in runs[0]} == {"reply", "overloaded"}
    assert api.stats.requests == 0


# --- in flight, limits ----------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_peak_in_flight_of_100_requests_at_once(api):
    api.behaviour = Behaviour(latency=600, latency_spread=0)
    async with sdk(api, timeout=HANGS) as client:
        tasks = [asyncio.create_task(request_of(client, f"What is {number}?")) for number in range(100)]
        await asyncio.to_thread(wait_until, lambda: api.stats.in_flight == 100)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(wait_until, lambda: api.stats.in_flight == 0)
    stats = api.stats
    assert (stats.requests, stats.peak_in_flight, stats.distinct_bodies) == (100, 100, 100)
    assert stats.by_outcome == {"client_gone": 100}
    assert stats.by_status == {}


@pytest.mark.asyncio
async def test_answered_requests_are_in_flight_no_more(api, reply_at):
    api.behaviour = Behaviour(latency=0.002)
    async with sdk(api) as client:
        for number in range(10):
            await request_of(client, f"What is {number}?")
            assert api.stats.in_flight == 0
        assert api.stats.peak_in_flight == 1
        reply_at(api, 7)
        places = asyncio.Semaphore(7)

        async def limited(number):
            async with places:
                await request_of(client, f"Who is {number}?")

        await asyncio.gather(*(limited(number) for number in range(50)))
    assert api.stats.peak_in_flight == 7
    assert api.stats.replies == 60


def test_hundreds_of_connections_at_once(api):
    api.behaviour = Behaviour(latency=600)
    with contextlib.ExitStack() as stack:
        for number in range(300):
            sock = stack.enter_context(connect(api))
            sock.sendall(raw_request(params(f"What is {number}?")))
        wait_until(lambda: api.stats.in_flight == 300)
        assert api.stats.open_connections == 300
    wait_until(lambda: (api.stats.open_connections, api.stats.in_flight) == (0, 0))
    assert api.stats.peak_in_flight == 300


def test_calls_whose_clients_are_gone_are_over_before_later_ones_begin():
    """However late the server gets to notice either."""
    is_busy, go_on = threading.Event(), threading.Event()

    def reply(_params):
        is_busy.set()
        assert go_on.wait(HANGS)

    latency = {"claude-haiku-5-5": 0.0}
    with (
        MessagesApi(Behaviour(latency=600, model_latency=latency), reply=reply) as api,
        contextlib.ExitStack() as stack,
    ):
        first, later = ([stack.enter_context(connect(api)) for _ in range(4)] for _ in range(2))
        for number, sock in enumerate(first):
            sock.sendall(raw_request(params(f"What is {number}?", model="claude-opus-5-5")))
        wait_until(lambda: (api.stats.in_flight, api.stats.open_connections) == (4, 8))
        stack.enter_context(connect(api)).sendall(raw_request(params(model="claude-haiku-5-5")))
        assert is_busy.wait(HANGS)
        for sock in first:
            sock.close()
        for number, sock in enumerate(later):
            sock.sendall(raw_request(params(f"Who is {number}?", model="claude-opus-5-5")))
        go_on.set()
        wait_until(lambda: (api.stats.in_flight, api.stats.by_outcome.get("client_gone")) == (4, 4))
        assert api.stats.peak_in_flight == 5


def test_max_in_flight_refuses_beyond_and_admits_again(api, http_client):
    api.behaviour = Behaviour(latency=600, max_in_flight=3, retry_after=2.5, retry_after_ms=True)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(api)) for _ in range(3)]
        for sock in held:
            sock.sendall(raw_request())
        wait_until(lambda: api.stats.in_flight == 3)
        status, headers, body = http_client.post(params())
        assert (status, body["error"]["type"]) == (429, "rate_limit_error")
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("3", "2500")
        held[0].close()
        wait_until(lambda: api.stats.in_flight == 2)
        api.behaviour = Behaviour(max_in_flight=3)
        assert http_client.post(params())[0] == 200
    assert (api.stats.peak_in_flight, api.stats.by_outcome["over_max_in_flight"]) == (3, 1)


def test_requests_per_minute_refuse_beyond_the_burst(api, http_client):
    api.behaviour = Behaviour(requests_per_minute=1, request_burst=3)
    answers = [http_client.post(params(f"What is {number}?")) for number in range(5)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
    headers = answers[3][1]
    assert 50 < int(headers["retry-after"]) <= 60
    assert "retry-after-ms" not in headers
    assert [answer[1]["anthropic-ratelimit-requests-remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert api.stats.by_outcome == {"reply": 3, "over_requests_per_minute": 2}
    assert [line.attempt for line in api.stats.log] == [1, 1, 1, 0, 0]


def test_input_tokens_per_minute(api, http_client):
    api.behaviour = Behaviour(input_tokens_per_minute=200)
    statuses = [http_client.post(params("x" * 400))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert api.stats.by_outcome["over_input_tokens_per_minute"] == 1


def test_bucket_admits_after_exactly_the_wait_it_told():
    bucket = Bucket(per_minute=100, capacity=3, now=0.0)
    for now in (0.0, 0.1, 0.2):
        assert bucket.wait(1, now) == 0
        bucket.take(1, now)
    wait = bucket.wait(1, 0.3)
    assert wait == pytest.approx(0.3)
    assert bucket.wait(1, 0.3 + wait) == 0
    assert bucket.wait(50, 60.0) == 0  # full: what is larger than the bucket has to pass at some time
    assert bucket.level(1000.0) == 3


def test_ratelimit_headers_can_be_left_out(api, http_client):
    _, headers, _ = http_client.post(params())
    for name in ("requests", "tokens", "input-tokens", "output-tokens"):
        assert int(headers[f"anthropic-ratelimit-{name}-remaining"]) <= int(
            headers[f"anthropic-ratelimit-{name}-limit"]
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", headers[f"anthropic-ratelimit-{name}-reset"])
    api.behaviour = Behaviour(ratelimit_headers=False)
    assert not any(name.startswith("anthropic-ratelimit") for name in http_client.post(params())[1])


# --- weather ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "sent"),
    [(None, None), (0, "0"), (1.2, "2"), (30, "30"), (-5, "-5"), ("soon, I hope", "soon, I hope")],
)
def test_retry_after_of_a_429_is_whatever_is_wanted(api, http_client, retry_after, sent):
    api.behaviour = Behaviour(faults={"rate_limited": 1.0}, retry_after=retry_after)
    status, headers, _ = http_client.post(params())
    assert (status, headers["retry-after"]) == (429, sent)


def test_retry_after_as_a_date(api, http_client):
    api.behaviour = Behaviour(faults={"rate_limited": 1.0}, retry_after=120, retry_after_date=True)
    before = time.time()
    _, headers, _ = http_client.post(params())
    wait = parsedate_to_datetime(headers["retry-after"]).timestamp() - before
    assert headers["retry-after"].endswith(" GMT")
    assert 120 <= wait < 130


def test_retry_after_of_a_limit_by_the_minute_can_be_false(api, http_client):
    api.behaviour = Behaviour(requests_per_minute=1, request_burst=1, retry_after=3, retry_after_computed=False)
    assert http_client.post(params())[0] == 200
    assert http_client.post(params())[1]["retry-after"] == "3"


def test_window_is_full_again_all_at_once():
    window = Window(per_minute=60, capacity=3, now=10.0)  # three requests every three seconds
    for now in (10.0, 11.0, 12.0):
        assert window.wait(1, now) == 0
        window.take(1, now)
    assert (window.level(12.5), window.wait(1, 12.5)) == (0, pytest.approx(0.5))
    assert window.level(12.5 + window.wait(1, 12.5)) == 3
    window.take(2, 13.5)
    assert (window.level(15.9), window.level(16.0), window.level(100.0)) == (1, 3, 3)


def test_fixed_window_of_requests(api):
    limits = Limits(Behaviour(requests_per_minute=60, request_burst=2, fixed_window=True), now=0.0)
    admitted = []
    for now in (0.0, 0.5, 1.0, 1.9, 2.0, 2.0, 2.0):
        with contextlib.suppress(ApiError):
            limits.admit(in_flight=0, input_tokens=1, now=now)
            admitted.append(now)
    assert admitted == [0.0, 0.5, 2.0, 2.0]


def test_limit_in_flight_changes_with_time():
    behaviour = Behaviour(max_in_flight=8, max_in_flight_later=((10, 4), (20, 64)))
    assert [behaviour.cap(age) for age in (0, 9.9, 10, 19.9, 20, 1000)] == [8, 8, 4, 4, 64, 64]
    limits = Limits(behaviour, now=0.0)
    with pytest.raises(ApiError):
        limits.admit(in_flight=4, input_tokens=1, now=12.0, age=12.0)
    limits.admit(in_flight=4, input_tokens=1, now=20.0, age=20.0)


def test_limit_in_flight_of_a_server_changes_with_time(api):
    api.behaviour = Behaviour(latency=600, max_in_flight=1, max_in_flight_later=((0, 3),))
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(api)).sendall(raw_request())
        wait_until(lambda: api.stats.requests == 4 and api.stats.by_outcome.get("over_max_in_flight"))
        assert (api.stats.in_flight, api.stats.by_outcome["over_max_in_flight"]) == (3, 1)


def test_output_tokens_per_minute_refuse_while_none_is_left(api, http_client):
    api.behaviour = Behaviour(output_tokens_per_minute=len(ANSWER) // 4 + 1)
    assert [http_client.post(params())[0] for _ in range(2)] == [200, 429]
    assert api.stats.by_outcome["over_output_tokens_per_minute"] == 1


def test_storm_comes_and_passes():
    behaviour = Behaviour(storms=(Storm("overloaded", 2, 30), Storm("unavailable", 40, 1)))
    met = {age: behaviour.storm(age) for age in (0, 1.99, 2, 31.99, 32, 40.5, 41)}
    assert met == {0: None, 1.99: None, 2: "overloaded", 31.99: "overloaded", 32: None, 40.5: "unavailable", 41: None}


def test_storm_counts_from_the_first_request(api, http_client):
    api.behaviour = Behaviour(storms=(Storm("overloaded", 0, 3600),))
    assert [http_client.post(params())[0] for _ in range(3)] == [529, 529, 529]
    api.behaviour = Behaviour(storms=(Storm("overloaded", 3600, 3600),))
    assert http_client.post(params())[0] == 200
    assert api.stats.by_outcome == {"overloaded": 3, "reply": 1}


def test_ratelimit_headers_can_mislead(api, http_client):
    past = RateHeaders(remaining=0, reset=-20, refusals_only=True)
    api.behaviour = Behaviour(ratelimit_headers=past, requests_per_minute=1, request_burst=1)
    accepted, refused = http_client.post(params())[1], http_client.post(params())[1]
    assert not any(name.startswith("anthropic-ratelimit") for name in accepted)
    assert refused["anthropic-ratelimit-requests-remaining"] == "0"
    assert datetime.fromisoformat(refused["anthropic-ratelimit-requests-reset"]).timestamp() < time.time() - 15
    assert int(refused["anthropic-ratelimit-tokens-remaining"]) > 0
    api.behaviour = Behaviour(ratelimit_headers=RateHeaders(remaining=-1, skew=3600))
    headers = http_client.post(params())[1]
    assert headers["anthropic-ratelimit-requests-remaining"] == "-1"
    assert datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"]).timestamp() > time.time() + 3500


def exchange(arrival, finish, *, status=200, outcome="reply", attempt=1):
    return Exchange(
        number=1, request_id="", method="POST", path="/v1/messages", arrival=arrival, finish=finish, status=status,
        outcome=outcome, model=MODEL, digest="", attempt=attempt, latency=0.0,
    )  # fmt: skip


def test_counts_by_second():
    calls = [
        exchange(100.0, 100.5),
        exchange(100.2, 102.5),
        exchange(100.5, 103.0),  # begins as the first one ends
        exchange(101.5, 101.5, status=429, outcome="over_max_in_flight", attempt=0),
        exchange(101.6, 101.6, status=529, outcome="overloaded"),
        exchange(103.2, 103.4, status=500, outcome="server_error"),
        exchange(103.3, None, status=None, outcome="pending"),
    ]
    seen = [
        (s.second, s.arrived, s.accepted, s.refused, s.answered, s.in_flight) for s in count_by_second(calls, now=104.1)
    ]
    assert seen == [(0, 3, 3, 0, 1, 2), (1, 2, 0, 2, 0, 2), (2, 0, 0, 0, 1, 2), (3, 2, 2, 0, 1, 2), (4, 0, 0, 0, 0, 1)]
    assert count_by_second([], now=5.0) == []


def test_stats_endpoint_counts_by_second(api, http_client):
    for number in range(3):
        http_client.post(params(f"What is {number}?"))
    seen = http_client.ask("GET", "/__stats__?seconds")[2]
    assert "log" not in seen
    assert sum(second["answered"] for second in seen["seconds"]) == 3
    assert {second["in_flight"] for second in seen["seconds"]} <= {0, 1}
    both = http_client.ask("GET", "/__stats__?seconds&log")[2]
    assert len(both["log"]) == 3
    assert both["seconds"] == seen["seconds"]


def test_command_line_gives_the_weather():
    options = build_parser().parse_args(
        [
            *("--max-in-flight", "8", "--retry-after", "none", "--fixed-window", "--no-computed-retry-after"),
            *("--storm", "overloaded=2:30", "--ratelimit-on-refusals", "--ratelimit-remaining", "0"),
            *("--ratelimit-reset", "-20", "--max-in-flight-later", "10=64", "--output-tokens-per-minute", "100"),
        ]
    )
    assert build_behaviour(options) == Behaviour(
        max_in_flight=8,
        max_in_flight_later=((10.0, 64),),
        output_tokens_per_minute=100,
        retry_after=None,
        retry_after_computed=False,
        fixed_window=True,
        storms=(Storm("overloaded", 2, 30),),
        ratelimit_headers=RateHeaders(refusals_only=True, remaining=0, reset=-20),
    )
    for text, meant in (("-3", -3.0), ("soon", "soon"), ("2.5", 2.5)):
        assert build_behaviour(build_parser().parse_args([f"--retry-after={text}"])).retry_after == meant


# --- keys, usage, ends, replies -------------------------------------------------------------------------------------


def test_key_is_checked_and_never_kept(api, http_client):
    api.behaviour = Behaviour(api_key="right-key")
    assert http_client.post(params(), {"Authorization": "Bearer right-key"})[0] == 200
    assert http_client.post(params(), {"x-api-key": "right-key"})[0] == 200
    for headers in ({"Authorization": "Bearer stolen-key"}, {"x-api-key": "stolen-key"}, {}):
        status, _, body = http_client.post(params(), headers)
        assert (status, body["error"]["type"]) == (401, "authentication_error")
        assert "key" not in json.dumps(body).replace("api key", "")
    told = repr(api.behaviour) + repr(api.stats) + json.dumps(api.stats.as_json(log=True))
    assert "right-key" not in told
    assert "stolen-key" not in told
    assert api.stats.by_outcome == {"reply": 2, "wrong_key": 3}


def test_usage_tells_what_the_prompt_cache_held(http_client):
    def ask(question, *, ttl=None):
        control = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
        system = [{"type": "text", "text": "The handbook. " * 100, "cache_control": control}]
        return http_client.post(params(question, system=system))[2]["usage"]

    def told(usage):
        return usage["input_tokens"], usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]

    assert told(ask("x" * 40)) == (10, 350, 0)
    assert told(ask("y" * 80)) == (20, 0, 350)
    assert http_client.post(params("z" * 40))[2]["usage"]["cache_read_input_tokens"] == 0
    an_hour = http_client.post(params("w" * 40, cache_control={"type": "ephemeral", "ttl": "1h"}))[2]["usage"]
    assert an_hour["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 10}


def test_ends_of_messages(api, http_client):
    api.behaviour = Behaviour(stop_reasons={"max_tokens": 1.0})
    cut = http_client.post(params())[2]
    assert (cut["stop_reason"], cut["content"][0]["text"]) == ("max_tokens", ANSWER[: len(ANSWER) // 2])
    api.behaviour = Behaviour(stop_reasons={"refusal": 1.0})
    refused = http_client.post(params())[2]
    assert (refused["stop_reason"], refused["content"], refused["stop_details"]["type"]) == ("refusal", [], "refusal")
    api.behaviour = Behaviour()
    short = http_client.post(params(max_tokens=3))[2]
    assert (short["stop_reason"], short["content"][0]["text"]) == ("max_tokens", ANSWER[:12])
    assert http_client.post(params(max_tokens=0))[2]["content"] == []


def reply_by_text(request):
    text = request["messages"][0]["content"]
    replies = {
        "text": "plain text",
        "json": {"verdicts": []},
        "message": {"type": "message", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}]},
        "broken": {"type": "message", "content": "no list"},
        "number": 3,
    }
    if text == "raise":
        raise KeyError(text)
    return replies.get(text)


def test_reply_function_decides_what_is_said():
    with MessagesApi(reply=reply_by_text) as api:
        client = Client(api)
        with contextlib.closing(client.connection):
            assert client.post(params("text"))[2]["content"][0]["text"] == "plain text"
            assert json.loads(client.post(params("json"))[2]["content"][0]["text"]) == {"verdicts": []}
            message = client.post(params("message"))[2]
            assert message["content"][0]["type"] == "thinking"
            assert message["usage"]["output_tokens"] == 1
            assert client.post(params())[2]["content"][0]["text"] == ANSWER
            for mistake, told in (("raise", "KeyError"), ("broken", "list of blocks"), ("number", "int")):
                status, headers, body = client.post(params(mistake))
                assert (status, headers["x-should-retry"]) == (500, "false")
                assert told in body["error"]["message"]
    assert api.stats.by_outcome == {"reply": 4, "reply_error": 3}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"faults": {"overlaoded": 0.1}}, "did you mean 'overloaded'"),
        ({"faults": {"overloaded": 1.1}}, "between 0 and 1"),
        ({"faults": {"overloaded": 0.6, "hang": 0.6}}, "add up to 1.2"),
        ({"stop_reasons": {"end": 0.1}}, "stop reason"),
        ({"latency": -1}, "latency must be"),
        ({"model_latency": {"some-model": -1}}, "the latency of some-model must be"),
        ({"requests_per_minute": 0}, "requests_per_minute must be above 0"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"retry_after": float("nan")}, "retry_after must be finite, got nan"),
        ({"storms": (Storm("overlaoded", 0, 1),)}, "did you mean 'overloaded'"),
    ],
)
def test_wrong_behaviour_is_refused_with_the_remedy(options, told):
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        Behaviour(**options)


# --- starting and ending --------------------------------------------------------------------------------------------


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files through /proc")
@pytest.mark.parametrize("fault", [None, "hang", "drip", "huge_body"])
def test_close_leaves_nothing_even_with_requests_under_way(fault):
    gc.collect()
    threads, files = threading.active_count(), open_files()
    api = MessagesApi(Behaviour(latency=0.0 if fault else 600, faults={fault: 1.0} if fault else {}))
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(api)) for _ in range(20)]
        for sock in socks:
            sock.sendall(raw_request())
        stack.enter_context(connect(api))  # says nothing
        wait_until(lambda: api.stats.in_flight == 20)
        api.close()
        assert api.stats.in_flight == 0
        for sock in socks:
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(1 << 20):
                    pass
    api.close()
    gc.collect()
    assert (threading.active_count(), open_files()) == (threads, files)
    with pytest.raises(ConnectionRefusedError):
        connect(api)
    assert api.stats.requests == 20


def test_connections_that_come_while_it_closes_are_sent_away():
    for _ in range(20):
        api = MessagesApi()
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(connect(api))
            api.close()
    assert api.stats.open_connections == 0


def test_connections_wait_while_no_file_descriptor_is_left(api, http_client):
    """A listening socket without descriptors must neither spin nor give up."""
    resource = pytest.importorskip("resource")
    http_client.post(params("before"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = socket.socket()
    with contextlib.closing(waiting):
        lowest_free = waiting.fileno() + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            host, port = api.url.removeprefix("http://").split(":")
            waiting.connect((host, int(port)))
            waiting.sendall(raw_request(extra="Connection: close\r\n"))
            http_client.post(params("meanwhile"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        waiting.settimeout(HANGS)
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")


def test_taken_port_is_an_os_error_and_leaves_no_thread(api):
    threads = threading.active_count()
    with pytest.raises(OSError, match="in use"):
        MessagesApi(port=int(api.url.rsplit(":", 1)[1]))
    assert threading.active_count() == threads


def command(*arguments):
    return [sys.executable, "-m", "pytest_ragcheck.testing.messages_api", *arguments]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_serves_until_the_signal_and_prints_counts(number):
    wanted = command("--fault", "overloaded=1", "--no-ratelimit-headers")
    with subprocess.Popen(wanted, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip().removeprefix("ANTHROPIC_BASE_URL=http://")
            with contextlib.closing(http.client.HTTPConnection(url, timeout=HANGS)) as connection:
                connection.request("POST", "/v1/messages", body=json.dumps(params()))
                reply = connection.getresponse()
                assert reply.status == 529
                assert not any(name.startswith("anthropic-ratelimit") for name, _ in reply.getheaders())
            process.send_signal(number)
            counts = json.loads(process.stdout.read())
        finally:
            process.kill()
    assert counts["by_outcome"] == {"overloaded": 1}
    assert process.returncode == 0


def test_command_refuses_a_wrong_fault_in_one_line():
    done = subprocess.run(
        command("--fault", "hangs=0.1"),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("no fault is called 'hangs'; did you mean 'hang'?")
