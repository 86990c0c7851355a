"""What one item costs: RAG items whose pipeline answers at once, beside a plain parametrised test.

``python benchmarks/items.py [--sizes 100 1000 10000] [--times 1]``

Both are run with the same number of items, one after the other. The cost of an item is the time of pytest's
test loop divided by the number of items; collection stands apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from support import print_table, with_stopwatch

METRICS = ("groundedness", "reference_coverage", "must_contain", "refusal")

PLAIN = """
import pytest

@pytest.mark.parametrize("number", range({size}), ids="q{{}}".format)
def test_plain(number):
    assert number >= 0
"""

PIPELINE = """
import pytest

@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        number = question.split()[2]
        return f"Ship {number} of the fleet carries {number} crates.", [
            f"The register says that ship {number} of the fleet carries {number} crates of salt. It sails in May.",
            "Crates are counted twice a year, in spring and in autumn.",
        ]
    return ask
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000], help="numbers of questions")
    parser.add_argument("--times", type=int, default=1, help="runs of each kind and size; the median counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows = [row for size in options.sizes for row in measured(Path(place), size, options.times)]
    print_table(("", "items", "collection", "loop", "end", "per item", "ratio", "process", "memory"), map(shown, rows))
    show_growth(rows)


def measured(place, size, times):
    """One row for the plain test and one for the RAG items."""
    folders = {"plain": plain_project(place / f"plain-{size}", size), "RAG": rag_project(place / f"rag-{size}", size)}
    runs = {name: [] for name in folders}
    for _ in range(times):
        for name, folder in folders.items():
            runs[name].append(one_run(folder, size, ["--ragcheck"] if name == "RAG" else ["-p", "no:ragcheck"]))
    rows = [{"name": name, "size": size} | medians(some) for name, some in runs.items()]
    for row in rows:
        row["ratio"] = row["loop"] / rows[0]["loop"]
    return rows


def one_run(folder, size, arguments):
    process, seen = with_stopwatch(folder, *arguments)
    if process.status != 0 or seen.get("items") != size:
        sys.exit(f"pytest ended with {process.status}, {seen.get('items')} of {size} items:\n{process.output[-2000:]}")
    times = {name: seen[name] for name in ("collection", "loop", "end")}
    return times | {"wall": process.wall, "memory": process.memory}


def medians(runs):
    return {name: median(run[name] for run in runs) for name in runs[0]}


def shown(row):
    return (
        row["name"],
        row["size"],
        f"{row['collection']:.2f} s",
        f"{row['loop']:.2f} s",
        f"{row['end']:.2f} s",
        f"{1000 * row['loop'] / row['size']:.2f} ms",
        f"x {row['ratio']:.1f}",
        f"{row['wall']:.2f} s",
        f"{row['memory'] / 1e6:.0f} MB",
    )


def show_growth(rows):
    print()
    for name in ("plain", "RAG"):
        some = sorted((row for row in rows if row["name"] == name), key=lambda row: row["size"])
        first, last = some[0], some[-1]
        if first["size"] == last["size"]:
            continue
        more = last["size"] - first["size"]
        memory = (last["memory"] - first["memory"]) / more
        seconds = (last["wall"] - first["wall"]) / more
        print(f"{name}: {memory / 1e3:.1f} kB and {1000 * seconds:.2f} ms (whole process) for each further item")


def plain_project(folder, size):
    folder.mkdir()
    (folder / "test_plain.py").write_text(PLAIN.format(size=size))
    return folder


def rag_project(folder, size):
    folder.mkdir()
    questions = [
        {
            "id": f"q{number}",
            "question": f"Does ship {number} carry salt, and how many crates?",
            "reference": f"{number} crates of salt.",
            "must_contain": [f"{number} crates"],
            "tags": ["fleet"],
        }
        for number in range(size)
    ]
    (folder / "questions.json").write_text(json.dumps(questions, indent=1))
    metrics = "\n".join(f'{name} = "report"' for name in METRICS)
    (folder / "ragcheck.toml").write_text(f'questions = "questions.json"\n[metrics]\n{metrics}\n')
    (folder / "conftest.py").write_text(PIPELINE)
    (folder / "test_rag.py").write_text("def test_rag(ragcheck_result):\n    ragcheck_result.assert_passed()\n")
    return folder


if __name__ == "__main__":
    main()
