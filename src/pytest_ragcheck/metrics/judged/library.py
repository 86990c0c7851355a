"""deepeval, imported late and kept quiet: no telemetry, no ``.env`` file read, nothing written, nothing printed."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MissingExtraError
from pytest_ragcheck.heavy_imports import without_collections

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Library", "check_installed", "quietly", "stay_quiet", "version"]

_QUIET = {"DEEPEVAL_TELEMETRY_OPT_OUT": "1", "DEEPEVAL_DISABLE_DOTENV": "1"}
"""Must be in the environment before the import. Left there: deepeval reads its settings again and again."""


def check_installed() -> None:
    """Raise :class:`~pytest_ragcheck.errors.MissingExtraError` where deepeval is not there; imports nothing."""
    if find_spec("deepeval") is None:
        raise MissingExtraError("judging", extra="deepeval")


@lru_cache(maxsize=1)
def version() -> str:
    """The version of deepeval, without importing it: its prompts change with it, and so the scores."""
    return metadata.version("deepeval")


class Library:
    """Imports deepeval once, in a thread: it takes seconds, in which answers can be generated."""

    _ONE_AT_A_TIME = threading.Lock()

    def __init__(self) -> None:
        self._importing = asyncio.Lock()
        self._ready = False

    def load(self) -> None:
        """Import it now, and wait for it."""
        check_installed()
        self._import()
        self._ready = True

    async def ready(self) -> None:
        """Return when deepeval is there."""
        if self._ready:
            return
        async with self._importing:
            if not self._ready:
                await asyncio.to_thread(self._import)
                self._ready = True

    def _import(self) -> None:
        with self._ONE_AT_A_TIME:
            os.environ.update(_QUIET)
            if "deepeval.metrics" in sys.modules:
                _silence()
                return
            with without_collections():
                import deepeval.metrics
                import deepeval.test_case  # noqa: F401 (the rest of what a measurement imports)
            _silence()


def _silence() -> None:
    """Telemetry has no way out even where somebody puts the environment back as it was: it is sent at exit."""
    with suppress(ImportError, AttributeError):
        from deepeval.telemetry.client import NoopBackend, set_backend

        set_backend(NoopBackend())


@lru_cache(maxsize=1)
def stay_quiet() -> None:
    """To be called after the first measurement, with which deepeval enters what it does at exit: this goes before."""
    atexit.register(os.environ.update, _QUIET)


@contextmanager
def quietly() -> Iterator[None]:
    """Without deepeval's warnings; for code that does not wait for anything, as the filters are the whole process's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def metric_class(name: str) -> Any:
    """One of deepeval's metric classes; deepeval must have been imported."""
    import deepeval.metrics

    return getattr(deepeval.metrics, name)
