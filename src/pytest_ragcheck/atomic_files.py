"""Files that are replaced in one step, and what a killed process left of such a step."""

from __future__ import annotations

import glob
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

__all__ = ["drop_drafts", "write_atomically"]

_DRAFT = ".draft"
_RANDOM = "?" * 8
"""What :mod:`tempfile` makes up."""
_LONGEST_WRITE = 3600.0
"""Seconds after which a draft counts as abandoned where files cannot be locked."""


def write_atomically(path: Path, content: bytes | Iterable[bytes], *, shared: bool = False) -> None:
    """Replace a file in one step: a reader sees the old or the new content, whatever happens.

    Only the user may read it; with ``shared``, whoever may read the files that the user makes. Drafts of the file that
    killed processes left are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    drop_drafts(path.parent, path.name)
    with _new_draft(path) as draft:
        try:
            with draft.open("wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            if shared:
                draft.chmod(0o666 & ~_umask())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def drop_drafts(folder: Path, name: str | None = None) -> None:
    """Remove the drafts of files in a folder, or of the one with this ``name``, that nobody is writing any more."""
    for draft in folder.glob(f".{'*' if name is None else glob.escape(name)}.{_RANDOM}{_DRAFT}"):
        with suppress(OSError):  # another process removed it, or is writing it
            if _is_abandoned(draft):
                draft.unlink()


# A process holds a lock on the draft that it writes. The system drops the lock of a killed process.
@contextmanager
def _new_draft(path: Path) -> Iterator[Path]:
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_DRAFT, dir=path.parent)
        draft = Path(name)
        if fcntl is None:
            os.close(handle)
            yield draft
            return
        try:
            with suppress(OSError):  # a file system without locks: nobody can remove the draft either
                fcntl.flock(handle, fcntl.LOCK_EX)
            if draft.exists():  # else another process took it for abandoned, before it was locked
                yield draft
                return
        finally:
            os.close(handle)


def _is_abandoned(draft: Path) -> bool:
    """Return whether no process writes the draft; OSError where one does."""
    if fcntl is None:
        return time.time() - draft.stat().st_mtime > _LONGEST_WRITE
    with draft.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True


def _umask() -> int:
    """The permissions that new files lack; there is no way to ask for it but to set it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
