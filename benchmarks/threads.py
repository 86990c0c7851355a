"""What it costs that torch and FAISS have a pool of threads each, and processes beside each other have them all.

``python benchmarks/threads.py [--rounds 5] [--texts 32] [--rows 20000]``

Compares threads as the libraries have them, which run in circles while they wait for each other, with threads that
sleep, as the plugin loads the libraries: embedding alone, searching alone, both at the same time in one process, and
embedding in two processes at the same time (as under ``-n 2``). The processes live side by side and take turns; while
one works, the others stand still.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from itertools import chain
from pathlib import Path
from statistics import median

from support import child_environment, print_table, project_folder

AS_THEY_ARE, SLEEPING = "as they are", "sleeping"
QUERIES, SEARCHES, DIMENSIONS, TOP_K = 64, 4, 384, 10
STEPS = ("embedding", "searching", "both at once")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=32)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--child", choices=(AS_THEY_ARE, SLEEPING), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        serve(options)
        return
    pairs = {kind: [Child(kind, options) for _ in range(2)] for kind in (AS_THEY_ARE, SLEEPING)}
    measured = {(step, kind): [] for step in (*STEPS, "two processes") for kind in pairs}
    for _ in range(options.rounds):
        for kind, (one, other) in pairs.items():
            for step in STEPS:
                measured[step, kind].append(one.ask(step))
            measured["two processes", kind].append(at_once(one, other))
    for child in chain(*pairs.values()):
        child.end()
    torch, faiss = pairs[SLEEPING][0].threads
    print(f"{os.cpu_count()} cores; torch computes with {torch} threads, FAISS with {faiss}")
    show(measured, options.rounds)


class Child:
    """A process with both libraries loaded, that does a step when it is told to."""

    def __init__(self, kind, options):
        sizes = ["--texts", str(options.texts), "--rows", str(options.rows)]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, "--child", kind, *sizes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(project_folder()) | {"PYTHONPATH": str(Path(__file__).parent)},
        )
        self.threads = self.answer()
        """How many torch computes with, and FAISS."""

    def tell(self, step):
        """Let it begin."""
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()

    def answer(self):
        """Seconds and seconds of processor time of what it was told, when that is done."""
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"a child process ended with {self._process.wait()}")
        return json.loads(line)

    def ask(self, step):
        """Let it do a step, alone."""
        self.tell(step)
        return self.answer()

    def end(self):
        """Let it go."""
        self._process.communicate()


def at_once(one, other):
    """Both embed at the same time: seconds until both are done, seconds of processor time of both."""
    for child in (one, other):
        child.tell("embedding")
    taken = [child.answer() for child in (one, other)]
    return max(wall for wall, _ in taken), sum(cpu for _, cpu in taken)


def show(measured, rounds):
    rows = []
    for step in (*STEPS, "two processes"):
        wall, cpu = (
            {kind: median(taken[place] for taken in measured[step, kind]) for kind in (AS_THEY_ARE, SLEEPING)}
            for place in (0, 1)
        )
        rows.append(
            (
                step,
                *(f"{1e3 * wall[kind]:.0f} / {1e3 * cpu[kind]:.0f} ms" for kind in (AS_THEY_ARE, SLEEPING)),
                f"{wall[SLEEPING] / wall[AS_THEY_ARE]:.2f}",
                f"{cpu[SLEEPING] / cpu[AS_THEY_ARE]:.2f}",
            )
        )
    print(f"median of {rounds} rounds, wall and processor time; load of the machine {os.getloadavg()[0]:.1f}\n")
    print_table(("threads", AS_THEY_ARE, SLEEPING, "wall", "processor time"), rows)


# ---- In a process of its own


def serve(options):
    steps = made_steps(options)
    for step in STEPS:
        steps[step]()
    print(json.dumps(thread_counts()), flush=True)
    for line in sys.stdin:
        before, started = os.times(), time.perf_counter()
        steps[line.strip()]()
        wall, after = time.perf_counter() - started, os.times()
        print(json.dumps((wall, after.user + after.system - before.user - before.system)), flush=True)


def thread_counts():
    import faiss
    import torch

    return torch.get_num_threads(), faiss.omp_get_max_threads()


def made_steps(options):
    warnings.simplefilter("ignore")
    if options.child == AS_THEY_ARE:  # loaded before the plugin can do so
        import faiss
        import torch  # noqa: F401 (with threads as it comes)
    import numpy as np

    from pytest_ragcheck.rag.embedding import SentenceTransformersEmbedder
    from pytest_ragcheck.rag.minilm import model_folder
    from pytest_ragcheck.rag.vectors import import_faiss

    embedder = SentenceTransformersEmbedder(str(model_folder()))
    embedder.load()
    faiss = import_faiss()
    rows = np.random.default_rng(1).normal(size=(options.rows, DIMENSIONS)).astype(np.float32)
    texts = [f"In office {number} the team for leave approves travel within days." for number in range(options.texts)]

    def embed():
        embedder.embed(texts)

    def search():
        for _ in range(SEARCHES):
            faiss.knn(rows[:QUERIES], rows, TOP_K, metric=faiss.METRIC_INNER_PRODUCT)

    def both():
        searching = threading.Thread(target=search)
        searching.start()
        embed()
        searching.join()

    return dict(zip(STEPS, (embed, search, both), strict=True))


if __name__ == "__main__":
    main()
