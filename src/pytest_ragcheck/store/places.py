"""Where things are kept: content addresses and the project's folder for them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pytest_ragcheck.atomic_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["digest", "digest_of", "state_folder"]


def digest(*parts: str | bytes) -> bytes:
    """SHA-256 over the parts and their lengths, so that no two lists of parts look alike."""
    return digest_of(parts)


def digest_of(parts: Iterable[str | bytes]) -> bytes:
    """Like :func:`digest`, for more parts than memory should hold at a time."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.digest()


def state_folder(root: Path) -> Path:
    """``.ragcheck`` below ``root``, made if need be, with a ``.gitignore`` of its own."""
    folder = root / ".ragcheck"
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_atomically(ignore, b"*\n", shared=True)  # an empty one would stay, and let everything be committed
    return folder
