"""Whether a call is tried again, and when."""

from __future__ import annotations

import math
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
    """Failed attempts of one call while the server accepts others; refusals for a rate limit do not count."""
    base: float = 0.5
    ceiling: float = 20.0
    deadline: float = 600.0
    """For attempts and back-off of one call together; waiting for a free place does not count."""
    outage: float = 180.0
    """How long a server may fail every call; then all of them end."""
    unreachable: float = 15.0
    """The same for a server that has never sent anything."""

    def longest_outage(self, action: RetryAction, *, was_answered: bool) -> float:
        """Return the seconds without any accepted call after which all calls end."""
        if action is RetryAction.LIMITED:
            return self.deadline
        return min(self.deadline, self.outage if was_answered else self.unreachable)


@dataclass(slots=True)
class Attempts:
    """The attempts of one call so far."""

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    uniform: Callable[[], float] = random.random
    made: int = 0
    failed: int = 0
    """Those that count against the policy's attempts."""
    malformed: int = 0
    """Replies of a wrong form, in a row."""
    spent: float = 0.0
    """Seconds in attempts and back-off."""
    _failed_at: float = -math.inf

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.policy.deadline - self.spent)

    def pause(self, result: AttemptResult, *, now: float, served_at: float = math.inf) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up.

        ``served_at`` is when the server last accepted a call. A failure counts only if that was after this call's
        failure before: in an outage all calls fail, and none of them is to blame. A time-out always counts.

        Full jitter (uniform between 0 and a ceiling that doubles) spreads out calls that failed together. After a
        refusal for a limit the limiter decides when the call goes; only what the server asked to wait comes first.
        """
        self.malformed = self.malformed + 1 if result.effect is RetryAction.MALFORMED else 0
        if result.effect is RetryAction.LIMITED:
            return self._asked_wait(result)
        if result.effect is RetryAction.MALFORMED:
            return self.uniform() * self.policy.base if self.malformed < _MOST_MALFORMED else None
        if result.effect is not RetryAction.RETRY:
            return None
        if served_at >= self._failed_at or result.kind == "timeout":
            self.failed += 1
        self._failed_at = now
        if self.failed >= self.policy.attempts:
            return None
        if result.kind == "timeout":  # an attempt that hung has waited long enough
            pause = 0.0
        else:
            ceiling = min(self.policy.ceiling, self.policy.base * 2 ** min(max(self.failed, 1) - 1, 30))
            pause = max(self._asked_wait(result), self.uniform() * ceiling)
        return pause if pause < self.left else None

    def _asked_wait(self, result: AttemptResult) -> float:
        """What the server asked to wait, and a little more so that not all come back at once."""
        if result.wait is None:
            return 0.0
        return result.wait + self.uniform() * min(0.25 * result.wait, self.policy.base)
