"""Questions divided between workers of pytest-xdist: the same results, each call once, and nothing lost by a kill.

``python benchmarks/workers.py [--questions 60] [--kills 20] [--weather 300]``

The reference pipeline with Claude as the generator, against a loopback Messages API with latency; an embedder that
costs nothing. Then a run with two workers again and again, one of them killed (SIGKILL) at a random moment, and the
same run once more: it must end well and pay at most again for what was in flight. Then ``--weather`` questions for a
server whose limit nobody knows, in one process and in several. Last the cost of a permit that a worker asks the
controller for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import time
from os import kill
from pathlib import Path

from support import PYTEST, child_environment, print_table

from pytest_ragcheck.gateway.limit_client import RemoteLimits
from pytest_ragcheck.gateway.limiter import Admission, AttemptReport, Outcome
from pytest_ragcheck.session.workers_limits import LimitConnection, LimitListener
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

CONCURRENCY = 8
WEATHER = Behaviour(
    latency=0.3, max_in_flight=CONCURRENCY, faults={"overloaded": 0.05, "server_error": 0.02}, ratelimit_headers=False
)
"""No limit is configured for it either."""
WEATHER_HEADS = (
    "run",
    "calls",
    "requests",
    "refused",
    "most in flight",
    "same results",
    "first to last call",
    "of one process",
)
EMBEDDER = '''
import zlib
import numpy as np

class Embedder:
    """Words to places in a vector: cheap, the same everywhere."""
    fingerprint = "words 1"
    def load(self): pass
    def embed(self, texts):
        rows = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(rows, texts):
            row[0] = 0.1
            for word in text.lower().split():
                row[1 + zlib.crc32(word.encode()) % 63] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
'''
TEST = "def test_all(ragcheck_result):\n    ragcheck_result.assert_passed()\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--weather", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        print_table(
            ("run", "questions", "calls", "made twice", "most in flight", "results as in serial", "wall"),
            divided(place, options),
        )
        print(f"\nat most {CONCURRENCY} calls may be in flight\n")
        heads = ("kill", "after", "killed run", "second run", "calls", "made again", "most in flight")
        print_table(heads, killed(place, options))
        print(f"\na server that refuses more than {CONCURRENCY} calls at once, and fails 7 % of them\n")
        print_table(WEATHER_HEADS, in_bad_weather(place, options.weather))
    print("\na permit of the controller's, asked for and returned\n")
    print_table(("permits", "time", "processor time of the worker"), permits())


def divided(place, options):
    """Serial, two workers, four workers: each in an empty folder."""
    rows, reference = [], None
    for label, arguments in (("serial", []), ("-n 2", ["-n", "2"]), ("-n 4", ["-n", "4"])):
        with MessagesApi(Behaviour(latency=0.2)) as api:
            folder = project(place / label.replace(" ", ""), options.questions)
            started = time.perf_counter()
            done = run(folder, api, *arguments)
            wall = time.perf_counter() - started
            if done.returncode:
                sys.exit(done.stdout.decode())
            measured = results(folder)
            reference = reference or measured
            stats = api.stats
        asked = [line for line in stats.log if line.path == MESSAGES_PATH]
        again, most = len(asked) - stats.distinct_bodies, stats.peak_in_flight
        rows.append((label, len(measured), len(asked), again, most, measured == reference, f"{wall:.1f} s"))
        if again or most > CONCURRENCY or measured != reference:
            sys.exit(f"{label}: {again} calls made twice, {most} in flight, same results: {measured == reference}")
    return rows


def killed(place, options):
    draw = random.Random(7)
    for number in range(1, options.kills + 1):
        with MessagesApi(Behaviour(latency=0.2)) as api:
            folder = project(place / f"killed-{number}", options.questions)
            wait = draw.uniform(0.0, 1.2)
            ended = run_and_kill_one(folder, api, wait, draw)
            second = run(folder, api, "-n", "2")
            stats = api.stats
        asked = [line.digest for line in stats.log if line.path == MESSAGES_PATH]
        again = len(asked) - len(set(asked))
        row = (number, f"{wait:.2f} s", ended, second.returncode, len(asked), again, stats.peak_in_flight)
        yield row
        if (
            stats.peak_in_flight > CONCURRENCY
            or second.returncode
            or again > CONCURRENCY
            or len(results(folder)) != options.questions
        ):
            sys.exit(f"kill {number}: {row}\n{second.stdout.decode()[-2000:]}")


def in_bad_weather(place, questions):
    first = None
    for label, arguments in (("serial", []), ("-n 2", ["-n", "2"]), ("-n 4", ["-n", "4"])):
        row, *found = weather_row(label, place / f"weather{label.replace(' ', '')}", questions, first, *arguments)
        first = first or found
        yield row


def weather_row(label, folder, questions, first, *arguments, **variables):
    """A row of the table with ``WEATHER_HEADS``, results and seconds; ``first``: those of the run to compare with."""
    with MessagesApi(WEATHER) as api:
        project(folder, questions, concurrency=None)
        done = run(folder, api, *arguments, **variables)
        stats = api.stats
    if done.returncode:
        sys.exit(done.stdout.decode())
    asked = [line for line in stats.log if line.path == MESSAGES_PATH]
    found, seconds = results(folder), max(line.finish for line in asked) - asked[0].arrival
    before, serial = first or (found, seconds)
    counts = (stats.replies, len(asked), stats.by_status.get(429, 0), stats.peak_in_flight)
    row = (label, *counts, found == before, f"{seconds:.1f} s", f"{seconds / serial:.2f}")
    return row, found, seconds


def permits():
    """Microseconds, in a process of its own that asks this one."""
    listener = LimitListener(None)
    processes = multiprocessing.get_context("spawn")
    mine, theirs = processes.Pipe()
    worker = processes.Process(target=ask_for_permits, args=(*listener.address, theirs))
    worker.start()
    rows = mine.recv()
    worker.join()
    listener.close()
    return rows


def ask_for_permits(port, token, pipe):
    async def ask():
        connection = LimitConnection(port, token)
        limits = RemoteLimits(connection, None)
        limiter = limits.limiter(Path("a/project"), "a model", concurrency=512, requests_per_minute=None)

        async def call():
            permit = await limiter.admit(Admission(lane="a model", number=limiter.number(), input_tokens=500.0))
            limiter.settle(permit, AttemptReport(outcome=Outcome.SUCCESS, tokens=500.0))

        rows = []
        for label, at_once in (("one by one", 1), ("200 at once", 200)):
            await asyncio.gather(*(call() for _ in range(at_once)))
            started, processor = time.perf_counter(), time.process_time()
            for _ in range(4000 // at_once):
                await asyncio.gather(*(call() for _ in range(at_once)))
            spans = time.perf_counter() - started, time.process_time() - processor
            rows.append((label, *(f"{span / 4000 * 1e6:.0f} us" for span in spans)))
        connection.close()
        return rows

    pipe.send(asyncio.run(ask()))


def run(folder, api, *arguments, **variables):
    variables = environment(folder, api) | variables
    return subprocess.run(command(*arguments), cwd=folder, env=variables, capture_output=True, check=False)


def run_and_kill_one(folder, api, wait, draw):
    """The run's exit code, after one of its workers was killed ``wait`` seconds after the first call."""
    process = subprocess.Popen(command("-n", "2"), cwd=folder, env=environment(folder, api), stdout=subprocess.PIPE)
    while not api.stats.requests and process.poll() is None:
        time.sleep(0.01)
    time.sleep(wait)
    workers = children(process.pid)
    if workers:
        kill(draw.choice(workers), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    if b"never reported" in output:
        sys.exit(output.decode())
    return f"exit {process.returncode}"


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def project(folder, questions, *, concurrency=CONCURRENCY):
    folder.mkdir(parents=True)
    (folder / "docs").mkdir()
    for number in range(12):
        text = f"# Page {number}\n\nShip {number} carries {number * 7} crates of salt and sails in May.\n"
        (folder / "docs" / f"page-{number}.md").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n")
    (folder / "ragcheck.toml").write_text(
        'questions = "questions.json"\ndocuments = ["docs"]\nembedder = "words:Embedder"\n'
        'generator = "anthropic:claude-haiku-5-5"\n'
        + ("" if concurrency is None else f"concurrency = {concurrency}\n")
        + '[metrics]\nhit_rate = "report"\n'
        'reference_coverage = "report"\n'
    )
    (folder / "questions.json").write_text(
        json.dumps(
            [
                {
                    "id": f"q{number}",
                    "question": f"How many crates does ship {number % 12} carry, asked as number {number}?",
                    "reference": f"{number % 12 * 7} crates",
                    "gold": [f"docs/page-{number % 12}.md"],
                }
                for number in range(questions)
            ]
        )
    )
    (folder / "words.py").write_text(EMBEDDER)
    (folder / "test_all.py").write_text(TEST)
    return folder


def command(*arguments):
    return [*PYTEST, "-p", "no:cacheprovider", "--ragcheck", *arguments]


def environment(folder, api):
    return child_environment(folder) | {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "any"}


def results(folder):
    """What the newest run measured, without what depends on time."""
    paths = (folder / ".ragcheck" / "runs").glob("*.json")
    run = json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())
    return sorted(
        (one["question"]["id"], one["answer"]["text"], json.dumps(one["scores"], sort_keys=True))
        for one in run["results"]
    )


if __name__ == "__main__":
    main()
