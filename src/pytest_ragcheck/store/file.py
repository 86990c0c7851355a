"""The store's SQLite file: opened, made, or set aside where it is damaged or somebody else's."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from typing import IO, TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not POSIX: a damaged file is then set aside without asking who else uses it
    fcntl = None

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

__all__ = ["APPLICATION_ID", "BUSY_TIMEOUT", "StoreFile", "is_damage"]

APPLICATION_ID = 0x7261_6763
"""``ragc`` in the header of the file, so that somebody else's database is never written to."""
SCHEMA_VERSION = 2
BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's write."""
_EXCLUSIVE_WAIT = 5.0

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


class StoreFile:
    """One file, or memory where ``path`` is None. What became of a damaged file is told in :attr:`notices`."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.notices: list[str] = []
        self._use: IO[bytes] | None = None

    def open(self, *, suspect: bool = False) -> sqlite3.Connection:
        """A connection; ``suspect`` where damage has shown itself already.

        Raises ConfigurationError where the file cannot be opened or written.
        """
        if self.path is None:
            return _connect(":memory:")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._open_file(self.path, suspect=suspect)
        except (sqlite3.Error, OSError) as problem:
            self.release()
            raise ConfigurationError(
                f"{self.path}: the store cannot be used ({problem}); make it writable or run with --ragcheck-cache off"
            ) from problem

    def _open_file(self, path: Path, *, suspect: bool) -> sqlite3.Connection:
        try:
            self._take_use(path)
            return _connect(str(path), check=suspect)
        except sqlite3.DatabaseError as problem:
            if not is_damage(problem):
                raise
            if self._take_use_alone(path):
                return self._replace_if_damaged(path)
        return self._open_in_use(path)

    def _open_in_use(self, path: Path) -> sqlite3.Connection:
        """A file that was damaged and that others use: one of them may have put a new one in place meanwhile."""
        self._take_use(path)
        try:
            return _connect(str(path), check=True)
        except sqlite3.DatabaseError as problem:
            if not is_damage(problem):
                raise
            self.release()
            kept = "another process uses the file, so nothing of this run is kept in it"
            self.notices.append(f"{path}: {problem}; {kept}")
            return _connect(":memory:")

    def give_up(self) -> sqlite3.Connection:
        """Go on in memory, where the file is damaged in a way that no check finds."""
        self.release()
        self.notices.append(f"{self.path}: the file is damaged; nothing of this run is kept in it; delete it")
        return _connect(":memory:")

    def _replace_if_damaged(self, path: Path) -> sqlite3.Connection:
        """Look again, alone: another process may have put a new file in place meanwhile."""
        try:
            connection = _connect(str(path), check=True)
        except sqlite3.DatabaseError as problem:
            if not is_damage(problem):
                raise
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

    def release(self) -> None:
        """Let others set the file aside."""
        if self._use is not None:
            self._use.close()
            self._use = None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def is_damage(problem: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Return whether an error comes from the file's content, not from the disk, its permissions or other processes."""
    if isinstance(problem, sqlite3.OperationalError):
        # A table or a column of ours is missing, a text is not UTF-8; what the system refuses has other codes.
        return getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR
    return not isinstance(problem, sqlite3.ProgrammingError)


def _connect(name: str, *, check: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None)
    connection.text_factory = _decode
    try:
        _prepare(connection)
        if check:
            _check(connection)
    except UnicodeDecodeError:  # SQLite quotes the file in its messages, and Python cannot read them
        connection.close()
        raise sqlite3.DatabaseError("the file is damaged (a text in it is not UTF-8)") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _check(connection: sqlite3.Connection) -> None:
    verdict: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the file is damaged ({verdict.splitlines()[0]})")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Two that open a new file at once are in each other's way here, and SQLite does not wait for the change."""
    end = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) or time.monotonic() > end:
                raise
        time.sleep(0.005)


def _prepare(connection: sqlite3.Connection) -> None:
    _write_ahead(connection)
    # In WAL mode NORMAL outlives the end of the process; only a power cut can lose the last commits.
    connection.execute("PRAGMA synchronous = NORMAL")
    with closing(connection.cursor()) as cursor:
        ours, version = _header(cursor)
        if ours == APPLICATION_ID and version == SCHEMA_VERSION:
            _check_schema(cursor)
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
    else:
        _check_schema(cursor)  # another process has made it meanwhile


def _check_schema(cursor: sqlite3.Cursor) -> None:
    """A missing table ends a run; an added trigger or view changes what is read."""
    query = "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    found = sorted(" ".join(str(sql).split()) for (sql,) in cursor.execute(query))
    if found != sorted(" ".join(statement.split()) for statement in _SCHEMA):
        raise sqlite3.DatabaseError("its tables are not those of a store")


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
