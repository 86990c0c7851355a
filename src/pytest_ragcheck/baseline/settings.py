"""What the gate is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["GateSettings", "strictest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What counts as worse, and as enough."""

    practical_minimum: float = 0.02
    """A drop of a metric's mean that is not larger is no regression."""
    minimums: Mapping[str, float] = field(default_factory=dict)
    """The same for single metrics, by name."""
    coverage: float = 0.95
    """Least share of a metric's wanted scores that must have been measured."""

    def minimum(self, metric: str) -> float:
        """The metric's practical minimum."""
        return self.minimums.get(metric, self.practical_minimum)


def strictest(settings: Sequence[GateSettings]) -> GateSettings:
    """Of several configurations in one run the smallest minimum counts for each metric, and the largest coverage."""
    metrics = {metric for each in settings for metric in each.minimums}
    return GateSettings(
        practical_minimum=min(each.practical_minimum for each in settings),
        minimums={metric: min(each.minimum(metric) for each in settings) for metric in sorted(metrics)},
        coverage=max(each.coverage for each in settings),
    )
