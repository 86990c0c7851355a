"""How long and how often to try again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ragcheck.gateway.transport import RetryAction

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ragcheck.gateway.transport import AttemptResult

__all__ = ["Attempts", "RetryPolicy"]


_MOST_MALFORMED = 2
"""Replies of a wrong form in a row, each of which is paid for; a third would be wrong too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounds of the retries; seconds."""

    attempts: int = 7
    """Attempts that met trouble of the moment; refusals for a rate limit are bounded by the deadline alone."""
    base: float = 0.5
    ceiling: float = 20.0
    deadline: float = 600.0
    """For attempts and back-off of one call together; waiting for a free place does not count."""


@dataclass(slots=True)
class Attempts:
    """The attempts of one call so far."""

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    uniform: Callable[[], float] = random.random
    made: int = 0
    troubled: int = 0
    limited: int = 0
    malformed: int = 0
    """In a row."""
    spent: float = 0.0
    """Seconds in attempts and back-off."""

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.policy.deadline - self.spent)

    def pause(self, verdict: AttemptResult) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        Full jitter (uniform between 0 and a ceiling that doubles) spreads out calls that failed together. What the
        server told to wait is waited for, and the jitter comes on top; where that passes the deadline it is
        better to fail now.
        """
        self.malformed = self.malformed + 1 if verdict.effect is RetryAction.MALFORMED else 0
        if verdict.effect is RetryAction.MALFORMED:
            pause = self._told(verdict, 1) if self.malformed < _MOST_MALFORMED else None
        elif verdict.effect is RetryAction.LIMITED:
            self.limited += 1
            pause = self._told(verdict, self.limited)
        elif verdict.effect is RetryAction.RETRY:
            self.troubled += 1
            if self.troubled >= self.policy.attempts:
                return None
            # An attempt that hung has waited long enough.
            pause = 0.0 if verdict.kind == "timeout" else self._told(verdict, self.troubled)
        else:
            return None
        return pause if pause is not None and pause < self.left else None

    def _told(self, verdict: AttemptResult, count: int) -> float:
        jitter: float = self.uniform() * min(self.policy.ceiling, self.policy.base * 2 ** min(count - 1, 30))
        if verdict.wait is None:
            return jitter
        # A long wait needs little spreading, a short one no more than its own length.
        return verdict.wait + min(jitter, 0.25 * verdict.wait + 0.05)
