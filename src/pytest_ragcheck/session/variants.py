"""What tells the results of one question in one run apart: other pipelines, other marks.

A variant is the same in every run, whatever else was selected, so that a baseline finds its questions again. It is
empty for the plain case: one pipeline, and what the configuration says. Else it names the parameters of the pipeline,
the test module that overrides it, and what a mark changes of the configuration. Where that leaves two results alike, as
with overrides of the pipeline in the ``conftest.py`` of two folders, both say more.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.session.config_file import find_configuration
from pytest_ragcheck.session.selection import marked, selected_items

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pytest

    from pytest_ragcheck.session.pipelines import PipelineNames
    from pytest_ragcheck.session.selection import Entry

__all__ = ["Variant", "Variants"]

Key = tuple[str, ...]
"""Pipeline, suite and question: the same for all items that share a result, and for no others."""


class Variant(NamedTuple):
    """A variant's name, and a longer one for where that is not enough."""

    name: str
    long: str


class Variants:
    """Names the variant of each item's result, the same in every process."""

    def __init__(self, session: pytest.Session, pipelines: PipelineNames) -> None:
        self._session = session
        self._pipelines = pipelines

    def of(self, item: pytest.Item, entry: Entry) -> str:
        """The variant's name."""
        name = self._names.get(self._key(item, entry))
        return self._own(item, entry).name if name is None else name

    def _key(self, item: pytest.Item, entry: Entry) -> Key:
        return self._pipelines.of(item), *entry.key

    def _own(self, item: pytest.Item, entry: Entry) -> Variant:
        return _with_marks(item, entry, self._pipelines.variant(item))

    @cached_property
    def _names(self) -> Mapping[Key, str]:
        questions: dict[tuple[str, str], dict[Key, Variant]] = defaultdict(dict)
        for item, entry in selected_items(self._session):
            key = self._key(item, entry)
            of_question = questions[entry.suite.name, entry.question.id]
            if key not in of_question:
                of_question[key] = self._own(item, entry)
        return {
            key: name
            for of_question in questions.values()
            for key, name in zip(of_question, _told_apart([*of_question.values()]), strict=True)
        }


def _told_apart(variants: Sequence[Variant]) -> Iterator[str]:
    """A name for each of one question's variants; the long one where the other is not its alone."""
    count = Counter(variant.name for variant in variants)
    names = [variant.name if count[variant.name] == 1 else variant.long for variant in variants]
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})".lstrip()


def _with_marks(item: pytest.Item, entry: Entry, pipeline: Variant) -> Variant:
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
