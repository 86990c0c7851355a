"""Threads of the libraries that compute: torch and FAISS have a pool each, with a thread for each core."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["sleeping_while_idle"]

_POLICY = "OMP_WAIT_POLICY"


@contextmanager
def sleeping_while_idle() -> Iterator[None]:
    """Threads of OpenMP libraries that are loaded meanwhile sleep where they wait for each other.

    By default they run in circles for a while, each on a core that another pool or process could use: where those wait
    for the core in turn, all of them take several times as long (``benchmarks/threads.py``). A policy that is in the
    environment is left as it is, and one that is not is taken out again: processes started later do not get it.
    """
    if _POLICY in os.environ:
        yield
        return
    os.environ[_POLICY] = "passive"
    try:
        yield
    finally:
        os.environ.pop(_POLICY, None)
