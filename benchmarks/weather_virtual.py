"""The gateway in any weather, in virtual time: simulated servers, an oracle that knows their limits, one row each.

    python benchmarks/weather_virtual.py [--rows PATTERN] [--seeds 3] [--markdown]

Each row runs the real :class:`~pytest_ragcheck.gateway.Gateway` against a simulated server in an event loop whose
clock jumps from one event to the next, so that minutes pass in milliseconds. The oracle sends each call at the first
moment at which the server accepts it. ``semaphore`` is the plain script: eight calls at once, and the SDK's retries.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import re
import selectors
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.gateway import Gateway, ModelRequest
from pytest_ragcheck.gateway.transport import Response, TransportError, retry_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

JSON = {"content-type": "application/json"}
OUTPUT_TOKENS = 100
POLL = 0.02
"""Seconds between two looks of the oracle."""
HOUR = 3600.0
ROUNDING = 1e-9
GENERATOR, JUDGE = "claude-haiku-5-5", "claude-sonnet-5-5"


class VirtualTime(asyncio.SelectorEventLoop):
    """Jumps to the next event instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the virtual time."""
        return self.now


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will happen")
        self._loop.now += max(timeout, 0.0)
        return super().select(0)


def run_in_virtual_time(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function to its end."""
    loop = VirtualTime()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


class Bucket:
    """Token bucket that refills steadily; ``family`` says what it counts."""

    def __init__(self, per_minute: float, burst: float | None = None, family: str = "requests") -> None:
        self.per_minute, self.family = per_minute, family
        self.capacity = per_minute if burst is None else burst
        self.level, self.at = self.capacity, 0.0

    def cost(self, tokens: int) -> float:
        """Return what a call takes of the bucket."""
        return {"requests": 1.0, "input-tokens": float(tokens), "output-tokens": float(OUTPUT_TOKENS)}[self.family]

    def wait(self, now: float, tokens: int) -> float:
        """Return the seconds until a call is accepted."""
        self._fill(now)
        missing = self.cost(tokens) - self.level
        return max(0.0, missing * 60 / self.per_minute) if missing > ROUNDING else 0.0

    def take(self, now: float, tokens: int) -> None:
        """Count an accepted call."""
        self._fill(now)
        self.level -= self.cost(tokens)

    def headers(self, now: float, skew: float) -> dict[str, str]:
        """Return the headers that show the level; ``skew``: by how much the server's clock is fast."""
        self._fill(now)
        epoch = time.time() + skew
        full = math.ceil(epoch + (self.capacity - self.level) * 60 / self.per_minute)
        prefix = f"anthropic-ratelimit-{self.family}"
        return {
            f"{prefix}-limit": str(int(self.per_minute)),
            f"{prefix}-remaining": str(max(0, int(self.level))),
            f"{prefix}-reset": datetime.fromtimestamp(full, UTC).isoformat(),
            "date": formatdate(epoch, usegmt=True),
        }

    def _fill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now


class FixedWindow:
    """So many calls from each minute's start."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self.minute, self.count = 0, 0

    def wait(self, now: float, tokens: int) -> float:  # noqa: ARG002 (counts calls, not tokens)
        """Return the seconds until a call is accepted."""
        if int(now // 60) != self.minute:
            self.minute, self.count = int(now // 60), 0
        return 0.0 if self.count < self.per_minute else 60 - now % 60

    def take(self, now: float, tokens: int) -> None:  # noqa: ARG002 (counts calls, not tokens)
        """Count an accepted call."""
        self.count += 1

    def headers(self, now: float, skew: float) -> dict[str, str]:  # noqa: ARG002 (shows nothing)
        """Return none."""
        return {}


@dataclass(kw_only=True)
class Server:
    """What a server does to calls; all times in seconds."""

    cap: Callable[[float], float] = lambda _: math.inf
    """Calls in flight that it accepts at a moment."""
    rates: Sequence[Any] | Mapping[str, Sequence[Any]] = ()
    """Buckets and windows for all models together, or by model."""
    storms: Sequence[tuple[float, float, int]] = ()
    """From, to, status of every reply then; 0: the connection is lost."""
    refused_share: float = 0.0
    """Refused with 429 for no reason."""
    failed_share: float = 0.0
    """Failed with 529 for no reason."""
    latency: float | Callable[[str], float] = 0.3
    spread: float = 0.25
    capacity: float = math.inf
    """Calls in flight up to which it is not slower."""
    retry_after: str | Callable[[float], str] | None = None
    """On refusals; a function gets the true wait."""
    shows_rates: bool = False
    skew: float = 0.0
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.03
    """Until a refusal arrives."""
    clear_at: float = 0.0
    """When the weather has passed, for the column that says how long it took to recover."""

    in_flight: int = 0
    peak: int = 0
    log: list[tuple[float, int]] = field(default_factory=list)
    """When, and which status."""
    finished: dict[str, float] = field(default_factory=dict)
    """When the last call to a model ended."""

    def wait(self, now: float, tokens: int, model: str) -> float:
        """0: it would accept a call; else the seconds until it might."""
        for begin, end, _ in self.storms:
            if begin <= now < end:
                return end - now
        if self.in_flight >= self.cap(now):
            return POLL
        return max((rate.wait(now, tokens) for rate in self._rates_of(model)), default=0.0)

    async def work(self, model: str, tokens: int) -> None:
        """Serve an accepted call."""
        loop = asyncio.get_running_loop()
        for rate in self._rates_of(model):
            rate.take(loop.time(), tokens)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        base = self.latency(model) if callable(self.latency) else self.latency
        slower = max(1.0, self.in_flight / self.capacity)
        try:
            await asyncio.sleep(base * slower * math.exp(self.spread * random.gauss(0, 1)))
        finally:
            self.in_flight -= 1
        self.finished[model] = loop.time()

    async def answer(self, model: str, tokens: int) -> tuple[int, dict[str, str]]:
        """Status and headers of one call."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.delay * random.uniform(0.4, 0.6))
        now = loop.time()
        status, wait = self._decide(now, tokens, model)
        self.log.append((now, status))
        if status == HTTPStatus.OK:
            await self.work(model, tokens)
        else:
            await asyncio.sleep(self.delay * random.uniform(0.4, 0.6))
        return status, self._headers(status, wait, loop.time(), model)

    def _rates_of(self, model: str) -> Sequence[Any]:
        return self.rates.get(model, ()) if isinstance(self.rates, dict) else self.rates

    def _decide(self, now: float, tokens: int, model: str) -> tuple[int, float]:
        for begin, end, status in self.storms:
            if begin <= now < end:
                return status, end - now
        wait = self.wait(now, tokens, model)
        if wait > 0 or random.random() < self.refused_share:
            return 429, wait
        return (529 if random.random() < self.failed_share else 200), 0.0

    def _headers(self, status: int, wait: float, now: float, model: str) -> dict[str, str]:
        headers = dict(JSON) | dict(self.extra_headers)
        if self.shows_rates:
            for rate in self._rates_of(model):
                headers |= rate.headers(now, self.skew)
        if status == HTTPStatus.TOO_MANY_REQUESTS and self.retry_after is not None:
            headers["retry-after"] = self.retry_after(wait) if callable(self.retry_after) else self.retry_after
        return headers


class SimulatedTransport:
    """The gateway's way to a simulated server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def send(self, body: Mapping[str, Any], *, seconds: float) -> Response:
        """Make one attempt."""
        text = body["messages"][0]["content"]
        try:
            async with asyncio.timeout(seconds):
                status, headers = await self.server.answer(body["model"], len(text) // 4)
        except TimeoutError:
            raise TransportError(f"no answer within {seconds:g} s", timed_out=True) from None
        if status == 0:
            raise TransportError("the connection failed (reset)")
        if status != HTTPStatus.OK:
            reply = {"type": "error", "error": {"type": "rate_limit_error", "message": "weather"}}
            return Response(status=status, headers=headers, body=json.dumps(reply).encode())
        message = {
            "type": "message",
            "model": body["model"],
            "content": [{"type": "text", "text": f"reply to {text[:20]}"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": len(text) // 4, "output_tokens": OUTPUT_TOKENS},
        }
        return Response(status=200, headers=headers, body=json.dumps(message).encode())


@dataclass(frozen=True, kw_only=True)
class Row:
    """A weather: how to make its server, and how many calls it gets."""

    name: str
    server: Callable[[], Server]
    calls: int = 1100
    tokens: int = 100
    models: Sequence[str] = (GENERATOR,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the gateway."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one way made of a row."""

    seconds: float
    made: int
    refused: int
    lost: int
    longest: float
    """Seconds from a call's first attempt to its end."""
    recovery: float = 0.0
    """Seconds from the end of the weather to the next accepted call."""
    finished: Mapping[str, float] = field(default_factory=dict)
    """When the last call to a model ended."""


def by_gateway(row: Row, seed: int) -> Outcome:
    """The row through the gateway."""

    async def main() -> Outcome:
        random.seed(seed)
        server = row.server()
        loop = asyncio.get_running_loop()
        async with Gateway(transport=SimulatedTransport(server), **row.settings) as gateway:

            async def ask(number: int) -> tuple[str, float] | None:
                model = row.models[number % len(row.models)]
                text = f"question {number} ".ljust(4 * row.tokens, "x")
                try:
                    reply = await gateway.complete(
                        ModelRequest(model=model, messages=[{"role": "user", "content": text}])
                    )
                except MeasurementError:
                    return None
                return model, reply.call.backoff + reply.call.wire

            async with asyncio.timeout(HOUR):
                replies = await asyncio.gather(*(ask(number) for number in range(row.calls)))
        done = [reply for reply in replies if reply is not None]
        return _outcome(server, loop.time(), lost=row.calls - len(done), longest=max((s for _, s in done), default=0.0))

    try:
        return run_in_virtual_time(main)
    except TimeoutError:
        return Outcome(seconds=math.inf, made=0, refused=0, lost=row.calls, longest=math.inf)


def by_oracle(row: Row, seed: int) -> Outcome:
    """The row by somebody who knows the server: each call is sent as soon as it is accepted."""

    async def main() -> Outcome:
        random.seed(seed)
        server = row.server()
        loop = asyncio.get_running_loop()
        lines: dict[str, asyncio.Lock] = {}

        async def ask(number: int) -> None:
            model = row.models[number % len(row.models)]
            while random.random() < server.refused_share:  # noqa: ASYNC110 (even the oracle cannot foresee these)
                await asyncio.sleep(server.delay + float(server.retry_after or 0.0))
            async with lines.setdefault(model, asyncio.Lock()):
                while (wait := server.wait(loop.time(), row.tokens, model)) > 0:  # noqa: ASYNC110 (virtual time)
                    await asyncio.sleep(min(wait, POLL))
                work = asyncio.create_task(server.work(model, row.tokens))
                await asyncio.sleep(0)
            await work

        await asyncio.gather(*(ask(number) for number in range(row.calls)))
        return replace(_outcome(server, loop.time(), lost=0, longest=0.0), made=row.calls)

    return run_in_virtual_time(main)


def by_semaphore(row: Row, seed: int, places: int = 8) -> Outcome:
    """The row by a plain script: a semaphore, and the SDK's retries as patient as they can be."""

    async def main() -> Outcome:
        random.seed(seed)
        server = row.server()
        loop = asyncio.get_running_loop()
        semaphore = asyncio.Semaphore(places)
        lost = 0

        async def ask(number: int) -> None:
            nonlocal lost
            model = row.models[number % len(row.models)]
            async with semaphore:
                for attempt in range(20):
                    status, headers = await server.answer(model, row.tokens)
                    if status == HTTPStatus.OK:
                        return
                    wait = retry_after(headers)
                    pause = min(0.5 * 2**attempt, 8.0) * random.uniform(0.75, 1.0)
                    await asyncio.sleep(pause if wait is None else wait)
                lost += 1

        async with asyncio.timeout(HOUR):
            await asyncio.gather(*(ask(number) for number in range(row.calls)))
        return _outcome(server, loop.time(), lost=lost, longest=0.0)

    try:
        return run_in_virtual_time(main)
    except TimeoutError:
        return Outcome(seconds=math.inf, made=0, refused=0, lost=row.calls, longest=math.inf)


def broken_promises(row: Row, outcome: Outcome, oracle: Outcome) -> list[str]:
    """What the gateway promises in any weather, and did not keep."""
    latest, most = 2 * oracle.seconds + 5, 1.25 * row.calls + 10
    return [
        *([f"took {outcome.seconds:.1f} s, not {latest:.1f} s"] if outcome.seconds > latest else []),
        *([f"made {outcome.made} calls, not {most:.0f}"] if outcome.made > most else []),
        *([f"lost {outcome.lost} calls"] if outcome.lost else []),
    ]


def _outcome(server: Server, seconds: float, *, lost: int, longest: float) -> Outcome:
    after = [moment for moment, status in server.log if moment >= server.clear_at and status == HTTPStatus.OK]
    return Outcome(
        seconds=seconds,
        made=len(server.log),
        refused=sum(status == HTTPStatus.TOO_MANY_REQUESTS for _, status in server.log),
        lost=lost,
        longest=longest,
        recovery=max(0.0, min(after, default=server.clear_at) - server.clear_at) if server.clear_at else 0.0,
        finished=server.finished,
    )


def _steps(*changes: tuple[float, float]) -> Callable[[float], float]:
    """A cap that changes: (from, cap)."""
    return lambda now: [cap for since, cap in changes if now >= since][-1]


def _others(cap: int, *, seed: int = 7, period: float = 3.0) -> Callable[[float], float]:
    """What others leave of a cap: any number of places but one, for some seconds each."""
    numbers = random.Random(seed)
    taken = [numbers.randint(0, cap - 1) for _ in range(4096)]
    return lambda now: cap - taken[int(now / period) % len(taken)]


ZERO = {
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
}
FAR = ZERO | {"anthropic-ratelimit-requests-reset": "2099-01-01T00:00:00Z"}
PLENTY = ZERO | {"anthropic-ratelimit-requests-remaining": "990"}


def rows() -> list[Row]:
    """All weathers."""
    return [*_caps(), *_rates(), *_faults(), *_sizes()]


def _row(
    name: str,
    calls: int = 1100,
    *,
    tokens: int = 100,
    models: Sequence[str] = (GENERATOR,),
    settings: Mapping[str, Any] | None = None,
    make: Callable[[], Server] | None = None,
    **server: Any,
) -> Row:
    make = make or (lambda: Server(**server))
    return Row(name=name, server=make, calls=calls, tokens=tokens, models=models, settings=settings or {})


def _fixed(limit: float) -> Callable[[float], float]:
    return lambda _: limit


def _in_three_seconds(_: float) -> str:
    return formatdate(time.time() + 3, usegmt=True)


def _caps() -> Iterator[Row]:
    yield _row("no limit")
    for number in (1, 8, 64):
        calls = {1: 100, 8: 1100, 64: 1100}[number]
        yield _row(f"cap {number}", calls, cap=_fixed(number))
        for wait in ("0", "1", "30", "120", "garbage", "-5"):
            yield _row(f"cap {number}, Retry-After {wait}", calls, cap=_fixed(number), retry_after=wait)
        yield _row(f"cap {number}, Retry-After a date", calls, cap=_fixed(number), retry_after=_in_three_seconds)
    yield _row("cap 8, concurrency = 8", cap=_fixed(8), retry_after="1", settings={"concurrency": 8})
    yield _row("cap 8, Retry-After 10, plenty remaining", cap=_fixed(8), retry_after="10", extra_headers=PLENTY)
    yield _row("cap 8, 'remaining: 0', reset passed", cap=_fixed(8), retry_after="1", extra_headers=ZERO)
    yield _row("cap 8, 5 % 529", cap=_fixed(8), retry_after="1", failed_share=0.05)
    yield _row("no limit, 'remaining: 0' always", extra_headers=ZERO)
    yield _row("no limit, 'remaining: 0', reset far", extra_headers=FAR)
    yield _row("cap 8 that rises to 64 at 10 s", cap=_steps((0, 8), (10, 64)), retry_after="1", clear_at=10.0)
    yield _row(
        "cap 32 that halves at 3 s and doubles at 8 s", 2200, cap=_steps((0, 32), (3, 16), (8, 32)), retry_after="1"
    )
    yield _row("cap 8, others take half", cap=_fixed(4), retry_after="1")
    yield _row("cap 16, others take half from 5 s", cap=_steps((0, 16), (5, 8)), retry_after="1")
    yield _row("cap 8, others take 0 to 7", cap=_others(8), retry_after="1")


def _rates() -> Iterator[Row]:
    for per_minute in (10, 50, 1000):
        calls = {10: 100, 50: 200, 1000: 3000}[per_minute]
        for burst in (1, None):
            for shown in (False, True):
                kind = f"bucket {per_minute} a minute, burst {burst or 'full'}, {'headers' if shown else 'no headers'}"

                def make(per_minute: int = per_minute, burst: int | None = burst, shown: bool = shown) -> Server:
                    return Server(rates=[Bucket(per_minute, burst)], shows_rates=shown)

                yield _row(kind, calls, make=make)
    yield _row(
        "bucket 50 a minute, true Retry-After",
        200,
        make=lambda: Server(rates=[Bucket(50, 1)], retry_after=lambda w: f"{w:.2f}"),
    )
    yield _row(
        "bucket 600 a minute, headers, skew 30 s",
        1500,
        make=lambda: Server(rates=[Bucket(600)], shows_rates=True, skew=30),
    )
    yield _row("window 300 a minute", make=lambda: Server(rates=[FixedWindow(300)]))
    yield _row("window 300 a minute, Retry-After 1", make=lambda: Server(rates=[FixedWindow(300)], retry_after="1"))
    yield _row(
        "window 300 a minute, true Retry-After",
        make=lambda: Server(rates=[FixedWindow(300)], retry_after=lambda w: f"{math.ceil(w)}"),
    )
    yield _row(
        "input tokens 40,000 a minute, headers",
        600,
        tokens=200,
        make=lambda: Server(rates=[Bucket(40_000, family="input-tokens")], shows_rates=True),
    )
    yield _row(
        "output tokens 20,000 a minute, headers",
        600,
        make=lambda: Server(rates=[Bucket(20_000, family="output-tokens")], shows_rates=True),
    )
    yield _row(
        "input tokens 40,000 a minute, no headers",
        600,
        tokens=200,
        make=lambda: Server(rates=[Bucket(40_000, family="input-tokens")]),
    )


def _faults() -> Iterator[Row]:
    for share in (0.01, 0.05, 0.2):
        yield _row(f"{share:.0%} refused for no reason", refused_share=share, retry_after="1")
    yield _row("5 % refused for no reason, no Retry-After", refused_share=0.05)
    yield _row("5 % refused, latency 6 s, 100 calls", 100, refused_share=0.05, retry_after="1", latency=6.0)
    yield _row("529 for 10 s from the start", storms=[(0, 10, 529)], clear_at=10.0)
    yield _row("529 for 30 s from 1 s", latency=1.0, cap=_fixed(64), storms=[(1, 31, 529)], clear_at=31.0)
    yield _row("529 for 120 s from 1 s", latency=1.0, cap=_fixed(64), storms=[(1, 121, 529)], clear_at=121.0)
    yield _row("connections lost for 30 s from 1 s", latency=1.0, cap=_fixed(64), storms=[(1, 31, 0)], clear_at=31.0)
    yield _row("all refused for 30 s, then none", storms=[(0, 30, 429)], clear_at=30.0)
    yield _row("all refused for 5 ms, Retry-After 60", storms=[(0.012, 0.017, 429)], retry_after="60")
    yield _row("slower from 20 in flight, never refuses", 400, capacity=20, latency=1.0)
    yield _row("slower from 4 in flight, latency 3 s", 200, capacity=4, latency=3.0, settings={"request_timeout": 60.0})


def _sizes() -> Iterator[Row]:
    for latency in (0.05, 6.0, 30.0):
        yield _row(f"cap 8, latency {latency:g} s", 100, cap=_fixed(8), retry_after="1", latency=latency)
    yield _row("cap 8, 10 calls", 10, cap=_fixed(8), retry_after="1")
    yield _row("cap 1, 10 calls", 10, cap=_fixed(1), retry_after="1")
    yield _row("cap 64, 10,000 calls", 10_000, cap=_fixed(64), retry_after="1")
    yield _row("one bare 429, concurrency = 1", 3, storms=[(0.0, 0.02, 429)], settings={"concurrency": 1})
    yield _row("no limit, latency 30 s, 100 calls", 100, latency=30.0)
    yield _row("no limit, 10 calls", 10)
    yield _row(
        "two models, the judge 50 a minute",
        200,
        models=(GENERATOR, JUDGE),
        make=lambda: Server(rates={JUDGE: [Bucket(50, 1)]}, retry_after="1"),
    )
    yield _row(
        "two models, 1000 and 50 a minute, headers",
        200,
        models=(GENERATOR, JUDGE),
        make=lambda: Server(rates={GENERATOR: [Bucket(1000, 10)], JUDGE: [Bucket(50, 5)]}, shows_rates=True),
    )


COLUMNS = {
    "weather": 44,
    "needed": 6,
    "made": 6,
    "refused": 7,
    "lost": 4,
    "time": 7,
    "oracle": 7,
    "ratio": 5,
    "semaphore": 9,
    "recovery": 8,
    "longest call": 12,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table: of all seeds the worst value in each column."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="regular expression")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    _print(list(COLUMNS), markdown=options.markdown)
    if options.markdown:
        print("| --- |" + " ---: |" * (len(COLUMNS) - 1))
    for row in rows():
        if not re.search(options.rows, row.name):
            continue
        outcomes = [by_gateway(row, seed) for seed in range(options.seeds)]
        oracle, plain = by_oracle(row, 0), by_semaphore(row, 0)
        seconds = max(one.seconds for one in outcomes)
        cells = [
            str(row.calls),
            *(str(max(getattr(one, name) for one in outcomes)) for name in ("made", "refused", "lost")),
            *(f"{value:.1f}" for value in (seconds, oracle.seconds)),
            f"{seconds / oracle.seconds:.2f}",
            f"{plain.seconds:.1f}" + (f" ({plain.lost} lost)" if plain.lost else ""),
            f"{max(one.recovery for one in outcomes):.1f}" if row.server().clear_at else "",
            f"{max(one.longest for one in outcomes):.1f}",
        ]
        broken = any(broken_promises(row, one, oracle) for one in outcomes)
        _print([row.name, *cells], mark=" <--" if broken else "", markdown=options.markdown)


def _print(cells: Sequence[str], *, mark: str = "", markdown: bool) -> None:
    if markdown:
        print("| " + " | ".join([cells[0] + mark.replace("<--", "(outside)"), *cells[1:]]) + " |", flush=True)
    else:
        widths = list(COLUMNS.values())
        print(cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)), mark)


if __name__ == "__main__":
    main()
