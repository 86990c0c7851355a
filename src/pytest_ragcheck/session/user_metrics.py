"""Metrics that the configuration names by an import path, and those of the fixture ``ragcheck_metrics``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics import registry
from pytest_ragcheck.metrics.own import spec_of
from pytest_ragcheck.rag.importing import import_object, is_import_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.metrics.judged.metric import Judging
    from pytest_ragcheck.metrics.registry import MetricSpec
    from pytest_ragcheck.session.judges import Judges

__all__ = ["FixtureMetrics", "made_for", "register_named", "specs_of_fixture"]


def register_named(names: Iterable[str], root: Path) -> None:
    """Make the metrics known that are named ``module:name``; ConfigurationError for one that cannot be had."""
    for name in names:
        if is_import_path(name):
            registry.replace_metric(_at_path(name, root))


def specs_of_fixture(given: Any) -> tuple[MetricSpec, ...]:
    """What the fixture gave, each under its own name; ConfigurationError where it cannot be used."""
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise ConfigurationError(f"ragcheck_metrics must return a list of metrics, not {type(given).__name__}")
    specs: dict[str, MetricSpec] = {}
    for thing in given:
        spec = spec_of(thing)
        if spec.name in specs or spec.name in registry.metric_names():
            raise ConfigurationError(f"ragcheck_metrics: a metric named {spec.name!r} exists already; rename this one")
        specs[spec.name] = spec
    return tuple(specs.values())


@dataclass(frozen=True, kw_only=True)
class FixtureMetrics:
    """Metrics of the fixture, made."""

    metrics: tuple[Metric, ...]
    thresholds: Mapping[str, float]
    """Their own least values."""
    contexts_needed_by: frozenset[str]
    """Names of those that look at contexts."""


def made_for(specs: Sequence[MetricSpec], judges: Judges, *, top_k: int) -> FixtureMetrics:
    """Make the metrics; ConfigurationError for one that needs a judge where none is configured."""
    least = {spec.name: spec.threshold for spec in specs if spec.threshold is not None}

    def heeding(judging: Judging) -> Judging:
        return replace(judging, thresholds={**judging.thresholds, **least})

    needs_judge = any("judge" in spec.needs for spec in specs) and judges.settings.judge is not None
    parts = registry.MetricParts(
        top_k=top_k,
        judging=heeding(judges.configured) if needs_judge else None,
        judging_by=lambda model: heeding(judges.by(model)),
    )
    return FixtureMetrics(
        metrics=tuple(spec.make(parts) for spec in specs),
        thresholds=least,
        contexts_needed_by=frozenset(spec.name for spec in specs if "contexts" in spec.needs),
    )


def _at_path(name: str, root: Path) -> MetricSpec:
    try:
        thing = import_object(name, root=root, key="metric")
    except ConfigurationError:
        raise
    except Exception as problem:
        told = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        raise ConfigurationError(f"metric {name!r} cannot be imported: {told}") from problem
    return replace(spec_of(thing, name=name), threshold=None)
