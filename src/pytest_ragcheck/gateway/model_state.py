"""What a gateway learns of each model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ragcheck.gateway.circuit_breaker import Outage

if TYPE_CHECKING:
    from pytest_ragcheck.gateway.circuit_breaker import CircuitBreaker

__all__ = ["ModelState"]


@dataclass(slots=True)
class ModelState:
    """What is known of one model: servers limit, and fail, by model."""

    breaker: CircuitBreaker
    known_limit: int
    """Calls in flight that its server bore in an earlier run; 0: unknown."""
    outage: Outage = field(default_factory=Outage)
    output_tokens: float | None = None
    """Average of its replies."""
    is_accepting: bool = False
    """Whether the last call but the one that failed now was accepted."""

    def note_output(self, tokens: int) -> None:
        """Take one more reply's length into the average."""
        self.output_tokens = tokens if self.output_tokens is None else 0.9 * self.output_tokens + 0.1 * tokens
