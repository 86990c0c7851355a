"""The same questions and four judged metrics, evaluated in several ways: ``python benchmarks/side_by_side.py``.

This plugin with a limit that it has to find and with ``concurrency = 8``, over the user's own pipeline, which calls the
server itself, and over the reference pipeline; a plain script as a good engineer would write
it, without a limit and with a semaphore of 8; and promptfoo, where npm can install it. All speak to the mock Messages
API in a process of its own, whose models take 0.6 s (answers) and 0.3 s (judging) in the median, a tenth of what real
ones take, times ``--scale``. ``--all`` adds slow ways: one call after another, and deepeval's own runners.

Whole processes, the second run of each way and later ones (modules are compiled by then), in turns, medians:

- first to last: from the arrival of the first call at the server to the end of the last one
- over bound: that time over the least that the same calls can take; only the plugin records what waits for what
- processor: user and system time of the way's processes
- wasted: calls that gave no message
- ratio: wall time over that of the plain script without a limit
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

import promptfoo
from support import print_machine, print_table
from ways import CALLS, JUDGE, OTHERS, WRITER, Timed, Way, ours, plain, run_way, write_project

LATENCIES = {WRITER: 0.6, JUDGE: 0.3}
REAL = 10
"""The scale at which latencies are those of real models."""
LONGEST = 200
"""Seconds."""
PLAIN = "plain script, no limit"
WAYS = {
    PLAIN: plain(),
    "plain script, semaphore of 8": plain(8),
    "pytest --ragcheck, limit to be found": ours(),
    "pytest --ragcheck, concurrency = 8": ours(8),
    "reference pipeline, limit to be found": ours(folder="reference"),
    "reference pipeline, concurrency = 32": ours(32, folder="reference"),
}
PROMPTFOO_IN_FLIGHT = 20


def choose_ways(options: argparse.Namespace, folder: Path) -> dict[str, Way]:
    """Return the ways that are asked for, with promptfoo where it can be installed."""
    ways = WAYS | (OTHERS if options.all else {})
    name = f"promptfoo -j {PROMPTFOO_IN_FLIGHT}"
    if wanted(name, options.only):
        try:
            command = promptfoo.install(options.promptfoo or folder / "promptfoo")
            arguments = promptfoo.arguments(PROMPTFOO_IN_FLIGHT)
            ways = ways | {name: Way((*command, *arguments), in_flight=PROMPTFOO_IN_FLIGHT)}
        except promptfoo.CannotInstallError as reason:
            print(f"promptfoo is left out: {reason}")
    return {name: way for name, way in ways.items() if wanted(name, options.only) or name == PLAIN}


def wanted(name: str, parts: list[str]) -> bool:
    return not parts or any(part in name for part in parts)


def leave_out_long(ways: dict[str, Way], size: int, scale: float) -> dict[str, Way]:
    """Return the ways without those whose limit alone makes them take very long."""
    work = size * scale * (LATENCIES[WRITER] + (CALLS - 1) * LATENCIES[JUDGE])
    least = {name: work / (way.in_flight or size * CALLS) for name, way in ways.items()}
    for name, seconds in least.items():
        if seconds > LONGEST:
            print(f"{name} is left out here: its limit makes it take {seconds:.0f} s at least; name it with --only")
    return {name: way for name, way in ways.items() if least[name] <= LONGEST}


def compare(ways: dict[str, Way], project: Path, scale: float, turns: int) -> dict[str, list[Timed]]:
    """Run all ways in turns."""
    latencies = [f"--model-latency={model}={seconds * scale}" for model, seconds in LATENCIES.items()]
    runs: dict[str, list[Timed]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            run = run_way(way, project, "--no-ratelimit-headers", *latencies)
            if not run.ended_well:
                sys.exit(f"{name} ended with {run.status}:\n{run.output[-3000:]}")
            runs[name].append(run)
    return runs


def show(runs: dict[str, list[Timed]]) -> None:
    """Print the medians of each way."""
    base = median(run.wall for run in runs[PLAIN])
    rows = []
    for name, timed in runs.items():
        wall, first_to_last, cpu = (
            median(getattr(run, what) for run in timed) for what in ("wall", "first_to_last", "cpu")
        )
        calls, wasted = (median(getattr(run, what) for run in timed) for what in ("made", "wasted"))
        bounds = [run.first_to_last / run.bound for run in timed if run.bound]
        over = f"{median(bounds):.2f}" if bounds else "-"
        seconds = (f"{wall:.2f} s", f"{first_to_last:.2f} s", over, f"{cpu:.2f} s")
        rows.append((name, *seconds, f"{calls:g}", f"{wasted:g}", f"{wall / base:.2f}"))
    print_table(("way", "wall", "first to last", "over bound", "processor", "calls", "wasted", "ratio"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[10, 100], metavar="N", help="questions")
    parser.add_argument(
        "--scale", type=float, nargs="+", default=[1.0, REAL], metavar="F", help=f"of the latencies; {REAL} is real"
    )
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each way (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="also the slow ways: in sequence, deepeval's own runners")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="ways whose names hold one of these")
    parser.add_argument("--promptfoo", type=Path, metavar="FOLDER", help="where it is installed, or is to be")
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        ways = choose_ways(options, Path(name))
        for size in options.size:
            project = Path(name) / f"project-{size}"
            write_project(project, size)
            compare(ways, project, 0.0, 1)  # compiles all modules
            for scale in options.scale:
                seconds = " and ".join(f"{seconds * scale:g} s" for seconds in LATENCIES.values())
                print(f"\n{size} questions, {size * CALLS} calls of {seconds}, medians of {options.runs} runs")
                some = ways if options.only else leave_out_long(ways, size, scale)
                show(compare(some, project, scale, options.runs))


if __name__ == "__main__":
    main()
