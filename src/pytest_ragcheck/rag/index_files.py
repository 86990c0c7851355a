"""The files of an index: whole or not there, built by one process at a time."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError, DocumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["INDEXES_KEPT", "IndexFiles"]

INDEXES_KEPT = 5
_DRAFT = "building-"
_MANIFEST = "manifest.json"


class IndexFiles:
    """The files of the index ``name`` in a ``folder`` that processes share.

    A manifest holds their digests, so that what is damaged or incomplete is known as such.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._place = folder / name

    def path(self, name: str) -> Path:
        """Where a file of the index stands."""
        return self._place / name

    def is_whole(self, name: str) -> bool:
        """Whether the file is there as it was written."""
        try:
            digests = json.loads(self.path(_MANIFEST).read_text(encoding="utf-8"))
            return bool(_file_digest(self.path(name)) == digests[name])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def build_unless_whole(self, name: str, build: Callable[[Path], None]) -> None:
        """Let ``build`` write all files into a folder, under the lock, unless another process did so meanwhile.

        Raises ConfigurationError where the folder cannot be written.
        """
        with self.turn("build"):
            if not self.is_whole(name):
                self._drop_unfinished()
                self._build(build)
                self._drop_oldest()

    def discard(self) -> None:
        """Have the index built again: its files are as they were written, and yet not what they should be."""
        with self.turn("build"), suppress(OSError):
            self.path(_MANIFEST).unlink()

    @contextmanager
    def turn(self, work: str) -> Iterator[None]:
        """Do some ``work`` that one process at a time is at; ConfigurationError where the folder cannot be written."""
        from filelock import FileLock

        lock = FileLock(self._folder / f"{work}.lock")
        with self.writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tells as ConfigurationError what keeps a file from being written."""
        try:
            yield
        except (OSError, RuntimeError) as problem:  # FAISS raises RuntimeError where a file cannot be written
            cause = (problem.strerror if isinstance(problem, OSError) else None) or str(problem).partition("\n")[0]
            raise ConfigurationError(
                f"{self._folder}: the index cannot be written ({cause}); make room, and make the folder writable"
            ) from problem

    def unreadable(self) -> DocumentError:
        """The error for files that were written and are not whole."""
        return DocumentError(f"{self._place}: the index cannot be read back; is the disk full?")

    def _build(self, build: Callable[[Path], None]) -> None:
        """In a folder that takes the index's place, in one step, when all is in it."""
        with self.writing():
            draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._folder))
        try:
            build(draft)
            with self.writing():
                digests = {path.name: _file_digest(path) for path in draft.iterdir()}
                (draft / _MANIFEST).write_text(json.dumps(digests), encoding="utf-8")
                if self._place.exists():
                    shutil.rmtree(self._place)
                draft.rename(self._place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _drop_unfinished(self) -> None:
        """Remove what killed processes left of building or removing an index; a living one would hold the lock."""
        for folder in self._folder.glob("*/"):
            if folder.name.startswith(_DRAFT) or not (folder / _MANIFEST).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _drop_oldest(self) -> None:
        """Keep the indexes of the last few states of the documents; their embeddings are in the store anyway."""
        others = [path.parent for path in self._folder.glob(f"*/{_MANIFEST}") if path.parent != self._place]
        by_age = sorted(others, key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        for old in by_age[INDEXES_KEPT - 1 :]:
            with suppress(OSError):
                (old / _MANIFEST).unlink()  # first: what is left after a kill is then known as unfinished
            shutil.rmtree(old, ignore_errors=True)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
