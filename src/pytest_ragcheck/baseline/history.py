"""Earlier runs of a system: how far whole runs lie apart although nothing changed, and how each question came out.

A judge's mood or a server's other version moves all scores of a run together. Two runs cannot show that: it looks like
a change of the system. Several runs of one system can. Only runs that were measured alike are compared with each other,
by scores of which no model call was answered from the store: a stored reply is not a new sample.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.differences import PairedScores, Shift, differences, mean_of
from pytest_ragcheck.baseline.entries import answered_trials
from pytest_ragcheck.baseline.pairs import key_of
from pytest_ragcheck.baseline.update import GENERATION, digest_in, setup_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from pytest_ragcheck.baseline.entries import Setup
    from pytest_ragcheck.baseline.pairs import Key, Pair
    from pytest_ragcheck.model import Result, Run

    Scores = Mapping[Key, tuple[float, ...]]

__all__ = ["REFERENCE_PIPELINE", "History", "shift_between"]

REFERENCE_PIPELINE = "embedder"
"""The part of a fingerprint that is there where the reference pipeline answered. Whether other systems are what they
were is not known."""
LEAST_QUESTIONS = 5
"""With fewer in common two runs say little about what moves all questions together."""
FREEDOM_PER_DIFFERENCE = 2 / 3
"""Successive differences have a run in common, so that each counts less than a degree of freedom: J. von Neumann and
others, Annals of Mathematical Statistics 12 (1941) 153-162."""


class History:
    """What earlier ``runs``, in any order, say about a comparison of the run ``now``, which is left out among them."""

    def __init__(self, runs: Iterable[Run], now: Run) -> None:
        others = (run for run in runs if run.complete and run.started_at != now.started_at)
        self._runs = sorted(others, key=lambda run: run.started_at)
        self._digests = {key_of(result): digest_in(now, result) for result in now.results}
        self._scores: dict[tuple[str, str], dict[Hashable, list[Scores]]] = {}

    def scores(self, metric: str, pair: Pair) -> tuple[float, ...]:
        """What the question got under the metric in runs of the baseline's system."""
        runs = self._by_system(metric, pair.key[0]).get(_identity(metric, pair.setup), [])
        return tuple(value for scores in runs for value in scores.get(pair.key, ()))

    def shift(self, metric: str, datasets: Iterable[str]) -> Shift | None:
        """How far the means of two runs of one system lie apart, beyond their questions' noise; None: not known."""
        return shift_between(
            runs for dataset in sorted(set(datasets)) for runs in self._by_system(metric, dataset).values()
        )

    def _by_system(self, metric: str, dataset: str) -> dict[Hashable, list[Scores]]:
        """The fresh scores of each run, oldest first, of runs that were measured alike."""
        if (metric, dataset) not in self._scores:
            found: dict[Hashable, list[Scores]] = {}
            for run in self._runs:
                identity = _identity(metric, setup_of(run, dataset))
                if identity is not None:
                    found.setdefault(identity, []).append(dict(self._fresh_scores(run, metric, dataset)))
            self._scores[metric, dataset] = found
        return self._scores[metric, dataset]

    def _fresh_scores(self, run: Run, metric: str, dataset: str) -> Iterator[tuple[Key, tuple[float, ...]]]:
        for result in run.results:
            key = key_of(result)
            if key[0] == dataset and self._digests.get(key) == digest_in(run, result):
                trials = (trial for trial in answered_trials(result) if _is_fresh(trial))
                scores = (trial.scores.get(metric) for trial in trials)
                if values := tuple(score.value for score in scores if score is not None and score.value is not None):
                    yield key, values


def shift_between(systems: Iterable[Sequence[Scores]]) -> Shift | None:
    """How far the means of successive runs lie apart, by each system's runs in their order; None without two runs."""
    found = [
        differences(pairs)
        for runs in systems
        for earlier, later in pairwise(runs)
        if len(pairs := _pairs(earlier, later)) >= LEAST_QUESTIONS
    ]
    if not found:
        return None
    observed = mean_of(one.mean**2 for one in found)
    noise = mean_of((one.standard_error or 0.0) ** 2 for one in found)
    return Shift(variance=max(0.0, observed - noise), observed=observed, freedom=FREEDOM_PER_DIFFERENCE * len(found))


def _identity(metric: str, setup: Setup) -> Hashable:
    """Equal for runs of one system that were measured alike; None where that is not known."""
    if REFERENCE_PIPELINE not in setup.fingerprint:
        return None
    models = (setup.models.get(GENERATION), setup.models.get(metric))
    return tuple(sorted(setup.fingerprint.items())), setup.scoring.get(metric), models


def _is_fresh(trial: Result) -> bool:
    return trial.answer is not None and not trial.answer.cached and not any(call.cached for call in trial.calls)


def _pairs(earlier: Scores, later: Scores) -> list[PairedScores]:
    common = sorted(earlier.keys() & later.keys())
    return [PairedScores(question="\0".join(key), baseline=earlier[key], run=later[key]) for key in common]
