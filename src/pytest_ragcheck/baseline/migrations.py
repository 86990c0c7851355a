"""Older forms of the baseline's file: of each schema version how it becomes the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.baseline.entries import text_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MIGRATIONS"]


def _from_0(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Version 0, before trials: a score is a single number, a question has one answer and a dataset one fingerprint."""
    datasets = {name: _dataset_from_0(dataset) for name, dataset in plain["datasets"].items()}
    return {"schema_version": 1, "created": plain["created"], "datasets": datasets}


def _dataset_from_0(dataset: Mapping[str, Any]) -> dict[str, Any]:
    setup = {"fingerprint": dataset["fingerprint"], "versions": dataset.get("versions", {})}
    return {"setup": setup, "questions": [_entry_from_0(entry) for entry in dataset["questions"]]}


def _entry_from_0(entry: Mapping[str, Any]) -> dict[str, Any]:
    scores = {metric: [value] for metric, value in entry["scores"].items()}
    return {**entry, "scores": scores, "answers": [text_digest(entry.get("answer", ""))]}


MIGRATIONS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {0: _from_0}
"""By the version that a file has; each gives plain JSON of the next version."""
