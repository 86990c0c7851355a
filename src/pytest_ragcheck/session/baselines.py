"""The baselines of a session: where they are, and what they hold of each question file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_ragcheck.baseline.datasets import QuestionFile
    from pytest_ragcheck.baseline.entries import Baseline, Dataset
    from pytest_ragcheck.session.options import Options

__all__ = ["BASELINE_NAME", "Baselines"]

BASELINE_NAME = "ragcheck-baseline.json"


class Baselines:
    """The baseline files of a session, each read once. ``folder`` is where pytest was called."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.named = [] if options.baseline is None else [folder / options.baseline]
        """The one that ``--ragcheck-baseline`` names."""
        self._read: dict[Path, Baseline | None] = {}

    def path_of(self, file: QuestionFile) -> Path:
        """What ``--ragcheck-baseline`` names, else the file next to the question file."""
        return next(iter(self.named), file.questions.parent / BASELINE_NAME)

    def paths(self, files: Mapping[str, QuestionFile]) -> dict[Path, dict[str, QuestionFile]]:
        """The baseline files of ``files``, each with those that it is for."""
        found: dict[Path, dict[str, QuestionFile]] = {}
        for name, file in sorted(files.items()):
            found.setdefault(self.path_of(file), {})[name] = file
        return dict(sorted(found.items()))

    def load(self, path: Path) -> Baseline | None:
        """The baseline at ``path``, None where there is none; ConfigurationError where it cannot be read."""
        if path not in self._read:
            self._read[path] = _loaded(path) if path.exists() else None
        return self._read[path]

    def dataset_of(self, file: QuestionFile) -> Dataset | None:
        """What the file's baseline holds of it; None where that is nothing."""
        from pytest_ragcheck.baseline.datasets import baseline_of

        path = self.path_of(file)
        whole = self.load(path)
        return None if whole is None else baseline_of(whole, {"": file}, path).datasets.get("")


def _loaded(path: Path) -> Baseline:
    from pytest_ragcheck.baseline.file import load_baseline  # a run without a baseline does without the module

    return load_baseline(path)
