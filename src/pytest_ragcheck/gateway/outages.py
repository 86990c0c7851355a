"""Refusals in a row, and what they mean: the server is down, or it admits less than one call per round trip.

Pure: the time is an argument, in seconds.
"""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["BLOCKED", "LONGEST_PAUSE", "NOTHING_BORNE", "SHORTEST_GRACE", "Refusals"]

FIRST_GRACE, SHORTEST_GRACE, LONGEST_GRACE = 0.05, 0.02, 0.5
"""Seconds after which a call that was not refused counts as accepted: twice as long as refusals take to arrive."""
NOTHING_BORNE, BLOCKED = 3, 3
"""Refusals in a row from which on one call at a time is tried: with no other call in flight, and with others."""
OUTAGE_SHARE = 0.5
"""Of an outage's length so far: the wait until a call is tried, so that its end is noticed in proportion."""
LONGEST_PAUSE = 10.0
"""Seconds between two tries, at most: a long outage's end shall not go unnoticed."""
FEW = 8
"""Calls accepted between two outages, up to which the server is taken to admit single calls at a steady rate."""
MOST_SENT = 64
"""Calls whose moments are kept, to see how many were refused."""


class Refusals:
    """Refusals in a row, and the outages that they make.

    A run goes on only where a call that was sent after the last step of the run (``since``) was refused too, and most
    of those sent before it; refusals of calls that were sent together are one step.
    """

    def __init__(self) -> None:
        self.run = 0
        self.count = 0
        """Calls sent so far."""
        self.since = 0
        """The count at the last step of the run."""
        self.is_outage = False
        """Whether nothing at all was borne during the run."""
        self.grace = FIRST_GRACE
        self._delay = FIRST_GRACE / 2
        self._sent: list[float] = []
        """When the first calls after the last step were sent."""
        self._refused = 0
        """How many of them were refused."""
        self._began = 0.0
        self._last_outage = 0.0
        """Seconds that the last one took."""
        self._outage_at: float | None = None
        self._accepted = 0
        """Calls since the beginning of the last outage."""

    def sent(self, now: float) -> int:
        """Note that a call was sent, and return its number."""
        self.count += 1
        self._accepted += 1
        if len(self._sent) < MOST_SENT:
            self._sent.append(now)
        return self.count

    def refuse(self, now: float, sent: float, number: int) -> bool:
        """Note a refusal; return whether it is a step of a run."""
        self._delay = 0.7 * self._delay + 0.3 * (now - sent)
        self.grace = min(max(2 * self._delay, SHORTEST_GRACE), LONGEST_GRACE)
        self._accepted -= 1
        if number <= self.since:
            return False
        self._refused += 1
        if self.run == 0:
            self._began = now
        is_most = self._refused > bisect_right(self._sent, now - self._delay) / 2
        self.run = self.run + 1 if is_most else 1
        self._restart()
        return True

    @property
    def fresh(self) -> int:
        """Calls sent since the last step of the run."""
        return self.count - self.since

    def nothing_borne(self) -> None:
        """Note that no other call was in flight when one was refused."""
        self.is_outage = True

    def accept(self, now: float) -> None:
        """End the run, after a block not at once: what is sent next shows whether more than one call is accepted."""
        if self.is_outage:
            self._last_outage = now - self._began
        self.run = BLOCKED - 1 if self.run >= BLOCKED and not self.is_outage else 0
        self.is_outage = False
        self._restart()

    def accept_in_pace(self) -> None:
        """End the run; calls that were sent since then may yet be refused, each for being too early."""
        self.run = 0
        self.is_outage = False

    def is_over(self, now: float) -> bool:
        """Whether most calls sent after the last step have not been refused for long enough."""
        first_for_sure = 2 * self._refused
        return len(self._sent) > first_for_sure and now >= self._sent[first_for_sure] + self.grace

    def until_known(self, now: float) -> float:
        """Return the seconds until :meth:`is_over`, if a call was sent; else 0."""
        return max(0.0, self._sent[0] + self.grace - now) if self._sent else 0.0

    def pause(self, now: float) -> float:
        """Return the seconds until the next call is tried."""
        first = max(self.grace * 2.0 ** min(max(1, self.run - BLOCKED + 1), 6), 0.25 * min(self._last_outage, 8.0))
        return min(max(first, OUTAGE_SHARE * (now - self._began)), LONGEST_PAUSE)

    def steady_interval(self, now: float) -> float | None:
        """Return the seconds between accepted calls, where only a few were accepted since the last outage began."""
        before, self._outage_at = self._outage_at, now
        accepted, self._accepted = self._accepted, 0
        if before is None or not 0 < accepted <= FEW:
            return None
        return (now - before) / accepted

    def _restart(self) -> None:
        self.since, self._refused = self.count, 0
        self._sent.clear()
