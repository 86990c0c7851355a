"""The order of calls, in virtual time: first to last call over the least time that the same calls can take.

    python benchmarks/order_virtual.py [--questions 10 100 1000] [--in-flight 0 8 32 100] [--seeds 1]

Runs the real engine, the real gateway and four of deepeval's metrics (seven judge calls a question, no reasons) against
a simulated server of known latencies, in an event loop whose clock jumps from one event to the next. Processor time
does not count, so what is seen is the order alone. ``reference`` knows the contexts before the answer and asks for
answers through the gateway; ``own`` is a user's function that calls the server itself, so that its calls have places of
their own, as many as the judge's.

Columns, in seconds of virtual time: first to last call; the bound, which is the longest chain of calls that wait for
one another, or the time of all calls that share places over these places; ``list``, the time of list scheduling that
knows how long each call takes, the longest chain first; the first result; most calls in flight; processor time of the
run. 0 in flight is no cap: then each model has as many places as the plugin takes at most, and a second run knows what
the first one found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from call_graph import find_bound, nodes_of, schedule
from judging import JUDGE, JUDGE_LATENCY, METRICS, WRITER, WRITER_LATENCY, Retrieved, question
from weather_virtual import JSON, run_in_virtual_time

from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.gateway import Gateway
from pytest_ragcheck.gateway.adaptive import MAXIMUM
from pytest_ragcheck.gateway.known_limits import KnownLimits
from pytest_ragcheck.gateway.transport import Response
from pytest_ragcheck.metrics.judged.ahead import asking_ahead
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.judged.metric import JudgedMetric, Judging
from pytest_ragcheck.model import Answer, Question
from pytest_ragcheck.rag.pipeline import ASYNC_CALLS_AT_ONCE, as_pipeline
from pytest_ragcheck.store import Store
from pytest_ragcheck.testing.replies import default_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.model import Context
    from pytest_ragcheck.rag.pipeline import Pipeline

LATENCIES = {WRITER: WRITER_LATENCY, JUDGE: JUDGE_LATENCY}
SPREAD = 0.25
"""Of the latency's logarithm, as the mock Messages API has it."""
PIPELINES = ("reference", "own")


@dataclass
class TimedServer:
    """A transport to a server that refuses nothing, and takes a known time for each call."""

    draw: random.Random
    latency: dict[str, float] = field(default_factory=dict)
    """Seconds by request id."""
    ended: float = 0.0
    in_flight: int = 0
    most_in_flight: int = 0

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def serve(self, model: str) -> str:
        """Take the time of one call; return its request id."""
        seconds = LATENCIES[model] * math.exp(SPREAD * self.draw.gauss(0, 1))
        name = f"req_{len(self.latency)}"
        self.latency[name] = seconds
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(seconds)
        self.in_flight -= 1
        self.ended = asyncio.get_running_loop().time()
        return name

    async def send(self, body: Mapping[str, Any], *, seconds: float) -> Response:  # noqa: ARG002 (nothing times out)
        """Answer one call."""
        name = await self.serve(body["model"])
        schema = body.get("output_config", {}).get("format", {}).get("schema")
        message = {
            "type": "message",
            "model": body["model"],
            "content": [{"type": "text", "text": default_reply(dict(body), schema)}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 100, "output_tokens": 100},
        }
        return Response(status=200, headers={**JSON, "request-id": name}, body=json.dumps(message).encode())


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run."""

    first_to_last: float
    bound: float
    """The longest chain of calls, or all calls of some places over these."""
    scheduled: float
    """Seconds that list scheduling takes which knows how long each call takes."""
    first_result: float
    calls: int
    most_in_flight: int
    found: Mapping[str, int]
    """Calls in flight that the server was found to bear, by model."""
    seconds: float
    """Processor time that the run took."""

    @property
    def over_bound(self) -> float:
        """First to last call over the bound."""
        return self.first_to_last / self.bound

    @property
    def over_schedule(self) -> float:
        """First to last call over that of list scheduling."""
        return self.first_to_last / self.scheduled


def own_pipeline(server: TimedServer, found: Mapping[str, tuple[Context, ...]], in_flight: int) -> Pipeline:
    """A user's function that calls the server itself and returns its contexts with the answer."""

    async def answer(asked: Question) -> Answer:
        name = await server.serve(WRITER)
        contexts = found[asked.id]
        return Answer(text=contexts[0].text, contexts=contexts, metadata={"request_id": name})

    return as_pipeline(answer, at_once=in_flight or None)


def run(
    questions: int, in_flight: int, pipeline: str, seed: int = 0, *, known: Mapping[str, int] | None = None
) -> Measured:
    """Run one evaluation; ``in_flight`` 0: no cap; ``known``: what an earlier run found."""
    begun = time.process_time()
    rows = [question(number) for number in range(questions)]
    found = {row.id: contexts for row, contexts in rows}

    async def main() -> Measured:
        server = TimedServer(random.Random(seed))
        with Store(None) as store:
            async with Gateway(transport=server, store=store, concurrency=in_flight or None) as gateway:
                KnownLimits(store, gateway.endpoint).keep(known or {})
                judging = Judging(gateway=gateway, model=JUDGE, store=store)
                judging.library.load()
                metrics = asking_ahead(JudgedMetric(KINDS[name], judging) for name in METRICS)
                asked = Retrieved(gateway, found) if pipeline == "reference" else own_pipeline(server, found, in_flight)
                jobs = [
                    Job(key=row.id, question=row, pipeline=asked, metrics=metrics, thresholds={}) for row, _ in rows
                ]
                loop, ends = asyncio.get_running_loop(), []
                engine = Engine(jobs, slots=Slots(sequential=False), on_result=lambda *_: ends.append(loop.time()))
                engine.start()
                await engine.settled()
                results = [await engine.result(row.id) for row, _ in rows]
                await engine.close()
                limits = gateway.snapshot().limiter.found
        lost = [score for result in results for score in result.scores.values() if score.value is None]
        assert not lost, lost[0]
        assert all(len(result.scores) == len(METRICS) for result in results), results[0].error
        apart = pipeline == "own" or not in_flight
        nodes = [node for result in results for node in nodes_of(result, server.latency, apart=apart)]
        places = {"gateway": in_flight or MAXIMUM, "answers": in_flight or MAXIMUM}
        if pipeline == "own" and not in_flight:
            places["answers"] = ASYNC_CALLS_AT_ONCE
        return Measured(
            first_to_last=server.ended,
            bound=find_bound(nodes, places),
            scheduled=schedule(nodes, places),
            first_result=min(ends),
            calls=len(server.latency),
            most_in_flight=server.most_in_flight,
            found=limits,
            seconds=time.process_time() - begun,
        )

    return run_in_virtual_time(main)


WIDTH = 10
HEADS = ("pipeline", "questions", "in flight", "seconds", "bound", "over", "list", "over", "first", "peak", "process")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row for each case: of all seeds the worst."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, nargs="+", default=[10, 100, 1000], metavar="N")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[0, 8, 32, 100], metavar="N", help="0: no cap")
    parser.add_argument("--pipeline", nargs="+", default=list(PIPELINES), choices=PIPELINES)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    print("".join(head.rjust(WIDTH) for head in HEADS))
    for pipeline in options.pipeline:
        for questions in options.questions:
            for in_flight in options.in_flight:
                runs = [run(questions, in_flight, pipeline, seed) for seed in range(options.seeds)]
                _print(pipeline, questions, str(in_flight or "no cap"), runs)
                if not in_flight:
                    again = [run(questions, 0, pipeline, seed, known=one.found) for seed, one in enumerate(runs)]
                    _print(pipeline, questions, "2nd run", again)


def _print(pipeline: str, questions: int, in_flight: str, runs: Sequence[Measured]) -> None:
    worst = max(runs, key=lambda one: one.over_schedule)
    cells = (
        pipeline,
        str(questions),
        in_flight,
        f"{worst.first_to_last:.2f}",
        f"{worst.bound:.2f}",
        f"{worst.over_bound:.3f}",
        f"{worst.scheduled:.2f}",
        f"{worst.over_schedule:.3f}",
        f"{worst.first_result:.2f}",
        str(worst.most_in_flight),
        f"{worst.seconds:.1f}",
    )
    print("".join(cell.rjust(WIDTH) for cell in cells), flush=True)


if __name__ == "__main__":
    main()
