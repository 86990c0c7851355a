"""The content-addressed store: what was paid for once is never paid for again.

One SQLite file in WAL mode, used by several processes at once. A value is found by its kind and
the digest of everything that could change it; it is committed before :meth:`Store.put` returns, so
that a killed process loses nothing that had arrived.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Store", "digest", "state_folder"]

APPLICATION_ID = 0x7261_6763
"""``ragc`` in the header of the file, so that somebody else's database is never written to."""
SCHEMA_VERSION = 1
BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's write."""
_KEYS_PER_QUERY = 500

_SCHEMA = """
CREATE TABLE entries (
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (kind, key)
);
"""


def digest(*parts: str | bytes) -> bytes:
    """SHA-256 over the parts and their lengths, so that no two lists of parts look alike."""
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
        folder.mkdir(parents=True, exist_ok=True)
        ignore.write_text("*\n", encoding="utf-8")
    return folder


class Store:
    """Values by kind and digest.

    ``path`` None keeps everything in memory (``--ragcheck-cache off``). A file that is damaged, or is
    not ours, is set aside under a new name and told in :attr:`notices`; it is never deleted.
    Safe to use from several threads and processes.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.notices: list[str] = []
        self._lock = threading.RLock()
        self._connection = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; values stay."""
        with self._lock:
            self._connection.close()

    def get(self, kind: str, key: bytes) -> bytes | None:
        """The value, or None."""
        return self.get_many(kind, [key]).get(key)

    def get_many(self, kind: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values that are there, by key."""
        found: dict[bytes, bytes] = {}
        with self._lock:
            for some in _batches(keys, _KEYS_PER_QUERY):
                marks = ",".join("?" * len(some))
                query = f"SELECT key, value FROM entries WHERE kind = ? AND key IN ({marks})"  # noqa: S608 (only marks)
                found.update(self._connection.execute(query, (kind, *some)))
        return found

    def put(self, kind: str, key: bytes, value: bytes) -> None:
        """Keep a value; it is durable against the end of this process when the call returns."""
        self.put_many(kind, {key: value})

    def put_many(self, kind: str, values: Mapping[bytes, bytes]) -> None:
        """Keep several values in one transaction."""
        now = time.time()
        rows = [(kind, key, value, now) for key, value in values.items()]
        with self._lock, self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            return _connect(":memory:")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connect(str(self.path))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as problem:
            aside = _set_aside(self.path)
            self.notices.append(f"{self.path}: {problem}; set aside as {aside.name}, a new store was begun")
            return _connect(str(self.path))


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=BUSY_TIMEOUT, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # In WAL mode NORMAL outlives the end of the process; only a power cut can lose the last commits.
    connection.execute("PRAGMA synchronous = NORMAL")
    with closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        ours = cursor.execute("PRAGMA application_id").fetchone()[0]
        version = cursor.execute("PRAGMA user_version").fetchone()[0]
        if ours == 0 and version == 0 and not _tables(cursor):
            cursor.execute(_SCHEMA)
            cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif ours != APPLICATION_ID:
            connection.rollback()
            raise sqlite3.DatabaseError("the file is another program's database")
        elif version != SCHEMA_VERSION:
            connection.rollback()
            raise sqlite3.DatabaseError(f"the store's version is {version}, this one reads {SCHEMA_VERSION}")
        connection.commit()


def _tables(cursor: sqlite3.Cursor) -> list[str]:
    return [name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _batches(keys: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
