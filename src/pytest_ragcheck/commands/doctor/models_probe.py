"""The program that loads the embedding model and FAISS.

It prints a line ``NOTE {...}`` for each step, so that a crash has a place.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__: list[str] = []

_TEXTS = ["Up to five days of leave can be carried over.", "Meals are paid up to 40 euros a day."]


def _note(step: str, **values: Any) -> None:
    sys.stdout.write(f"NOTE {json.dumps({'step': step, **values})}\n")
    sys.stdout.flush()


def _probe() -> None:
    from pytest_ragcheck.rag.embedding import CachedEmbedder
    from pytest_ragcheck.session.config import load_settings
    from pytest_ragcheck.session.embedders import configured_embedder
    from pytest_ragcheck.store import Store

    folder = Path.cwd()
    settings = load_settings(folder, invocation=folder)
    started = time.perf_counter()
    _note("begun", doing=f"loading the embedder {settings.embedder}")
    embedder = CachedEmbedder(configured_embedder(settings), Store(None))
    vectors = embedder.embed(_TEXTS)
    _note("embedded", seconds=time.perf_counter() - started, dimensions=vectors.shape[1])
    if find_spec("faiss") is None:
        return
    _note("importing", doing="importing faiss")
    faiss = _faiss()
    _note("searching", doing="searching with faiss")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    index.search(vectors, 1)
    _note("embedding again", doing="embedding and searching in one process")
    _, rows = index.search(embedder.embed([f"{_TEXTS[1]} Yes."]), 1)
    if rows.tolist() != [[1]]:
        raise RuntimeError("the nearest of two texts is not found: the packages do not fit together")
    torch = f" beside torch {metadata.version('torch')}" if "torch" in sys.modules else ""
    _note("together", faiss=faiss.__version__, beside=torch)


def _faiss() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import faiss
    return faiss


if __name__ == "__main__":
    try:
        _probe()
    except Exception as problem:  # noqa: BLE001 (told to the process that started this one)
        _note("failed", trouble=" ".join(f"{type(problem).__name__}: {problem}".split())[:500])
        sys.exit(1)
