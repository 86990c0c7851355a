"""What differs between two runs: metric by metric, question by question, in money and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.model import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_ragcheck.model import Result, Run

__all__ = ["MetricDifference", "QuestionDifference", "RunDifference", "run_difference"]

Key = tuple[str, str, str]
"""Dataset, id and variant of a result."""

_SAME = 1e-9
_RANKS = {State.PASSED: 2, State.NOT_RUN: 1, State.ERROR: 1, State.FAILED: 0}
"""An error is neither better nor worse than what was not run; a miss is worse than not to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """One metric's means over the questions that were measured in both runs."""

    metric: str
    questions: int
    first: float
    second: float

    @property
    def change(self) -> float:
        """The second mean minus the first: negative is worse."""
        return self.second - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionDifference:
    """A question of both runs whose state or scores changed."""

    id: str
    dataset: str
    variant: str
    states: tuple[State, State]
    scores: Mapping[str, tuple[float | None, float | None]]
    """Of each metric whose value changed both values; None: not measured."""

    @property
    def is_worse(self) -> bool:
        """Whether its state is worse, or the same and the largest change of a score is a loss."""
        return self._direction < 0

    @property
    def is_better(self) -> bool:
        """The opposite; neither holds where a value merely came or went."""
        return self._direction > 0

    @property
    def weight(self) -> tuple[int, float]:
        """For sorting, the weightiest first: a changed state, then the largest change."""
        return -abs(self._step), -abs(self._largest)

    @property
    def _direction(self) -> float:
        return self._step or self._largest

    @property
    def _step(self) -> int:
        return _RANKS[self.states[1]] - _RANKS[self.states[0]]

    @property
    def _largest(self) -> float:
        changes = [after - before for before, after in self.scores.values() if before is not None and after is not None]
        return max(changes, key=abs, default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDifference:
    """Two runs side by side."""

    first: Run
    second: Run
    metrics: tuple[MetricDifference, ...]
    common: int
    """Results that both runs have."""
    changed: tuple[QuestionDifference, ...]
    """Of these the ones that changed, the weightiest first."""
    gone: tuple[str, ...]
    """Questions of the first run alone."""
    new: tuple[str, ...]
    """Questions of the second run alone."""
    setups: tuple[str, ...]
    """What the runs were made with and differs: documents, prompt, ...; by the fingerprints' names."""


def run_difference(first: Run, second: Run) -> RunDifference:
    """What is other in ``second`` than in ``first``; questions are matched by dataset, id and variant."""
    before, after = _by_key(first.results), _by_key(second.results)
    pairs = {key: (before[key], after[key]) for key in before if key in after}
    changed = [change for key, pair in pairs.items() if (change := _question(key, *pair)) is not None]
    return RunDifference(
        first=first,
        second=second,
        metrics=tuple(_metrics(pairs.values())),
        common=len(pairs),
        changed=tuple(sorted(changed, key=lambda change: change.weight)),
        gone=tuple(key[1] for key in before if key not in after),
        new=tuple(key[1] for key in after if key not in before),
        setups=tuple(_setups(first, second)),
    )


def _by_key(results: Iterable[Result]) -> dict[Key, Result]:
    return {(result.question.dataset, result.question.id, result.variant): result for result in results}


def _metrics(pairs: Iterable[tuple[Result, Result]]) -> Iterable[MetricDifference]:
    values: dict[str, list[tuple[float, float]]] = {}
    for before, after in pairs:
        for name, score in before.scores.items():
            other = after.scores.get(name)
            if score.value is not None and other is not None and other.value is not None:
                values.setdefault(name, []).append((score.value, other.value))
    for name, found in values.items():
        first, second = (math.fsum(side) / len(found) for side in zip(*found, strict=True))
        yield MetricDifference(metric=name, questions=len(found), first=first, second=second)


def _question(key: Key, before: Result, after: Result) -> QuestionDifference | None:
    names = dict.fromkeys([*before.scores, *after.scores])
    scores = {name: (_value(before, name), _value(after, name)) for name in names}
    moved = {name: pair for name, pair in scores.items() if _differ(*pair)}
    if before.state is after.state and not moved:
        return None
    dataset, name, variant = key
    return QuestionDifference(
        id=name, dataset=dataset, variant=variant, states=(before.state, after.state), scores=moved
    )


def _value(result: Result, name: str) -> float | None:
    score = result.scores.get(name)
    return None if score is None else score.value


def _differ(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) > _SAME


def _setups(first: Run, second: Run) -> list[str]:
    differing = {
        name
        for dataset in first.fingerprints.keys() & second.fingerprints.keys()
        for name in first.fingerprints[dataset].keys() | second.fingerprints[dataset].keys()
        if first.fingerprints[dataset].get(name) != second.fingerprints[dataset].get(name)
    }
    return sorted(differing)
