"""The vector index: built once, kept on disk under a fingerprint, searched for all questions in one call."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError, DocumentError, MissingExtraError
from pytest_ragcheck.model import Chunk, Context
from pytest_ragcheck.rag.chunking import CHUNKING_VERSION, chunk_documents
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_ragcheck.rag.corpus import Corpus
    from pytest_ragcheck.rag.embedding import CachedEmbedder
    from pytest_ragcheck.store import Store

__all__ = ["Index"]

INDEX_VERSION = 1
INDEXES_KEPT = 5
_SPARE_CANDIDATES = 4
_ROUGHNESS = 1e-5
"""Inner products of unit vectors of a few thousand dimensions differ by less between single and double precision."""
_SEARCH_KIND = "search"
_DRAFT = "building-"
_MANIFEST = "manifest.json"
_CHUNKS = "chunks.json"
_VECTORS = "vectors.faiss"


class Index:
    """Chunks of documents in a FAISS inner-product index over unit vectors: scores are cosines.

    Nothing is read or built before it is needed; searches that the store answers need the chunks, and neither
    vectors nor FAISS. What is damaged or incomplete on disk is built again when it is needed. ``folder`` is
    shared by processes; building happens under a lock, and a finished index appears in one step.

    FAISS finds the candidates; their scores are computed again, each pair by itself and in double precision. So a
    score depends on the two texts alone and not on how many questions are searched together, and equal
    chunks score the same to the last bit.
    """

    def __init__(
        self, corpus: Corpus, *, folder: Path, embedder: CachedEmbedder, store: Store, size: int, overlap: int
    ) -> None:
        self._corpus = corpus
        self._folder = folder
        self._embedder = embedder
        self._store = store
        self._size = size
        self._overlap = overlap
        self.built = False
        """Whether this session had to build it."""
        self.searches_reused = 0
        """Searches that the store answered, wholly or in part (the question's vector)."""

    @cached_property
    def fingerprint(self) -> str:
        """Documents, chunking and embedder in one digest."""
        parts = (INDEX_VERSION, CHUNKING_VERSION, self._size, self._overlap, self._embedder.fingerprint)
        return digest(self._corpus.fingerprint, *map(str, parts)).hex()

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks, in the order of the documents."""
        chunks = _read_chunks(self._place)
        if chunks is None:
            self._build_unless(_read_chunks)
            chunks = _read_chunks(self._place)
        if chunks is None:
            raise self._unreadable()
        return chunks

    @cached_property
    def frequencies(self) -> Mapping[str, int]:
        """In how many chunks each content word occurs."""
        from pytest_ragcheck.lexical import content_keys

        return Counter(word for chunk in self.chunks for word in content_keys(chunk.text))

    def make_ready(self, texts: Sequence[str], top_k: int) -> None:
        """Build or load all that searching for ``texts`` will need, so that the search itself can be timed."""
        keys = [self._search_key(text, top_k) for text in texts]
        if len(self._store.get_many(_SEARCH_KIND, keys)) < len(set(keys)):
            self._embedder.make_ready(texts)
            _ = self._vectors

    def search(self, text: str, top_k: int) -> tuple[Context, ...]:
        """The ``top_k`` chunks nearest to a text, best first."""
        return self.search_many([text], top_k)[0]

    def search_many(self, texts: Sequence[str], top_k: int) -> list[tuple[Context, ...]]:
        """The nearest chunks for each text: one embedding batch and one search for those not known yet.

        Equal scores keep the order of the documents.
        """
        keys = {text: self._search_key(text, top_k) for text in texts}
        known = self._store.get_many(_SEARCH_KIND, list(keys.values()))
        missing = [text for text, key in keys.items() if key not in known]
        self.searches_reused += len(known)
        if missing:
            found = self._search(missing, top_k)
            fresh = {keys[text]: json.dumps(hits).encode() for text, hits in zip(missing, found, strict=True)}
            self._store.put_many(_SEARCH_KIND, fresh)
            known |= fresh
        return [self._contexts(json.loads(known[keys[text]])) for text in texts]

    def _search_key(self, text: str, top_k: int) -> bytes:
        return digest(self.fingerprint, str(top_k), text)

    def _search(self, texts: Sequence[str], top_k: int) -> list[list[tuple[int, float]]]:
        # The model is loaded before FAISS: the other way round crashes on macOS (sentence-transformers issue 2291).
        reused_before = self._embedder.reused
        vectors = self._embedder.embed(texts)
        self.searches_reused += self._embedder.reused - reused_before
        return nearest(self._vectors, vectors, top_k)

    def _contexts(self, hits: Sequence[tuple[int, float]]) -> tuple[Context, ...]:
        chunks = self.chunks
        return tuple(
            Context(
                text=chunks[row].text,
                rank=rank,
                score=score,
                source=chunks[row].source,
                start=chunks[row].start,
                end=chunks[row].end,
                chunk_id=chunks[row].id,
            )
            for rank, (row, score) in enumerate(hits, start=1)
        )

    @cached_property
    def _place(self) -> Path:
        return self._folder / self.fingerprint[:32]

    @cached_property
    def _vectors(self) -> Any:
        _ = self.chunks
        vectors = _read_vectors(self._place)
        if vectors is None:
            self._build_unless(_read_vectors)
            vectors = _read_vectors(self._place)
        if vectors is None:
            raise self._unreadable()
        return vectors

    def _build_unless(self, is_there: Callable[[Path], Any]) -> None:
        """Build under the lock, unless another process did so meanwhile."""
        from filelock import FileLock

        lock = FileLock(self._folder / "build.lock")
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            if is_there(self._place) is None:
                self._drop_drafts()
                self._build()
                self._drop_oldest()
        finally:
            lock.release()

    def _unreadable(self) -> DocumentError:
        return DocumentError(f"{self._place}: the index cannot be read back; is the disk full?")

    def _build(self) -> None:
        chunks = chunk_documents(self._corpus.documents, size=self._size, overlap=self._overlap)
        vectors = self._embedder.embed([chunk.text for chunk in chunks])
        faiss = _faiss()
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        with _writing(self._folder):
            self._write(chunks, index)
        self.built = True

    def _write(self, chunks: Sequence[Chunk], index: Any) -> None:
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._folder))
        try:
            _faiss().write_index(index, str(draft / _VECTORS))
            rows = [asdict(chunk) for chunk in chunks]
            (draft / _CHUNKS).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8", newline="")
            digests = {name: _file_digest(draft / name) for name in (_CHUNKS, _VECTORS)}
            (draft / _MANIFEST).write_text(json.dumps(digests), encoding="utf-8")
            if self._place.exists():
                shutil.rmtree(self._place)
            draft.rename(self._place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _drop_drafts(self) -> None:
        """Remove what builders left that were killed; a living one would hold the lock."""
        for draft in self._folder.glob(f"{_DRAFT}*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _drop_oldest(self) -> None:
        """Keep the indexes of the last few states of the documents; their embeddings are in the store anyway."""
        others = [path.parent for path in self._folder.glob(f"*/{_MANIFEST}") if path.parent != self._place]
        by_age = sorted(others, key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        for old in by_age[INDEXES_KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as problem:  # FAISS raises RuntimeError where a file cannot be written
        cause = (problem.strerror if isinstance(problem, OSError) else None) or str(problem).partition("\n")[0]
        raise ConfigurationError(
            f"{folder}: the index cannot be written ({cause}); make room, and make the folder writable"
        ) from problem


def nearest(index: Any, queries: Any, top_k: int) -> list[list[tuple[int, float]]]:
    """For each query the ``top_k`` rows of a FAISS inner-product index with the highest scores, best first.

    Exact: as if every row were scored in double precision; equal scores stand in the order of the rows.
    """
    wanted = min(top_k, index.ntotal)
    found: list[list[tuple[int, float]]] = [[] for _ in queries]
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


def _rescored(index: Any, query: Any, candidates: Any) -> list[tuple[int, float]]:
    vectors = index.reconstruct_batch(candidates).astype("float64")
    scores = (vectors * query.astype("float64")).sum(axis=1)
    return sorted(zip(candidates.tolist(), scores.tolist(), strict=True), key=lambda hit: (-hit[1], hit[0]))


def _read_chunks(place: Path) -> tuple[Chunk, ...] | None:
    """The chunks, or None where their file is missing or damaged."""
    if not _is_whole(place, _CHUNKS):
        return None
    try:
        return tuple(Chunk(**row) for row in json.loads((place / _CHUNKS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _read_vectors(place: Path) -> Any | None:
    """The FAISS index, mapped into memory, or None where its file is missing or damaged."""
    if not _is_whole(place, _VECTORS):
        return None
    faiss = _faiss()
    return faiss.read_index(str(place / _VECTORS), faiss.IO_FLAG_MMAP_IFC)


def _is_whole(place: Path, name: str) -> bool:
    try:
        digests = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        return bool(_file_digest(place / name) == digests[name])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _faiss() -> Any:
    # FAISS 1.11 crashes at import where its deprecation warnings are errors.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import faiss
        except ImportError:
            raise MissingExtraError("searching documents", extra="rag") from None
    return faiss
