"""What a run's calls came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ragcheck.model import Usage

if TYPE_CHECKING:
    from pytest_ragcheck.gateway.limiter import LimiterState

__all__ = ["CallStats", "Snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The gateway at one moment, for a progress line or a summary."""

    limiter: LimiterState
    """What holds calls back at present."""
    asked: int
    """Calls that were asked for, cached ones included, those left out that must not be made."""
    done: int
    """Calls that have a reply, cached ones included."""
    cached: int
    """Calls that were answered without asking the server: from the store, or by an identical call of this run."""
    failed: int
    attempts: int
    """Requests that were sent."""
    retries: int
    cost: float
    """US dollars, of calls whose price is known."""
    unpriced: int
    """Paid calls whose price is unknown; where it is not 0, ``cost`` is not all."""
    usage: Usage
    """Tokens of paid calls."""
    saved: float
    """US dollars that cached replies would have cost."""
    saved_usage: Usage


@dataclass(slots=True)
class CallStats:
    """Counts as they grow; see :class:`Snapshot`."""

    asked: int = 0
    done: int = 0
    cached: int = 0
    failed: int = 0
    attempts: int = 0
    retries: int = 0
    cost: float = 0.0
    unpriced: int = 0
    usage: Usage = field(default_factory=Usage)
    saved: float = 0.0
    saved_usage: Usage = field(default_factory=Usage)

    def paid(self, usage: Usage, cost: float | None) -> None:
        """A reply came from the server."""
        self.usage += usage
        if cost is None:
            self.unpriced += 1
        else:
            self.cost += cost

    def spared(self, usage: Usage, cost: float | None) -> None:
        """A reply did not have to be asked for."""
        self.cached += 1
        self.saved_usage += usage
        self.saved += cost or 0.0
