"""The pipeline that asks an HTTP endpoint."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from pytest_ragcheck.call_context import current_question
from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.gateway.anthropic_transport import Secrets
from pytest_ragcheck.gateway.limiter import Admission, AttemptReport, Limiter, Outcome
from pytest_ragcheck.gateway.retry import Attempts, RetryPolicy
from pytest_ragcheck.gateway.transport import (
    AttemptResult,
    Response,
    RetryAction,
    TransportError,
    address_of,
    retry_after,
)
from pytest_ragcheck.rag.endpoint.client import Client, NobodyThereError
from pytest_ragcheck.rag.endpoint.json_path import JsonPath
from pytest_ragcheck.rag.endpoint.replies import STREAMS, ReplyReader, excerpt
from pytest_ragcheck.rag.endpoint.template import DEFAULT_REQUEST, Address, Headers, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_ragcheck.gateway.limiter import AdmissionControl, Permit
    from pytest_ragcheck.model import Answer, Context, Question

__all__ = ["HttpEndpoint"]

T = TypeVar("T")
METHODS = ("GET", "POST", "PUT")
UNREACHABLE_AFTER = 3
"""Attempts to connect after which nobody is taken to listen there, if nobody ever did."""
UNTOLD_WAIT = 1.0
"""Seconds to wait after a refusal for a rate limit that does not tell how long."""
_RETRIED = frozenset({408, 425, 502, 503, 504})
_UNAUTHORIZED, _TOO_MANY = 401, 429


class HttpEndpoint:
    """A system behind an HTTP address, asked question by question.

    ``url`` may hold ``$question`` and variables of the environment (``$NAME``), as may the values of ``headers``, but
    without the question. ``request`` is the JSON that is sent, a mapping or JSON text, with ``$question`` and
    ``$history`` in its texts; with method GET its fields become the address's query. ``answer``, ``contexts`` and
    ``sources`` are places in the reply (``data.answer``, ``hits[*].text``); left out, the reply is read as what any
    pipeline returns. Streams of server-sent events and JSON lines are told by their content type, or by ``stream``
    (``sse``, ``ndjson``); their pieces are put together.

    ``timeout``: seconds for one answer, with all attempts: refusals for a rate limit (429), 408, 425, 502, 503, 504 and
    failed connections are tried again. ``concurrency``: most requests in flight; None finds it. ``limiter``: one that
    it shares with others, in place of its own.

    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` for what cannot be sent or read; :meth:`check` looks at
    the environment too.
    """

    def __init__(
        self,
        url: str,
        *,
        method: str = "POST",
        request: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        answer: str | None = None,
        contexts: str | None = None,
        sources: str | None = None,
        stream: str | None = None,
        timeout: float = 300.0,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        retries: RetryPolicy | None = None,
        limiter: AdmissionControl | None = None,
    ) -> None:
        self._method = _one_of("method", method.upper(), METHODS)
        if stream is not None:
            _one_of("stream", stream, STREAMS)
        if sources is not None and contexts is None:
            raise ConfigurationError("sources: they belong to contexts; set contexts too")
        self._address = _told("url", Address, url)
        self._headers = _told("headers", Headers, headers or {})
        default = {} if self._address.has_question and self._method == "GET" else DEFAULT_REQUEST
        self._request = _told("request", Request, default if request is None else request)
        if not (self._request.has_question or self._address.has_question):
            raise ConfigurationError('request: "$question" stands nowhere in it, so that nothing would be asked')
        places = {"answer": answer, "contexts": contexts, "sources": sources}
        paths = {name: _told(name, JsonPath.parsed, text) for name, text in places.items() if text is not None}
        self._reader = ReplyReader(**paths, stream=stream)
        self._retries = replace(retries or RetryPolicy(), deadline=timeout)
        self._concurrency = concurrency
        self._requests_per_minute = requests_per_minute
        self._shared_limiter = limiter
        self._limiter: AdmissionControl | None = None
        self._client: Client | None = None
        self._secrets = Secrets()
        self._was_there = False
        self._problem: ConfigurationError | None = None

    @property
    def takes_history(self) -> bool:
        """Whether the earlier turns of a conversation are sent."""
        return self._request.takes_history

    @property
    def shown(self) -> str:
        """The address, without values of the environment and without its query."""
        return self._address.shown

    def check(self) -> None:
        """Raise ConfigurationError where the environment lacks what the address or the headers need."""
        _told("url", self._address.check)
        self._headers.check()

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Make the connection's client."""
        if questions:
            self._opened()

    async def retrieve(self, question: Question) -> None:
        """None: contexts come with the answer."""

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:  # noqa: ARG002 (of Pipeline)
        """Ask, as often as is worth while.

        Raises :class:`~pytest_ragcheck.errors.MeasurementError` with kind ``http-error``, ``rate-limited``,
        ``timeout``, ``connection``, ``invalid-reply`` or ``no-history``;
        :class:`~pytest_ragcheck.errors.ConfigurationError` where nobody listens or the credentials are refused.
        """
        if question.history and not self.takes_history:
            raise MeasurementError(
                f'{self.shown}: the question follows earlier turns, and the request has no "$history"',
                kind="no-history",
            )
        client, limiter = self._opened()
        attempts = Attempts(self._retries)
        number, delay = limiter.number(), 0.0
        while True:
            permit = await limiter.admit(Admission(question=current_question(), number=number, delay=delay))
            if self._problem is not None:
                limiter.withdraw(permit)
                raise ConfigurationError(str(self._problem))
            attempts.spent += permit.delayed
            verdict, reply, seconds = await self._attempt(client, permit, question, attempts)
            if reply is not None and verdict.effect is RetryAction.DONE:
                return self._answer(reply, seconds)
            pause = attempts.pause(verdict, now=asyncio.get_running_loop().time())
            if pause is None or pause >= attempts.left:
                raise self._failure(verdict, attempts)
            delay = pause

    async def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        if self._limiter is not None:
            self._limiter.close()
            self._limiter = None
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _opened(self) -> tuple[Client, AdmissionControl]:
        if self._client is None or self._limiter is None:
            self.check()
            self._secrets = Secrets([*self._headers.secrets(), *self._address.secrets()])
            self._client = Client(through_proxy=not self._address.is_local)
            self._limiter = self._shared_limiter or Limiter(
                concurrency=self._concurrency, requests_per_minute=self._requests_per_minute
            )
        return self._client, self._limiter

    async def _attempt(
        self, client: Client, permit: Permit, question: Question, attempts: Attempts
    ) -> tuple[AttemptResult, Response | None, float]:
        assert self._limiter is not None  # noqa: S101 (it gave the ticket)
        attempts.made += 1
        clock = asyncio.get_running_loop().time
        begun = clock()
        verdict, reply = None, None
        try:
            reply = await client.send(timeout=attempts.left, **self._message(question))
            self._was_there = True
            verdict = _judged(reply, self._secrets.scrub)
        except NobodyThereError as problem:
            verdict = AttemptResult(effect=RetryAction.RETRY, kind="connection", cause=str(problem))
            if not self._was_there and attempts.made >= UNREACHABLE_AFTER:
                raise self._nobody_there(problem) from None
        except TransportError as trouble:
            self._was_there = True
            effect = RetryAction.FAIL if trouble.timed_out else RetryAction.RETRY
            verdict = AttemptResult(
                effect=effect, kind="timeout" if trouble.timed_out else "connection", cause=str(trouble)
            )
        finally:
            seconds = clock() - begun
            attempts.spent += seconds
            self._limiter.settle(permit, _report(verdict))
        return verdict, reply, seconds

    def _message(self, question: Question) -> dict[str, Any]:
        url = self._address.filled(question.question)
        filled = self._request.filled(question)
        headers = {"accept": "application/json, text/event-stream;q=0.9, */*;q=0.1"}
        if self._method == "GET":
            query = urlencode(filled, doseq=True) if filled else ""
            joined = f"{url}{'&' if '?' in url else '?'}{query}" if query else url
            return {"method": "GET", "url": joined, "headers": headers | self._headers.expanded(), "body": b""}
        headers["content-type"] = "application/json"
        body = json.dumps(filled).encode("ascii")
        return {"method": self._method, "url": url, "headers": headers | self._headers.expanded(), "body": body}

    def _answer(self, reply: Response, seconds: float) -> Answer:
        try:
            answer = self._reader.read(reply.body, reply.headers.get("content-type", ""), scrub=self._secrets.scrub)
        except MeasurementError as problem:
            said = excerpt(self._secrets.scrub(reply.body.decode("utf-8", "replace")))
            raise MeasurementError(
                self._told(str(problem)), kind=problem.kind, status=reply.status, reply=said
            ) from None
        scrub = self._secrets.scrub
        contexts = tuple(
            replace(context, text=scrub(context.text), source=context.source and scrub(context.source))
            for context in answer.contexts
        )
        return replace(answer, text=scrub(answer.text), contexts=contexts, latency=seconds)

    def _failure(self, verdict: AttemptResult, attempts: Attempts) -> MeasurementError | ConfigurationError:
        if verdict.effect is RetryAction.REFUSED_KEY:
            names = ", ".join(self._headers.variables)
            where = f"check the environment variable {names}" if names else "set headers = {Authorization = ...}"
            self._problem = ConfigurationError(f"{self._told(verdict.cause)}: the credentials were refused; {where}")
            return ConfigurationError(str(self._problem))
        told = self._told(verdict.cause)
        if attempts.made > 1:
            told += f"; gave up after {attempts.made} attempts in {attempts.spent:.1f} s"
        return MeasurementError(told, kind=verdict.kind, status=verdict.status, attempts=attempts.made)

    def _nobody_there(self, problem: NobodyThereError) -> ConfigurationError:
        told = f"{self._told(str(problem))}; start the service, or correct the address"
        self._problem = ConfigurationError(told)
        return ConfigurationError(told)

    def _told(self, cause: str) -> str:
        return f"{self.shown}: {self._secrets.scrub(cause)}"


def _judged(reply: Response, scrub: Callable[[str], str]) -> AttemptResult:
    if 200 <= reply.status < 300:  # noqa: PLR2004 (HTTP's range of success)
        return AttemptResult(effect=RetryAction.DONE, status=reply.status)
    effect, kind, wait = RetryAction.FAIL, "http-error", retry_after(reply.headers)
    if reply.status == _TOO_MANY:
        effect, kind, wait = RetryAction.LIMITED, "rate-limited", wait or UNTOLD_WAIT
    elif reply.status == _UNAUTHORIZED:
        effect = RetryAction.REFUSED_KEY
    elif reply.status in _RETRIED:
        effect = RetryAction.RETRY
    said = excerpt(scrub(reply.body.decode("utf-8", "replace")))
    if 300 <= reply.status < 400 and "location" in reply.headers:  # noqa: PLR2004 (HTTP's range of redirects)
        place = address_of(reply.headers["location"])
        said = f"it leads to {place}, and redirects are not followed; correct the address"
    return AttemptResult(
        effect=effect,
        kind=kind,
        cause=f"status {reply.status}{f': {said}' if said else ''}",
        status=reply.status,
        wait=wait,
    )


_OUTCOMES = {
    RetryAction.DONE: Outcome.SUCCESS,
    RetryAction.LIMITED: Outcome.REFUSED,
    RetryAction.RETRY: Outcome.OVERLOADED,
}


def _report(result: AttemptResult | None) -> AttemptReport:
    if result is None:
        return AttemptReport(outcome=Outcome.NEUTRAL)
    return AttemptReport(outcome=_OUTCOMES.get(result.effect, Outcome.NEUTRAL), wait=result.wait)


def _one_of(key: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ConfigurationError(f"{key}: must be {' or '.join(known)}, got {value!r}")
    return value


def _told(key: str, make: Callable[..., T], *arguments: Any) -> T:
    """What ``make`` makes; an error says which argument it is about."""
    try:
        return make(*arguments)
    except ConfigurationError as problem:
        raise ConfigurationError(f"{key}: {problem}") from None
