"""Judged questions by the thousand: throughput, memory and growth, in one process and divided between workers.

``python benchmarks/scale.py [--sizes 100 1000 10000] [--workers 2]``

A pipeline of the user's own that answers at once from four passages of 1,000 characters, three of deepeval's metrics,
and the loopback Messages API as the judge, without latency, in a process of its own. Each size runs once serially and
once with the workers, each time in an empty folder; plain parametrised tests of the same number stand beside for what
pytest itself takes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from items import PLAIN
from support import mock_server, print_table, server_stats, with_stopwatch

METRICS = ("faithfulness", "answer_relevancy", "contextual_precision")

CONFTEST = """
import random

import pytest

WORDS = (
    "anchor ballast bosun bulkhead cabin capstan cargo chart crew deck draught fathom galley gangway harbour hatch "
    "helm hold keel ledger mast mooring pilot port quay rigging rudder sail salt sextant starboard stern tide tiller"
).split()

def passage(seed):
    some = random.Random(seed)
    return " ".join(" ".join(some.choices(WORDS, k=12)).capitalize() + "." for _ in range(12))

@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        number = question.split()[2]
        fact = f"The register says that ship {number} of the fleet carries {number} crates of salt."
        others = [passage(f"{number} {rank}") for rank in range(4)]
        contexts = [f"{fact} {others[0]}", *others[1:]]
        return f"Ship {number} of the fleet carries {number} crates. It sails in May.", contexts
    return ask
"""
TEST = "def test_ships(ragcheck_result):\n    ragcheck_result.assert_passed()\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000], help="numbers of questions")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for size in options.sizes:
            rows.append(plain(Path(place) / f"plain-{size}", size))
            rows += [judged(Path(place) / f"judged-{size}-{n}", size, n) for n in (0, options.workers)]
    heads = ("", "questions", "wall", "CPU", "a question", "judge calls a CPU second", "collection", "memory a process")
    print_table(heads, [shown(row) for row in rows])
    for kind in dict.fromkeys(row["kind"] for row in rows):
        print_growth(kind, [row for row in rows if row["kind"] == kind])
    for size in options.sizes:
        print_aims(size, [row for row in rows if row["size"] == size and row["calls"]])


def plain(folder, size):
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_plain.py").write_text(PLAIN.format(size=size))
    process, seen = with_stopwatch(folder, "-p", "no:ragcheck")
    return row("plain", size, process, seen, calls=0)


def judged(folder, size, workers):
    write_project(folder, size)
    with judge() as url:
        arguments = ["--ragcheck", *(["-n", str(workers)] if workers else [])]
        environment = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "any"}
        process, seen = with_stopwatch(folder, *arguments, **environment)
        served = server_stats(url)
    if process.status != 0:
        sys.exit(f"pytest ended with {process.status}:\n{process.output[-3000:]}")
    if served["replies"] != served["distinct_bodies"]:
        sys.exit(f"{served['distinct_bodies']} different requests got {served['replies']} replies")
    kind = f"judged, -n {workers}" if workers else "judged, serial"
    return row(kind, size, process, seen, calls=served["replies"])


def write_project(folder, size):
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    metrics = "\n".join(f'{name} = "report"' for name in METRICS)
    (folder / "ragcheck.toml").write_text(
        f'questions = "questions.json"\njudge = "anthropic:claude-haiku-5-5"\nconcurrency = 32\n[metrics]\n{metrics}\n'
    )
    questions = [
        {"id": f"ship-{number}", "question": f"Does ship {number} carry salt?", "reference": f"{number} crates."}
        for number in range(size)
    ]
    (folder / "questions.json").write_text(json.dumps(questions))
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_ships.py").write_text(TEST)


def judge():
    # The gateway would heed rate headers from some thousand calls a minute on.
    return mock_server("--latency=0", "--no-ratelimit-headers")


def row(kind, size, process, seen, *, calls):
    return {
        "kind": kind,
        "size": size,
        "wall": process.wall,
        "cpu": process.cpu,
        "memory": process.memory,
        "collection": seen["collection"],
        "calls": calls,
    }


def shown(row):
    rate = f"{row['calls'] / row['cpu']:.0f}" if row["calls"] else "-"
    return (
        row["kind"],
        f"{row['size']:,}",
        f"{row['wall']:.1f} s",
        f"{row['cpu']:.1f} s",
        f"{1e3 * row['wall'] / row['size']:.1f} ms",
        rate,
        f"{row['collection']:.2f} s",
        f"{row['memory'] / 1e6:.0f} MB",
    )


def print_growth(kind, rows):
    """How far time and memory are from growing with the questions alone, between the two largest sizes."""
    if len(rows) < 3:  # noqa: PLR2004
        return
    first, second, third = rows[-3:]
    names = ("wall", "cpu", "memory")
    slope, earlier = ({name: growth(*pair, name) for name in names} for pair in ((second, third), (first, second)))
    print(
        f"{kind}, beyond {second['size']:,} questions (in brackets: per question of those from {first['size']:,} on):"
    )
    print(f"  {1e3 * slope['wall']:.1f} ({1e3 * earlier['wall']:.1f}) ms for a further question")
    print(f"  {1e3 * slope['cpu']:.1f} ({1e3 * earlier['cpu']:.1f}) ms of processor time")
    print(f"  {slope['memory'] / 1e3:.0f} ({earlier['memory'] / 1e3:.0f}) kB of memory")


def print_aims(size, rows):
    """What the judged runs of one size come to, without the server, which is a process of its own."""
    serial, divided = rows
    print(
        f"{size:,} judged questions, {serial['calls']:,} calls: {serial['cpu']:.1f} s of processor time (allowed for "
        f"10,000: 120), {1e3 * serial['cpu'] / serial['calls']:.2f} ms a call, all else included (allowed for 10,000: "
        f"2); {divided['kind'].removeprefix('judged, ')} is {serial['wall'] / divided['wall']:.2f} times as fast (at "
        f"least 1.5) with {divided['cpu'] / serial['cpu']:.2f} of the processor time"
    )


def growth(smaller, larger, name):
    """What a further question adds to a measure."""
    return (larger[name] - smaller[name]) / (larger["size"] - smaller["size"])


if __name__ == "__main__":
    os.environ.pop("ANTHROPIC_BASE_URL", None)
    main()
