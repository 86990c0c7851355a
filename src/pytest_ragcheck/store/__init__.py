"""The content-addressed store: what was paid for once is never paid for again.

One SQLite file in WAL mode, used by several processes at once. A value is found by its kind and
the digest of everything that could change it; it is committed before :meth:`Store.put` returns, so
that a killed process loses nothing that had arrived.

A *claim* says that one process is about to make a value, so that no other makes it too. Claims
expire, and a claim whose owner has ended counts for nothing.
"""

from pytest_ragcheck.store.kinds import Fields, StoredKind, is_number
from pytest_ragcheck.store.owners import pid_of, process_identity
from pytest_ragcheck.store.places import digest, digest_of, state_folder
from pytest_ragcheck.store.store import Store, StoreSize

__all__ = [
    "Fields",
    "Store",
    "StoreSize",
    "StoredKind",
    "digest",
    "digest_of",
    "is_number",
    "pid_of",
    "process_identity",
    "state_folder",
]
