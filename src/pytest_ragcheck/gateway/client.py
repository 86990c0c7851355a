"""The one door to a model: cache, limit, retry, price."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pytest_ragcheck.call_context import current_question, record_call
from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError
from pytest_ragcheck.gateway.anthropic_transport import AnthropicTransport, Secrets, endpoint, shown
from pytest_ragcheck.gateway.budget import Budget
from pytest_ragcheck.gateway.call_state import CompletedCall, PendingCall
from pytest_ragcheck.gateway.call_stats import CallStats, Snapshot
from pytest_ragcheck.gateway.limiter import MAXIMUM, Limiter, Outcome
from pytest_ragcheck.gateway.prices import PriceList
from pytest_ragcheck.gateway.rates import told_levels
from pytest_ragcheck.gateway.replies import StoredReply, check_end, with_form
from pytest_ragcheck.gateway.requests import CacheMode, ModelReply, ModelRequest
from pytest_ragcheck.gateway.retry import Attempts, RetryPolicy
from pytest_ragcheck.gateway.single_flight import PrefixWarmup, SingleFlight, StoreLeases
from pytest_ragcheck.gateway.stop import Drought, Stop
from pytest_ragcheck.gateway.transport import (
    RUN_ENDING,
    AttemptResult,
    Response,
    RetryAction,
    TransportError,
    classify,
)
from pytest_ragcheck.model import Usage
from pytest_ragcheck.store import Store, digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from pytest_ragcheck.gateway.budget import BudgetControl
    from pytest_ragcheck.gateway.limiter import AdmissionControl, Ticket
    from pytest_ragcheck.gateway.transport import Message, Transport

__all__ = ["Gateway"]

MARKED_FROM = 1024
"""Tokens from which the API's prompt cache takes a beginning at all."""
WARMED_FROM = 2048
"""Tokens from which waiting for the first call of a group pays."""


class Gateway:
    """Makes model calls. To be made, used and closed in one event loop.

    ``concurrency``: most calls in flight, and where the search for the server's limit starts; None finds it.
    ``request_timeout``: seconds for one attempt. ``call_deadline``: seconds for all attempts and back-off of a call;
    a server that refuses every call for so long ends all of them.
    ``run_deadline``: seconds from now after which nothing is waited for. ``max_cost``: US dollars.
    ``run_clock`` tells the seconds since the run's start, in which calls are told; without one, since now.
    ``wire``: another way to the API than the SDK with ``base_url`` and ``api_key``. ``limiter`` and ``budget``: those
    that this gateway shares with others, in place of its own.
    """

    def __init__(
        self,
        *,
        store: Store | None = None,
        cache: CacheMode = CacheMode.USE,
        concurrency: int | None = None,
        request_timeout: float = 60.0,
        call_deadline: float = 600.0,
        run_deadline: float | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_cost: float | None = None,
        prices: PriceList | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        wire: Transport | None = None,
        retries: RetryPolicy | None = None,
        run_started: float | None = None,
        run_clock: Callable[[], float] | None = None,
        limiter: AdmissionControl | None = None,
        budget: BudgetControl | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._start = self._clock()
        self._run_clock = run_clock or (lambda: self._clock() - self._start)
        self._deadline = None if run_deadline is None else self._start + run_deadline
        self._run_deadline = run_deadline
        self.endpoint = endpoint(base_url)
        self.cache = cache
        self._request_timeout = request_timeout
        self._retries = replace(retries or RetryPolicy(), deadline=call_deadline)
        self._secrets = Secrets([api_key])
        self._wire = wire or AnthropicTransport(base_url, api_key=api_key, connections=concurrency or MAXIMUM)
        self._limiter: AdmissionControl = limiter or Limiter(
            concurrency=concurrency, requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute
        )
        # Off: nothing is kept, but this run still asks the same thing once.
        self._own_store = Store(None) if store is None or cache is CacheMode.OFF else None
        fresh_since = (time.time() if run_started is None else run_started) if cache is CacheMode.REFRESH else None
        self._claims = StoreLeases(self._own_store or store or Store(None), since=fresh_since)
        self._flights: SingleFlight[CompletedCall] = SingleFlight()
        self._warmth = PrefixWarmup()
        self._prices = prices or PriceList()
        self._budget: BudgetControl = budget or Budget(max_cost)
        self._accounts = CallStats()
        self._output_tokens: dict[str, float] = {}
        self._stop = Stop()
        self._drought = Drought()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Make the client now rather than at the first call that is not cached: importing the SDK takes seconds.

        Raises :class:`~pytest_ragcheck.errors.ConfigurationError` where there is no key.
        """
        await self._wire.open()
        await asyncio.to_thread(self._prices.load)

    async def check_access(self) -> None:
        """Ask the server, for nothing, whether it takes the key; ConfigurationError where it does not."""
        if isinstance(self._wire, AnthropicTransport):
            await self._wire.check_access()

    async def close(self) -> None:
        """Cancel what is under way, end the claims, close the connections."""
        await self._flights.close()
        await self._claims.close()
        self._limiter.close()
        if self._own_store is not None:
            self._own_store.close()
        await self._wire.close()

    def snapshot(self) -> Snapshot:
        """The state of this moment."""
        accounts = self._accounts
        return Snapshot(
            in_flight=self._limiter.in_flight,
            limit=self._limiter.places,
            queued=self._limiter.queued,
            asked=accounts.asked,
            done=accounts.done,
            cached=accounts.cached,
            failed=accounts.failed,
            attempts=accounts.attempts,
            retries=accounts.retries,
            refused=self._limiter.refusals,
            cost=accounts.cost,
            unpriced=accounts.unpriced,
            usage=accounts.usage,
            saved=accounts.saved,
            saved_usage=accounts.saved_usage,
        )

    def is_cached(self, request: ModelRequest) -> bool:
        """Whether the reply is there already."""
        return self._claims.lookup(request.key(self.endpoint)) is not None

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The reply, from the store or the server.

        Raises :class:`~pytest_ragcheck.errors.MeasurementError` with kind ``truncated``, ``refused``,
        ``unfinished``, ``timeout``, ``connection``, ``invalid-reply``, ``rate-limited``, ``spend-limit`` or
        ``api-error``; :class:`~pytest_ragcheck.errors.NotRunError` where the call must not be made (cache mode
        ``only``, budget, run deadline); :class:`~pytest_ragcheck.errors.ConfigurationError` where the key is missing or
        refused: then no call will work.
        """
        self._accounts.asked += 1
        asked = self._clock()
        try:
            landed = await self._landed(request, asked)
            record_call(landed.call)
            check_end(landed.reply, request)
        except NotRunError:
            self._accounts.asked -= 1
            raise
        except (MeasurementError, ConfigurationError):
            self._accounts.failed += 1
            raise
        self._accounts.done += 1
        return landed.model_reply()

    async def _landed(self, request: ModelRequest, asked: float) -> CompletedCall:
        key = request.key(self.endpoint)
        kept = self._claims.lookup(key)
        if kept is not None:
            return self._spared(kept, request, asked)
        if self.cache is CacheMode.ONLY:
            raise NotRunError(
                f"{request.model}: the reply is not in the store, and --ragcheck-cache only forbids the call"
            )
        landed, ours = await self._flights.join(key, lambda: self._fly(request, key, asked))
        return landed if ours else self._spared(landed.reply, request, asked)

    def _spared(self, kept: StoredReply, request: ModelRequest, asked: float) -> CompletedCall:
        self._accounts.spared(kept.usage, kept.cost)
        return CompletedCall.spared(kept, request, started=self._started(asked), queued=self._clock() - asked)

    async def _fly(self, request: ModelRequest, key: bytes, asked: float) -> CompletedCall:
        trip = PendingCall(request, key, asked, Attempts(self._retries))
        try:
            async with self._run_limit(trip):
                if request.shared_tokens() < WARMED_FROM:
                    return await self._travel(trip)
                group = digest(request.model, request.system or "", request.prefix or "")
                return await self._warmth.lead(group, lambda: self._travel(trip))
        finally:
            self._claims.drop(key)

    async def _travel(self, trip: PendingCall) -> CompletedCall:
        """Attempts until one succeeds, another process has the reply, or it is time to give up."""
        number = self._limiter.number()
        while True:
            self._stop.check()
            reserved = await self._reserve(trip.request)
            spent = 0.0
            try:
                ticket = await self._admit(trip, number)
                if not trip.claimed:
                    kept = self._claim(trip, ticket)
                    if kept is not None:
                        return self._spared(kept, trip.request, trip.asked)
                if trip.claimed:
                    verdict, latency = await self._attempt(trip, ticket)
                    spent = self._spent(trip, verdict)
            finally:
                self._budget.settle(reserved, spent)
            if not trip.claimed:
                await self._claims.reply_of_other(trip.key)
            elif verdict.effect is RetryAction.DONE and verdict.message is not None:
                return self._arrived(trip, verdict.message, latency=latency, request_id=verdict.request_id)
            else:
                await self._back_off(trip, verdict)

    def _claim(self, trip: PendingCall, ticket: Ticket) -> StoredReply | None:
        """Make the call ours; the reply, where another process has stored it meanwhile. Without either, it has it."""
        kept = None
        trip.claimed = self._claims.take(trip.key)
        if trip.claimed and not self._claims.alone:
            kept = self._claims.lookup(trip.key)
        if kept is not None:
            self._claims.drop(trip.key)
        if kept is not None or not trip.claimed:
            self._limiter.withdraw(ticket)
        return kept

    async def _admit(self, trip: PendingCall, number: int) -> Ticket:
        request = trip.request
        async with self._stop.ending():
            ticket = await self._limiter.admit(
                priority=request.priority - current_question(),
                number=number,
                input_tokens=request.input_tokens(),
                output_tokens=self._output_tokens.get(request.model, request.max_tokens / 4),
            )
        if self._stop.has_come:  # in the same moment as the ticket
            self._limiter.withdraw(ticket)
            self._stop.check()
        return ticket

    async def _attempt(self, trip: PendingCall, ticket: Ticket) -> tuple[AttemptResult, float]:
        request = trip.request
        body = request.body(cache_prefix=request.shared_tokens() >= MARKED_FROM)
        verdict: AttemptResult | None = None
        headers = {}
        self._accounts.attempts += 1
        trip.attempts.made += 1
        begun = self._clock()
        try:
            outcome: Response | TransportError
            try:
                outcome = await self._wire.send(body, seconds=self._request_timeout)
                headers = dict(outcome.headers)
            except TransportError as trouble:
                outcome = trouble
            except ConfigurationError as problem:  # no key: as good as a refused one
                self._stop.because(problem)
                raise
            verdict = classify(outcome, scrub=self._secrets.scrub)
        finally:
            latency = self._clock() - begun
            trip.attempts.spent += latency
            self._settle(ticket, verdict, headers)
        verdict = with_form(verdict, request)
        trip.last = verdict
        return verdict, latency

    def _settle(self, ticket: Ticket, verdict: AttemptResult | None, headers: dict[str, str]) -> None:
        outcome, tokens, wait = Outcome.NEUTRAL, None, None
        if verdict is not None and verdict.effect is RetryAction.LIMITED:
            outcome, wait = Outcome.REFUSED, verdict.wait
            self._drought.refused(self._clock())
        elif verdict is not None and verdict.message is not None:
            outcome, tokens = Outcome.SUCCESS, float(_total(verdict.message.usage))
            self._drought.let_in()
        self._limiter.settle(ticket, outcome, wait=wait, levels=told_levels(headers), tokens=tokens)

    def _spent(self, trip: PendingCall, verdict: AttemptResult) -> float:
        """What an attempt cost, for the budget; of one that was given up, its input, which the server may bill."""
        if verdict.message is not None:
            cost = self._prices.cost(verdict.message.model or trip.request.model, verdict.message.usage)
            self._accounts.paid(verdict.message.usage, cost)
            trip.usage += verdict.message.usage
            trip.cost = None if cost is None or trip.cost is None else trip.cost + cost
            return cost or 0.0
        if verdict.kind == "timeout":
            return self._prices.cost(trip.request.model, Usage(input_tokens=trip.request.input_tokens())) or 0.0
        return 0.0

    def _arrived(self, trip: PendingCall, message: Message, *, latency: float, request_id: str | None) -> CompletedCall:
        message = replace(message, text=self._secrets.scrub(message.text))
        reply = StoredReply.of(message, latency=latency, request_id=request_id, cost=trip.cost)
        self._claims.fulfil(trip.key, reply)
        seen = self._output_tokens.get(trip.request.model, float(message.usage.output_tokens))
        self._output_tokens[trip.request.model] = 0.9 * seen + 0.1 * message.usage.output_tokens
        return trip.landed(reply, started=self._started(trip.asked), seconds=self._clock() - trip.asked)

    async def _back_off(self, trip: PendingCall, verdict: AttemptResult) -> None:
        """Wait for the next attempt, or raise what this one came to."""
        cause = self._secrets.scrub(verdict.cause)
        if (told := RUN_ENDING.get(verdict.effect)) is not None:
            told = told.format(endpoint=shown(self.endpoint), model=trip.request.model, cause=cause)
            self._stop.because(ConfigurationError(told))
            self._stop.check()
        pause = trip.attempts.pause(verdict)
        if verdict.effect is RetryAction.SPEND_LIMIT:
            self._stop.because(NotRunError(f"the account's spend limit is reached: {cause}"))
        if self._drought.seconds >= self._retries.deadline:
            self._stop.because(_nothing_let_in(self._drought.seconds, verdict, cause))
            self._stop.check()
        if pause is None:
            raise trip.failure(verdict, cause)
        self._accounts.retries += 1
        trip.backoff += pause
        trip.attempts.spent += pause
        await self._stop.pause(pause)

    async def _reserve(self, request: ModelRequest) -> float:
        if self._budget.limit is None:
            return 0.0
        worst = Usage(cache_write_tokens=request.input_tokens(), output_tokens=request.max_tokens)
        cost = self._prices.cost(request.model, worst)
        if cost is None:
            raise ConfigurationError(
                f"the price of {request.model} is unknown, so --ragcheck-max-cost cannot be kept; "
                "give its price in the configuration"
            )
        await self._budget.reserve(cost)
        return cost

    @asynccontextmanager
    async def _run_limit(self, trip: PendingCall) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self._deadline):
                yield
        except TimeoutError:
            told = f"the run's deadline of {self._run_deadline:g} s has passed"
            if trip.attempts.made == 0:
                raise NotRunError(told) from None
            cause = self._secrets.scrub(trip.last.cause) if trip.last else None
            raise trip.out_of_time(told, cause, seconds=self._clock() - trip.asked) from None

    def _started(self, asked: float) -> float:
        """A moment of the loop's clock in the run's time."""
        return self._run_clock() - (self._clock() - asked)


def _nothing_let_in(seconds: float, verdict: AttemptResult, cause: str) -> MeasurementError:
    told = (
        f"the server refused every call for {seconds:.0f} s: {cause}; see the account's limits, or raise call_deadline"
    )
    return MeasurementError(told, kind=verdict.kind, status=verdict.status, seconds=round(seconds, 3))


def _total(usage: Usage) -> int:
    return usage.input_tokens + usage.output_tokens + usage.cache_write_tokens
