"""What a question's scores were in the baseline, for the report of one that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.baseline.entries import Dataset, Entry
    from pytest_ragcheck.model import Result
    from pytest_ragcheck.session.suites import Suite

__all__ = ["earlier_scores"]


class _Earlier(NamedTuple):
    """A suite's part of its baseline, and how the suite's metrics measure now."""

    dataset: Dataset
    entries: Mapping[tuple[str, str], Entry]
    measures: Mapping[str, str]


_EARLIER = pytest.StashKey["dict[str, _Earlier | None]"]()


def earlier_scores(config: pytest.Config, suite: Suite, result: Result) -> dict[str, float]:
    """The failed metrics' means in the baseline; without those that were measured otherwise then, or not at all.

    Empty where there is no baseline, or another question under this id.
    """
    known = config.stash.setdefault(_EARLIER, {})
    if suite.identity not in known:
        known[suite.identity] = _read(config, suite)
    earlier = known[suite.identity]
    if earlier is None:
        return {}
    from pytest_ragcheck.baseline.entries import question_digest

    entry = earlier.entries.get((result.question.id, result.variant))
    if entry is None or entry.question != question_digest(result.question):
        return {}
    then = earlier.dataset.setup_of(entry).scoring
    failed = [score.metric for score in result.failed_scores]
    alike = [name for name in failed if then.get(name) == earlier.measures.get(name)]
    return {name: mean for name in alike if (mean := entry.mean(name)) is not None}


def _read(config: pytest.Config, suite: Suite) -> _Earlier | None:
    from pytest_ragcheck.session.gate_facts import measures
    from pytest_ragcheck.session.selection import catalog_of

    dataset = catalog_of(config).baselines.dataset_of(suite.file)
    if dataset is None:
        return None
    return _Earlier(dataset, {entry.key: entry for entry in dataset.questions}, measures(suite))
