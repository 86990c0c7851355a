"""Which results of a run stand against which entries of a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.update import digest_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_ragcheck.baseline.entries import Baseline, Entry, Setup
    from pytest_ragcheck.model import Result, Run

__all__ = ["Key", "Match", "Pair", "key_of", "matched"]

Key = tuple[str, str, str]
"""Dataset, id and variant."""


@dataclass(frozen=True)
class Pair:
    """One question in the baseline and in the run."""

    key: Key
    entry: Entry
    setup: Setup
    """What the entry was measured with."""
    result: Result


@dataclass(frozen=True, kw_only=True)
class Match:
    """A run laid beside a baseline."""

    pairs: tuple[Pair, ...]
    """Of questions that are what they were."""
    reworded: tuple[Key, ...]
    """Questions whose text, reference, gold or facts are not what they were."""
    new: tuple[Key, ...]
    """Results without an entry."""
    gone: tuple[Key, ...]
    """Entries whose question its file no longer has."""
    missing: tuple[Key, ...]
    """Entries whose question was selected, and has no result or was not run."""

    @cached_property
    def by_key(self) -> Mapping[Key, Pair]:
        """The pairs by their keys."""
        return {pair.key: pair for pair in self.pairs}


def key_of(result: Result) -> Key:
    """What tells one result of a run from another."""
    return result.question.dataset, result.question.id, result.variant


def matched(run: Run, baseline: Baseline) -> Match:
    """Every result and every entry in its place; entries of questions that were not selected are in none."""
    entries = {
        (name, *entry.key): (entry, dataset.setup_of(entry))
        for name, dataset in baseline.datasets.items()
        for entry in dataset.questions
    }
    results = {key_of(result): result for result in run.results}
    shared = [key for key in sorted(results) if key in entries]
    same = {key for key in shared if entries[key][0].question == digest_in(run, results[key])}
    return Match(
        pairs=tuple(Pair(key, *entries[key], results[key]) for key in shared if key in same),
        reworded=tuple(key for key in shared if key not in same),
        new=tuple(key for key in sorted(results) if key not in entries),
        gone=_gone(run, entries),
        missing=tuple(key for key in sorted(entries) if _is_missing(run, key, results)),
    )


def _gone(run: Run, keys: Iterable[Key]) -> tuple[Key, ...]:
    return tuple(key for key in sorted(keys) if key[0] in run.datasets and key[1] not in run.datasets[key[0]])


def _is_missing(run: Run, key: Key, results: Mapping[Key, Result]) -> bool:
    dataset, name, variant = key
    if key in results:
        return results[key].not_run is not None
    return name in run.selected.get(dataset, {}).get(variant, ())
