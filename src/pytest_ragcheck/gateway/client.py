"""The one door to a model: cache, limit, retry, price."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from pytest_ragcheck.call_context import current_calls_after, current_question, free_place, record_call
from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError
from pytest_ragcheck.gateway.adaptive import MAXIMUM
from pytest_ragcheck.gateway.anthropic_transport import AnthropicTransport, Secrets, endpoint, shown
from pytest_ragcheck.gateway.budget import Budget, CallCost
from pytest_ragcheck.gateway.call_state import CompletedCall, PendingCall
from pytest_ragcheck.gateway.call_stats import CallStats, Snapshot
from pytest_ragcheck.gateway.circuit_breaker import CircuitBreaker
from pytest_ragcheck.gateway.known_limits import KnownLimits
from pytest_ragcheck.gateway.limiter import Admission, AttemptReport, Limiter, Outcome
from pytest_ragcheck.gateway.model_state import ModelState
from pytest_ragcheck.gateway.prices import PriceList
from pytest_ragcheck.gateway.rate_limits import read_rate_limits
from pytest_ragcheck.gateway.replies import StoredReply, check_end, with_form
from pytest_ragcheck.gateway.requests import CacheMode, ModelReply, ModelRequest
from pytest_ragcheck.gateway.retry import Attempts, RetryPolicy
from pytest_ragcheck.gateway.single_flight import PrefixWarmup, SingleFlight, StoreLeases
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

    from pytest_ragcheck.gateway.budget import BudgetControl, Grant
    from pytest_ragcheck.gateway.limiter import AdmissionControl, Permit
    from pytest_ragcheck.gateway.transport import Message, Transport

__all__ = ["Gateway"]

MARKED_FROM = 1024
"""Tokens from which the API's prompt cache takes a beginning at all."""
WARMED_FROM = 2048
"""Tokens from which waiting for the first call of a group pays."""
PATIENCE = 10.0
"""Seconds that a call waits whose Retry-After passes its deadline, while the server accepts others."""


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
        transport: Transport | None = None,
        retries: RetryPolicy | None = None,
        run_started: float | None = None,
        run_clock: Callable[[], float] | None = None,
        limiter: AdmissionControl | None = None,
        budget: BudgetControl | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._began = self._clock()
        self._run_clock = run_clock or (lambda: self._clock() - self._began)
        self._deadline = None if run_deadline is None else self._began + run_deadline
        self._run_deadline = run_deadline
        self.endpoint = endpoint(base_url)
        self.cache = cache
        self._request_timeout = request_timeout
        self._retries = replace(retries or RetryPolicy(), deadline=call_deadline)
        self._secrets = Secrets([api_key])
        self._transport = transport or AnthropicTransport(base_url, api_key=api_key, connections=concurrency or MAXIMUM)
        self._limiter: AdmissionControl = limiter or Limiter(
            concurrency=concurrency, requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute
        )
        # Off: nothing is kept, but this run still asks the same thing once.
        self._own_store = Store(None) if store is None or cache is CacheMode.OFF else None
        fresh_since = (time.time() if run_started is None else run_started) if cache is CacheMode.REFRESH else None
        kept_in = self._own_store or store or Store(None)
        self._leases = StoreLeases(kept_in, since=fresh_since)
        self._known_limits = KnownLimits(kept_in, self.endpoint)
        self._single_flight: SingleFlight[CompletedCall] = SingleFlight()
        self._warmup = PrefixWarmup()
        self._prices = prices or PriceList()
        self._budget: BudgetControl = budget or Budget(max_cost)
        self._stats = CallStats()
        self._breaker = CircuitBreaker()
        self._models: dict[str, ModelState] = {}

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
        await self._transport.open()
        await asyncio.to_thread(self._prices.load)

    async def check_access(self) -> None:
        """Ask the server, for nothing, whether it takes the key; ConfigurationError where it does not."""
        if isinstance(self._transport, AnthropicTransport):
            await self._transport.check_access()

    async def close(self) -> None:
        """Cancel what is under way, end the claims, close the connections."""
        await self._single_flight.close()
        await self._leases.close()
        self._limiter.close()
        await self._transport.close()
        if self._own_store is not None:
            self._own_store.close()
        else:
            self._known_limits.keep(self._limiter.state().found)

    def snapshot(self) -> Snapshot:
        """The state of this moment."""
        stats = self._stats
        return Snapshot(
            limiter=self._limiter.state(),
            asked=stats.asked,
            done=stats.done,
            cached=stats.cached,
            failed=stats.failed,
            attempts=stats.attempts,
            retries=stats.retries,
            cost=stats.cost,
            unpriced=stats.unpriced,
            usage=stats.usage,
            saved=stats.saved,
            saved_usage=stats.saved_usage,
        )

    def is_cached(self, request: ModelRequest) -> bool:
        """Whether the reply is there already."""
        return self._leases.lookup(request.key(self.endpoint)) is not None

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The reply, from the store or the server.

        Raises :class:`~pytest_ragcheck.errors.MeasurementError` with kind ``truncated``, ``refused``,
        ``unfinished``, ``timeout``, ``connection``, ``invalid-reply``, ``rate-limited``, ``spend-limit`` or
        ``api-error``; :class:`~pytest_ragcheck.errors.NotRunError` where the call must not be made (cache mode
        ``only``, budget, run deadline); :class:`~pytest_ragcheck.errors.ConfigurationError` where the key is missing or
        refused: then no call will work.
        """
        self._stats.asked += 1
        asked = self._clock()
        try:
            completed = await self._completed(request, asked)
            record_call(completed.call)
            check_end(completed.reply, request)
        except NotRunError:
            self._stats.asked -= 1
            raise
        except (MeasurementError, ConfigurationError):
            self._stats.failed += 1
            raise
        self._stats.done += 1
        return completed.model_reply()

    async def _completed(self, request: ModelRequest, asked: float) -> CompletedCall:
        key = request.key(self.endpoint)
        kept = self._leases.lookup(key)
        if kept is not None:
            return self._from_cache(kept, request, asked)
        if self.cache is CacheMode.ONLY:
            raise NotRunError(
                f"{request.model}: the reply is not in the store, and --ragcheck-cache only forbids the call"
            )
        free_place()  # the call gets a place of its own, and what it waits for may need this one
        completed, ours = await self._single_flight.join(key, lambda: self._make(request, key, asked))
        return completed if ours else self._from_cache(completed.reply, request, asked)

    def _from_cache(self, kept: StoredReply, request: ModelRequest, asked: float) -> CompletedCall:
        self._stats.spared(kept.usage, kept.cost)
        return CompletedCall.from_cache(kept, request, started=self._started(asked), queued=self._clock() - asked)

    async def _make(self, request: ModelRequest, key: bytes, asked: float) -> CompletedCall:
        call = PendingCall(request, key, asked, Attempts(self._retries))
        try:
            async with self._run_limit(call):
                if request.shared_tokens() < WARMED_FROM:
                    return await self._attempt_until_done(call)
                group = digest(request.model, request.system or "", request.prefix or "")
                return await self._warmup.lead(group, lambda: self._attempt_until_done(call))
        finally:
            self._leases.drop(key)

    async def _attempt_until_done(self, call: PendingCall) -> CompletedCall:
        """Try until one attempt succeeds, another process has the reply, or it is time to give up."""
        model = self._model(call.request.model)
        number, delay = self._limiter.number(), 0.0
        while True:
            model.breaker.check()
            grant = await self._reserve(call)
            spent, used = 0.0, None
            try:
                permit = await self._admit(call, model, number, delay)
                if not call.claimed:
                    kept = self._claim(call, permit)
                    if kept is not None:
                        return self._from_cache(kept, call.request, call.asked)
                if call.claimed:
                    result, latency = await self._send(call, model, permit)
                    spent, used = self._spent(call, result), call.share_used(result.message)
            finally:
                if grant is not None:
                    self._budget.settle(grant, spent, used)
            if not call.claimed:
                await self._leases.reply_of_other(call.key)
            elif result.message is not None and call.is_cut_short(result.message):
                call.needs_all = True
                self._stats.retries += 1
            elif result.effect is RetryAction.DONE and result.message is not None:
                return self._arrived(call, model, result.message, latency=latency, request_id=result.request_id)
            else:
                delay = self._delay_until_retry(call, model, result)

    def _claim(self, call: PendingCall, permit: Permit) -> StoredReply | None:
        """Make the call ours; the reply, where another process has stored it meanwhile. Without either, it has it."""
        kept = None
        call.claimed = self._leases.take(call.key)
        if call.claimed and not self._leases.alone:
            kept = self._leases.lookup(call.key)
        if kept is not None:
            self._leases.drop(call.key)
        if kept is not None or not call.claimed:
            self._limiter.withdraw(permit)
        return kept

    async def _admit(self, call: PendingCall, model: ModelState, number: int, delay: float) -> Permit:
        request = call.request
        admission = Admission(
            lane=request.model,
            question=current_question(),
            calls_after=current_calls_after(),
            number=number,
            input_tokens=request.input_tokens(),
            output_tokens=request.max_tokens / 4 if model.output_tokens is None else model.output_tokens,
            delay=delay,
            known_limit=model.known_limit,
        )
        # A wait beyond the deadline is only begun because the server accepts other calls, so it may end early.
        patience = PATIENCE if delay >= call.attempts.left else None
        async with model.breaker.ending():
            try:
                async with asyncio.timeout(patience):
                    permit = await self._limiter.admit(admission)
            except TimeoutError:
                if patience is None or call.last is None:
                    raise
                raise call.failure(call.last, self._secrets.scrub(call.last.cause)) from None
        if model.breaker.is_open:  # it tripped in the same moment
            self._limiter.withdraw(permit)
            model.breaker.check()
        call.attempts.spent += permit.delayed
        call.backoff += permit.delayed
        return permit

    async def _send(self, call: PendingCall, model: ModelState, permit: Permit) -> tuple[AttemptResult, float]:
        request = call.request
        body = replace(request, max_tokens=call.max_tokens).body(cache_prefix=request.shared_tokens() >= MARKED_FROM)
        result: AttemptResult | None = None
        headers: dict[str, str] = {}
        self._stats.attempts += 1
        call.attempts.made += 1
        begun = self._clock()
        try:
            outcome: Response | TransportError
            try:
                outcome = await self._transport.send(body, seconds=self._request_timeout)
                headers = dict(outcome.headers)
            except TransportError as error:
                outcome = error
            except ConfigurationError as problem:  # no key: as good as a refused one
                self._breaker.trip(problem)
                raise
            result = classify(outcome, scrub=self._secrets.scrub)
        finally:
            latency = self._clock() - begun
            call.attempts.spent += latency
            self._settle(permit, model, result, headers)
        result = call.last = with_form(result, request)
        return result, latency

    def _settle(self, permit: Permit, model: ModelState, result: AttemptResult | None, headers: dict[str, str]) -> None:
        outcome = _outcome(result)
        now = self._clock()
        tokens = None
        if outcome is Outcome.SUCCESS:
            model.outage.succeed(now)
            if result is not None and result.message is not None:
                usage = result.message.usage
                tokens = float(usage.input_tokens + usage.output_tokens + usage.cache_write_tokens)
        elif outcome is not Outcome.NEUTRAL:
            model.is_accepting = model.outage.is_accepting
            model.outage.fail(now, answered=result is not None and result.status is not None)
        wait = None if result is None else result.wait
        report = AttemptReport(outcome=outcome, wait=wait, limits=read_rate_limits(headers), tokens=tokens)
        self._limiter.settle(permit, report)

    def _spent(self, call: PendingCall, result: AttemptResult) -> float:
        """What an attempt cost, for the budget; of one that was given up, its input, which the server may bill."""
        if result.message is not None:
            cost = self._prices.cost(result.message.model or call.request.model, result.message.usage)
            self._stats.paid(result.message.usage, cost)
            call.usage += result.message.usage
            call.cost = None if cost is None or call.cost is None else call.cost + cost
            return cost or 0.0
        if result.kind == "timeout":
            return self._prices.cost(call.request.model, Usage(input_tokens=call.request.input_tokens())) or 0.0
        return 0.0

    def _arrived(
        self, call: PendingCall, model: ModelState, message: Message, *, latency: float, request_id: str | None
    ) -> CompletedCall:
        message = replace(message, text=self._secrets.scrub(message.text))
        reply = StoredReply.of(message, latency=latency, request_id=request_id, cost=call.cost)
        self._leases.fulfil(call.key, reply)
        model.note_output(message.usage.output_tokens)
        return call.complete(reply, started=self._started(call.asked), seconds=self._clock() - call.asked)

    def _delay_until_retry(self, call: PendingCall, model: ModelState, result: AttemptResult) -> float:
        """Return the seconds to wait before the next attempt, or raise what this one came to."""
        cause = self._secrets.scrub(result.cause)
        if (ending := RUN_ENDING.get(result.effect)) is not None:
            text = ending.format(endpoint=shown(self.endpoint), model=call.request.model, cause=cause)
            self._breaker.trip(ConfigurationError(text))
            self._breaker.check()
        if result.effect is RetryAction.SPEND_LIMIT:
            self._breaker.trip(NotRunError(f"the account's spend limit is reached: {cause}"))
            raise call.failure(result, cause)
        outage, now = model.outage, self._clock()
        pause = call.attempts.pause(result, now=now, served_at=outage.succeeded_at)
        if outage.seconds >= self._retries.longest_outage(result.effect, was_answered=outage.was_answered):
            model.breaker.trip(_nothing_accepted(outage.seconds, call.request.model, result, cause))
            raise call.failure(result, f"{cause}; the server accepted no call for {outage.seconds:.0f} s")
        is_hopeless = result.wait is not None and result.wait >= call.attempts.left and not model.is_accepting
        if pause is None or is_hopeless:
            raise call.failure(result, cause)
        self._stats.retries += 1
        return pause

    async def _reserve(self, call: PendingCall) -> Grant | None:
        """Set money aside for an attempt, which gets no more tokens than that pays for; None without a budget."""
        request, most = call.request, call.request.max_tokens
        if self._budget.limit is None:
            return None
        fewest = most if call.needs_all else min(most, request.least_tokens())
        given, least, worst = (self._cost_of_reply(request, tokens) for tokens in (0, fewest, most))
        cost = CallCost(f"{request.model} {request.purpose}", given, least, worst)
        grant = await self._budget.reserve(cost, order=current_question())
        is_whole = grant.amount >= worst
        call.max_tokens = most if is_whole else max(fewest, int(most * (grant.amount - given) / (worst - given)))
        return grant

    def _cost_of_reply(self, request: ModelRequest, tokens: int) -> float:
        """Return the most that a call with a reply of so many tokens costs."""
        usage = Usage(cache_write_tokens=request.input_tokens(), output_tokens=tokens)
        cost = self._prices.cost(request.model, usage)
        if cost is None:
            raise ConfigurationError(
                f"the price of {request.model} is unknown, so --ragcheck-max-cost cannot be kept; "
                "give its price in the configuration"
            )
        return cost

    @asynccontextmanager
    async def _run_limit(self, call: PendingCall) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(self._deadline):
                yield
        except TimeoutError:
            told = f"the run's deadline of {self._run_deadline:g} s has passed"
            if call.attempts.made == 0:
                raise NotRunError(told) from None
            cause = self._secrets.scrub(call.last.cause) if call.last else None
            raise call.out_of_time(told, cause, seconds=self._clock() - call.asked) from None

    def _model(self, name: str) -> ModelState:
        if name not in self._models:
            self._models[name] = ModelState(self._breaker.child(), self._known_limits.get(name))
        return self._models[name]

    def _started(self, asked: float) -> float:
        """A moment of the loop's clock in the run's time."""
        return self._run_clock() - (self._clock() - asked)


def _outcome(result: AttemptResult | None) -> Outcome:
    """What an attempt teaches the limiter."""
    if result is None:
        return Outcome.NEUTRAL
    if result.message is not None or result.status == HTTPStatus.OK:
        return Outcome.SUCCESS
    if result.effect is RetryAction.LIMITED:
        return Outcome.REFUSED
    return Outcome.OVERLOADED if result.effect is RetryAction.RETRY else Outcome.NEUTRAL


def _nothing_accepted(seconds: float, model: str, result: AttemptResult, cause: str) -> MeasurementError:
    advice = "see the account's limits, or raise call_deadline"
    if result.effect is not RetryAction.LIMITED:
        advice = "check that the server is up, and run again: replies so far are stored"
    return MeasurementError(
        f"{model}: the server accepted no call for {seconds:.0f} s: {cause}; {advice}",
        kind=result.kind,
        status=result.status,
        seconds=round(seconds, 3),
    )
