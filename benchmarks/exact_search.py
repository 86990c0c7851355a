"""Whether retrieval finds what an exact search finds, over any folder with a ``ragcheck.toml``.

``python benchmarks/exact_search.py [FOLDER] [--top-k K]`` (default: the handbook example)

Embeds documents and questions as a run does, searches the index for all questions, and compares with
NumPy's product of the same vectors in double precision, ties in the order of the documents.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from support import print_table, project_folder

from pytest_ragcheck.dataset import load_questions
from pytest_ragcheck.errors import RagcheckError
from pytest_ragcheck.rag.corpus import read_corpus
from pytest_ragcheck.rag.embedding import CachedEmbedder
from pytest_ragcheck.rag.index import Index
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.embedders import configured_embedder
from pytest_ragcheck.store import Store


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=project_folder() / "examples" / "handbook")
    parser.add_argument("--top-k", type=int, help="contexts for a question (default: as configured)")
    options = parser.parse_args()
    try:
        settings = load_settings(options.folder.resolve(), invocation=options.folder.resolve())
        if settings.questions is None or not settings.documents:
            sys.exit(f"{settings.origin}: needs questions and documents")
        with tempfile.TemporaryDirectory() as place, Store(None) as store:
            compare(settings, options.top_k or settings.top_k, Path(place), store)
    except RagcheckError as problem:
        sys.exit(str(problem))


def compare(settings, top_k, place, store):
    corpus = read_corpus(settings.documents, settings.root, store)
    embedder = CachedEmbedder(configured_embedder(settings), store)
    index = Index(
        corpus,
        folder=place,
        embedder=embedder,
        store=store,
        size=settings.chunk_size,
        overlap=settings.chunk_overlap,
    )
    texts = [question.question for question in load_questions(settings.questions, name=settings.questions.name)]
    index.make_ready(texts, top_k)
    chunks = embedder.embed([chunk.text for chunk in index.chunks])
    queries = embedder.embed(texts)

    started = time.perf_counter()
    found = index.search_many(texts, top_k)
    between = time.perf_counter()
    expected = exact_search(chunks, queries, top_k)
    ended = time.perf_counter()
    show(index.chunks, texts, found, expected, (between - started, ended - between))


def exact_search(chunks, queries, top_k):
    """For each query (row, score) of the nearest chunks; each distinct chunk is scored once, so that ties are ties."""
    import numpy as np

    distinct, which = np.unique(chunks.astype(np.float64), axis=0, return_inverse=True)
    scores = (queries.astype(np.float64) @ distinct.T)[:, which.reshape(-1)]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    return [[(int(row), float(some[row])) for row in rows] for rows, some in zip(order, scores, strict=True)]


def show(chunks, texts, found, expected, seconds):
    rows_by_id = {chunk.id: row for row, chunk in enumerate(chunks)}
    difference, moved, gap = 0.0, 0, 0.0
    for contexts, hits in zip(found, expected, strict=True):
        rows = [rows_by_id[context.chunk_id] for context in contexts]
        difference = max([difference, *(abs(c.score - score) for c, (_, score) in zip(contexts, hits, strict=True))])
        if rows != [row for row, _ in hits]:
            moved += 1
            exact = dict(hits)
            gap = max([gap, *(abs(c.score - exact.get(row, -1.0)) for c, row in zip(contexts, rows, strict=True))])
    print_table(
        ("", "questions", "chunks", "contexts", "seconds"),
        [
            ("the index", len(texts), len(chunks), sum(map(len, found)), f"{seconds[0]:.3f}"),
            ("NumPy", len(texts), len(chunks), sum(map(len, expected)), f"{seconds[1]:.3f}"),
        ],
    )
    print(f"\nlargest difference of two scores: {difference:.1e}")
    if moved:
        sys.exit(
            f"the order is NOT the same for {moved} of {len(texts)} questions (scores there differ by up to {gap:.1e})"
        )
    print(f"the order is the same for all {len(texts)} questions")


if __name__ == "__main__":
    main()
