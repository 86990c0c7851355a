"""A large corpus: embedding goes on after a kill, memory stays bounded, and what an approximate search misses is told.

``python benchmarks/large_corpus.py [--chunks N] [--words W] [--questions Q] [--stand-in]`` (default: 100,000 chunks of
20 words)

Writes synthetic pages, kills (SIGKILL) the first indexing part-way, runs it again to its end, and then searches for
the same questions exactly and approximately. Embeds with the packaged model, so the default takes some minutes; with
``--stand-in`` a text's vector is the sum of one for each of its words, and it is quick. Memory is what is in no file;
``benchmarks/corpus_memory.py`` tells how it grows. Linux only (``/proc``).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from zlib import crc32

from support import child_environment, print_table, watched

from pytest_ragcheck.rag.corpus import read_corpus
from pytest_ragcheck.rag.embedding import CachedEmbedder
from pytest_ragcheck.rag.index import Index
from pytest_ragcheck.rag.limits import EXACT_UP_TO
from pytest_ragcheck.rag.minilm import MiniLmEmbedder
from pytest_ragcheck.store import Store

CHUNKS_PER_PAGE = 250
TOP_K = 5
DIMENSIONS = 384
WORDS_SEEN = 20
SUBJECTS = (
    "leave", "travel", "payroll", "laptops", "visitors", "parking", "training", "pensions", "safety", "hiring",
    "archives", "kitchens", "contracts", "audits", "invoices", "lockers", "uniforms", "meetings", "printers", "keys",
)  # fmt: skip
VERBS = ("approves", "records", "returns", "renews", "refuses", "checks", "reports", "repairs", "lends", "collects")
PLACES = ("Lisbon", "Oslo", "Turin", "Ghent", "Porto", "Cork", "Graz", "Riga", "Brno", "Vigo", "Bergen", "Nantes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=20, help="words in a chunk")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--stand-in", action="store_true", help="embed without a model")
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)  # what the child process does
    parser.add_argument("--exact-up-to", type=int, default=EXACT_UP_TO, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.index:
        build(options)
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_pages(place / "pages", options.chunks, options.words)
        killed_and_resumed(place, options)
        searched(place, options)


def write_pages(folder, chunks, words):
    generator = random.Random(5)
    folder.mkdir()
    for page in range(-(-chunks // CHUNKS_PER_PAGE)):
        lines = (line(generator, words) for _ in range(min(CHUNKS_PER_PAGE, chunks - page * CHUNKS_PER_PAGE)))
        (folder / f"page-{page:05}.md").write_text("\n\n".join(lines) + "\n")


def line(generator, words):
    """One paragraph that fills a chunk."""
    said = [
        f"In {generator.choice(PLACES)} office {generator.randrange(1000)} the team for {generator.choice(SUBJECTS)}"
    ]
    said += [f"{generator.choice(VERBS)} {generator.choice(SUBJECTS)} within {generator.randrange(2, 90)} days"]
    text = " ".join(said).split()
    while len(text) < words:
        text += f"and {generator.choice(VERBS)} {generator.choice(SUBJECTS)} in {generator.choice(PLACES)}".split()
    return " ".join(text[:words]).rstrip(",") + "."


class WordVectors:
    """A text's vector is the sum of one for each of its first words: texts that share words are near each other."""

    fingerprint = "word vectors"

    def __init__(self):
        self._words = {}

    def load(self):
        """Nothing to load."""

    def embed(self, texts):
        """A row of unit length for each text."""
        import numpy as np

        rows = np.stack([np.sum([self._vector(word) for word in text.split()[:WORDS_SEEN]], axis=0) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def _vector(self, word):
        import numpy as np

        if word not in self._words:
            self._words[word] = np.random.default_rng(crc32(word.encode())).normal(size=DIMENSIONS)
        return self._words[word]


def make_index(place, options, store):
    corpus = read_corpus(["pages"], place, store)
    embedder = CachedEmbedder(WordVectors() if options.stand_in else MiniLmEmbedder(), store)
    folder = place / f"index-{options.exact_up_to}"
    index = Index(
        corpus,
        folder=folder,
        embedder=embedder,
        store=store,
        size=options.words,
        overlap=0,
        exact_up_to=options.exact_up_to,
    )
    return index, embedder


def build(options):
    """In a process of its own: index, and tell what it took."""
    with Store(options.index / "cache.sqlite") as store:
        index, embedder = make_index(options.index, options, store)
        started = time.perf_counter()
        count = len(index.chunks)
        seconds = time.perf_counter() - started
        told = {"chunks": count, "computed": embedder.computed, "reused": embedder.reused, "seconds": seconds}
        print(json.dumps(told))


def child(place, options, exact_up_to):
    sizes = {"--chunks": options.chunks, "--words": options.words, "--exact-up-to": exact_up_to}
    arguments = [str(part) for pair in sizes.items() for part in pair] + ["--stand-in"] * options.stand_in
    return subprocess.Popen(
        [sys.executable, __file__, "--index", str(place), *arguments],
        stdout=subprocess.PIPE,
        env=child_environment(place) | {"PYTHONPATH": str(Path(__file__).parent)},
        text=True,
    )


def embedded(place):
    if not (place / "cache.sqlite").exists():
        return 0
    with Store(place / "cache.sqlite") as store:
        return store.size().entries.get("embedding", 0)


def killed_and_resumed(place, options):
    process = child(place, options, EXACT_UP_TO)
    while embedded(place) < options.chunks // 5:
        if process.poll() is not None:
            sys.exit("indexing ended before it could be killed")
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = embedded(place)
    told = finished(child(place, options, EXACT_UP_TO))
    if told["reused"] != kept or told["computed"] + kept != told["chunks"]:
        sys.exit(f"after the kill {kept} embeddings were kept, and the second run says {told}")
    rate = told["computed"] / told["seconds"]
    again = finished(child(place, options, 0))
    rows = [
        ["chunks", f"{told['chunks']:,}"],
        ["embeddings kept after kill -9", f"{kept:,}"],
        ["embedded by the second run (the rest, and nothing twice)", f"{told['computed']:,}"],
        ["chunks embedded and indexed a second", f"{rate:,.0f}"],
        ["most memory, embedding (model and libraries included)", f"{told['memory'] / 1e6:,.0f} MB"],
        [
            "of that for a chunk, whose vector has 1.5 kB",
            f"{(told['memory'] - base_memory(options)) / told['chunks'] / 1e3:.1f} kB",
        ],
        ["most memory, building the approximate index", f"{again['memory'] / 1e6:,.0f} MB"],
        ["seconds, building the approximate index from kept embeddings", f"{again['seconds']:.1f}"],
    ]
    print_table(["indexing", "figure"], rows)


def base_memory(options):
    """What a process holds that has loaded model and libraries and embedded a few texts."""
    embedder = (
        "large_corpus import WordVectors" if options.stand_in else "pytest_ragcheck.rag.minilm import MiniLmEmbedder"
    )
    code = f"from {embedder} as Embedder; import faiss; Embedder().embed(['a text of some words'] * 256)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    _, memory = watched(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
    return memory


def finished(process):
    told, memory = watched(process)
    return json.loads(told) | {"memory": memory}


def searched(place, options):
    generator = random.Random(9)
    questions = [f"Who {generator.choice(VERBS)} {generator.choice(SUBJECTS)} in {generator.choice(PLACES)} office "
                 f"{generator.randrange(1000)}?" for _ in range(options.questions)]  # fmt: skip
    rows = []
    seconds = {}
    for kind, exact_up_to in (("exact", EXACT_UP_TO), ("approximate", 0)):
        options.exact_up_to = exact_up_to
        with Store(place / "cache.sqlite") as store:
            index, embedder = make_index(place, options, store)
            index.make_ready(["warm"], TOP_K)
            index.search("warm", TOP_K)
            embedder.embed(questions)
            started = time.perf_counter()
            found = index.search_many(questions, TOP_K)
            seconds[kind] = time.perf_counter() - started
        rows.append((kind, found))
    exact, approximate = ([{context.chunk_id for context in hits} for hits in found] for _, found in rows)
    recall = sum(len(one & other) for one, other in zip(exact, approximate, strict=True)) / sum(map(len, exact))
    each = {kind: f"{1e3 * taken / len(questions):.1f} ms" for kind, taken in seconds.items()}
    print()
    print_table(
        ["search", "a question", f"recall of the {TOP_K} nearest"],
        [["exact", each["exact"], "1.000"], ["approximate", each["approximate"], f"{recall:.3f}"]],
    )
    print("The found contexts are written to the store in both times.")
    print(f"approximate / exact time: {seconds['approximate'] / seconds['exact']:.2f}")


if __name__ == "__main__":
    main()
