"""The vector index: built once, kept on disk under a fingerprint, searched for all questions in one call."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError, DocumentError
from pytest_ragcheck.model import Context
from pytest_ragcheck.rag.chunk_table import ChunkTable
from pytest_ragcheck.rag.chunking import CHUNKING_VERSION, chunk_documents
from pytest_ragcheck.rag.limits import EXACT_UP_TO
from pytest_ragcheck.rag.vectors import (
    approximate_index,
    import_faiss,
    map_index,
    nearest,
    nearly_nearest,
    recall,
    stack,
)
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_ragcheck.model import Chunk
    from pytest_ragcheck.rag.corpus import Corpus
    from pytest_ragcheck.rag.embedding import CachedEmbedder
    from pytest_ragcheck.rag.vectors import Hits
    from pytest_ragcheck.store import Store

__all__ = ["Index"]

INDEX_VERSION = 2
INDEXES_KEPT = 5
_QUERIES_CHECKED = 32
_SEARCH_KIND = "search"
_DRAFT = "building-"
_MANIFEST = "manifest.json"
_CHUNKS = "chunks.json"
_VECTORS = "vectors.faiss"
_LISTS = "lists.faiss"


class Index:
    """Chunks of documents in a FAISS inner-product index over unit vectors: scores are cosines.

    Nothing is read or built before it is needed; searches that the store answers need the chunks, and neither
    vectors nor FAISS. What is damaged or incomplete on disk is built again when it is needed. ``folder`` is
    shared by processes; building happens under a lock, and a finished index appears in one step.

    FAISS finds the candidates; their scores are computed again, each pair by itself and in double precision. So a
    score depends on the two texts alone and not on how many questions are searched together, and equal
    chunks score the same to the last bit.

    Among up to ``exact_up_to`` chunks the search is exact. Beyond, an approximate index names the candidates;
    :attr:`recall` tells what that costs.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        folder: Path,
        embedder: CachedEmbedder,
        store: Store,
        size: int,
        overlap: int,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        self._corpus = corpus
        self._folder = folder
        self._embedder = embedder
        self._store = store
        self._size = size
        self._overlap = overlap
        self._exact_up_to = exact_up_to
        self.built = False
        """Whether this session had to build it."""
        self.searches_reused = 0
        """Searches that the store answered, wholly or in part (the question's vector)."""
        self.recall: float | None = None
        """Share of an exact search's contexts that an approximate one found, for the first questions of the last
        search; None where the search was exact, or the store answered it."""

    @cached_property
    def fingerprint(self) -> str:
        """Documents, chunking, embedder and way of searching in one digest."""
        parts = (INDEX_VERSION, CHUNKING_VERSION, self._size, self._overlap, self._embedder.fingerprint)
        return digest(self._corpus.fingerprint, *map(str, parts), str(self._exact_up_to)).hex()

    @cached_property
    def chunks(self) -> Sequence[Chunk]:
        """All chunks, in the order of the documents."""
        chunks = self._read_chunks()
        if chunks is None:
            self._build_unless_whole(_CHUNKS)
            chunks = self._read_chunks()
        if chunks is None:
            raise self._unreadable()
        return chunks

    @property
    def is_exact(self) -> bool:
        """Whether a search looks at every chunk."""
        return len(self.chunks) <= self._exact_up_to

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

    def search_deeper(self, text: str, depth: int) -> tuple[Context, ...]:
        """Like :meth:`search`, only to tell where something stands: counts neither as a search nor as one reused."""
        reused, recall_found = self.searches_reused, self.recall
        try:
            return self.search(text, depth)
        finally:
            self.searches_reused, self.recall = reused, recall_found

    def _search_key(self, text: str, top_k: int) -> bytes:
        return digest(self.fingerprint, str(top_k), text)

    def _search(self, texts: Sequence[str], top_k: int) -> list[Hits]:
        # The model is loaded before FAISS: the other way round crashes on macOS (sentence-transformers issue 2291).
        reused_before = self._embedder.reused
        vectors = self._embedder.embed(texts)
        self.searches_reused += self._embedder.reused - reused_before
        if self.is_exact:
            return nearest(self._vectors, vectors, top_k)
        found = nearly_nearest(self._vectors, self._lists, vectors, top_k)
        checked = vectors[:_QUERIES_CHECKED]
        self.recall = recall(nearest(self._vectors, checked, top_k), found[: len(checked)])
        return found

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
        return self._mapped(_VECTORS)

    @cached_property
    def _lists(self) -> Any:
        return self._mapped(_LISTS)

    def _mapped(self, name: str) -> Any:
        _ = self.chunks
        if not _is_whole(self._place, name):
            self._build_unless_whole(name)
        if not _is_whole(self._place, name):
            raise self._unreadable()
        return map_index(self._place / name)

    def _read_chunks(self) -> ChunkTable | None:
        """The chunks, or None where their file is missing or damaged."""
        if not _is_whole(self._place, _CHUNKS):
            return None
        try:
            return ChunkTable.load((self._place / _CHUNKS).read_text(encoding="utf-8"), self._corpus.texts)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _build_unless_whole(self, name: str) -> None:
        """Build under the lock, unless another process did so meanwhile."""
        from filelock import FileLock

        lock = FileLock(self._folder / "build.lock")
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            if not _is_whole(self._place, name):
                self._drop_drafts()
                self._build()
                self._drop_oldest()
        finally:
            lock.release()

    def _unreadable(self) -> DocumentError:
        return DocumentError(f"{self._place}: the index cannot be read back; is the disk full?")

    def _build(self) -> None:
        faiss = import_faiss()
        chunks = ChunkTable(self._corpus.texts)
        vectors = stack(self._embedder.embed_in_batches(self._texts_noted_in(chunks)))
        indexes = {_VECTORS: vectors}
        if len(chunks) > self._exact_up_to:
            indexes[_LISTS] = approximate_index(vectors)
        with _writing(self._folder), self._draft() as draft:
            (draft / _CHUNKS).write_text(chunks.dump(), encoding="utf-8")
            for name, index in indexes.items():
                faiss.write_index(index, str(draft / name))
        self.built = True

    def _texts_noted_in(self, table: ChunkTable) -> Iterator[str]:
        for chunk in chunk_documents(self._corpus.documents, size=self._size, overlap=self._overlap):
            table.append(chunk)
            yield chunk.text

    @contextmanager
    def _draft(self) -> Iterator[Path]:
        """A folder that takes the index's place, in one step, when all is in it."""
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._folder))
        try:
            yield draft
            digests = {path.name: _file_digest(path) for path in draft.iterdir()}
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


def _is_whole(place: Path, name: str) -> bool:
    try:
        digests = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        return bool(_file_digest(place / name) == digests[name])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
