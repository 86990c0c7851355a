"""Whether this process is the only one, xdist's controller, or one of its workers; and where temporary files belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["is_worker", "temporary_folder", "worker_count"]


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


def worker_count(config: pytest.Config) -> int:
    """How many processes run items: pytest-xdist's workers, or 1."""
    return int(config.workerinput["workercount"]) if is_worker(config) else 1  # type: ignore[attr-defined]


def temporary_folder(config: pytest.Config) -> Path:
    """Return this process's folder for temporary files, which a later run of pytest removes if this one is killed."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001
    return factory.getbasetemp()
