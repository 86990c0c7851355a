"""What a gateway learns of each model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ragcheck.gateway.circuit_breaker import Outage

if TYPE_CHECKING:
    from pytest_ragcheck.gateway.circuit_breaker import CircuitBreaker
    from pytest_ragcheck.gateway.requests import ModelRequest

__all__ = ["ModelState", "ReplyLengths"]

LEARNED_FROM = 3
"""Replies; from fewer nothing is concluded."""
FIRST_GUESS = 0.25
"""Share of its longest reply that a call needs, while nothing is known."""
DEVIATIONS = 2.0


class ReplyLengths:
    """Learns how long a model's replies are: the mean, and two standard deviations to be safe."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def learn(self, tokens: int) -> None:
        """Take in one reply."""
        self._count += 1
        before = tokens - self._mean
        self._mean += before / self._count
        self._squares += before * (tokens - self._mean)

    def likely(self, most: int) -> int:
        """Return how many tokens a reply of at most ``most`` is likely to need."""
        if self._count < LEARNED_FROM:
            return math.ceil(FIRST_GUESS * most)
        return min(most, math.ceil(self._mean + DEVIATIONS * math.sqrt(self._squares / (self._count - 1))))


@dataclass(slots=True)
class ModelState:
    """What is known of one model: servers limit, and fail, by model."""

    breaker: CircuitBreaker
    outage: Outage = field(default_factory=Outage)
    output_tokens: float | None = None
    """Average of its replies."""
    is_accepting: bool = False
    """Whether the last call but the one that failed now was accepted."""
    lengths: dict[str, ReplyLengths] = field(default_factory=dict)
    """Of its replies by purpose."""

    def likely_output(self, request: ModelRequest) -> int:
        """Return how many tokens the reply is likely to need."""
        return self.lengths.get(request.purpose, ReplyLengths()).likely(request.max_tokens)

    def note_output(self, purpose: str, tokens: int) -> None:
        """Take in one more reply's length."""
        self.lengths.setdefault(purpose, ReplyLengths()).learn(tokens)
        self.output_tokens = tokens if self.output_tokens is None else 0.9 * self.output_tokens + 0.1 * tokens
