"""What a run must tell so that it can be compared: all of its questions, those selected, and how each is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.baseline.entries import question_digest
from pytest_ragcheck.baseline.measures import by_formula
from pytest_ragcheck.metrics.base import is_deterministic
from pytest_ragcheck.metrics.registry import metric_version, required_inputs
from pytest_ragcheck.session.selection import selected_items

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pytest

    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.session.answers import LiveAnswers
    from pytest_ragcheck.session.suites import Suite

__all__ = ["gate_facts", "measures", "merged_facts", "question_digests"]


def gate_facts(session: pytest.Session | None, live: LiveAnswers | None) -> dict[str, Any]:
    """The fields ``datasets``, ``selected`` and ``scoring`` of a run, for the suites that were asked in this process.

    Plain JSON, for xdist's channel.
    """
    if session is None or live is None or not live.suites:
        return {"datasets": {}, "selected": {}, "scoring": {}}
    suites = list(dict.fromkeys(live.suites))
    return {
        "datasets": _by_dataset((suite.name, question_digests(suite)) for suite in suites),
        "selected": _selected(session, live),
        "scoring": _by_dataset((suite.name, measures(suite)) for suite in suites),
    }


def merged_facts(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What several processes told, as the run's fields; each that knows of a dataset knows all of it."""
    told = list(facts)
    whole: dict[str, Any] = {
        field: _by_dataset(entry for each in told for entry in each[field].items())
        for field in ("datasets", "selected", "scoring")
    }
    selected = {
        name: {variant: tuple(ids) for variant, ids in found.items()} for name, found in whole["selected"].items()
    }
    return {**whole, "selected": selected}


def _by_dataset(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Suites of one name, such as those that a mark gives other documents, become one."""
    whole: dict[str, dict[str, Any]] = {}
    for name, entries in parts:
        whole.setdefault(name, {}).update(entries)
    return whole


def question_digests(suite: Suite) -> dict[str, str]:
    """Of the questions as their file has them: what gold is resolved to changes with the documents."""
    return {question.id: question_digest(question) for question in suite.written}


def _selected(session: pytest.Session, live: LiveAnswers) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, dict[str, None]]] = {}
    for item, entry in selected_items(session):
        variants = found.setdefault(entry.suite.name, {})
        variants.setdefault(live.variant_of(item, entry), {})[entry.question.id] = None
    return {name: {variant: list(ids) for variant, ids in variants.items()} for name, variants in found.items()}


def measures(suite: Suite) -> dict[str, str]:
    """By metric what its values depend on beside question, contexts and answer."""
    return {metric.name: _measure(metric, suite) for metric in suite.metrics}


def _measure(metric: Metric, suite: Suite) -> str:
    if not is_deterministic(metric):
        return str(getattr(metric, "measured_with", ""))
    embedder = suite.embedder.fingerprint if "embedder" in required_inputs(metric.name) else None
    return by_formula(metric_version(metric.name), contexts_alone=not metric.needs_answer, embedder=embedder)
