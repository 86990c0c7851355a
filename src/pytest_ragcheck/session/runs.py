"""The last runs, in ``.ragcheck/runs``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from pytest_ragcheck.atomic_files import drop_drafts
from pytest_ragcheck.run_file import RunFileError, load_run, save_run
from pytest_ragcheck.store import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_ragcheck.model import Run
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog

__all__ = ["RunFolder", "state_of_run"]

RUNS_KEPT = 20
_NAME = re.compile(r"(?P<start>\d{4}-\d\d-\d\dT\d{6}\S*)-(?P<mode>[a-z]+)(?:-(?P<number>\d+))?")


def state_of_run(catalog: SuiteCatalog, rootpath: Path) -> Path:
    """The state folder beside the suites' configuration where they share one, else in the project's root."""
    roots = {suite.settings.root for suite in catalog.suites}
    return state_folder(roots.pop() if len(roots) == 1 else rootpath)


class RunFolder:
    """Runs by name: when they started, and their mode."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, catalog: SuiteCatalog, rootpath: Path) -> Self:
        """Where the state of a whole run is, see :func:`state_of_run`."""
        return cls(state_of_run(catalog, rootpath) / "runs")

    def save(self, run: Run) -> Path:
        """Write a run and drop the oldest ones."""
        drop_drafts(self._folder)  # each run has a name of its own
        name = f"{run.started_at.replace(':', '')}-{run.mode}"
        path = self._folder / f"{name}.json"
        number = 1
        while path.exists():
            number += 1
            path = self._folder / f"{name}-{number}.json"
        save_run(run, path)
        for old in self._newest_first()[RUNS_KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def newest(self, mode: str) -> Iterator[Run]:
        """The runs of one mode, newest first; a file that cannot be read is passed over."""
        for path in self._newest_first(mode):
            try:
                yield load_run(path)
            except RunFileError:
                continue

    def _newest_first(self, mode: str | None = None) -> list[Path]:
        """By the names alone; files with other names are not ours."""
        named = ((path, _NAME.fullmatch(path.stem)) for path in self._folder.glob("*.json"))
        ours = [(path, name) for path, name in named if name is not None and mode in {None, name["mode"]}]
        return [
            path
            for path, _ in sorted(
                ours, key=lambda found: (found[1]["start"], int(found[1]["number"] or 1)), reverse=True
            )
        ]
