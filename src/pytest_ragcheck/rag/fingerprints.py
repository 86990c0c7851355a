"""What tells one version of a user's system from another, so that its answers can be kept."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["GIT", "UNCOMMITTED", "version_of_system"]

GIT = "git"
UNCOMMITTED = (
    'fingerprint = "git": there are uncommitted changes, so answers are neither taken from the store nor kept in it'
)
_SECONDS = 30


def version_of_system(said: str | Sequence[str], root: Path) -> str | None:
    """A text that changes with the system: ``said`` itself, the commit (``git``), or a digest of files (patterns).

    None where ``git`` has uncommitted changes: no text could tell them apart.
    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` where a pattern matches no file, or there is no commit.
    """
    if said == GIT:
        return _commit(root)
    return said if isinstance(said, str) else _digest_of_files(said, root)


def _digest_of_files(patterns: Sequence[str], root: Path) -> str:
    parts: list[str | bytes] = []
    for path in sorted({path for pattern in patterns for path in _files(pattern, root)}):
        parts += [path.relative_to(root).as_posix(), path.read_bytes()]
    return digest(*parts).hex()


def _files(pattern: str, root: Path) -> list[Path]:
    try:
        found = [path for path in root.glob(pattern) if path.is_file() and not _is_hidden(path, root)]
    except (ValueError, NotImplementedError):
        raise ConfigurationError(f"fingerprint: {pattern!r} is no pattern of files relative to {root}") from None
    if not found:
        raise ConfigurationError(f"fingerprint: {pattern!r} matches no file in {root}")
    return found


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)


def _commit(root: Path) -> str | None:
    if _git(root, "status", "--porcelain"):
        return None
    return _git(root, "rev-parse", "HEAD").strip()


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(  # noqa: S603 (constant arguments)
            ["git", "-C", str(root), *arguments],  # noqa: S607 (the user's own git)
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS,
        ).stdout
    except subprocess.CalledProcessError as problem:
        told = problem.stderr.strip().splitlines()
        raise ConfigurationError(f'fingerprint = "git": {told[0] if told else "git failed"}') from None
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ConfigurationError(f'fingerprint = "git": git cannot be run ({problem})') from None
