"""The user's own pipeline in bad weather, in virtual time: ``python benchmarks/weather.py --pipeline``.

Each question is one answer (0.6 s in the median) and seven judge calls (0.3 s), as in ``weather_real.py``. The answers
come from a pipeline that calls the same server with the SDK's retries, unseen by the gateway. The real engine, pipeline
and gateway meet the simulated server of ``weather_virtual.py``; "plain script" asks the same in a semaphore of 8.

Each figure is the median over the seeds. "wasted" are calls that gave no message, in per cent of those needed, and "by
the judge" those of the judge's model.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import TYPE_CHECKING, Any

from weather_virtual import GENERATOR, HOUR, JUDGE, Server, SimulatedTransport, run_in_virtual_time

from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.gateway import Gateway, ModelRequest
from pytest_ragcheck.gateway.limiter import Limiter
from pytest_ragcheck.gateway.transport import retry_after
from pytest_ragcheck.model import Answer, Context, Question, Score
from pytest_ragcheck.rag.pipeline import as_pipeline
from pytest_ragcheck.session.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

CALLS = 8
CHAINS = {"faithfulness": (2, 1), "answer_relevancy": (1, 1), "contextual_precision": (1,), "contextual_recall": (1,)}
"""Judge calls of each metric: so many at once, one group after the other."""
LATENCIES = {GENERATOR: 0.6, JUDGE: 0.3}
FAULTS = 0.07
CAP = 8
PLAIN = "plain script, semaphore of 8"
WAYS: dict[str, int | None] = {"pytest --ragcheck, limit to be found": None, "pytest --ragcheck, concurrency = 8": CAP}
TOKENS = 100


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one way made of one run."""

    seconds: float
    wasted: int
    by_judge: int
    refused: int
    peak: int


class Counting(Server):
    """A server that counts the calls of each model that gave no message."""

    def __init__(self, cap: float, faults: float) -> None:
        super().__init__(
            cap=lambda _: cap, failed_share=faults, retry_after="1", latency=lambda model: LATENCIES[model]
        )
        self.wasted = dict.fromkeys(LATENCIES, 0)

    async def answer(self, model: str, tokens: int) -> tuple[int, dict[str, str]]:
        """Serve one call."""
        status, headers = await super().answer(model, tokens)
        self.wasted[model] += status != HTTPStatus.OK
        return status, headers


async def call_with_sdk(server: Server, model: str) -> None:
    """Make one call with the SDK's retries, as patient as they can be."""
    for attempt in range(20):
        status, headers = await server.answer(model, TOKENS)
        if status == HTTPStatus.OK:
            return
        wait = retry_after(headers)
        await asyncio.sleep(min(0.5 * 2**attempt, 8.0) * random.uniform(0.75, 1.0) if wait is None else wait)
    raise RuntimeError(f"{model}: no answer in 20 attempts")


async def judge(calls: Sequence[int], call: Callable[[int], Awaitable[Any]]) -> None:
    """Make the judge calls of one metric."""
    number = 0
    for group in calls:
        await asyncio.gather(*(call(number + offset) for offset in range(group)))
        number += group


def run_plain(size: int, server: Server) -> Callable[[], Awaitable[None]]:
    """Return the plain script."""

    async def main() -> None:
        places = asyncio.Semaphore(CAP)

        async def ask(model: str) -> None:
            async with places:
                await call_with_sdk(server, model)

        async def evaluate() -> None:
            await ask(GENERATOR)
            await asyncio.gather(*(judge(calls, lambda _: ask(JUDGE)) for calls in CHAINS.values()))

        await asyncio.gather(*(evaluate() for _ in range(size)))

    return main


class Judged:
    """A metric whose calls go through the gateway."""

    needs_answer = True

    def __init__(self, name: str, gateway: Gateway) -> None:
        self.name, self._gateway = name, gateway

    async def measure(self, case: Any) -> Score:
        """Make the metric's calls."""

        async def call(number: int) -> None:
            text = f"{self.name} {number} of {case.question.id}".ljust(4 * TOKENS, "x")
            messages = [{"role": "user", "content": text}]
            await self._gateway.complete(ModelRequest(model=JUDGE, messages=messages))

        await judge(CHAINS[self.name], call)
        return Score(metric=self.name, value=1.0)


def run_ours(size: int, server: Server, concurrency: int | None) -> Callable[[], Awaitable[None]]:
    """Return the engine with a pipeline that calls the server itself."""

    async def main() -> None:
        async def answer(question: str) -> Answer:
            await call_with_sdk(server, GENERATOR)
            return Answer(text=f"answer to {question}", contexts=(Context(text="about it", rank=1),))

        limiter = Limiter(concurrency=concurrency)
        turns = None if concurrency is None else Turns(lambda: limiter)
        async with Gateway(transport=SimulatedTransport(server), limiter=limiter) as gateway:
            pipeline = as_pipeline(answer, at_once=concurrency, turns=turns)
            metrics = [Judged(name, gateway) for name in CHAINS]
            questions = [Question(id=f"q{number}", question=f"question {number}?") for number in range(size)]
            engine = Engine(
                [Job(key=q.id, question=q, pipeline=pipeline, metrics=metrics, thresholds={}) for q in questions],
                slots=Slots(sequential=False),
            )
            engine.start()
            results = [await engine.result(q.id) for q in questions]
            await engine.close()
        assert all(score.value == 1.0 for result in results for score in result.scores.values())

    return main


def run(size: int, way: str, seed: int, *, cap: float = CAP, faults: float = FAULTS) -> Outcome:
    """Run one way against a server of its own."""
    random.seed(seed)
    server = Counting(cap, faults)
    main = run_plain(size, server) if way == PLAIN else run_ours(size, server, WAYS[way])

    async def measured() -> float:
        async with asyncio.timeout(HOUR):
            await main()
        return asyncio.get_running_loop().time()

    seconds = run_in_virtual_time(measured)
    return Outcome(
        seconds=seconds,
        wasted=sum(server.wasted.values()),
        by_judge=server.wasted[JUDGE],
        refused=sum(status == HTTPStatus.TOO_MANY_REQUESTS for _, status in server.log),
        peak=server.peak,
    )


def main(arguments: Sequence[str]) -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/weather.py --pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=int, nargs="+", default=[100, 10], metavar="N", help="questions")
    parser.add_argument("--seeds", type=int, default=9, metavar="N")
    parser.add_argument("--cap", type=float, default=CAP, metavar="N", help="calls in flight that the server accepts")
    parser.add_argument("--faults", type=float, default=FAULTS, metavar="SHARE", help="calls that fail with 529")
    options = parser.parse_args(arguments)
    from support import print_table  # which imports servers

    for size in options.size:
        print(f"\n{size} questions, {CALLS * size} calls: {options.cap:g} in flight, {options.faults:.0%} fail")
        rows = []
        base = 0.0
        for way in (PLAIN, *WAYS):
            runs = [run(size, way, seed, cap=options.cap, faults=options.faults) for seed in range(options.seeds)]
            seconds = median(one.seconds for one in runs)
            base = base or seconds
            needed = size * CALLS
            rows.append(
                (
                    way,
                    f"{seconds:.1f} s",
                    f"{seconds / base:.2f}",
                    f"{median(one.wasted for one in runs) / needed:.0%}",
                    f"{median(one.by_judge for one in runs) / needed:.0%}",
                )
            )
        print_table(("way", "time", "over plain", "wasted", "by the judge"), rows)
