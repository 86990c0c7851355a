"""The default model in NumPy against sentence-transformers with the same weights: vectors, ranks and time.

``python benchmarks/embedding.py [--documents DOCS/**/*.md --questions QUESTIONS.yaml] [--times 3]``

Without arguments: the handbook example. Each time of each kind is a process of its own, in turns: the seconds to load
the model, and to embed all chunks and questions. Then the least cosine between the two vectors of a text, and how many
questions have the same ten nearest chunks in the same order.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from support import child_environment, print_table, project_folder

KINDS = ("sentence-transformers", "NumPy")
TOP_K = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    example = project_folder() / "examples" / "handbook"
    parser.add_argument("--documents", default=str(example / "documents" / "*.md"), help="a pattern")
    parser.add_argument("--questions", default=str(example / "questions.yaml"), help="a question file")
    parser.add_argument("--times", type=int, default=3, help="processes of each kind (default: 3)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        embed_all(options)
    else:
        compare(options)


def compare(options):
    import numpy as np

    with tempfile.TemporaryDirectory() as place:
        seconds = {kind: [] for kind in KINDS}
        for _ in range(options.times):
            for kind in KINDS:
                seconds[kind].append(measure_child(kind, options, Path(place)))
        saved = [np.load(Path(place, f"{kind}.npz")) for kind in KINDS]
    heads = ("median of processes", "load", "CPU", "embed", "CPU")
    rows = [(kind, *(f"{median(each):.2f} s" for each in zip(*runs, strict=True))) for kind, runs in seconds.items()]
    print_table(heads, rows)
    (chunks, questions), (our_chunks, our_questions) = ((one["chunks"], one["questions"]) for one in saved)
    pairs = np.concatenate([(chunks * our_chunks).sum(axis=1), (questions * our_questions).sum(axis=1)])
    ranks, our_ranks = nearest(chunks, questions), nearest(our_chunks, our_questions)
    alike = int((ranks == our_ranks).all(axis=1).sum())
    print(f"\n{len(chunks)} chunks, {len(questions)} questions; least cosine of a pair: {pairs.min():.8f}")
    print(f"the same {TOP_K} nearest chunks in the same order: {alike} of {len(questions)} questions")


def nearest(chunks, questions):
    import numpy as np

    return np.argsort(-(questions.astype(np.float64) @ chunks.astype(np.float64).T), axis=1, kind="stable")[:, :TOP_K]


def measure_child(kind, options, place):
    command = [sys.executable, "-W", "ignore", __file__, "--child", str(place / f"{kind}.npz")]
    command += ["--documents", options.documents, "--questions", options.questions]
    done = subprocess.run(command, env=child_environment(place), capture_output=True, text=True, check=True)
    return [float(text) for text in done.stdout.split()[-4:]]


def embed_all(options):
    import numpy as np

    from pytest_ragcheck.dataset import load_questions
    from pytest_ragcheck.rag.chunking import chunk_documents
    from pytest_ragcheck.rag.corpus import read_corpus
    from pytest_ragcheck.store import Store

    corpus = read_corpus((options.documents,), Path.cwd(), Store(None))
    chunks = [chunk.text for chunk in chunk_documents(corpus.documents, size=200, overlap=40)]
    path = Path(options.questions)
    questions = [question.question for question in load_questions(path, name=path.name)]
    seconds = [time.perf_counter(), time.process_time()]
    embedder = make_embedder(Path(options.child).stem)
    embedder.load()
    loaded = [time.perf_counter(), time.process_time()]
    vectors = embedder.embed(chunks + questions)
    ended = [time.perf_counter(), time.process_time()]
    np.savez(options.child, chunks=vectors[: len(chunks)], questions=vectors[len(chunks) :])
    print(loaded[0] - seconds[0], loaded[1] - seconds[1], ended[0] - loaded[0], ended[1] - loaded[1])


def make_embedder(kind):
    from pytest_ragcheck.rag.embedding import SentenceTransformersEmbedder
    from pytest_ragcheck.rag.minilm import MiniLmEmbedder, model_folder

    return MiniLmEmbedder() if kind == "NumPy" else SentenceTransformersEmbedder(str(model_folder()))


if __name__ == "__main__":
    main()
