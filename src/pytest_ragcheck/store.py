"""The content-addressed store: what was paid for once is never paid for again.

One SQLite file in WAL mode, used by several processes at once. A value is found by its kind and
the digest of everything that could change it; it is committed before :meth:`Store.put` returns, so
that a killed process loses nothing that had arrived.

A *claim* says that one process is about to make a value, so that no other makes it too. Claims
expire, and a claim whose owner has ended counts for nothing.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, TypeVar

from pytest_ragcheck.errors import ConfigurationError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not POSIX: a damaged file is then set aside without asking who else uses it
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType, TracebackType

__all__ = ["Store", "StoreSize", "digest", "process_identity", "state_folder"]

APPLICATION_ID = 0x7261_6763
"""``ragc`` in the header of the file, so that somebody else's database is never written to."""
SCHEMA_VERSION = 2
BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's write."""
TOUCH_INTERVAL = 86_400.0
"""Seconds between two notes that an entry is in use: pruning by age needs no finer ones."""
_T = TypeVar("_T")
_EXCLUSIVE_WAIT = 5.0
_KEYS_PER_QUERY = 500

_SCHEMA = (
    """
    CREATE TABLE entries (
        kind TEXT NOT NULL,
        key BLOB NOT NULL,
        value BLOB NOT NULL,
        created REAL NOT NULL,
        used REAL NOT NULL,
        PRIMARY KEY (kind, key)
    )
    """,
    "CREATE INDEX entries_used ON entries (used)",
    """
    CREATE TABLE claims (
        kind TEXT NOT NULL,
        key BLOB NOT NULL,
        owner TEXT NOT NULL,
        expires REAL NOT NULL,
        PRIMARY KEY (kind, key)
    )
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSize:
    """What a store holds: entries and bytes of values by kind, and bytes on disk."""

    entries: Mapping[str, int]
    value_bytes: Mapping[str, int]
    file_bytes: int


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


def process_identity(pid: int | None = None) -> str:
    """``place|pid|start``: names one process on one machine for good, although process ids are used again."""
    pid = os.getpid() if pid is None else pid
    return f"{_place()}|{pid}|{_start_of(pid)}"


class Store:
    """Values by kind and digest.

    ``path`` None keeps everything in memory (``--ragcheck-cache off``). A file that is damaged, or is
    not ours, is set aside under a new name and told in :attr:`notices`; it is never deleted. Where another
    process still uses the damaged file, this one goes on in memory.
    Safe to use from several threads and processes.

    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` where the file cannot be opened or written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.notices: list[str] = []
        self._lock = threading.RLock()
        self._use: IO[bytes] | None = None
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
            self._release_use()

    def get(self, kind: str, key: bytes, *, since: float | None = None) -> bytes | None:
        """The value, or None; with ``since`` (Unix time) only a value that was made at or after it."""
        return self.get_many(kind, [key], since=since).get(key)

    def get_many(self, kind: str, keys: Sequence[bytes], *, since: float | None = None) -> dict[bytes, bytes]:
        """The values that are there, by key."""
        return self._guarded(lambda: self._get_many(kind, keys, since))

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

        self._guarded(write)

    def claim(self, kind: str, key: bytes, *, owner: str, seconds: float) -> bool:
        """Whether ``owner`` may now make the value: nobody else's living claim is on it.

        ``owner`` starts with :func:`process_identity`. The claim ends with the value's :meth:`put`, with
        :meth:`release`, after ``seconds``, or with the end of the owner's process, whichever is first.
        """

        def is_held() -> bool:
            query = "SELECT owner, expires FROM claims WHERE kind = ? AND key = ?"
            row = self._connection.execute(query, (kind, key)).fetchone()
            return row is not None and row[0] != owner and row[1] > time.time() and _is_alive(row[0])

        def write() -> bool:
            if is_held():  # those who wait for a value ask often, and need no write lock for it
                return False
            with self._transaction():
                if is_held():
                    return False
                self._connection.execute(
                    "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", (kind, key, owner, time.time() + seconds)
                )
                return True

        return self._guarded(write)

    def release(self, kind: str, key: bytes, *, owner: str) -> None:
        """End ``owner``'s claim without a value."""
        self._guarded(
            lambda: self._connection.execute(
                "DELETE FROM claims WHERE kind = ? AND key = ? AND owner = ?", (kind, key, owner)
            )
        )

    def renew(self, *, owner: str, seconds: float) -> None:
        """Let all of ``owner``'s claims live for ``seconds`` from now."""
        self._guarded(
            lambda: self._connection.execute(
                "UPDATE claims SET expires = ? WHERE owner = ?", (time.time() + seconds, owner)
            )
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
        now = time.time()
        for some in _batches(keys, _KEYS_PER_QUERY):
            marks = ",".join("?" * len(some))
            query = f"SELECT key, value, used FROM entries WHERE kind = ? AND created >= ? AND key IN ({marks})"  # noqa: S608 (only marks)
            for key, value, used in self._connection.execute(query, (kind, since or 0.0, *some)):
                found[key] = value
                if now - used > TOUCH_INTERVAL:
                    stale.append((now, kind, key))
        if stale:
            with self._transaction():
                self._connection.executemany("UPDATE entries SET used = ? WHERE kind = ? AND key = ?", stale)
        return found

    def _guarded(self, action: Callable[[], _T]) -> _T:
        with self._lock:
            try:
                return action()
            except (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.IntegrityError):
                raise
            except sqlite3.DatabaseError:  # damage that shows itself only when its page is read
                self._connection.close()
                self._connection = self._open(suspect=True)
                return action()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _open(self, *, suspect: bool = False) -> sqlite3.Connection:
        if self.path is None:
            return _connect(":memory:")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._open_file(self.path, suspect=suspect)
        except (sqlite3.OperationalError, OSError) as problem:
            self._release_use()
            raise ConfigurationError(
                f"{self.path}: the store cannot be used ({problem}); make it writable or run with --ragcheck-cache off"
            ) from problem

    def _open_file(self, path: Path, *, suspect: bool) -> sqlite3.Connection:
        try:
            self._take_use(path)
            return _connect(str(path), check=suspect)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            if self._take_use_alone(path):
                return self._replace_if_damaged(path)
        return self._open_in_use(path)

    def _open_in_use(self, path: Path) -> sqlite3.Connection:
        """A file that was damaged and that others use: one of them may have put a new one in place meanwhile."""
        self._take_use(path)
        try:
            return _connect(str(path), check=True)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as problem:
            self._release_use()
            kept = "another process uses the file, so nothing of this run is kept in it"
            self.notices.append(f"{path}: {problem}; {kept}")
            return _connect(":memory:")

    def _replace_if_damaged(self, path: Path) -> sqlite3.Connection:
        """Look again, alone: another process may have put a new file in place meanwhile."""
        try:
            connection = _connect(str(path), check=True)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as problem:
            aside = _set_aside(path)
            self.notices.append(f"{path}: {problem}; set aside as {aside.name}, a new store was begun")
            connection = _connect(str(path))
        self._take_use(path)
        return connection

    # SQLite must not find its file renamed while another process has it open, so each process holds a shared
    # lock beside the file, and only the sole holder may set the file aside. The system drops the lock of a
    # killed process.
    def _take_use(self, path: Path) -> None:
        if fcntl is None:
            return
        if self._use is None:
            self._use = path.with_name(f"{path.name}.use").open("ab")
        fcntl.flock(self._use, fcntl.LOCK_SH)

    def _take_use_alone(self, path: Path) -> bool:
        """Whether this became the file's only user; not where another one has replaced the file meanwhile."""
        if fcntl is None or self._use is None:
            return True
        damaged = _inode(path)
        # Unlocked first: two processes that each wait to turn a shared lock into the only one would wait for ever.
        fcntl.flock(self._use, fcntl.LOCK_UN)
        end = time.monotonic() + _EXCLUSIVE_WAIT
        while time.monotonic() < end and _inode(path) in {damaged, None}:
            with suppress(BlockingIOError):
                fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.02)
        return False

    def _release_use(self) -> None:
        if self._use is not None:
            self._use.close()
            self._use = None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _connect(name: str, *, check: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None)
    try:
        _prepare(connection)
        if check:
            _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the file is damaged ({verdict.splitlines()[0]})")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # In WAL mode NORMAL outlives the end of the process; only a power cut can lose the last commits.
    connection.execute("PRAGMA synchronous = NORMAL")
    with closing(connection.cursor()) as cursor:
        ours, version = _header(cursor)
        if ours == APPLICATION_ID and version == SCHEMA_VERSION:
            return
        cursor.execute("BEGIN IMMEDIATE")
        try:
            _make_or_refuse(cursor)
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")


def _make_or_refuse(cursor: sqlite3.Cursor) -> None:
    ours, version = _header(cursor)
    if ours == 0 and version == 0 and not _tables(cursor):
        for statement in _SCHEMA:
            cursor.execute(statement)
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif ours != APPLICATION_ID:
        raise sqlite3.DatabaseError("the file is another program's database")
    elif version != SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"the store's version is {version}, this one reads {SCHEMA_VERSION}")


def _header(cursor: sqlite3.Cursor) -> tuple[int, int]:
    ours = cursor.execute("PRAGMA application_id").fetchone()[0]
    version = cursor.execute("PRAGMA user_version").fetchone()[0]
    return ours, version


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


@cache
def _place() -> str:
    """What process ids are unique in: a machine since its start, and a process namespace of it."""
    parts = [os.uname().nodename if hasattr(os, "uname") else ""]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)


def _start_of(pid: int) -> str:
    """When a process started, as the system tells it; "" where it does not, or the process has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _is_alive(owner: str) -> bool:
    """Whether an owner's process may still be there; of another machine's nothing is known, so: yes."""
    place, pid, start = owner.split("|")[:3]
    if place != _place():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _start_of(int(pid)) == start
