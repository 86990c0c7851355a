"""What tells the results of one question in one run apart: other pipelines, other marks.

A variant is the same in every run, whatever else was selected, so that a baseline finds its questions again. It is
empty for the plain case: one pipeline, and what the configuration says. Else it names the parameters of the pipeline,
and what a mark changes of the configuration. Where that leaves two results alike, as with overrides of the pipeline in
two modules, both say more.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.session.config import find_configuration
from pytest_ragcheck.session.selection import marked

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pytest

    from pytest_ragcheck.model import Result
    from pytest_ragcheck.session.selection import Entry

__all__ = ["Variant", "told_apart", "variant_of"]


class Variant(NamedTuple):
    """A variant's name, and a longer one for where that is not enough."""

    name: str
    long: str


def variant_of(item: pytest.Item, entry: Entry, pipeline: Variant) -> Variant:
    """The variant of an item's result; ``pipeline`` is what its pipeline contributes."""
    said = marked(item)
    short, long = [pipeline.name], [pipeline.long]
    metrics: Mapping[str, float | None] = said.get("metrics") or {}
    configured = entry.suite.settings.metrics
    if configured and metrics and set(metrics) != set(configured):
        short.append("+".join(sorted(metrics)))
    long += [name if least is None else f"{name}>={least:g}" for name, least in sorted(metrics.items())]
    if "documents" in said:
        root = entry.suite.settings.root
        patterns = [Path(os.path.relpath(pattern, root)).as_posix() for pattern in said["documents"]]
        found = find_configuration(root)
        if found is not None and found.table.get("documents"):
            short += patterns
        long += patterns
    return Variant(", ".join(filter(None, short)), ", ".join(filter(None, long)))


def told_apart(results: Mapping[tuple[str, ...], tuple[Result, str]]) -> tuple[Result, ...]:
    """The results, each with its long variant; that stands in only for names that are not one result's alone."""
    names = Counter(_identity(result) for result, _ in results.values())
    named = [
        result if names[_identity(result)] == 1 else replace(result, variant=long) for result, long in results.values()
    ]
    seen: Counter[Hashable] = Counter()
    apart = []
    for result in named:
        seen[_identity(result)] += 1
        number = seen[_identity(result)]
        apart.append(result if number == 1 else replace(result, variant=f"{result.variant} ({number})".lstrip()))
    return tuple(apart)


def _identity(result: Result) -> Hashable:
    return result.question.dataset, result.question.id, result.variant
