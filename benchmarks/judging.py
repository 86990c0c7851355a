"""What judging takes, in numbers: ``python benchmarks/judging.py [NAME ...]``, of chain, bound, cpu, transport; or all.

Everything runs against the loopback Messages API in a process of its own; no key, no bill. Four of deepeval's metrics
judge each question, seven calls without reasons. Imports are done before the clock starts, and told apart.

``chain``: ten questions, as many calls at once as there are; the wall time over the longest chain of calls that depend
on one another. ``bound``: a hundred questions with 32 calls in flight; the wall time over what 32 places need at least.
``cpu``: the processor time of this process for each judge call, and the memory for each question, without latency; and,
by samples of a second run, whose code it is that takes the time. ``transport``: the processor time of a call through
aiohttp and through httpx2, in pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from call_graph import find_bound, nodes_of
from support import mock_server, server_stats

from pytest_ragcheck.engine import Engine, Job, Slots
from pytest_ragcheck.engine.slots import QUESTIONS_AT_ONCE
from pytest_ragcheck.gateway import Gateway, anthropic_transport
from pytest_ragcheck.metrics.judged.ahead import asking_ahead
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.judged.metric import JudgedMetric, Judging
from pytest_ragcheck.model import Context, Question, Result
from pytest_ragcheck.rag.claude import ClaudeGenerator
from pytest_ragcheck.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

METRICS = ("faithfulness", "answer_relevancy", "contextual_precision", "contextual_recall")
WRITER, JUDGE = "claude-sonnet-5-5", "claude-haiku-5-5"
WRITER_LATENCY, JUDGE_LATENCY = 0.6, 0.3
WORDS = ["leave", "manager", "expense", "claim", "remote", "office", "euro", "receipt", "travel", "calendar", "policy"]
CONTEXTS, CONTEXT_WORDS = 5, 120
IN_FLIGHT = 32
NAMES = ("chain", "bound", "cpu", "transport")


def server(*, writer: float, judge: float) -> AbstractContextManager[str]:
    """A loopback Messages API in a process of its own; its URL."""
    return mock_server("--no-ratelimit-headers", f"--latency={judge}", f"--model-latency={WRITER}={writer}")


def served(url: str) -> dict[str, float]:
    """Seconds that the server took for each request."""
    return {line["request_id"]: line["latency"] for line in server_stats(url, "log")["log"]}


def question(number: int) -> tuple[Question, tuple[Context, ...]]:
    draw = Random(number)
    texts = [" ".join(draw.choices(WORDS, k=CONTEXT_WORDS)).capitalize() + "." for _ in range(CONTEXTS)]
    contexts = tuple(Context(text=text, rank=rank) for rank, text in enumerate(texts, 1))
    about = " ".join(draw.choices(WORDS, k=8))
    return Question(id=f"q{number}", question=f"What of {about}, {number}?", reference=f"{about}."), contexts


class Retrieved:
    """A pipeline whose contexts are there, and whose answers a model writes."""

    def __init__(self, gateway: Gateway, found: dict[str, tuple[Context, ...]]) -> None:
        self._generator = ClaudeGenerator(gateway=gateway, model=WRITER)
        self._found = found

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Nothing."""

    async def retrieve(self, question: Question) -> tuple[Context, ...]:
        """What was prepared."""
        return self._found[question.id]

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Any:
        """The model's answer."""
        return await self._generator.answer(question, contexts or ())


async def judge_all(url: str, count: int, *, concurrency: int | None) -> tuple[float, list[Result]]:
    """Seconds from the first question's start to the last result, and the results."""
    rows = [question(number) for number in range(count)]
    with Store(None) as store:
        async with Gateway(base_url=url, api_key="any", store=store, concurrency=concurrency) as gateway:
            judging = Judging(gateway=gateway, model=JUDGE, store=store)
            metrics = asking_ahead(JudgedMetric(KINDS[name], judging) for name in METRICS)
            await gateway.open()
            await judging.library.ready()
            pipeline = Retrieved(gateway, {row.id: contexts for row, contexts in rows})
            jobs = [Job(key=row.id, question=row, pipeline=pipeline, metrics=metrics, thresholds={}) for row, _ in rows]
            engine = Engine(jobs, slots=Slots(sequential=False))
            begun = time.perf_counter()
            engine.start()
            results = await asyncio.gather(*(engine.result(row.id) for row, _ in rows))
            seconds = time.perf_counter() - begun
            await engine.close()
    lost = [score for result in results for score in result.scores.values() if score.value is None]
    assert not lost, lost
    return seconds, results


def chain_benchmark() -> None:
    with server(writer=WRITER_LATENCY, judge=JUDGE_LATENCY) as url:
        seconds, results = asyncio.run(judge_all(url, 10, concurrency=100))
        latency = served(url)
    longest = max(node.chain for result in results for node in nodes_of(result, latency, apart=False))
    in_sequence = sum(latency.values())
    print(
        f"chain: 10 questions, {len(latency)} calls: {seconds:.2f} s, longest chain {longest:.2f} s, "
        f"ratio {seconds / longest:.2f} (allowed 1.25); one call after another {in_sequence:.1f} s"
    )


def bound_benchmark() -> None:
    with server(writer=WRITER_LATENCY, judge=JUDGE_LATENCY) as url:
        seconds, results = asyncio.run(judge_all(url, 100, concurrency=IN_FLIGHT))
        latency = served(url)
    nodes = [node for result in results for node in nodes_of(result, latency, apart=False)]
    bound = find_bound(nodes, {"gateway": IN_FLIGHT})
    print(
        f"bound: 100 questions, {len(latency)} calls, {IN_FLIGHT} in flight: {seconds:.2f} s, bound {bound:.2f} s, "
        f"ratio {seconds / bound:.2f} (allowed 1.15); first result after {first_result(results):.2f} s"
    )


def first_result(results: Sequence[Result]) -> float:
    return min(result.timing.finished for result in results)


def cpu_benchmark(*, count: int, profile: bool) -> None:
    with server(writer=0, judge=0) as url:
        # Imports, templates and other things of the first time; and as many questions as are live at most.
        asyncio.run(judge_all(url, QUESTIONS_AT_ONCE, concurrency=IN_FLIGHT))
        memory, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        _, results = asyncio.run(judge_all(url, count, concurrency=IN_FLIGHT))
        profiler.disable()
        cpu = time.process_time() - cpu
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    calls = sum(len(result.calls) for result in results)
    judged, further = calls - count, count - QUESTIONS_AT_ONCE
    print(
        f"cpu: {count} questions, {judged} judge calls: {1000 * cpu / calls:.2f} ms a call (allowed 4); "
        f"{grown / further:.0f} kB a further question (allowed 40){'; under the profiler' if profile else ''}"
    )
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


OWNERS = {
    "the SDK and HTTP": {"anthropic", "httpx2", "aiohttp", "pydantic", "sniffio", "multidict", "yarl", "anyio"},
    "deepeval": {"deepeval", "jinja2", "rich"},
}
SAMPLED_EVERY = 0.001


class Samples:
    """Whose code runs, looked at each millisecond of processor time; the standard library counts for its caller."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def take(self, _: int, frame: Any) -> None:
        """Note who is at work; a signal handler."""
        while frame is not None:
            owner = self._owner(frame.f_code.co_filename)
            if owner is not None:
                self.count[owner] += 1
                return
            frame = frame.f_back
        self.count["the event loop"] += 1

    @staticmethod
    def _owner(file: str) -> str | None:
        if "/pytest_ragcheck/" in file:
            return f"ours: {file.partition('/pytest_ragcheck/')[2].partition('/')[0].removesuffix('.py')}"
        if "site-packages/" in file:
            package = file.partition("site-packages/")[2].partition("/")[0]
            return next((owner for owner, packages in OWNERS.items() if package in packages), "other packages")
        return None


def where_benchmark(*, count: int = 300) -> None:
    samples = Samples()
    with server(writer=0, judge=0) as url:
        asyncio.run(judge_all(url, 20, concurrency=IN_FLIGHT))
        signal.signal(signal.SIGPROF, samples.take)
        signal.setitimer(signal.ITIMER_PROF, SAMPLED_EVERY, SAMPLED_EVERY)
        cpu = time.process_time()
        _, results = asyncio.run(judge_all(url, count, concurrency=IN_FLIGHT))
        cpu = time.process_time() - cpu
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
    each = 1000 * cpu / sum(len(result.calls) for result in results)
    total = samples.count.total()
    print(f"cpu: of {each:.2f} ms a call, by {total} samples:")
    for owner, taken in samples.count.most_common():
        if taken >= total / 100:
            print(f"  {each * taken / total:5.2f} ms  {taken / total:4.0%}  {owner}")


def transport_benchmark(*, count: int = 100, pairs: int = 5) -> None:
    each: dict[str, list[float]] = {"aiohttp": [], "httpx2": []}
    with server(writer=0, judge=0) as url:
        for pair in range(pairs + 1):
            for name, seen in each.items():
                with patch.object(anthropic_transport, "_has_aiohttp", lambda name=name: name == "aiohttp"):
                    cpu = time.process_time()
                    _, results = asyncio.run(judge_all(url, count, concurrency=IN_FLIGHT))
                    cpu = time.process_time() - cpu
                if pair:  # the first imports what the others need
                    seen.append(1000 * cpu / sum(len(result.calls) for result in results))
    shown = ", ".join(f"{name} {median(seen):.2f} ms a call" for name, seen in each.items())
    ratio = median(one / other for one, other in zip(*each.values(), strict=True))
    print(f"transport: {shown}, median of {pairs} runs in turns; aiohttp / httpx2 {ratio:.2f}")


def import_seconds() -> float:
    script = "import time; begun = time.time(); import anthropic, deepeval.metrics; print(time.time() - begun)"
    quiet = {"DEEPEVAL_TELEMETRY_OPT_OUT": "1", "DEEPEVAL_DISABLE_DOTENV": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | quiet, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAME")
    parser.add_argument("--questions", type=int, default=1000, metavar="N", help="of cpu (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="where the processor time of cpu goes")
    options = parser.parse_args()
    names = options.names or NAMES
    print(f"importing the SDK and deepeval, once a process: {import_seconds():.1f} s")
    if "chain" in names:
        chain_benchmark()
    if "bound" in names:
        bound_benchmark()
    if "cpu" in names:
        cpu_benchmark(count=options.questions, profile=options.profile)
        where_benchmark(count=min(300, options.questions))
    if "transport" in names:
        transport_benchmark()


if __name__ == "__main__":
    main()
