"""Imports of libraries that take seconds."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["without_collections"]


@contextmanager
def without_collections(*, freeze: bool = False) -> Iterator[None]:
    """Let the garbage collector look at what is imported within once, at the end, or with ``freeze`` never.

    A library's classes and functions live as long as the process. While hundreds of modules are made, the collector
    goes through all of them again and again: a fifth of the time that such an import takes. It would also do so soon
    after, while calls wait; five times when pytest ends, to find exceptions in finalizers; and at the process's end.

    ``freeze`` is for a process that is pytest's alone: cycles that are there by then are not found any more, which an
    application that lives on could not afford.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
            if freeze:
                gc.freeze()
            else:
                gc.collect()
