"""Vectors of unit length in FAISS: exact search, and approximate search for corpora where that takes too long."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MissingExtraError
from pytest_ragcheck.rag.native_threads import sleeping_while_idle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "Hits",
    "approximate_index",
    "import_faiss",
    "map_index",
    "map_rows",
    "nearest",
    "nearly_nearest",
    "recall",
]

Hits = list[tuple[int, float]]
"""Rows with their scores, best first."""
_SPARE_CANDIDATES = 4
_ROUGHNESS = 1e-5
"""Inner products of unit vectors of a few thousand dimensions differ by less between single and double precision."""
_CANDIDATES_PER_HIT = 4
_LEAST_CANDIDATES = 40
_LISTS_PER_ROOT = 4
"""FAISS's guidelines: 4 to 16 times the square root of the number of vectors."""
_TRAINING_PER_LIST = 40
"""FAISS asks for 39 or more; they are what takes most memory while an approximate index is built."""
_ROWS_AT_ONCE = 65_536
WANTED_RECALL = 0.99
"""Of a sample of chunks looked up among all chunks; the least number of probed lists that reaches it is taken."""
_SAMPLE = 200
_SAMPLE_TOP_K = 10


def import_faiss() -> Any:
    """The library; MissingExtraError where it is not installed."""
    # FAISS 1.11 crashes at import where its deprecation warnings are errors.
    with warnings.catch_warnings(), sleeping_while_idle():
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


def map_rows(path: Path, count: int) -> Any:
    """The ``count`` rows of a file of float32 numbers without a header, mapped into memory, not to be written to.

    ValueError where the file does not hold as many rows of one length.
    """
    import numpy as np

    if not count:
        return np.empty((0, 0), dtype=np.float32)
    return np.asarray(np.memmap(path, dtype=np.float32, mode="r")).reshape(count, -1)


def nearest(rows: Any, queries: Any, top_k: int) -> list[Hits]:
    """For each query the ``top_k`` of ``rows`` with the highest inner products, best first.

    Both are float32 arrays, a vector in each row. Exact: as if every row were scored in double precision; equal scores
    stand in the order of the rows.
    """
    faiss = import_faiss()
    count = len(rows)
    wanted = min(top_k, count)
    found: list[Hits] = [[] for _ in queries]
    open_queries = list(range(len(queries))) if count else []
    width = min(wanted + _SPARE_CANDIDATES, count)
    while open_queries:
        rough, numbers = faiss.knn(queries[open_queries], rows, width, metric=faiss.METRIC_INNER_PRODUCT)
        undecided = []
        for query, rough_scores, candidates in zip(open_queries, rough, numbers, strict=True):
            hits = _rescored(rows, queries[query], candidates)[:wanted]
            if width < count and rough_scores[-1] >= hits[-1][1] - _ROUGHNESS:
                undecided.append(query)  # a row that was not looked at may belong among them
            else:
                found[query] = hits
        open_queries = undecided
        width = min(2 * width, count)
    return found


def nearly_nearest(rows: Any, approximate: Any, queries: Any, top_k: int) -> list[Hits]:
    """Like :func:`nearest`, among the candidates that an :func:`approximate_index` over the same rows finds.

    The scores are exact; a row may be missed.
    """
    width = min(max(_CANDIDATES_PER_HIT * top_k, _LEAST_CANDIDATES), len(rows))
    _, numbers = approximate.search(queries, width)
    return [
        _rescored(rows, query, candidates[candidates >= 0])[:top_k]
        for query, candidates in zip(queries, numbers, strict=True)
    ]


def approximate_index(rows: Any) -> Any:
    """An inverted-file index (IVF, 8 bits a dimension) over the vectors in ``rows``.

    It probes as few lists as give a recall of :data:`WANTED_RECALL` for a sample of the rows. The same rows give
    the same index.
    """
    faiss = import_faiss()
    count, dimensions = rows.shape
    lists = max(1, min(int(_LISTS_PER_ROOT * count**0.5), count // _TRAINING_PER_LIST))
    quantizer = faiss.IndexFlatIP(dimensions)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dimensions, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.train(rows[_spread(count, lists * _TRAINING_PER_LIST)])
    for start in range(0, count, _ROWS_AT_ONCE):
        index.add(rows[start : start + _ROWS_AT_ONCE])
    index.nprobe = _probes(rows, index)
    return index


def recall(exact: Sequence[Hits], found: Sequence[Hits]) -> float:
    """The share of exact hits that were found; 1 where there are none."""
    wanted = sum(len(hits) for hits in exact)
    both = sum(
        len({row for row, _ in one} & {row for row, _ in other}) for one, other in zip(exact, found, strict=True)
    )
    return both / wanted if wanted else 1.0


def _probes(rows: Any, index: Any) -> int:
    """The least power of two (or all lists) that reaches the wanted recall."""
    queries = rows[_spread(len(rows), _SAMPLE)]
    exact = nearest(rows, queries, _SAMPLE_TOP_K)
    probes = 1
    while probes < index.nlist:
        index.nprobe = probes
        if recall(exact, nearly_nearest(rows, index, queries, _SAMPLE_TOP_K)) >= WANTED_RECALL:
            return probes
        probes *= 2
    return int(index.nlist)


def _spread(count: int, wanted: int) -> Any:
    """At most ``wanted`` row numbers, evenly over ``count`` rows."""
    import numpy as np

    return np.unique(np.linspace(0, count - 1, num=min(count, wanted)).astype(np.int64))


def _rescored(rows: Any, query: Any, candidates: Any) -> Hits:
    vectors = rows[candidates].astype("float64")
    scores = (vectors * query.astype("float64")).sum(axis=1)
    return sorted(zip(candidates.tolist(), scores.tolist(), strict=True), key=lambda hit: (-hit[1], hit[0]))
