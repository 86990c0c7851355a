"""Texts to vectors, each text once."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections import Counter
from functools import cached_property
from importlib import metadata, util
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytest_ragcheck.errors import ConfigurationError, MissingExtraError
from pytest_ragcheck.heavy_imports import without_collections
from pytest_ragcheck.rag.native_threads import sleeping_while_idle
from pytest_ragcheck.store import StoredKind, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_ragcheck.store import Store

__all__ = ["CachedEmbedder", "Embedder", "GroupEmbedder", "SentenceTransformersEmbedder", "require"]

TEXTS_PER_COMMIT = 256
"""So many texts are embedded between two writes to the store: what an interrupted run keeps."""
TEXTS_PER_BATCH = 16 * TEXTS_PER_COMMIT
"""So many texts and vectors are held at a time where a whole corpus is embedded."""
_STORE_KIND = "embedding"
_HASHED_WHOLE = 1 << 20
_MATRIX = 2
_LENGTH_TOLERANCE = 1e-3


class Embedder(Protocol):
    """Turns texts into vectors; anything with these three can stand in for sentence-transformers."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever a text's vector would; known without loading the model."""

    def load(self) -> None:
        """Get ready to embed; may take seconds the first time."""

    def embed(self, texts: Sequence[str]) -> Any:
        """A float32 array of shape ``(len(texts), dimensions)``, rows of unit length."""


@runtime_checkable
class GroupEmbedder(Protocol):
    """An :class:`Embedder` that can be at several groups of texts at the same time."""

    def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[Any]:
        """For each group, in order, what ``embed`` gives for it."""


class SentenceTransformersEmbedder:
    """A sentence-transformers model on the CPU, loaded at the first text.

    ``model`` is a folder, or any name that sentence-transformers knows.
    Raises MissingExtraError where the packages are not installed, ConfigurationError where the model
    cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        require("sentence_transformers", extra="sentence-transformers")
        self.model = model
        self._transformer: Any = None

    @property
    def fingerprint(self) -> str:
        """The model, its weights where they are on disk, and the library's version."""
        library = f"sentence-transformers {metadata.version('sentence-transformers')}"
        folder = Path(self.model)
        weights = f" {_folder_digest(folder)}" if folder.is_dir() else ""
        return f"{library}, {self.model}{weights}"

    def load(self) -> None:
        """Import the library and read the weights."""
        self._load()

    def embed(self, texts: Sequence[str]) -> Any:
        """One row of unit length for each text."""
        return self._load().encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False, batch_size=32
        )

    def _load(self) -> Any:
        if self._transformer is None:
            # The libraries warn at import about things that neither we nor our users can change.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._transformer = self._loaded()
        return self._transformer

    def _loaded(self) -> Any:
        # On macOS torch must be imported before faiss (sentence-transformers issue 2291).
        with sleeping_while_idle(), without_collections():
            from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        shows_progress = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            return SentenceTransformer(self.model, device="cpu", local_files_only=Path(self.model).is_dir())
        except Exception as problem:  # the libraries raise nearly anything for what is no model
            first = str(problem).strip().partition("\n")[0]
            raise ConfigurationError(
                f"embedder {self.model!r} cannot be loaded ({type(problem).__name__}: {first}); "
                "name a model's folder, or one that is in the local model cache"
            ) from problem
        finally:
            if shows_progress:
                logging.enable_progress_bar()


class _Batch:
    """Texts that wait to be embedded together, and the vectors that will be there for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.rows: dict[str, int] = {}
        self.vectors: asyncio.Future[Any] = loop.create_future()

    def add(self, texts: Sequence[str]) -> list[int]:
        """The rows of ``vectors`` in which the texts will stand."""
        return [self.rows.setdefault(text, len(self.rows)) for text in texts]

    def settle(self, work: asyncio.Future[Any]) -> None:
        """Pass on what came of embedding the texts."""
        if self.vectors.done():
            return
        if work.cancelled():
            self.vectors.cancel()
        elif (problem := work.exception()) is not None:
            self.vectors.set_exception(problem)
            self.vectors.exception()  # told already: all who waited may have been cancelled
        else:
            self.vectors.set_result(work.result())


class CachedEmbedder:
    """An embedder in front of which the store stands: a text that was ever embedded is not embedded again.

    :attr:`computed` counts the texts that were really embedded, :attr:`reused` those that came from the store.
    Safe to use from several threads: they embed in turn, since a model need not bear more.
    """

    def __init__(self, embedder: Embedder, store: Store) -> None:
        self._embedder = embedder
        self._store = store
        self._turn = threading.Lock()
        self._gathering: _Batch | None = None
        self._row_bytes: int | None = None
        """Of the vectors that were really embedded."""
        self.computed = 0
        self.reused = 0

    def replace_embedder(self, make: Callable[[Embedder], Embedder]) -> None:
        """Let another one do the work, which ``make`` makes from the present one and whose vectors are the same."""
        self._embedder = make(self._embedder)

    @cached_property
    def fingerprint(self) -> str:
        """The embedder's own."""
        return self._embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> Any:
        """A float32 array of shape ``(len(texts), dimensions)``, ``(0, 0)`` without texts.

        Equal texts are embedded once. Written to the store every :data:`TEXTS_PER_COMMIT` texts, so an
        interrupted call resumes.
        Raises ConfigurationError where the embedder's vectors are not of the promised shape and length.
        """
        import numpy as np

        if not texts:
            return np.empty((0, 0), dtype=np.float32)
        with self._turn:
            rows = self._rows(texts)
        return np.stack([np.frombuffer(rows[text], dtype=np.float32) for text in texts])

    def embed_in_batches(self, texts: Iterable[str]) -> Iterator[Any]:
        """Like :meth:`embed`, for more texts than memory should hold: arrays of some thousand rows, in order."""
        remaining = iter(texts)
        while batch := list(islice(remaining, TEXTS_PER_BATCH)):
            yield self.embed(batch)

    def _rows(self, texts: Sequence[str]) -> dict[str, bytes]:
        fingerprint = self.fingerprint
        keys = {text: digest(fingerprint, text) for text in texts}
        known = _known(self._store, list(keys.values()))
        rows = {text: known[key] for text, key in keys.items() if key in known}
        self.reused += len(rows)
        fresh = self._fresh_rows([text for text in keys if text not in rows], keys)
        others = [text for text, row in rows.items() if self._row_bytes not in {None, len(row)}]
        if others:  # of another length than the embedder's, so they are not its vectors
            _VECTORS.drop(self._store, {keys[text]: rows[text] for text in others})
            fresh |= self._fresh_rows(others, keys)
        return rows | fresh

    def _fresh_rows(self, missing: Sequence[str], keys: Mapping[str, bytes]) -> dict[str, bytes]:
        rows: dict[str, bytes] = {}
        groups = [missing[start : start + TEXTS_PER_COMMIT] for start in range(0, len(missing), TEXTS_PER_COMMIT)]
        for some, vectors in zip(groups, self._embedded(groups), strict=True):
            fresh = dict(zip(some, self._checked(some, vectors), strict=True))
            _VECTORS.put_many(self._store, {keys[text]: row for text, row in fresh.items()})
            rows |= fresh
            self._row_bytes = len(next(iter(fresh.values())))
            self.computed += len(some)
        return rows

    def _embedded(self, groups: Sequence[Sequence[str]]) -> Iterator[Any]:
        if isinstance(self._embedder, GroupEmbedder):
            return self._embedder.embed_groups(groups)
        return map(self._embedder.embed, groups)

    def _checked(self, texts: Sequence[str], vectors: Any) -> list[bytes]:
        import numpy as np

        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.ndim != _MATRIX or len(vectors) != len(texts):
            raise ConfigurationError(
                f"embedder {type(self._embedder).__qualname__}: embed() of {len(texts)} texts must return an array of "
                f"shape ({len(texts)}, dimensions), got {vectors.shape}"
            )
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.allclose(lengths, 1.0, atol=_LENGTH_TOLERANCE):  # not a number is not close either
            worst = lengths[np.argmax(~np.isclose(lengths, 1.0, atol=_LENGTH_TOLERANCE))]
            raise ConfigurationError(
                f"embedder {type(self._embedder).__qualname__}: embed() must return rows of length 1, "
                f"got one of length {worst:.4g}; divide each row by its norm"
            )
        return [vector.tobytes() for vector in vectors]

    def make_ready(self, texts: Sequence[str]) -> None:
        """Load the model if any of ``texts`` is not in the store yet."""
        keys = {digest(self.fingerprint, text) for text in texts}
        with self._turn:
            if len(_known(self._store, list(keys))) < len(keys):
                self._embedder.load()

    async def embed_soon(self, texts: Sequence[str]) -> Any:
        """Like :meth:`embed`, in one batch with all that is asked for in the same turn of the loop."""
        if not texts:
            return self.embed(texts)
        loop = asyncio.get_running_loop()
        batch = self._gathering
        if batch is None or batch.loop is not loop:  # what another, closed loop left behind is lost with it
            batch = self._gathering = _Batch(loop)
            loop.call_soon(self._start, batch)
        rows = batch.add(texts)
        vectors = await asyncio.shield(batch.vectors)  # others wait for them too
        return vectors[rows]

    def _start(self, batch: _Batch) -> None:
        if self._gathering is batch:
            self._gathering = None
        batch.loop.run_in_executor(None, self.embed, list(batch.rows)).add_done_callback(batch.settle)


def _parse_vector(data: bytes) -> bytes:
    import numpy as np

    vector = np.frombuffer(data, dtype=np.float32)  # ValueError where the bytes are not whole numbers of it
    with np.errstate(all="ignore"):
        square = float(vector @ vector)
    if not abs(square - 1.0) <= 2 * _LENGTH_TOLERANCE:  # so that NaN is refused too
        raise ValueError("not of unit length")
    return data


_VECTORS = StoredKind(_STORE_KIND, _parse_vector)


def _known(store: Store, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """The stored vectors by key; where their lengths differ, those of the most frequent one."""
    rows = _VECTORS.get_many(store, keys)
    sizes = Counter(map(len, rows.values()))
    if len(sizes) > 1:
        usual = sizes.most_common(1)[0][0]
        _VECTORS.drop(store, {key: row for key, row in rows.items() if len(row) != usual})
        rows = {key: row for key, row in rows.items() if len(row) == usual}
    return rows


def require(module: str, *, extra: str) -> None:
    """Raise MissingExtraError where a module of the extra is not installed; imports nothing."""
    if util.find_spec(module) is None:
        raise MissingExtraError("embedding documents", extra=extra)


def _folder_digest(folder: Path) -> str:
    parts: list[str | bytes] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        with path.open("rb") as file:
            # The ends of a weights file tell two trainings apart without reading gigabytes at each start.
            content = file.read(_HASHED_WHOLE)
            if size > _HASHED_WHOLE:
                file.seek(max(_HASHED_WHOLE, size - _HASHED_WHOLE))
                content += file.read()
        parts += [path.relative_to(folder).as_posix(), str(size), content]
    return digest(*parts).hex()[:16]
