"""What the gateway makes of a server, in numbers: ``python benchmarks/gateway.py [wall] [rate] [hang] [kill] [once]``.

Everything runs against the loopback Messages API in a process of its own; no key, no bill. Times leave out the start of
the process and the import of the SDK. Without a name all of them run, which takes about twelve minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.gateway import Gateway, ModelReply, ModelRequest
from pytest_ragcheck.store import Store
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTIONS = 100
LATENCY = 0.6
MODEL = "claude-haiku-5-5"
HTTP_OK = 200
LEARNING_SECONDS = 10
CHILD_CONCURRENCY = 8


@contextmanager
def server(*options: str) -> Iterator[str]:
    """A loopback Messages API in a process of its own; its URL."""
    command = [sys.executable, "-u", "-m", "pytest_ragcheck.testing.messages_api", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = None
        while found is None:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        yield found.group()
    finally:
        process.terminate()
        process.wait()


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/__stats__?log") as reply:  # noqa: S310 (our own server)
        return dict(json.load(reply))


def request(number: int) -> ModelRequest:
    return ModelRequest(model=MODEL, messages=[{"role": "user", "content": f"question {number}"}])


async def ask(url: str, count: int, **settings: Any) -> tuple[float, list[ModelReply | BaseException]]:
    """Seconds from the first call to the last reply, the client being there already, and the outcomes."""
    async with Gateway(base_url=url, **settings) as gateway:
        await gateway.open()
        begun = time.perf_counter()
        calls = (gateway.complete(request(number)) for number in range(count))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        return time.perf_counter() - begun, outcomes


def lost(outcomes: list[ModelReply | BaseException]) -> str:
    failures = Counter(f"{type(outcome).__name__}" for outcome in outcomes if not isinstance(outcome, ModelReply))
    return f"{sum(failures.values())} of {len(outcomes)} lost {dict(failures) or ''}".rstrip()


def wall() -> None:
    """Wall time over the bound: all call time over the cap, or the slowest call."""
    for cap, allowed in ((8, 1.15), (100, 1.25), (None, 2.0)):
        with server("--latency", str(LATENCY)) as url:
            seconds, outcomes = asyncio.run(ask(url, QUESTIONS, concurrency=cap))
            served = [line["latency"] for line in stats(url)["log"]]
        bound = max(sum(served) / (cap or QUESTIONS), *served)
        print(
            f"wall: concurrency {cap or 'adaptive'}: {seconds:.2f} s, bound {bound:.2f} s, "
            f"ratio {seconds / bound:.2f} (allowed {allowed}); {lost(outcomes)}"
        )


def rate() -> None:
    """A server with a limit of requests a minute, which its headers tell or do not."""
    for per_minute in (120, 600):
        for headers in (True, False):
            behaviour = Behaviour(latency=LATENCY, requests_per_minute=per_minute, ratelimit_headers=headers)
            with MessagesApi(behaviour) as api:
                seconds, outcomes = asyncio.run(ask(api.url, int(2.25 * per_minute)))
                log = api.stats.log
            first = min(line.arrival for line in log)
            accepted = [line.arrival - first for line in log if line.status == HTTP_OK]
            late = [line.status for line in log if line.arrival - first > LEARNING_SECONDS]
            used = (len(accepted) - per_minute) / (per_minute / 60) / max(accepted)
            print(
                f"rate: {per_minute} a minute, headers {'on' if headers else 'off'}: {seconds:.1f} s, "
                f"{used:.0%} of the refill used, {late.count(429) / len(late):.1%} refused after 10 s "
                f"({[line.status for line in log].count(429)} in all); {lost(outcomes)}",
                flush=True,
            )


def hang() -> None:
    """One request in a hundred hangs for ever."""
    timeout = 5.0
    times = {}
    for share in (0.0, 0.01):
        with server("--latency", str(LATENCY), "--fault", f"hang={share}", "--seed", "3") as url:
            times[share], outcomes = asyncio.run(ask(url, 300, request_timeout=timeout))
            hung = stats(url)["by_outcome"].get("hang", 0)
        print(f"hang: {hung} of 300 hang: {times[share]:.2f} s; {lost(outcomes)}")
    print(f"hang: {times[0.01] - times[0.0]:.2f} s more than healthy; one attempt's timeout is {timeout} s")


def kill() -> None:
    """Kill -9 at 30 random moments of a run, then again: calls made in all = questions + in flight at the kill."""
    chance = random.Random(7)
    worst = 0
    for number in range(30):
        replies = chance.randrange(QUESTIONS)
        with server("--latency", "0.1") as url, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cache.sqlite"
            victim = child(path, url)
            while stats(url)["replies"] < replies:
                time.sleep(chance.uniform(0.0, 0.01))
            victim.kill()
            victim.wait()
            with Store(path) as store:
                kept = store.size().entries.get("model-reply", 0)
                assert not store.notices
            sent = stats(url)["requests"]
            again = child(path, url)
            assert again.wait() == 0
            total = stats(url)["requests"]
        in_flight = sent - kept
        worst = max(worst, in_flight)
        assert total == QUESTIONS + in_flight, (number, total, sent, kept)
        assert in_flight <= CHILD_CONCURRENCY, "more lost than was in flight"
    print(f"kill: 30 kills: calls made = {QUESTIONS} + those in flight (at most {worst} of {CHILD_CONCURRENCY})")


def once() -> None:
    """Two processes at once on one store; then a third for which everything is there."""
    with server("--latency", "0.1") as url, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.sqlite"
        both = [child(path, url) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        seen = stats(url)
        print(
            f"once: two processes, {QUESTIONS} questions: {seen['requests']} calls, {seen['distinct_bodies']} different"
        )
        begun = time.perf_counter()
        assert child(path, url).wait() == 0
        seconds = time.perf_counter() - begun
        print(f"once: again: {stats(url)['requests'] - seen['requests']} calls, {seconds:.2f} s from start to end")


def child(path: Path, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--child", str(path), url])


def run_child(path: Path, url: str) -> None:
    """Half of ``kill`` and ``once``: ask everything once, on a shared store."""
    with Store(path) as store:
        outcomes = asyncio.run(ask_through(store, url))
    assert all(isinstance(outcome, ModelReply) for outcome in outcomes), outcomes


async def ask_through(store: Store, url: str) -> list[ModelReply | BaseException]:
    async with Gateway(base_url=url, store=store, concurrency=CHILD_CONCURRENCY) as gateway:
        calls = (gateway.complete(request(number)) for number in range(QUESTIONS))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert gateway.snapshot().attempts or "anthropic" not in sys.modules
        return outcomes


BENCHMARKS = {"wall": wall, "rate": rate, "hang": hang, "kill": kill, "once": once}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("ANTHROPIC_API_KEY", "sk-ant-loopback-0123456789")
    if options.child:
        run_child(Path(options.child[0]), options.child[1])
        return
    for name in options.names or BENCHMARKS:
        BENCHMARKS[name]()


if __name__ == "__main__":
    main()
