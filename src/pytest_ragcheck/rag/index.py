"""The vector index: built once, kept on disk under a fingerprint, searched for all questions in one call."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import DocumentError, MissingExtraError
from pytest_ragcheck.model import Chunk, Context
from pytest_ragcheck.rag.chunking import CHUNKING_VERSION, chunk_documents
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.rag.corpus import Corpus
    from pytest_ragcheck.rag.embedding import CachedEmbedder
    from pytest_ragcheck.store import Store

__all__ = ["Index"]

INDEX_VERSION = 1
INDEXES_KEPT = 5
_SEARCH_KIND = "search"
_MANIFEST = "manifest.json"
_CHUNKS = "chunks.json"
_VECTORS = "vectors.faiss"


class Index:
    """Chunks of documents in a FAISS inner-product index over unit vectors: scores are cosines.

    Nothing is read or built before the first search that the store cannot answer. A folder on disk
    that is damaged or incomplete is built again. ``folder`` is shared by processes; building happens
    under a lock, and a finished index appears in one step.
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
        return self._build_alone() if chunks is None else chunks

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
        scores, rows = self._vectors.search(vectors, min(top_k, len(self.chunks)))
        return [
            sorted(zip(map(int, row), map(float, score), strict=True), key=lambda hit: (-hit[1], hit[0]))
            for row, score in zip(rows, scores, strict=True)
        ]

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
        _ = self.chunks  # makes sure that the folder is there and whole
        faiss = _faiss()
        return faiss.read_index(str(self._place / _VECTORS), faiss.IO_FLAG_MMAP_IFC)

    def _build_alone(self) -> tuple[Chunk, ...]:
        from filelock import FileLock

        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "build.lock"):
            if (chunks := _read_chunks(self._place)) is None:
                self._build(self._place)
                self._drop_oldest()
                chunks = _read_chunks(self._place)
        if chunks is None:
            raise DocumentError(f"{self._place}: the index cannot be read back; is the disk full?")
        return chunks

    def _build(self, place: Path) -> None:
        chunks = chunk_documents(self._corpus.documents, size=self._size, overlap=self._overlap)
        vectors = self._embedder.embed([chunk.text for chunk in chunks])
        faiss = _faiss()
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        draft = Path(tempfile.mkdtemp(prefix="building-", dir=self._folder))
        try:
            faiss.write_index(index, str(draft / _VECTORS))
            rows = [asdict(chunk) for chunk in chunks]
            (draft / _CHUNKS).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8", newline="")
            digests = {name: _file_digest(draft / name) for name in (_CHUNKS, _VECTORS)}
            (draft / _MANIFEST).write_text(json.dumps(digests), encoding="utf-8")
            if place.exists():
                shutil.rmtree(place)
            draft.rename(place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self.built = True

    def _drop_oldest(self) -> None:
        """Keep the indexes of the last few states of the documents; their embeddings are in the store anyway."""
        folders = (path.parent for path in self._folder.glob(f"*/{_MANIFEST}"))
        for old in sorted(folders, key=lambda folder: folder.stat().st_mtime)[:-INDEXES_KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def _read_chunks(place: Path) -> tuple[Chunk, ...] | None:
    """The chunks, or None where the folder is missing, incomplete or damaged."""
    try:
        digests = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        if any(_file_digest(place / name) != digests[name] for name in (_CHUNKS, _VECTORS)):
            return None
        return tuple(Chunk(**row) for row in json.loads((place / _CHUNKS).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise MissingExtraError("searching documents", extra="rag") from None
    return faiss
