"""Which part of a baseline belongs to which question file of a run.

A run names its question files from the root of the session, a baseline from the folder that it is in: so a name is
unique in each, and a baseline is found whatever the root of a session is. Baselines of earlier versions name question
files from their configuration, and a baseline can be taken elsewhere; there the ends of paths decide, if nothing else
could be meant.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pytest_ragcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_ragcheck.baseline.entries import Baseline
    from pytest_ragcheck.model import Run

__all__ = ["QuestionFile", "baseline_of", "in_variants_of", "named_in_run", "path_from", "with_datasets"]

_WITH_CONFIGURATION = re.compile(r"(?P<questions>.*) \((?P<configuration>.*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFile:
    """A question file of a run; its paths are absolute, or, where only a name is known, without their beginning."""

    questions: Path
    configuration: Path | None = None
    """The file that configures the suite, where that is not the nearest one above the question file."""
    former_name: str = ""
    """The name in baselines of earlier versions: the path from the configuration's folder."""

    @property
    def configured_in(self) -> Path:
        """The folder whose configuration counts."""
        return (self.configuration or self.questions).parent

    def plain(self) -> dict[str, str | None]:
        """Its fields as builtin types, for :meth:`from_plain` in another process."""
        configuration = None if self.configuration is None else str(self.configuration)
        return {"questions": str(self.questions), "configuration": configuration, "former_name": self.former_name}

    @classmethod
    def from_plain(cls, plain: Mapping[str, str | None]) -> Self:
        """The question file that :meth:`plain` described."""
        questions, configuration = plain["questions"], plain["configuration"]
        return cls(
            questions=Path(questions or ""),
            configuration=None if configuration is None else Path(configuration),
            former_name=plain["former_name"] or "",
        )

    @classmethod
    def parse(cls, name: str) -> Self:
        """The question file of this name in a run."""
        questions, configuration = _split(name)
        return cls(questions=_end(questions), configuration=None if configuration is None else _end(configuration))

    def name_from(self, folder: Path) -> str:
        """Return its name as seen from ``folder``; no other question file has the same."""
        questions = path_from(folder, self.questions)
        return questions if self.configuration is None else f"{questions} ({path_from(folder, self.configuration)})"

    def is_named(self, name: str, folder: Path) -> bool:
        """Whether ``name`` is its name as seen from ``folder``."""
        if self.questions.is_absolute():
            return name == self.name_from(folder)
        seen = [None if part is None else _absolute(folder, part) for part in _split(name)]
        return all(
            path == end if path is None or end is None else _ends(path, end)
            for path, end in zip(seen, (self.questions, self.configuration), strict=True)
        )

    def may_be_named(self, name: str, folder: Path) -> bool:
        """Whether ``name`` is that of an earlier version, or an end of the path that is no other file's."""
        seen = _absolute(folder, name)
        if seen == self.questions:
            return name == self.former_name != path_from(folder, self.questions)
        if name == self.former_name and folder == self.questions.parent:
            return True
        is_end = self.configuration is None and _ends(self.questions, _end(name))
        return (is_end or name == self.former_name) and not seen.exists()


def path_from(folder: Path, path: Path) -> str:
    """``path`` as seen from ``folder``, with slashes."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def baseline_of(
    baseline: Baseline, files: Mapping[str, QuestionFile], path: Path, *, is_replaced: bool = False
) -> Baseline:
    """The part of the baseline at ``path`` that belongs to ``files``, by their names in the run.

    Raises ConfigurationError where a dataset of the baseline could belong to several of them; where the baseline
    ``is_replaced``, such a dataset is left out.
    """
    claims: dict[str, list[str]] = {}
    for name, file in files.items():
        for key in _keys_of(file, baseline.datasets, path.parent.resolve())[:1]:
            claims.setdefault(key, []).append(name)
    for key, names in claims.items():
        if len(names) > 1 and not is_replaced:
            problem = f"{path}: {key!r} could be {' or '.join(names)}"
            raise ConfigurationError(f"{problem}; write the baseline again with --ragcheck-update-baseline")
    return replace(
        baseline, datasets={names[0]: baseline.datasets[key] for key, names in claims.items() if len(names) == 1}
    )


def named_in_run(baseline: Baseline, run: Run, path: Path) -> Baseline:
    """As :func:`baseline_of` for the question files of ``run``, of which it has only the names."""
    names = {result.question.dataset for result in run.results} | run.datasets.keys()
    files = {name: QuestionFile.parse(name) for name in sorted(names)}
    return in_variants_of(run, baseline_of(baseline, files, path))


def in_variants_of(run: Run, baseline: Baseline) -> Baseline:
    """The baseline under the variants of ``run``, where these name the same test modules from another root."""
    datasets = dict(baseline.datasets)
    for name, dataset in datasets.items():
        now = {result.variant for result in run.results if result.question.dataset == name}
        renamed = _renamed_variants({entry.variant for entry in dataset.questions}, now)
        questions = (replace(entry, variant=renamed.get(entry.variant, entry.variant)) for entry in dataset.questions)
        datasets[name] = replace(dataset, questions=tuple(questions))
    return replace(baseline, datasets=datasets)


def _renamed_variants(before: set[str], now: set[str]) -> dict[str, str]:
    """Pairs of which each fits the other alone."""
    fits = [(old, new) for old in before - now for new in now - before if _is_same_variant(old, new)]
    olds, news = Counter(old for old, _ in fits), Counter(new for _, new in fits)
    return {old: new for old, new in fits if olds[old] == news[new] == 1}


def _is_same_variant(one: str, other: str) -> bool:
    pairs = zip_longest(one.split(", "), other.split(", "), fillvalue="")
    return all(first == second or _is_same_module(first, second) for first, second in pairs)


def _is_same_module(one: str, other: str) -> bool:
    """Whether both can be one test module, or one class in it, as seen from two folders."""
    (first, _, first_class), (second, _, second_class) = one.partition("::"), other.partition("::")
    ends = _ends(_end(first), _end(second)) or _ends(_end(second), _end(first))
    return first_class == second_class and first.endswith(".py") and second.endswith(".py") and ends


def with_datasets(old: Baseline | None, new: Baseline, files: Mapping[str, QuestionFile], path: Path) -> Baseline:
    """``new``, whose datasets have the names of a run, as it is written to ``path``, with the others of ``old``."""
    folder = path.parent.resolve()
    before = {} if old is None else old.datasets
    replaced = {key for name in new.datasets for key in _keys_of(files[name], before, folder)}
    kept = {key: dataset for key, dataset in before.items() if key not in replaced}
    return replace(
        new, datasets=kept | {files[name].name_from(folder): dataset for name, dataset in new.datasets.items()}
    )


def _keys_of(file: QuestionFile, keys: Collection[str], folder: Path) -> list[str]:
    """The keys that are, or may be, the question file's, the likeliest first."""
    named = [key for key in keys if file.is_named(key, folder)]
    possible = [key for key in keys if key not in named and file.may_be_named(key, folder)]
    return named + sorted(possible, key=lambda key: (key != file.former_name, -len(_end(key).parts)))


def _split(name: str) -> tuple[str, str | None]:
    both = _WITH_CONFIGURATION.fullmatch(name)
    return (name, None) if both is None else (both["questions"], both["configuration"])


def _absolute(folder: Path, name: str) -> Path:
    return Path(os.path.normpath(folder / name))


def _end(name: str) -> Path:
    """The path without what leads up from where it is seen."""
    return Path(*[part for part in Path(name).parts if part != os.pardir])


def _ends(path: Path, end: Path) -> bool:
    """Whether ``path`` ends in all of ``end``."""
    return path.parts[-len(end.parts) :] == end.parts
