"""What the plugin costs when nothing is to be done: whole processes, side by side.

``python benchmarks/startup.py [--times 7]``

Compares pytest over an empty test without the plugin, the same with the plugin but without
``--ragcheck``, and a repeated, unchanged run of the handbook example with ``--ragcheck``.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median

from support import PYTEST, expect_status, interleaved, middle, print_table, project_folder, with_stopwatch

HEAVY = ("torch", "sentence_transformers", "faiss", "numpy", "anthropic", "deepeval", "pydantic")
OFF, ON, WARM = (
    "empty test, plugin off (-p no:ragcheck)",
    "empty test, plugin loaded",
    "handbook, second run (--ragcheck)",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=7, help="runs of each kind (default: 7)")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as place:
        empty, handbook = Path(place, "empty"), Path(place, "handbook")
        empty.mkdir()
        (empty / "test_empty.py").write_text("def test_empty():\n    pass\n")
        without_state = shutil.ignore_patterns(".ragcheck", "__pycache__")
        shutil.copytree(project_folder() / "examples" / "handbook", handbook, ignore=without_state)
        _, first = with_stopwatch(handbook, "--ragcheck")
        _, second = with_stopwatch(handbook, "--ragcheck")
        commands = {OFF: (*PYTEST, "-p", "no:ragcheck"), ON: PYTEST, WARM: (*PYTEST, "--ragcheck")}
        folders = {OFF: empty, ON: empty, WARM: handbook}
        interleaved(commands, folders, 1)  # compiles and reads into the system's cache what all need
        runs = interleaved(commands, folders, times)
    expect_status(runs[OFF] + runs[ON], 0)
    expect_status(runs[WARM], 0, 1)
    show(runs, times, first, second)


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


if __name__ == "__main__":
    main()
