"""How much of what should have been measured was measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.pairs import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from pytest_ragcheck.baseline.pairs import Key, Pair
    from pytest_ragcheck.model import Result, Run

__all__ = ["Coverage", "coverage_of"]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Scores, one for each trial and metric. What does not apply to a question is not wanted of it."""

    wanted: Mapping[str, int]
    """By metric."""
    measured: Mapping[str, int]
    incomplete: tuple[Key, ...]
    """Questions with a score that is wanted and was not measured."""

    @property
    def share(self) -> float:
        """Of all wanted scores those that were measured."""
        wanted = sum(self.wanted.values())
        return sum(self.measured.values()) / wanted if wanted else 1.0

    def share_of(self, metric: str) -> float:
        """Of the metric's wanted scores those that were measured."""
        wanted = self.wanted.get(metric, 0)
        return self.measured.get(metric, 0) / wanted if wanted else 1.0


def coverage_of(run: Run, pairs: Mapping[Key, Pair]) -> Coverage:
    """Coverage of all results. A question without an answer lacks what its entry has, or else all of its dataset's."""
    by_dataset = {dataset: set(metrics) for dataset, metrics in run.scoring.items()}
    for result in run.results:
        by_dataset.setdefault(result.question.dataset, set()).update(result.scores)
    wanted: Counter[str] = Counter()
    measured: Counter[str] = Counter()
    incomplete = []
    for result in run.results:
        key = key_of(result)
        expected = _expected(pairs.get(key), by_dataset[key[0]])
        missing = False
        for trial in result.trials or (result,):
            names = _wanted(trial, expected)
            found = {name for name in names if name in trial.scores and trial.scores[name].measured}
            wanted.update(names)
            measured.update(found)
            missing |= found != names
        if missing:
            incomplete.append(key)
    return Coverage(wanted=wanted, measured=measured, incomplete=tuple(sorted(incomplete)))


def _expected(pair: Pair | None, known: AbstractSet[str]) -> AbstractSet[str]:
    """What a question lacks that has no answer; where the run measured nothing at all, everything."""
    if pair is None:
        return known
    return (pair.entry.scores.keys() & known) or pair.entry.scores.keys()


def _wanted(trial: Result, expected: AbstractSet[str]) -> set[str]:
    told = {name for name, score in trial.scores.items() if score.measured or score.error is not None}
    return told if trial.answer is not None else told | (expected - trial.scores.keys())
