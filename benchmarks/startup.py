"""What the plugin costs when nothing is to be done, and where a start goes: whole processes, side by side.

``python benchmarks/startup.py [--times 7] [--profiles 3] [--overlaps 3] [--no-bytecode]``

Compares pytest over an empty test without the plugin, the same with the plugin but without
``--ragcheck``, and a repeated, unchanged run of the handbook example with ``--ragcheck``. With ``--no-bytecode`` these
may write no bytecode (``PYTHONDONTWRITEBYTECODE``), as in most container images; what pytest kept of earlier runs is
removed before.

Then the profile: when the handbook's run reaches each step, in an empty project (cold) and repeated (warm), serial and
under ``-n 2``, and which packages it spends its imports on. The warm runs must import none of the heavy libraries.

Last, what it gains that deepeval is imported while answers are on their way: a judged run of four questions whose
answers take two seconds, against the same with the import when the first score needs it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from support import PYTEST, expect_status, interleaved, measure, middle, print_table, project_folder, with_stopwatch

from pytest_ragcheck.testing.messages_api import MessagesApi

HEAVY = ("torch", "sentence_transformers", "faiss", "numpy", "anthropic", "deepeval", "pydantic")
HEAVY_WHEN_WARM = {"torch", "sentence_transformers", "transformers", "faiss", "anthropic", "deepeval"}
OFF, ON, WARM = (
    "empty test, plugin off (-p no:ragcheck)",
    "empty test, plugin loaded",
    "handbook, second run (--ragcheck)",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=7, help="runs of each kind (default: 7)")
    parser.add_argument("--profiles", type=int, default=3, help="profiles of each kind (default: 3)")
    parser.add_argument("--overlaps", type=int, default=3, help="judged runs of each kind (default: 3)")
    parser.add_argument("--no-bytecode", action="store_true", help="as where PYTHONDONTWRITEBYTECODE is set")
    options = parser.parse_args()
    if options.times:
        compare(options.times, **({"PYTHONDONTWRITEBYTECODE": "1"} if options.no_bytecode else {}))
    if options.profiles:
        show_profiles(options.profiles)
    if options.overlaps:
        show_overlap(options.overlaps)


def compare(times, **environment):
    with tempfile.TemporaryDirectory() as place:
        empty, handbook = Path(place, "empty"), Path(place, "handbook")
        empty.mkdir()
        (empty / "test_empty.py").write_text("def test_empty():\n    pass\n")
        copy_handbook(handbook)
        _, first = with_stopwatch(handbook, "--ragcheck")
        _, second = with_stopwatch(handbook, "--ragcheck")
        if environment:
            remove_rewritten()
        commands = {OFF: (*PYTEST, "-p", "no:ragcheck"), ON: PYTEST, WARM: (*PYTEST, "--ragcheck")}
        folders = {OFF: empty, ON: empty, WARM: handbook}
        interleaved(commands, folders, 1, **environment)  # compiles and reads into the system's cache what all need
        runs = interleaved(commands, folders, times, **environment)
    expect_status(runs[OFF] + runs[ON], 0)
    expect_status(runs[WARM], 0, 1)
    show(runs, times, first, second)


def remove_rewritten():
    """What pytest has compiled of this package with rewritten assertions."""
    import pytest_ragcheck

    for path in Path(pytest_ragcheck.__file__).parent.rglob("__pycache__/*-pytest-*.pyc"):
        path.unlink()


def copy_handbook(place):
    without_state = shutil.ignore_patterns(".ragcheck", "__pycache__")
    shutil.copytree(project_folder() / "examples" / "handbook", place, ignore=without_state)


def show(runs, times, first, second):
    base = middle(runs[OFF])
    print(f"median of {times} runs each, in turns\n")
    print_table(
        ("", "wall", "fastest", "CPU", "memory", "to the first"),
        [
            (
                name,
                f"{1000 * middle(some):.0f} ms",
                f"{1000 * min(run.wall for run in some):.0f} ms",
                f"{1000 * middle(some, 'cpu'):.0f} ms",
                f"{middle(some, 'memory') / 1e6:.0f} MB",
                f"x {middle(some) / base:.2f}",
            )
            for name, some in runs.items()
        ],
    )
    turns = list(zip(runs[OFF], runs[ON], runs[WARM], strict=True))  # side by side, so under the same load
    wall = 1000 * median(on.wall - off.wall for off, on, _ in turns)
    cpu = 1000 * median(on.cpu - off.cpu for off, on, _ in turns)
    ratio = median(warm.wall / off.wall for off, _, warm in turns)
    print("\nmedian over the turns:")
    print(f"the plugin without --ragcheck: {wall:+.0f} ms (CPU {cpu:+.0f} ms)")
    print(f"a repeated run of {second['items']} questions: {ratio:.2f} times an empty run of pytest")
    print(f"imported in the first run:  {imported(first)}")
    print(f"imported in the second run: {imported(second)}")


def imported(seen):
    return ", ".join(name for name in HEAVY if name in seen["modules"]) or "none of " + ", ".join(HEAVY)


# ---- The profile

STEPS = (
    "pytest started", "configured", "settings read", "questions read", "documents read", "collected",
    "embedding model loaded", "index ready", "questions asked", "first result", "last result", "reports written",
)  # fmt: skip
KINDS = {"serial": (), "-n 2": ("-n", "2")}
PACKAGES_SHOWN = 10


def show_profiles(times):
    profiles = {}
    with tempfile.TemporaryDirectory() as place:
        for number in range(times):
            for kind, arguments in KINDS.items():
                handbook = Path(place, f"{kind.strip('-')}-{number}".replace(" ", ""))
                copy_handbook(handbook)
                for state in ("cold", "warm"):
                    profiles.setdefault((kind, state), []).append(profile(handbook, arguments))
    for (kind, state), runs in profiles.items():
        if state == "warm" and (loaded := {name for run in runs for name in HEAVY_WHEN_WARM & set(run["modules"])}):
            sys.exit(f"{kind}: a repeated run imported {', '.join(sorted(loaded))}")
    print_steps(profiles, times)
    print_imports(profiles)


def profile(folder, arguments):
    """The profile of the process whose last result came last: of a worker, where there are workers."""
    told = folder / "profiles"
    shutil.rmtree(told, ignore_errors=True)
    told.mkdir()
    run = measure(
        (*PYTEST, "-p", "start_profile", "--ragcheck", *arguments),
        folder,
        PYTHONPATH=str(Path(__file__).parent),
        RAGCHECK_PROFILES=str(told),
        RAGCHECK_STARTED=str(time.time()),
    )
    expect_status([run], 0, 1)
    main_process, *workers = [json.loads(path.read_text()) for path in sorted(told.glob("*.json"), key=worker_last)]
    chosen = max(workers or [main_process], key=lambda seen: seen["reached"]["last result"][0])
    chosen["reached"]["reports written"] = main_process["reached"]["reports written"]
    chosen["modules"] = sorted({name for seen in (main_process, *workers) for name in seen["modules"]})
    return chosen | {"wall": run.wall, "cpu": run.cpu}


def worker_last(path):
    return path.stem != "main", path.stem


def print_steps(profiles, times):
    print(f"\nWhen a run of the handbook reaches a step: ms (of them processor time), median of {times}\n")
    rows = [(step, *(moment(runs, step) for runs in profiles.values())) for step in STEPS]
    whole = [
        f"{1e3 * middle_of(runs, 'wall'):,.0f} ({1e3 * middle_of(runs, 'cpu'):,.0f})" for runs in profiles.values()
    ]
    print_table(("", *(f"{kind}, {state}" for kind, state in profiles)), [*rows, ("end, all processes", *whole)])
    base = middle_of(profiles["serial", "cold"], "cpu")
    shares = (f"{middle_of(runs, 'cpu') / base:.2f} ({kind}, {state})" for (kind, state), runs in profiles.items())
    print(f"\nprocessor time, of that of the cold serial run: {', '.join(shares)}")


def moment(runs, step):
    seen = [run["reached"][step] for run in runs if step in run["reached"]]
    if not seen:
        return "-"
    return f"{1e3 * median(wall for wall, _ in seen):,.0f} ({1e3 * median(cpu for _, cpu in seen):,.0f})"


def middle_of(runs, what):
    return median(run[what] for run in runs)


def print_imports(profiles):
    print("\nSeconds in imports, by package, without what a package imports from others; threads side by side:\n")
    seconds = {key: {name: median(run["imports"].get(name, 0.0) for run in runs) for name in packages(runs)}
               for key, runs in profiles.items()}  # fmt: skip
    order = sorted(packages(profiles["serial", "cold"]), key=lambda name: -seconds["serial", "cold"][name])
    rows = [(name, *(f"{told.get(name, 0.0):.2f}" for told in seconds.values())) for name in order[:PACKAGES_SHOWN]]
    rows.append(("all", *(f"{sum(told.values()):.2f}" for told in seconds.values())))
    print_table(("", *(f"{kind}, {state}" for kind, state in profiles)), rows)


def packages(runs):
    return {name for run in runs for name in run["imports"]}


# ---- Imports beside answers

JUDGED = {
    "pytest.ini": "[pytest]\nasyncio_default_fixture_loop_scope = function\n",
    "ragcheck.toml": """
questions = "questions.json"
judge = "anthropic:claude-haiku-5-5"
[metrics]
answer_relevancy = "report"
""",
    "questions.json": json.dumps(
        [{"id": f"q{number}", "question": f"Colour of item {number}?"} for number in range(4)]
    ),
    "conftest.py": """
import asyncio
import pytest

@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        await asyncio.sleep(2)
        return f"{question[:-1]} is blue.", ["Every item is blue."]
    return ask
""",
    "test_colours.py": "def test_colours(ragcheck_result):\n    ragcheck_result.assert_passed()\n",
}
BESIDE, ON_DEMAND = "deepeval imported beside the answers", "deepeval imported for the first score"


def show_overlap(times):
    runs = {BESIDE: [], ON_DEMAND: []}
    with tempfile.TemporaryDirectory() as place, MessagesApi() as api:
        for number in range(times + 1):
            for kind, environment in ((BESIDE, {}), (ON_DEMAND, {"RAGCHECK_ON_DEMAND": "1"})):
                folder = Path(place, f"{kind}-{number}")
                folder.mkdir()
                for name, text in JUDGED.items():
                    (folder / name).write_text(text)
                runs[kind].append(judged(folder, api.url, environment))
    for some in runs.values():
        del some[0]  # compiles and reads into the system's cache what all need
    print(f"\nA judged run whose answers take 2 s, median of {times}\n")
    rows = [(kind, f"{middle(some):.1f} s", f"{middle(some, 'cpu'):.1f} s") for kind, some in runs.items()]
    print_table(("", "wall", "processor time"), rows)
    ratio = median(one.wall / other.wall for one, other in zip(*runs.values(), strict=True))
    print(f"\nwall, beside / for the first score, median over the turns: {ratio:.2f}")


def judged(folder, url, environment):
    run = measure(
        (*PYTEST, "-p", "start_profile", "--ragcheck"),
        folder,
        PYTHONPATH=str(Path(__file__).parent),
        RAGCHECK_PROFILES=str(folder),
        RAGCHECK_STARTED=str(time.time()),
        ANTHROPIC_BASE_URL=url,
        ANTHROPIC_API_KEY="any",
        **environment,
    )
    expect_status([run], 0)
    return run


if __name__ == "__main__":
    main()
