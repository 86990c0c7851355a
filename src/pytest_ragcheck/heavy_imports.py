"""Imports of libraries that take seconds."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["without_collections"]


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep what is imported within, and all that there is by then, out of the garbage collector's work for good.

    A library's classes and functions live as long as the process. While hundreds of modules are made, the collector
    goes through all of them again and again: a fifth of the time that such an import takes. Later it would go through
    them while calls wait, five times when pytest ends (to find exceptions in finalizers), and when the process ends.
    Objects are still freed when nothing refers to them; only cycles that are there by then are not found any more.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
            gc.freeze()
