"""What driver and actors tell each other."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.session.fingerprints import fingerprints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.gateway import Snapshot
    from pytest_ragcheck.metrics.registry import MetricSpec
    from pytest_ragcheck.model import Question
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.suites import Suite

__all__ = ["Brief", "EmbedderBrief", "Greeting", "Order", "Report", "SuiteBrief", "fingerprint_of", "told_environment"]

_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteBrief:
    """What a suite is made again from, where its files are."""

    settings: Settings
    metrics: Mapping[str, float | None] | None
    store: str
    """The store's name among what the driver keeps."""
    store_path: Path | None
    fingerprint: tuple[str, ...]
    """Of questions and documents, so that a node with other files is found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderBrief:
    """What a suite's embedder is made again from."""

    settings: Settings
    fingerprint: str
    """The embedder's here, so that a node with another model is found out."""
    invocation: Path
    """The folder that pytest was started in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A batch: its questions, and what answers and measures them."""

    suites: Sequence[SuiteBrief]
    questions: Sequence[tuple[int, Question]]
    """Each with the number of its suite; an actor is asked by the place in this list."""
    least_before: Sequence[Mapping[str, float]]
    """For each question as in :attr:`~pytest_ragcheck.engine.Job.least_before`."""
    candidate: Any
    """What the fixture ``ragcheck_pipeline`` gave."""
    system: str
    given: Sequence[MetricSpec]
    """The metrics of the fixture ``ragcheck_metrics``."""
    registered: Sequence[MetricSpec]
    """Metrics that the user's modules have added."""
    invocation: Path
    """The folder that pytest was started in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A question that an actor is to ask."""

    place: int
    """Where it stands in the brief."""
    trial: int | None = None
    """As in :attr:`~pytest_ragcheck.engine.Job.trial`."""
    done: Sequence[Any] = ()
    """The results of :attr:`~pytest_ragcheck.engine.Job.done` as builtin types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What an actor is told before its first batch, never written anywhere: ``environment`` holds keys."""

    version: str
    options: Options
    elapsed: float
    """Seconds since the run's start."""
    run_started: float
    """Unix time."""
    path: Sequence[str]
    """Where the driver finds modules."""
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an actor has to tell."""

    results: Sequence[tuple[int, Any]] = ()
    """Places of questions, and their results as builtin types."""
    snapshots: Sequence[Snapshot] = ()
    answers: int = 0
    """Answers that there are so far, as in :class:`~pytest_ragcheck.engine.Slots`."""
    scores: int = 0
    notices: Sequence[str] = ()


def fingerprint_of(suite: Suite) -> tuple[str, ...]:
    """Questions and documents in a digest each."""
    prints = fingerprints(suite)
    return tuple(prints.get(name, "") for name in ("questions", "documents"))


def told_environment(settings: Iterable[Settings]) -> dict[str, str]:
    """The variables that calls of ours need: Anthropic's, and those that an endpoint's settings name."""
    named = {name for each in settings for name in _VARIABLE.findall(f"{each.generator} {each.endpoint!r}")}
    return {
        name: value for name, value in os.environ.items() if name.startswith(("ANTHROPIC_", "HF_HUB_")) or name in named
    }


def module_path() -> list[str]:
    """The entries of ``sys.path`` as a node can look for them."""
    return [entry for entry in sys.path if entry]
