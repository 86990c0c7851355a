"""Values and claims in one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pytest_ragcheck.store.file import StoreFile, is_damage
from pytest_ragcheck.store.owners import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Store", "StoreSize"]

TOUCH_INTERVAL = 86_400.0
"""Seconds between two notes that an entry is in use: pruning by age needs no finer ones."""
_T = TypeVar("_T")
_KEYS_PER_QUERY = 500
_IS_SOUND = (
    "typeof(owner) = 'text' AND typeof(expires) = 'real' AND expires < CAST(strftime('%s', 'now') AS REAL) + 3600"
)
"""SQLite keeps any type in any column, and a damaged claim must not hold anything up; a sound one lasts a minute."""
_IS_NEW = " AND typeof(created) = 'real' AND created BETWEEN ? AND ?"
"""A text counts as later than any number, and a clock may have been wrong: neither makes an old value new."""
_CLOCKS_DIFFER = 3600.0
"""Seconds between the clocks of machines that share a store, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSize:
    """What a store holds: entries and bytes of values by kind, and bytes on disk."""

    entries: Mapping[str, int]
    value_bytes: Mapping[str, int]
    file_bytes: int


class Store:
    """Values by kind and digest.

    ``path`` None keeps everything in memory (``--ragcheck-cache off``). A file that is damaged, or is
    not ours, is set aside under a new name and told in :attr:`notices`; it is never deleted. Where another
    process still uses the damaged file, this one goes on in memory.
    Safe to use from several threads and processes.

    ``forgiving``: values that cannot be written any more (the disk is full) are told in :attr:`notices` and not
    kept, and each claim is given to whoever asks; else that is an ``sqlite3.OperationalError``.

    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` where the file cannot be opened or written.
    """

    def __init__(self, path: Path | None, *, forgiving: bool = False) -> None:
        self.path = path
        self._forgiving = forgiving
        self._lock = threading.RLock()
        self.damaged: Counter[str] = Counter()
        """How many values were dropped because they could not be read, by kind."""
        self._file = StoreFile(path)
        self._connection = self._file.open()

    @property
    def notices(self) -> list[str]:
        """What the user should know of the file."""
        return self._file.notices

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
            self._file.release()

    def get(self, kind: str, key: bytes, *, since: float | None = None) -> bytes | None:
        """The value, or None; with ``since`` (Unix time) only a value that was made at or after it."""
        return self.get_many(kind, [key], since=since).get(key)

    def get_many(self, kind: str, keys: Sequence[bytes], *, since: float | None = None) -> dict[bytes, bytes]:
        """The values that are there, by key."""
        return self._guarded(lambda: self._get_many(kind, keys, since))

    def known(self, kind: str, keys: Sequence[bytes]) -> set[bytes]:
        """Which of ``keys`` have a value, without reading the values."""

        def read() -> set[bytes]:
            found: set[bytes] = set()
            for some in _batches(keys, _KEYS_PER_QUERY):
                marks = ",".join("?" * len(some))
                query = f"SELECT key FROM entries WHERE kind = ? AND key IN ({marks})"  # noqa: S608 (only marks)
                found.update(key for (key,) in self._connection.execute(query, (kind, *some)))
            return found

        return self._guarded(read)

    def put(self, kind: str, key: bytes, value: bytes) -> None:
        """Keep a value; it is durable against the end of this process when the call returns."""
        self.put_many(kind, {key: value})

    def put_many(self, kind: str, values: Mapping[bytes, bytes]) -> None:
        """Keep several values in one transaction, and end the claims on them."""
        now = time.time()
        rows = [(kind, key, value, now, now) for key, value in values.items()]
        claims = [(kind, key) for key in values]

        def write() -> None:
            with self._transaction():
                self._connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", rows)
                self._connection.executemany("DELETE FROM claims WHERE kind = ? AND key = ?", claims)

        self._written(write, otherwise=None)

    def put_if_new(self, kind: str, key: bytes, value: bytes) -> bytes:
        """Keep a value unless there is one already; the one that is kept."""
        now = time.time()

        def write() -> bytes:
            found: dict[bytes, bytes] = {}
            for _ in range(2):  # a value that is no bytes is dropped at the first look
                if key not in found:
                    self._connection.execute(
                        "INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?)", (kind, key, value, now, now)
                    )
                    found = self._get_many(kind, [key], None)
            return found.get(key, value)

        return self._guarded(write)

    def drop_damaged(self, kind: str, values: Mapping[bytes, Any]) -> None:
        """Drop values that cannot be read, unless somebody has replaced them meanwhile, and count them.

        Called by :class:`~pytest_ragcheck.store.kinds.StoredKind`, which knows what a value must look like. Of several
        processes that meet the same value one drops and counts it.
        """
        rows = [(kind, key, value) for key, value in values.items()]

        def write() -> int:
            with self._transaction():
                query = "DELETE FROM entries WHERE kind = ? AND key = ? AND (value IS ? OR typeof(value) != 'blob')"
                return self._connection.executemany(query, rows).rowcount

        dropped = self._written(write, otherwise=len(rows))
        with self._lock:
            self.damaged[kind] += dropped

    def unclaimed(self, kind: str, keys: Sequence[bytes], *, owner: str) -> list[bytes]:
        """Those of ``keys`` on which nobody else has a living claim."""

        def read() -> list[bytes]:
            query = f"SELECT key, owner FROM claims WHERE kind = ? AND owner != ? AND expires > ? AND {_IS_SOUND}"  # noqa: S608 (a constant)
            claims = self._connection.execute(query, (kind, owner, time.time())).fetchall()
            alive = {other: is_alive(other) for other in {other for _, other in claims}}
            held = {key for key, other in claims if alive[other]}
            return [key for key in keys if key not in held]

        return self._guarded(read)

    def stale(self, kind: str) -> set[str]:
        """Owners of claims that ran out, and whose processes are still there."""

        def read() -> set[str]:
            query = f"SELECT DISTINCT owner FROM claims WHERE kind = ? AND expires <= ? AND {_IS_SOUND}"  # noqa: S608 (a constant)
            return {owner for (owner,) in self._connection.execute(query, (kind, time.time())) if is_alive(owner)}

        return self._guarded(read)

    def claim(self, kind: str, key: bytes, *, owner: str, seconds: float) -> bool:
        """Whether ``owner`` may now make the value: nobody else's living claim is on it."""
        return bool(self.claim_many(kind, [key], owner=owner, seconds=seconds))

    def claim_many(self, kind: str, keys: Sequence[bytes], *, owner: str, seconds: float, most: int = 1) -> list[bytes]:
        """The first ``most`` of ``keys`` whose values ``owner`` may now make, claimed in one step.

        ``owner`` starts with :func:`process_identity`. A claim ends with the value's :meth:`put`, with
        :meth:`release`, after ``seconds``, or with the end of the owner's process, whichever is first.
        """

        def free() -> list[bytes]:
            return list(islice((key for key in keys if not self._is_held(kind, key, owner)), most))

        def write() -> list[bytes]:
            if not free():  # those who wait for a value ask often, and need no write lock for it
                return []
            with self._transaction():
                claimed = free()
                rows = [(kind, key, owner, time.time() + seconds) for key in claimed]
                self._connection.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", rows)
                return claimed

        return self._written(write, otherwise=list(keys[:most]))

    def _is_held(self, kind: str, key: bytes, owner: str) -> bool:
        query = f"SELECT owner, expires FROM claims WHERE kind = ? AND key = ? AND {_IS_SOUND}"  # noqa: S608 (a constant)
        row = self._connection.execute(query, (kind, key)).fetchone()
        return row is not None and row[0] != owner and row[1] > time.time() and is_alive(row[0])

    def release(self, kind: str, key: bytes, *, owner: str) -> None:
        """End ``owner``'s claim without a value."""
        self._written(
            lambda: self._connection.execute(
                "DELETE FROM claims WHERE kind = ? AND key = ? AND owner = ?", (kind, key, owner)
            ),
            otherwise=None,
        )

    def renew(self, *, owner: str, seconds: float) -> None:
        """Let all of ``owner``'s claims live for ``seconds`` from now."""
        self._written(
            lambda: self._connection.execute(
                "UPDATE claims SET expires = ? WHERE owner = ?", (time.time() + seconds, owner)
            ),
            otherwise=None,
        )

    def size(self) -> StoreSize:
        """What is in it."""

        def read() -> StoreSize:
            rows = self._connection.execute(
                "SELECT kind, COUNT(*), SUM(LENGTH(value)) FROM entries GROUP BY kind ORDER BY kind"
            ).fetchall()
            pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
            page_size = self._connection.execute("PRAGMA page_size").fetchone()[0]
            return StoreSize(
                entries={kind: count for kind, count, _ in rows},
                value_bytes={kind: total for kind, _, total in rows},
                file_bytes=pages * page_size,
            )

        return self._guarded(read)

    def prune(self, *, older_than: float) -> int:
        """Drop what was not used for ``older_than`` seconds (to the day); the number of entries dropped."""
        return self._drop("used < ?", (time.time() - older_than,))

    def clear(self) -> int:
        """Drop everything; the number of entries dropped."""
        return self._drop("TRUE", ())

    def _drop(self, condition: str, values: tuple[float, ...]) -> int:
        def write() -> int:
            with self._transaction():
                query = f"DELETE FROM entries WHERE {condition}"  # noqa: S608 (two constant conditions)
                count = self._connection.execute(query, values).rowcount
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return count

        return self._guarded(write)

    def _get_many(self, kind: str, keys: Sequence[bytes], since: float | None) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        stale: list[tuple[float, str, bytes]] = []
        damaged: dict[bytes, Any] = {}
        now = time.time()
        condition, times = ("", ()) if since is None else (_IS_NEW, (since, now + _CLOCKS_DIFFER))
        for some in _batches(keys, _KEYS_PER_QUERY):
            marks = ",".join("?" * len(some))
            query = f"SELECT key, value, used FROM entries WHERE kind = ? AND key IN ({marks}){condition}"  # noqa: S608 (constants)
            for key, value, used in self._connection.execute(query, (kind, *some, *times)):
                if not isinstance(value, bytes):  # SQLite keeps any type in any column
                    damaged[key] = value
                    continue
                found[key] = value
                if not isinstance(used, float) or now - used > TOUCH_INTERVAL:
                    stale.append((now, kind, key))
        if damaged:
            self.drop_damaged(kind, damaged)
        if stale:
            with suppress(sqlite3.OperationalError), self._transaction():  # what was read is no worse for it
                self._connection.executemany("UPDATE entries SET used = ? WHERE kind = ? AND key = ?", stale)
        return found

    def _written(self, action: Callable[[], _T], *, otherwise: _T) -> _T:
        try:
            return self._guarded(action)
        except sqlite3.OperationalError as problem:
            if not self._forgiving:
                raise
            notice = f"{self.path}: {problem}; what cannot be written to it is not kept"
            if notice not in self.notices:
                self.notices.append(notice)
            return otherwise

    def _guarded(self, action: Callable[[], _T]) -> _T:
        """Do something with the file; damage that shows itself only when its page is read leads to another one.

        Where no check finds that damage, the run goes on in memory.
        """
        with self._lock:
            for reopen in (partial(self._file.open, suspect=True), self._file.give_up):
                try:
                    return action()
                except (sqlite3.DatabaseError, UnicodeDecodeError) as problem:
                    if not is_damage(problem):
                        raise
                    self._connection.close()
                    self._connection = reopen()
            return action()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # SQLite may have ended it itself
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _batches(keys: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
