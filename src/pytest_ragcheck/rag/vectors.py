"""Vectors of unit length in FAISS: exact search, and approximate search for corpora where that takes too long."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Hits", "approximate_index", "import_faiss", "map_index", "nearest", "nearly_nearest", "recall", "stack"]

Hits = list[tuple[int, float]]
"""Rows with their scores, best first."""
_SPARE_CANDIDATES = 4
_ROUGHNESS = 1e-5
"""Inner products of unit vectors of a few thousand dimensions differ by less between single and double precision."""
_CANDIDATES_PER_HIT = 4
_LEAST_CANDIDATES = 40
_LISTS_PER_ROOT = 4
"""FAISS's guidelines: 4 to 16 times the square root of the number of vectors."""
_TRAINING_PER_LIST = 64
_ROWS_AT_ONCE = 65_536
WANTED_RECALL = 0.99
"""Of a sample of chunks looked up among all chunks; the least number of probed lists that reaches it is taken."""
_SAMPLE = 200
_SAMPLE_TOP_K = 10


def import_faiss() -> Any:
    """The library; MissingExtraError where it is not installed."""
    # FAISS 1.11 crashes at import where its deprecation warnings are errors.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import faiss
        except ImportError:
            raise MissingExtraError("searching documents", extra="rag") from None
    return faiss


def map_index(path: Path) -> Any:
    """An index file, mapped into memory: processes that read it share its pages."""
    faiss = import_faiss()
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def stack(batches: Iterable[Any]) -> Any:
    """A flat inner-product index over all rows of all ``batches``; one batch at a time is held beside it."""
    faiss = import_faiss()
    index = None
    for vectors in batches:
        index = faiss.IndexFlatIP(vectors.shape[1]) if index is None else index
        index.add(vectors)
    return faiss.IndexFlatIP(0) if index is None else index


def nearest(index: Any, queries: Any, top_k: int) -> list[Hits]:
    """For each query the ``top_k`` rows of a flat inner-product index with the highest scores, best first.

    Exact: as if every row were scored in double precision; equal scores stand in the order of the rows.
    """
    wanted = min(top_k, index.ntotal)
    found: list[Hits] = [[] for _ in queries]
    open_queries = list(range(len(queries)))
    width = min(wanted + _SPARE_CANDIDATES, index.ntotal)
    while open_queries:
        rough, rows = index.search(queries[open_queries], width)
        undecided = []
        for query, rough_scores, candidates in zip(open_queries, rough, rows, strict=True):
            hits = _rescored(index, queries[query], candidates)[:wanted]
            if width < index.ntotal and rough_scores[-1] >= hits[-1][1] - _ROUGHNESS:
                undecided.append(query)  # a row that was not looked at may belong among them
            else:
                found[query] = hits
        open_queries = undecided
        width = min(2 * width, index.ntotal)
    return found


def nearly_nearest(flat: Any, approximate: Any, queries: Any, top_k: int) -> list[Hits]:
    """Like :func:`nearest`, among the candidates that an :func:`approximate_index` over the same rows finds.

    The scores are exact; a row may be missed.
    """
    width = min(max(_CANDIDATES_PER_HIT * top_k, _LEAST_CANDIDATES), flat.ntotal)
    _, rows = approximate.search(queries, width)
    return [
        _rescored(flat, query, candidates[candidates >= 0])[:top_k]
        for query, candidates in zip(queries, rows, strict=True)
    ]


def approximate_index(flat: Any) -> Any:
    """An inverted-file index (IVF, 8 bits a dimension) over the rows of a flat one.

    It probes as few lists as give a recall of :data:`WANTED_RECALL` for a sample of the rows. The same rows give
    the same index.
    """
    faiss = import_faiss()
    lists = max(1, min(int(_LISTS_PER_ROOT * flat.ntotal**0.5), flat.ntotal // _TRAINING_PER_LIST))
    quantizer = faiss.IndexFlatIP(flat.d)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, flat.d, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.train(flat.reconstruct_batch(_spread(flat.ntotal, lists * _TRAINING_PER_LIST)))
    for start in range(0, flat.ntotal, _ROWS_AT_ONCE):
        index.add(flat.reconstruct_n(start, min(_ROWS_AT_ONCE, flat.ntotal - start)))
    index.nprobe = _probes(flat, index)
    return index


def recall(exact: Sequence[Hits], found: Sequence[Hits]) -> float:
    """The share of exact hits that were found; 1 where there are none."""
    wanted = sum(len(hits) for hits in exact)
    both = sum(
        len({row for row, _ in one} & {row for row, _ in other}) for one, other in zip(exact, found, strict=True)
    )
    return both / wanted if wanted else 1.0


def _probes(flat: Any, index: Any) -> int:
    """The least power of two (or all lists) that reaches the wanted recall."""
    queries = flat.reconstruct_batch(_spread(flat.ntotal, _SAMPLE))
    exact = nearest(flat, queries, _SAMPLE_TOP_K)
    probes = 1
    while probes < index.nlist:
        index.nprobe = probes
        if recall(exact, nearly_nearest(flat, index, queries, _SAMPLE_TOP_K)) >= WANTED_RECALL:
            return probes
        probes *= 2
    return int(index.nlist)


def _spread(rows: int, wanted: int) -> Any:
    """At most ``wanted`` row numbers, evenly over all rows."""
    import numpy as np

    return np.unique(np.linspace(0, rows - 1, num=min(rows, wanted)).astype(np.int64))


def _rescored(index: Any, query: Any, candidates: Any) -> Hits:
    vectors = index.reconstruct_batch(candidates).astype("float64")
    scores = (vectors * query.astype("float64")).sum(axis=1)
    return sorted(zip(candidates.tolist(), scores.tolist(), strict=True), key=lambda hit: (-hit[1], hit[0]))
