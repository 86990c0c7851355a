"""The vector index: built once, kept on disk under a fingerprint, searched for all questions in one call."""

from __future__ import annotations

import json
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import Context
from pytest_ragcheck.rag.chunk_table import ChunkTable
from pytest_ragcheck.rag.chunking import CHUNKING_VERSION, chunk_documents
from pytest_ragcheck.rag.index_files import IndexFiles
from pytest_ragcheck.rag.limits import EXACT_UP_TO
from pytest_ragcheck.rag.vectors import (
    approximate_index,
    import_faiss,
    map_index,
    map_rows,
    nearest,
    nearly_nearest,
    recall,
)
from pytest_ragcheck.store import StoredKind, digest, is_number
from pytest_ragcheck.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.model import Chunk
    from pytest_ragcheck.rag.corpus import Corpus
    from pytest_ragcheck.rag.embedding import CachedEmbedder
    from pytest_ragcheck.rag.vectors import Hits
    from pytest_ragcheck.store import Store

__all__ = ["Index"]

INDEX_VERSION = 3
_QUERIES_CHECKED = 32
_PAIR = 2
_SEARCH_KIND = "search"
_RECALL_KIND = "recall"
_LONGEST = 1.01
"""Of a cosine of two vectors of about unit length."""
_CHUNKS = "chunks.table"
_VECTORS = "vectors.float32"
_LISTS = "lists.faiss"


class Index:
    """Chunks of documents and their vectors of unit length, searched by FAISS: scores are cosines.

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
        """Share of an exact search's contexts that an approximate one found, for the first questions for which this
        index was searched for as many contexts; None where the search was exact, or there was none yet."""

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
            self._files.build_unless_whole(_CHUNKS, self._build)
            chunks = self._read_chunks()
        if chunks is None:
            raise self._files.unreadable()
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

    def make_ready(
        self, texts: Sequence[str], top_k: int, *, for_all: bool = False, meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Build or load all that searching for ``texts`` will need, so that the search itself can be timed.

        ``for_all``: other processes are about to search for the same texts. Then one of them embeds the texts, and the
        others need no model. ``meanwhile`` is called when the model is loaded and documents are about to be embedded.
        """
        if self._are_known(texts, top_k):
            return
        if for_all:
            with self._files.turn("ready"):
                self._make_ready(texts, meanwhile)
                self._embedder.embed(texts)
        else:
            self._make_ready(texts, meanwhile)

    def _make_ready(self, texts: Sequence[str], meanwhile: Callable[[], None] | None) -> None:
        self._embedder.make_ready(texts)
        if meanwhile is not None:
            meanwhile()
        _ = self._vectors

    def _are_known(self, texts: Sequence[str], top_k: int) -> bool:
        keys = {self._search_key(text, top_k) for text in texts}
        if len(self._store.known(_SEARCH_KIND, list(keys))) < len(keys):
            return False  # without reading the chunks, which may have to be built
        return len(self._searches(top_k).get_many(self._store, list(keys))) == len(keys)

    def search(self, text: str, top_k: int) -> tuple[Context, ...]:
        """The ``top_k`` chunks nearest to a text, best first."""
        return self.search_many([text], top_k)[0]

    def search_many(self, texts: Sequence[str], top_k: int) -> list[tuple[Context, ...]]:
        """The nearest chunks for each text: one embedding batch and one search for those not known yet.

        Equal scores keep the order of the documents.
        """
        keys = {text: self._search_key(text, top_k) for text in texts}
        known = self._searches(top_k).get_many(self._store, list(keys.values()))
        missing = [text for text, key in keys.items() if key not in known]
        self.searches_reused += len(known)
        if missing:
            found = self._search(missing, top_k)
            fresh = {keys[text]: hits for text, hits in zip(missing, found, strict=True)}
            self._searches(top_k).put_many(self._store, {key: json.dumps(hits).encode() for key, hits in fresh.items()})
            known |= fresh
        if keys and not self.is_exact:
            self.recall = self._kept_recall(top_k)
        return self._contexts([known[keys[text]] for text in texts])

    def search_deeper(self, text: str, depth: int) -> tuple[Context, ...]:
        """Like :meth:`search`, only to tell where something stands: counts neither as a search nor as one reused."""
        reused, recall_found = self.searches_reused, self.recall
        try:
            return self.search(text, depth)
        finally:
            self.searches_reused, self.recall = reused, recall_found

    def _searches(self, top_k: int) -> StoredKind[Hits]:
        return StoredKind(_SEARCH_KIND, lambda data: self._parse_hits(data, min(top_k, len(self.chunks))))

    def _parse_hits(self, data: bytes, wanted: int) -> Hits:
        """What a search of this index can have found: as many chunks as there are to find, best first."""
        hits = _pairs(parse_json(data))
        rows, scores = [row for row, _ in hits], [score for _, score in hits]
        if not all(type(row) is int and 0 <= row < len(self.chunks) for row in rows) or len({*rows}) < len(rows):
            raise ValueError("not the rows of different chunks")
        if not all(is_number(score, -_LONGEST, _LONGEST) for score in scores) or scores != sorted(scores, reverse=True):
            raise ValueError("not scores, best first")
        # An approximate search may look at fewer chunks than were asked for.
        if len(hits) > wanted or (len(hits) < wanted and (self.is_exact or not hits)):
            raise ValueError("not as many as there are chunks to find")
        return [(row, float(score)) for row, score in hits]

    def _search_key(self, text: str, top_k: int) -> bytes:
        return digest(self.fingerprint, str(top_k), text)

    def _search(self, texts: Sequence[str], top_k: int) -> list[Hits]:
        # The model is loaded before FAISS: the other way round crashes on macOS (sentence-transformers issue 2291).
        reused_before = self._embedder.reused
        vectors = self._embedder.embed(texts)
        self.searches_reused += self._embedder.reused - reused_before
        if self.chunks and self._vectors.shape[1] != vectors.shape[1]:
            # The embedder has changed, and its fingerprint has not.
            self._files.discard()
            for cached in ("_vectors", "_lists"):
                self.__dict__.pop(cached, None)
        if self.is_exact:
            return nearest(self._vectors, vectors, top_k)
        found = nearly_nearest(self._vectors, self._lists, vectors, top_k)
        if self._kept_recall(top_k) is None:
            checked = vectors[:_QUERIES_CHECKED]
            share = recall(nearest(self._vectors, checked, top_k), found[: len(checked)])
            _RECALLS.put_if_new(self._store, self._recall_key(top_k), json.dumps(share).encode())
        return found

    def _kept_recall(self, top_k: int) -> float | None:
        """What was measured once, so that all processes and later runs tell the same."""
        return _RECALLS.get(self._store, self._recall_key(top_k))

    def _recall_key(self, top_k: int) -> bytes:
        return digest(self.fingerprint, str(top_k))

    def _contexts(self, found: Sequence[Hits]) -> list[tuple[Context, ...]]:
        rows = sorted({row for hits in found for row, _ in hits})  # so that no document is read twice
        chunks = {row: self.chunks[row] for row in rows}
        return [
            tuple(_context(chunks[row], rank, score) for rank, (row, score) in enumerate(hits, start=1))
            for hits in found
        ]

    @cached_property
    def _files(self) -> IndexFiles:
        return IndexFiles(self._folder, self.fingerprint[:32])

    @cached_property
    def _vectors(self) -> Any:
        try:
            return map_rows(self._whole(_VECTORS), len(self.chunks))
        except ValueError:
            self._files.discard()
            return map_rows(self._whole(_VECTORS), len(self.chunks))

    @cached_property
    def _lists(self) -> Any:
        return map_index(self._whole(_LISTS))

    def _whole(self, name: str) -> Path:
        _ = self.chunks
        if not self._files.is_whole(name):
            self._files.build_unless_whole(name, self._build)
        if not self._files.is_whole(name):
            raise self._files.unreadable()
        return self._files.path(name)

    def _read_chunks(self) -> ChunkTable | None:
        """The chunks, or None where their file is missing or damaged."""
        if not self._files.is_whole(_CHUNKS):
            return None
        try:
            with self._files.path(_CHUNKS).open("rb") as file:
                return ChunkTable.load(file, self._corpus.texts)
        except OSError:
            return None
        except (ValueError, TypeError, KeyError):
            self._files.discard()
            return None

    def _build(self, draft: Path) -> None:
        faiss = import_faiss()
        chunks = ChunkTable(self._corpus.texts)
        vectors = draft / _VECTORS
        with self._files.writing():
            vectors.touch()
        for rows in self._embedder.embed_in_batches(self._texts_noted_in(chunks)):
            with self._files.writing(), vectors.open("ab") as file:
                file.write(rows.data)
        with self._files.writing(), (draft / _CHUNKS).open("wb") as file:
            chunks.dump(file)
        if len(chunks) > self._exact_up_to:
            lists = approximate_index(map_rows(vectors, len(chunks)))
            with self._files.writing():
                faiss.write_index(lists, str(draft / _LISTS))
        self.built = True

    def _texts_noted_in(self, table: ChunkTable) -> Iterator[str]:
        for chunk in chunk_documents(self._corpus.documents, size=self._size, overlap=self._overlap):
            table.append(chunk)
            yield chunk.text


def _pairs(found: Any) -> list[list[Any]]:
    if not isinstance(found, list) or not all(isinstance(hit, list) and len(hit) == _PAIR for hit in found):
        raise ValueError("not a list of rows and scores")
    return found


def _parse_share(data: bytes) -> float:
    share = parse_json(data)
    if not is_number(share, 0.0, 1.0):
        raise ValueError("not a share")
    return float(share)


_RECALLS = StoredKind(_RECALL_KIND, _parse_share)


def _context(chunk: Chunk, rank: int, score: float) -> Context:
    return Context(
        text=chunk.text,
        rank=rank,
        score=score,
        source=chunk.source,
        start=chunk.start,
        end=chunk.end,
        chunk_id=chunk.id,
    )
