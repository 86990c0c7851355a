"""Whole processes in bad weather, in real time: ``python benchmarks/weather.py --real``.

The mock Messages API refuses and fails; the plugin meets it with a limit that it has to find and with
``concurrency = 8``, and so does a plain script with a semaphore of 8 and the SDK's retries. Each question is one answer
(0.6 s in the median) and seven judge calls (0.3 s). The answers come from the user's own pipeline, which calls the same
server itself, unseen by the plugin's gateway.

A way that takes too long is stopped; how far it came by then is printed. "last answer" is the time from the first call
to the last message, and "over plain" that time over the plain script's; "refused" are replies with 429, 503 or 529;
"wasted" are calls that gave no message, in per cent of those needed, "by the judge" those of the judge's model (the
others are the pipeline's). "in flight" is the mean over the seconds of the most calls at once; ``--seconds`` prints it
second by second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import promptfoo
from support import print_machine, print_table
from ways import CALLS, JUDGE, WRITER, Timed, Way, ours, plain, run_way, write_project

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED = (429, 503, 529)
SECONDS_IN_A_LINE = 8
OUTPUT_SHOWN = 2000
"""Characters."""
LATENCIES = (f"--model-latency={WRITER}=0.6", f"--model-latency={JUDGE}=0.3")
FAULTS = ("--fault=overloaded=0.05", "--fault=server_error=0.02")
CAP = ("--max-in-flight=8", "--retry-after=1", *FAULTS)
EXHAUSTED = ("--ratelimit-on-refusals", "--ratelimit-remaining=0", "--ratelimit-reset=-5")
NO_HEADERS = ("--no-ratelimit-headers",)
PROMPTFOO = 4
"""Its calls in flight."""
PLAIN = "plain script, semaphore of 8"
JUDGED = {
    PLAIN: plain(8),
    "pytest --ragcheck, limit to be found": ours(),
    "pytest --ragcheck, concurrency = 8": ours(8),
}
GENERATION = {
    PLAIN: plain(8, script="plain_generation.py"),
    "pytest --ragcheck, limit to be found": ours(folder="generation"),
    "pytest --ragcheck, concurrency = 8": ours(8, folder="generation"),
}


@dataclass(frozen=True)
class Weather:
    """One kind of weather: what the server does, who meets it, and the calls of a question."""

    title: str
    server: tuple[str, ...]
    ways: dict[str, Way]
    calls: int = CALLS


WEATHERS = {
    "exhausted": Weather(
        "8 in flight, Retry-After 1, 5 % 529, 2 % 500; refusals say requests-remaining: 0 and a past reset",
        (*CAP, *EXHAUSTED),
        JUDGED,
    ),
    "bare": Weather("8 in flight, Retry-After 1, 5 % 529, 2 % 500; no rate headers", (*CAP, *NO_HEADERS), JUDGED),
    "generation": Weather(
        "generation alone by the reference pipeline; server and headers as in the first table",
        (*CAP, *EXHAUSTED),
        GENERATION,
        calls=1,
    ),
    "random": Weather(
        "no limit, 5 % of the calls refused at random with Retry-After 1; no rate headers",
        ("--fault=rate_limited=0.05", "--retry-after=1", *NO_HEADERS),
        JUDGED,
    ),
    "storm": Weather(
        "no limit, every call answered with 529 from second 3 to 33",
        ("--storm=overloaded=3:30", *NO_HEADERS),
        JUDGED,
    ),
    "rising": Weather(
        "2 in flight, from second 10 on 64; Retry-After 1, no rate headers",
        ("--max-in-flight=2", "--max-in-flight-later=10=64", "--retry-after=1", *NO_HEADERS),
        JUDGED,
    ),
    "minute": Weather(
        "600 requests a minute in a bucket that holds 60; true Retry-After and headers",
        ("--requests-per-minute=600", "--request-burst=60"),
        JUDGED,
    ),
}
FIRST_TABLE = ("exhausted", "bare", "generation", "random")
"""What runs where nothing is named."""

HEADS = (
    "way",
    "answered",
    "wall",
    "last answer",
    "over plain",
    "calls",
    "refused",
    "wasted",
    "by the judge",
    "in flight",
    "processor",
)


def choose_ways(weather: Weather, options: argparse.Namespace) -> dict[str, Way]:
    """Return the weather's ways that are asked for, and promptfoo where it is asked for and judges."""
    ways = weather.ways
    if options.promptfoo and ways is JUDGED:
        try:
            command = promptfoo.install(options.promptfoo)
        except promptfoo.CannotInstallError as reason:
            sys.exit(f"promptfoo cannot run: {reason}; leave --promptfoo out")
        ways = ways | {f"promptfoo -j {PROMPTFOO}": Way((*command, *promptfoo.arguments(PROMPTFOO)))}
    return {name: way for name, way in ways.items() if not options.only or any(part in name for part in options.only)}


def race(weather: Weather, size: int, options: argparse.Namespace) -> dict[str, Timed]:
    """Run the ways one after another, each in a folder of its own so that none reads what another one stored."""
    runs = {}
    for name, way in choose_ways(weather, options).items():
        with tempfile.TemporaryDirectory() as folder:
            write_project(Path(folder), size)
            runs[name] = run_way(
                way,
                Path(folder),
                *LATENCIES,
                *weather.server,
                limit=options.limit,
                PIPELINE_LIMIT=str(options.pipeline_limit),
            )
    return runs


def describe(run: Timed, needed: int, base: Timed | None) -> tuple[str, ...]:
    """Build one row of the table."""
    refused = sum(line["status"] in REFUSED for line in run.log)
    by_judge = sum(line["model"] == JUDGE and line["outcome"] != "reply" for line in run.log)
    in_flight = mean(second["in_flight"] for second in run.seconds) if run.seconds else 0.0
    comparable = base is not None and base.ended_well and run.ended_well
    return (
        f"{run.answered} of {needed}",
        describe_end(run),
        f"{run.last_answer:.1f} s",
        f"{run.last_answer / base.last_answer:.2f}" if comparable else "-",
        f"{run.made}",
        f"{refused}",
        f"{run.wasted / needed:.0%}",
        f"{by_judge / needed:.0%}",
        f"{in_flight:.1f}",
        f"{run.cpu:.1f} s",
    )


def describe_end(run: Timed) -> str:
    if run.stopped:
        return f"stopped at {run.wall:.0f} s"
    return f"{run.wall:.1f} s" + ("" if run.ended_well else f", exit {run.status}")


def print_seconds(runs: dict[str, Timed]) -> None:
    """Print what the server counted in each second."""
    for name, run in runs.items():
        print(f"\n{name}, second by second: in flight at the most / accepted / refused / answered")
        cells = [f"{one['in_flight']}/{one['accepted']}/{one['refused']}/{one['answered']}" for one in run.seconds]
        for start in range(0, len(cells), SECONDS_IN_A_LINE):
            print(f"  {start:4d}  " + "  ".join(cells[start : start + SECONDS_IN_A_LINE]))


def main(arguments: Sequence[str]) -> None:
    """Print a table for each kind of weather and each size."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/weather.py --real",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="weather:\n" + "\n".join(f"  {name}: {weather.title}" for name, weather in WEATHERS.items()),
    )
    parser.add_argument("names", nargs="*", default=FIRST_TABLE, metavar="WEATHER", help=f"default: {FIRST_TABLE}")
    parser.add_argument("--size", type=int, nargs="+", default=[100, 10], metavar="N", help="questions")
    parser.add_argument("--limit", type=float, default=120.0, metavar="SECONDS", help="for each way (default: 120)")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="ways whose names hold one of these")
    parser.add_argument(
        "--pipeline-limit",
        type=int,
        default=0,
        metavar="N",
        help="calls in flight of the user's pipeline (0: no limit)",
    )
    parser.add_argument(
        "--promptfoo", type=Path, metavar="FOLDER", help="promptfoo too; where it is or will be installed"
    )
    parser.add_argument("--seconds", action="store_true", help="also print what the server counted in each second")
    parser.add_argument("--output", action="store_true", help="also print the end of what each way printed")
    options = parser.parse_args(arguments)
    for unknown in set(options.names) - set(WEATHERS):
        parser.error(f"unknown weather {unknown!r}; use {', '.join(WEATHERS)}")
    print_machine()
    for name in options.names:
        weather = WEATHERS[name]
        for size in options.size:
            runs = race(weather, size, options)
            needed = size * weather.calls
            print(f"\n{name}, {size} questions, {needed} calls: {weather.title}")
            rows = [(way, *describe(run, needed, runs.get(PLAIN))) for way, run in runs.items()]
            print_table(HEADS, rows)
            if options.seconds:
                print_seconds(runs)
            if options.output:
                for way, run in runs.items():
                    print(f"\n{way} printed:\n{run.output[-OUTPUT_SHOWN:]}")
            sys.stdout.flush()
