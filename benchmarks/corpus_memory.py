"""Memory that indexing and searching take for each chunk and each megabyte of text.

``python benchmarks/corpus_memory.py [--chunks N] [--words W]`` (default: 80,000 chunks of 200 words, and twice as many)

Indexes synthetic pages of two sizes, exactly and approximately, each in a process of its own, and then opens the index
again for some questions. A stand-in for the embedding model makes vectors of 384 dimensions, so that what is measured
is the corpus and not the model. What counts is memory of the process's own; files mapped into memory are the system's
to drop. Linux only (``/proc``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from large_corpus import WordVectors, write_pages
from support import child_environment, print_table, watched

from pytest_ragcheck.rag.corpus import read_corpus
from pytest_ragcheck.rag.embedding import CachedEmbedder
from pytest_ragcheck.rag.index import Index
from pytest_ragcheck.store import Store

TIMES = 2
QUESTIONS = ("Who approves leave in Oslo?", "Who repairs printers in Graz?")
WAYS = {"exact": sys.maxsize, "approximate": 0}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=80_000, help="in the smaller corpus")
    parser.add_argument("--words", type=int, default=200, help="words in a chunk")
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)  # what the child process does
    parser.add_argument("--exact-up-to", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.index:
        index_and_search(options)
        return
    with tempfile.TemporaryDirectory() as name:
        small, large = (Path(name, size) for size in ("small", "large"))
        for place, chunks in ((small, options.chunks), (large, TIMES * options.chunks)):
            place.mkdir()
            write_pages(place / "pages", chunks, options.words)
        compare(small, large, options)


def compare(small, large, options):
    rows = []
    for way, exact_up_to in WAYS.items():
        for step in ("indexing", "searching"):
            one, other = (measured(place, options.words, exact_up_to) for place in (small, large))
            growth = other["memory"] - one["memory"]
            rows.append(
                [
                    f"{step}, {way}",
                    f"{one['memory'] / 1e6:,.0f} MB",
                    f"{other['memory'] / 1e6:,.0f} MB",
                    f"{growth / (other['chunks'] - one['chunks']):,.0f} B",
                    f"{growth / (other['text'] - one['text']):.2f} MB",
                    f"{other['seconds'] / one['seconds']:.1f}",
                ]
            )
    print(f"{one['chunks']:,} chunks ({one['text'] / 1e6:,.0f} MB of text) and {other['chunks']:,} "
          f"({other['text'] / 1e6:,.0f} MB), most memory of its own\n")  # fmt: skip
    heads = ["", "smaller", "larger", "for a further chunk", "for a further MB of text", "time, larger / smaller"]
    print_table(heads, rows)


def measured(place, words, exact_up_to):
    """What a child process told, and the most memory of its own that it was seen to hold."""
    arguments = ["--index", str(place), "--words", str(words), "--exact-up-to", str(exact_up_to)]
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdout=subprocess.PIPE,
        env=child_environment(place) | {"PYTHONPATH": str(Path(__file__).parent)},
        text=True,
    )
    told, memory = watched(process)
    return json.loads(told) | {"memory": memory}


def index_and_search(options):
    with Store(options.index / "cache.sqlite") as store:
        started = time.perf_counter()
        corpus = read_corpus(["pages"], options.index, store)
        folder = options.index / f"index-{options.exact_up_to}"
        index = Index(
            corpus,
            folder=folder,
            embedder=CachedEmbedder(WordVectors(), store),
            store=store,
            size=options.words,
            overlap=0,
            exact_up_to=options.exact_up_to,
        )
        index.search_many([f"{question} {time.time()}" for question in QUESTIONS], 5)
        seconds = time.perf_counter() - started
        text = sum(map(len, corpus.texts.values()))
        print(json.dumps({"chunks": len(index.chunks), "text": text, "seconds": seconds, "built": index.built}))


if __name__ == "__main__":
    main()
