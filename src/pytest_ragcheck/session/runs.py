"""The last runs, in ``.ragcheck/runs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pytest_ragcheck.run_file import RunFileError, load_run, save_run
from pytest_ragcheck.store import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_ragcheck.model import Run
    from pytest_ragcheck.session.suites import SuiteCatalog

__all__ = ["RunFolder"]

RUNS_KEPT = 20


class RunFolder:
    """Runs by name: when they started, and their mode."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, catalog: SuiteCatalog, rootpath: Path) -> Self:
        """Beside the suites' configuration where they share one, else in the project's root."""
        roots = {suite.settings.root for suite in catalog.suites}
        root = roots.pop() if len(roots) == 1 else rootpath
        return cls(state_folder(root) / "runs")

    def save(self, run: Run) -> Path:
        """Write a run and drop the oldest ones."""
        name = f"{run.started_at.replace(':', '')}-{run.mode}"
        path = self._folder / f"{name}.json"
        number = 1
        while path.exists():
            number += 1
            path = self._folder / f"{name}-{number}.json"
        save_run(run, path)
        for old in self._paths("*")[RUNS_KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def newest(self, mode: str) -> Iterator[Run]:
        """The runs of one mode, newest first; a file that cannot be read is passed over."""
        for path in self._paths(f"*-{mode}*"):
            try:
                yield load_run(path)
            except RunFileError:
                continue

    def _paths(self, pattern: str) -> list[Path]:
        return sorted(self._folder.glob(f"{pattern}.json"), reverse=True)
