"""What a score rests on, as its metric noted it: unsupported sentences, rejected claims, missing facts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_ragcheck.model import Score

__all__ = ["Finding", "FindingKind", "findings", "worst_first"]


class FindingKind(StrEnum):
    """What is wrong, in the words of the reports."""

    UNSUPPORTED = "not supported"
    """A sentence of the answer that its contexts do not bear out."""
    REJECTED = "rejected"
    """A claim that the judge rejected."""
    MISSING = "missing"
    """What the answer should say and does not."""


class Finding(NamedTuple):
    """One piece of a score's evidence; ``remark`` says why, where that is known."""

    kind: FindingKind
    text: str
    remark: str = ""


def findings(score: Score) -> list[Finding]:
    """Everything that speaks against the answer in ``score.details``, in the order of :class:`FindingKind`."""
    unsupported = [(FindingKind.UNSUPPORTED, entry, "sentence") for entry in _entries(score, "unsupported")]
    rejected = [(FindingKind.REJECTED, entry, "claim") for entry in _entries(score, "rejected")]
    missing = [(FindingKind.MISSING, entry, "text") for entry in _entries(score, "missing")]
    return [
        Finding(kind, _text_of(entry, field), "" if kind is FindingKind.MISSING else _remark(entry))
        for kind, entry, field in [*unsupported, *rejected, *missing]
    ]


def worst_first(scores: Iterable[Score]) -> list[Score]:
    """Scores by how far they are below their threshold."""
    return sorted(scores, key=lambda score: (score.value or 0.0) - (score.threshold or 0.0))


def _entries(score: Score, key: str) -> list[Any]:
    # Metrics of the user's own may keep anything under these names.
    found = score.details.get(key)
    return [entry for entry in found if entry] if isinstance(found, (list, tuple)) else []


def _text_of(entry: Any, field: str) -> str:
    if isinstance(entry, Mapping):
        entry = entry.get(field)
    if isinstance(entry, (list, tuple)):
        return " or ".join(part for part in entry if isinstance(part, str))
    return entry if isinstance(entry, str) else ""


def _remark(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return ""
    words = entry.get("words")
    if isinstance(words, (list, tuple)) and words:
        return f"not in the contexts: {', '.join(str(word) for word in words)}"
    reason = entry.get("reason")
    return reason if isinstance(reason, str) else ""
