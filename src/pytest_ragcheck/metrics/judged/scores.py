"""Judged scores as they are kept: the same case, judged in the same way, keeps its score."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.call_context import current_trial
from pytest_ragcheck.model import Score
from pytest_ragcheck.store import Fields, StoredKind, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.metrics.judged.evidence import Evidence
    from pytest_ragcheck.store import Store

__all__ = ["Judged", "Scores"]

KIND = "judged-score"
"""The store's kind of these values."""
KEY_VERSION = "judged-score-1"
"""Part of every key; changes when the meaning of a kept score changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A score and what it rests on, without threshold."""

    value: float
    summary: str
    vacuous: str | None
    rejected: tuple[Mapping[str, str], ...]
    reason: str | None
    """In the judge's words; None where it was not asked."""
    judge: str | None = None
    """The judge's name as its server told it; None where nobody noted it."""

    @classmethod
    def parse(cls, data: bytes) -> Judged:
        """Read a stored score; ValueError where the bytes are not one."""
        fields = Fields.parse(data)
        return cls(
            value=fields.number("value", 0.0, 1.0),
            summary=fields.text("summary"),
            vacuous=fields.optional_text("vacuous"),
            rejected=fields.texts("rejected"),
            reason=fields.optional_text("reason"),
            judge=fields.optional_text("judge"),
        )

    @classmethod
    def of(cls, value: float, evidence: Evidence, *, reason: str | None) -> Judged:
        """What was just measured."""
        return cls(
            value=value,
            summary=evidence.summary,
            vacuous=evidence.vacuous,
            rejected=evidence.rejected,
            reason=reason,
        )

    def with_reason(self, reason: str | None) -> Judged:
        """The same with the judge's words."""
        return replace(self, reason=reason)

    def score(self, name: str) -> Score:
        """As a Score."""
        told = self.reason or self.summary
        vacuous = [] if self.vacuous is None else [f"vacuous: {self.vacuous}"]
        details: dict[str, Any] = {"rejected": [dict(one) for one in self.rejected]} if self.rejected else {}
        if self.vacuous is not None:
            details["vacuous"] = self.vacuous
        if self.judge is not None:
            details["judge"] = self.judge
        return Score(metric=name, value=self.value, reason="; ".join(filter(None, [*vacuous, told])), details=details)


_STORED = StoredKind(KIND, Judged.parse)


class Scores:
    """Scores in the store. ``since`` (Unix time): older ones are not looked at."""

    def __init__(self, store: Store, *, since: float | None = None) -> None:
        self._store = store
        self._since = since

    @staticmethod
    def key(**content: Any) -> bytes:
        """The digest of everything that can change the score, the trial included: each is a judgement of its own."""
        if (trial := current_trial()) > 0:
            content["trial"] = trial
        return digest(KEY_VERSION, json.dumps(content, sort_keys=True, separators=(",", ":"), default=repr))

    def get(self, key: bytes) -> Judged | None:
        """What is kept; None where nothing is, or nothing that can be read."""
        return _STORED.get(self._store, key, since=self._since)

    def put(self, key: bytes, judged: Judged) -> None:
        """Keep it."""
        values = {name: getattr(judged, name) for name in judged.__slots__}
        content = json.dumps({**values, "rejected": [dict(one) for one in judged.rejected]}).encode()
        _STORED.put(self._store, key, content)
