"""What differs between what a baseline and a run were measured with, and which scores can be compared all the same.

The system under test may differ in all of its parts: that is what the gate is for. The measure must be the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.update import GENERATION, setup_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_ragcheck.baseline.entries import Setup
    from pytest_ragcheck.baseline.pairs import Pair
    from pytest_ragcheck.model import Run

__all__ = ["differences", "measure_change", "setups_now"]

DOCUMENT = "document "
"""What the part of a fingerprint starts with that a single document is; its source follows."""
JUDGE_PARTS = ("judge", "judging")
"""Parts of the fingerprint that belong to the measure."""


def setups_now(run: Run) -> dict[str, Setup]:
    """What the run measured each of its datasets with."""
    return {name: setup_of(run, name) for name in {result.question.dataset for result in run.results}}


def measure_change(metric: str, before: Setup, now: Setup) -> tuple[str, str] | None:
    """What the metric was measured with before and is measured with now, where that is not the same; else None.

    The name of a judge's model counts where both are known: kept scores of old did not tell it.
    """
    measures = _measure(metric, before), _measure(metric, now)
    if measures[0] != measures[1]:
        return measures
    models = before.models.get(metric), now.models.get(metric)
    if models[0] and models[1] and not set(models[1].split(", ")) <= set(models[0].split(", ")):
        return models[0], models[1]
    return None


def _measure(metric: str, setup: Setup) -> str:
    """As the run told it; where it told nothing, the judge's settings: any metric may be a judged one."""
    known = setup.scoring.get(metric)
    return known if known is not None else " ".join(setup.fingerprint.get(part, "") for part in JUDGE_PARTS).strip()


def differences(pairs: Iterable[Pair], now: Mapping[str, Setup]) -> dict[str, tuple[str | None, str | None]]:
    """Parts that differ, (before, now), for the setups of ``pairs``; with several datasets a part names its own."""
    before = {(pair.key[0], repr(pair.setup)): pair.setup for pair in pairs}
    several = len({dataset for dataset, _ in before}) > 1
    found: dict[str, tuple[str | None, str | None]] = {}
    for (dataset, _), setup in sorted(before.items(), key=lambda item: item[0]):
        for part, change in _changed_parts(setup, now[dataset]):
            found.setdefault(f"{dataset}: {part}" if several else part, change)
    return found


def _changed_parts(before: Setup, now: Setup) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    yield from _changes(before.fingerprint, _with_documents_of(before.fingerprint, now.fingerprint))
    model = before.models.get(GENERATION), now.models.get(GENERATION)
    if model[0] != model[1]:
        yield "model", model
    metrics = (before.scoring.keys() | before.models.keys()) & (now.scoring.keys() | now.models.keys()) - {GENERATION}
    for metric in sorted(metrics):
        if (measures := measure_change(metric, before, now)) is not None:
            yield f"measure of {metric}", measures
    yield from _changes(before.versions, now.versions)


def _with_documents_of(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The parts of ``now``, single documents only where ``before`` names such."""
    names_them = any(part.startswith(DOCUMENT) for part in before)
    return {part: value for part, value in now.items() if names_them or not part.startswith(DOCUMENT)}


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield name, (before.get(name), now.get(name))
