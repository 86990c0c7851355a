"""The example's first and second run, of an earlier commit and of this one, pair by pair.

``python benchmarks/example_runs.py COMMIT [--pairs 3] [--no-bytecode]``

Whole processes, each first run in a fresh clone: no vector, no index and no compiled module of ours is there, but what
is installed is compiled. The packages are those of this environment for both. With ``--no-bytecode`` no run may write
any (``PYTHONDONTWRITEBYTECODE``). Uncommitted changes are not measured.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from support import PYTEST, expect_status, measure, print_machine, print_table, project_folder

RUNS = ("first run", "second run")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the earlier one")
    parser.add_argument("--pairs", type=int, default=3, help="clones of each commit (default: 3)")
    parser.add_argument("--no-bytecode", action="store_true", help="as where PYTHONDONTWRITEBYTECODE is set")
    options = parser.parse_args()
    print_machine()
    environment = {"PYTHONDONTWRITEBYTECODE": "1"} if options.no_bytecode else {}
    commits = {options.commit: [], "HEAD": []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(options.pairs):
            for commit, pairs in commits.items():
                clone = clone_at(commit, Path(place, f"{commit}-{number}"))
                pairs.append([run_example(clone, **environment) for _ in RUNS])
    show(commits)


def clone_at(commit, place):
    project = str(project_folder())
    told = subprocess.run(["git", "-C", project, "rev-parse", commit], capture_output=True, text=True, check=True)
    subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", project, str(place)], check=True)
    subprocess.run(["git", "-C", str(place), "checkout", "--quiet", told.stdout.strip()], check=True)
    return place


def run_example(clone, **environment):
    run = measure((*PYTEST, "--ragcheck", "examples/handbook"), clone, PYTHONPATH=str(clone / "src"), **environment)
    expect_status([run], 0, 1)
    return run


def show(commits):
    (earlier, before), (_, now) = commits.items()
    rows = []
    for number, kind in enumerate(RUNS):
        for commit, pairs in commits.items():
            walls, cpus = zip(*((pair[number].wall, pair[number].cpu) for pair in pairs), strict=True)
            rows.append((f"{kind}, {commit}", f"{median(walls):.1f} s", f"{min(walls):.1f} s", f"{median(cpus):.2f} s"))
    print_table(("", "wall, median", "fastest", "processor time"), rows)
    print(f"\ntimes as fast as {earlier}, median of the pairs:")
    for number, kind in enumerate(RUNS):
        pairs = [(old[number], new[number]) for old, new in zip(before, now, strict=True)]
        wall = median(old.wall / new.wall for old, new in pairs)
        print(
            f"{kind}: {wall:.1f} in wall time, {median(old.cpu / new.cpu for old, new in pairs):.1f} in processor time"
        )


if __name__ == "__main__":
    main()
