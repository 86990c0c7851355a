"""Scores that are kept because measuring them again costs more than looking them up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pytest_ragcheck.metrics.registry import metric_version
from pytest_ragcheck.model import Score
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from pytest_ragcheck.metrics.base import Case, Metric
    from pytest_ragcheck.store import Store

__all__ = ["AnswerMetric"]

KIND = "score"


@dataclass(frozen=True, slots=True)
class AnswerMetric:
    """A metric that looks at the texts of answer and contexts alone, its scores kept in the store."""

    metric: Metric
    store: Store
    deterministic: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The metric's own."""
        return self.metric.name

    @property
    def needs_answer(self) -> bool:
        """Always: there is nothing to look up without one."""
        return True

    async def measure(self, case: Case) -> Score:
        """The stored score, or a new one; what the metric raises is not kept."""
        key = self._key(case)
        stored = self.store.get(KIND, key)
        if stored is not None:
            return Score(metric=self.name, **json.loads(stored))
        score = await self.metric.measure(case)
        kept = {"value": score.value, "reason": score.reason, "details": dict(score.details)}
        self.store.put(KIND, key, json.dumps(kept).encode())
        return score

    def _key(self, case: Case) -> bytes:
        answer = case.answer
        texts = [] if answer is None else [str(answer.refused), answer.text]
        return digest(str(metric_version(self.name)), self.name, *texts, *(context.text for context in case.contexts))
