"""A Messages API on 127.0.0.1, to test and to rehearse against: latency, limits, faults and usage, and no bill.

``with MessagesApi(Behaviour(latency=0.6, faults={"overloaded": 0.05})) as api:`` serves until the block ends, and
``AsyncAnthropic(base_url=api.url, api_key="any")`` talks to it. From a shell:
``python -m pytest_ragcheck.testing.messages_api --latency 0.6 --fault overloaded=0.05``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.testing import messages
from pytest_ragcheck.testing.delivery import DELIVERIES, Answer
from pytest_ragcheck.testing.faults import FAULTS, REFUSALS, STOP_REASONS, ApiError, Behaviour, Draws
from pytest_ragcheck.testing.http1 import LoopbackServer
from pytest_ragcheck.testing.limits import Limits, retry_headers
from pytest_ragcheck.testing.options import build_behaviour, build_parser
from pytest_ragcheck.testing.replies import default_reply
from pytest_ragcheck.testing.schema_values import SchemaError
from pytest_ragcheck.testing.stats import MESSAGES_PATH, Exchange, Ledger, Stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from pytest_ragcheck.testing.http1 import Connection
    from pytest_ragcheck.testing.http1_requests import Request
    from pytest_ragcheck.testing.messages import Params
    from pytest_ragcheck.testing.stats import OpenExchange

__all__ = ["FAULTS", "STOP_REASONS", "Behaviour", "Exchange", "MessagesApi", "Stats", "main"]

Headers = list[tuple[str, str]]
Said = str | dict[str, Any] | None
"""What a function that writes replies gives."""

JSON = ("content-type", "application/json")
EVENT_STREAM = ("content-type", "text/event-stream; charset=utf-8")
MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-opus-5", "claude-haiku-4-5")
"""What ``GET /v1/models`` lists; messages are written for any model's name."""


class MessagesApi:
    """Serves from construction to :meth:`close`, in a thread of its own.

    ``reply`` is called with each request's parameters, on the server's thread, and gives the text; None: the default
    reply. A dict with ``"type": "message"`` replaces those fields of the message, any other dict is sent as JSON text.
    It may be a coroutine function, which keeps its request in flight while it waits.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        reply: Callable[[dict[str, Any]], Said | Awaitable[Said]] | None = None,
        port: int = 0,
    ) -> None:
        behaviour = behaviour or Behaviour()
        self._setting = behaviour, Limits(behaviour, now=time.monotonic())
        self._reply = reply
        self._ledger = Ledger()
        self._prompt_cache = messages.PromptCache()
        self._server = LoopbackServer(self._handle, port=port)

    @property
    def url(self) -> str:
        """The base URL, ``http://127.0.0.1:PORT``."""
        return self._server.url

    @property
    def behaviour(self) -> Behaviour:
        """What requests that come from now on meet; may be set at any time, which also refills the rate limits."""
        return self._setting[0]

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._setting = behaviour, Limits(behaviour, now=time.monotonic())

    @property
    def stats(self) -> Stats:
        """A snapshot of what happened since the start or :meth:`reset_stats`."""
        return self._ledger.snapshot(
            connections=self._server.accepted_connections, open_connections=self._server.open_connections
        )

    def reset_stats(self) -> None:
        """Start anew: no request seen, no body sent before, no prompt cached, the rate limits full."""
        self._ledger.reset()
        self._prompt_cache.clear()
        self.behaviour = self.behaviour

    def close(self) -> None:
        """End the server, its connections and its thread; safe to call again."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _handle(self, request: Request, connection: Connection) -> None:
        path, _, query = request.path.partition("?")
        if path == "/__stats__":
            self._send_stats(connection, parts=query.split("&"))
            return
        line = self._ledger.begin(request.method, path, sha256(request.body).hexdigest())
        visit = _Visit(line, request, connection, *self._setting)
        try:
            _check_key(request, visit.behaviour)
            await self._route(visit)
        except ApiError as error:
            line.outcome = error.outcome
            body = json.dumps(error.body(line.request_id)).encode()
            self._answer(visit, error.status, [JSON, *error.headers], body).send()
        finally:
            self._ledger.finish(line)

    async def _route(self, visit: _Visit) -> None:
        request, line = visit.request, visit.line
        match request.method, line.path:
            case "POST", "/v1/messages":
                await self._create_message(visit)
            case "POST", "/v1/messages/count_tokens":
                params = messages.read_params(request.body, request.headers, counting=True)
                self._send_json(visit, {"input_tokens": messages.Prompt.of(params).tokens})
            case "GET", "/v1/models":
                self._send_json(visit, _model_list())
            case _:
                message = f"{request.method} {line.path}: no such endpoint"
                raise ApiError(404, "not_found_error", message, outcome="not_found")

    async def _create_message(self, visit: _Visit) -> None:
        line, behaviour = visit.line, visit.behaviour
        params = messages.read_params(visit.request.body, visit.request.headers)
        line.model = params["model"]
        prompt = messages.Prompt.of(params)
        age = line.arrival - self._ledger.began
        in_flight = self._ledger.in_flight
        visit.limits.admit(in_flight=in_flight, input_tokens=prompt.tokens, now=time.monotonic(), age=age)
        self._ledger.admit(line)
        cache_read = self._prompt_cache.read_tokens(prompt)
        draws = Draws(behaviour.seed, line.digest, line.attempt)
        fault = behaviour.storm(age) or draws.fault(behaviour)
        if fault is not None:
            line.outcome = fault
        await _take_time(visit, fault, draws)
        whole = await self._compose(
            params,
            prompt,
            cache_read=cache_read,
            line=line,
            stop_reason=None if fault else draws.stop_reason(behaviour),
        )
        self._prompt_cache.remember(prompt)
        visit.limits.spend_output(whole["usage"]["output_tokens"], time.monotonic())
        answer = self._message_answer(visit, whole, streamed=params.get("stream") is True)
        if fault is not None and fault in DELIVERIES:
            line.status = None if fault == "hang" else answer.status
            await DELIVERIES[fault](answer, behaviour)
            return
        if fault is None:
            line.outcome = "reply"
        answer.send()

    async def _compose(
        self, params: Params, prompt: messages.Prompt, *, cache_read: int, line: OpenExchange, stop_reason: str | None
    ) -> dict[str, Any]:
        """The message, with the faults of content that the line names."""
        text, overlay = await self._say(params, counts=line.outcome != "miscounted")
        if line.outcome == "malformed_json":
            text = text[: len(text) // 2]
        digest = sha256(f"{line.digest}:{line.attempt}".encode()).hexdigest()
        whole = messages.message(
            params, text, prompt=prompt, cache_read=cache_read, stop_reason=stop_reason, digest=digest
        )
        whole |= {**overlay, "usage": {**whole["usage"], **overlay.get("usage", {})}}
        if line.outcome == "empty_reply":
            whole["content"] = []
        return whole

    def _message_answer(self, visit: _Visit, whole: dict[str, Any], *, streamed: bool) -> Answer:
        if streamed:
            return self._answer(visit, 200, [EVENT_STREAM], messages.events(whole))
        return self._answer(visit, 200, [JSON], json.dumps(whole).encode())

    async def _say(self, params: Params, *, counts: bool) -> tuple[str, dict[str, Any]]:
        """The reply's text, and fields that replace those of the message."""
        said = await self._ask_reply(params)
        if isinstance(said, dict):
            return _content_text(said), said
        if said is not None:
            return said, {}
        try:
            return default_reply(params, messages.output_schema(params), counts=counts), {}
        except SchemaError as error:
            message = f"output_config.format.schema: {error}"
            raise ApiError(400, "invalid_request_error", message, outcome="invalid") from error

    async def _ask_reply(self, params: Params) -> Said:
        """Text, fields of a message, or None for the default; a mistake of the user's function reaches the client."""
        if self._reply is None:
            return None
        try:
            given = self._reply(params)
            said = await given if isinstance(given, Awaitable) else given
            as_json = json.dumps(said)
            if isinstance(said, dict) and said.get("type") == "message":
                return _checked_fields(said)
        except Exception as error:
            raise _reply_error(f"raised {type(error).__name__}: {error}") from error
        if said is not None and not isinstance(said, str | dict):
            raise _reply_error(f"gave a {type(said).__name__} instead of text, a dict or None")
        return as_json if isinstance(said, dict) else said

    def _answer(self, visit: _Visit, status: int, headers: Headers, body: bytes) -> Answer:
        def finished(status: int) -> None:
            self._ledger.finish(visit.line, status=status)

        if visit.line.path == MESSAGES_PATH:
            headers += visit.limits.headers(status, time.monotonic())
        headers.append(("request-id", visit.line.request_id))
        return Answer(visit.connection, status, headers, body, finished=finished)

    def _send_json(self, visit: _Visit, value: dict[str, Any]) -> None:
        visit.line.outcome = "reply"
        self._answer(visit, 200, [JSON], json.dumps(value).encode()).send()

    def _send_stats(self, connection: Connection, *, parts: Sequence[str]) -> None:
        body = json.dumps(self.stats.as_json(log="log" in parts, seconds="seconds" in parts)).encode()
        Answer(connection, 200, [JSON], body, finished=lambda _status: None).send()


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request with all that decides about its answer."""

    line: OpenExchange
    request: Request
    connection: Connection
    behaviour: Behaviour
    limits: Limits


async def _take_time(visit: _Visit, fault: str | None, draws: Draws) -> None:
    """Let the latency pass; raises the error that the request meets before or after it."""
    refusal = REFUSALS.get(fault or "")
    if refusal is None or refusal.after_latency:
        visit.line.latency = draws.latency(visit.behaviour, visit.line.model)
        if visit.line.latency:
            await asyncio.sleep(visit.line.latency)
    if refusal is not None:
        told = retry_headers(visit.behaviour.retry_after, visit.behaviour) if fault == "rate_limited" else []
        raise ApiError(
            refusal.status,
            refusal.kind,
            refusal.message,
            outcome=visit.line.outcome,
            error_code=refusal.error_code,
            headers=told,
        )


def _check_key(request: Request, behaviour: Behaviour) -> None:
    if behaviour.api_key is None:
        return
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    shown = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key")
    if shown != behaviour.api_key:
        raise ApiError(401, "authentication_error", "invalid api key", outcome="wrong_key")


def _checked_fields(fields: dict[str, Any]) -> dict[str, Any]:
    content, usage = fields.get("content", []), fields.get("usage", {})
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise TypeError("content must be a list of blocks")
    if not isinstance(usage, dict) or not isinstance(usage.get("output_tokens", 0), int):
        raise TypeError("usage must be a dict of token counts")
    return fields


def _content_text(fields: dict[str, Any]) -> str:
    """The text of a message's content, which its usage is counted from."""
    return "".join(str(block.get("text", "")) for block in fields.get("content", ()))


def _reply_error(what: str) -> ApiError:
    """A mistake of the function that writes replies; sending again would not mend it."""
    headers = [("x-should-retry", "false")]
    return ApiError(500, "api_error", f"the reply function {what}", outcome="reply_error", headers=headers)


def _model_list() -> dict[str, Any]:
    models = [
        {
            "type": "model",
            "id": name,
            "display_name": name.replace("-", " ").title(),
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
        }
        for name in MODELS
    ]
    return {"data": models, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1], "next_page": None}


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, then print the counts as JSON; gives the exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        api = MessagesApi(build_behaviour(options), port=options.port)
    except ConfigurationError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(
            f"port {options.port} on 127.0.0.1 cannot be used: {error.strerror}; leave --port out for a free one"
        )
    with _stop_signals() as stop, api:
        _say_line(f"ANTHROPIC_BASE_URL={api.url}")
        stop.wait()
    _say_line(json.dumps(api.stats.as_json(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
