"""Adaptive limit of the calls in flight, learned from what the server accepts and refuses.

The one quantity that matters is what the server *bears*: the calls in flight that it has not refused, averaged over
about a round trip. In front of a cap it is the cap, behind a rate limit it is the rate times the latency, and where
refusals have nothing to do with load it is all that we send. So a limit follows from what was borne, never from the
number of refusals, and it is tested again within seconds. See docs/design/gateway.md.

Pure: the time is an argument, in seconds.
"""

from __future__ import annotations

import math
from enum import StrEnum

__all__ = ["MAXIMUM", "START", "AdaptiveLimit", "Hold"]

START = 16
"""Calls sent at once to a server that nothing is known of."""
MAXIMUM = 1024
UNPROVEN = 256
"""The limit doubles up to here without waiting for replies; beyond, a server that queues could time out all calls."""
GRACE = 0.05
"""Seconds after which a call that was not refused is taken as accepted, until refusals show how soon they come."""
SHORTEST_GRACE, LONGEST_GRACE = 0.02, 0.5
BORNE_SHARE = 0.85
"""Of the limit: refusals while the server bears so much do not lower it."""
GROWTH = 0.125
"""Of the limit: the first step up after a limit was met; it doubles with each step that is borne."""
FIRST_SPACING, LONGEST_SPACING = 8, 64
"""Successes between two steps up, which double with each step that was refused."""
BLOCKED = 3
"""Refusals in a row, each of a call sent after the one before: from here on one call at a time is tried."""
OUTAGE_SHARE = 0.4
"""Of an outage's length so far: the wait until the next call is tried, so that the end is noticed in proportion."""
LONGEST_PAUSE = 10.0
LONGEST_TOLD_PAUSE = 5.0
"""Of a Retry-After: what other calls than the refused one wait before one of them is tried."""
FEW = 3
"""Accepted calls between two outages from which on the server is taken to admit single calls at a steady rate."""
SLOWER, FASTER, MUCH_FASTER = 1.25, 0.96, 0.7
STREAK = 6
LONG_INTERVAL, SHORT_STREAK = 2.0, 4


class Hold(StrEnum):
    """What keeps the next call from being sent."""

    NOTHING = ""
    LIMIT = "limit"
    """The limit of calls in flight is reached."""
    REFUSALS = "refusals"
    """The server refused the last calls; one at a time is tried."""
    PACE = "pace"
    """The server admits less than one call per round trip."""


class AdaptiveLimit:
    """Limit of the calls in flight to one model.

    ``maximum`` is the user's cap: the search starts there and never passes it. ``start`` is what an earlier run ended
    with.
    """

    def __init__(self, *, maximum: int | None = None, start: int | None = None) -> None:
        self._maximum = maximum or MAXIMUM
        self.in_flight = 0
        self.hold = Hold.NOTHING
        self.interval: float | None = None
        """Seconds between two calls where the server admits less than one per round trip."""
        self._base = 1.0
        """What the server is known to bear."""
        self._goal = float(min(start or (START if maximum is None else maximum), self._maximum))
        """What is tried; equal to the base between two steps."""
        self._growth = 1.0
        self._failed_steps = 0
        self._successes = 0
        """Since the last step."""
        self._closed = 0
        """Places of refused calls that are not used again yet."""
        self._rtt = GRACE / 2
        self._latency: float | None = None
        # The window over which what is borne is measured.
        self._since = -math.inf
        self._busy = self._busy_at = self._lost = 0.0
        self._refused_in_window = 0
        self._starved = False
        # Refusals in a row.
        self._run = 0
        self._run_since = 0.0
        self._refused_at = self._sent_at = self._next_at = self._reopen_at = -math.inf
        # Outages in a row with few accepted calls between.
        self._outage_at: float | None = None
        self._accepted = 0
        self._short_cycles = 0
        self._streak = 0

    @property
    def limit(self) -> int:
        """Calls that may be in flight."""
        return max(1, int(self._goal) - self._closed)

    @property
    def is_blocked(self) -> bool:
        """Whether the server refused the last calls, so that one at a time is tried."""
        return self._run >= BLOCKED

    def pause(self, now: float) -> float:
        """Return the seconds until one more call may be sent, while one waits; inf: not before something settles."""
        self._note_silence(now)
        if now < self._next_at:
            self.hold = Hold.PACE if self.interval is not None else Hold.REFUSALS
            return self._next_at - now
        if self._run >= BLOCKED and self._sent_at > self._refused_at:  # a trial call without an outcome
            self.hold = Hold.REFUSALS
            return self._sent_at + self._grace - now
        if self._since == -math.inf:
            self._open_window(now)
        if self._closed and now >= self._reopen_at:
            self._reopen()
        wait = self._judge_window(now)
        if self.in_flight < self.limit:
            self.hold = Hold.NOTHING
            return 0.0
        self.hold = Hold.LIMIT
        if self._closed:
            wait = min(wait, self._reopen_at - now)
        return max(wait, 0.0)

    def sent(self, now: float) -> None:
        """Note that a call was sent."""
        self._count(now, 1)
        self._sent_at = now
        if self.interval is not None:
            self._next_at = now + self.interval

    def withdrawn(self, now: float) -> None:
        """Note that a call was not sent after all, or that its outcome teaches nothing."""
        self._count(now, -1)

    def succeeded(self, now: float, sent: float, *, waiting: bool) -> None:
        """Note an accepted call; ``waiting``: whether others wait for a place."""
        self._count(now, -1)
        latency = now - sent
        self._latency = latency if self._latency is None else 0.8 * self._latency + 0.2 * latency
        self._successes += 1
        if sent > self._refused_at and self._run:
            self._accept(now)
        if not waiting:
            self._starved = True

    def refused(self, now: float, sent: float, *, wait: float | None, waiting: bool) -> None:
        """Note a refusal for the server's limits or its load; ``wait``: seconds that it asked to wait."""
        self._count(now, -1)
        if not waiting:
            self._starved = True
        self._rtt = 0.7 * self._rtt + 0.3 * (now - sent)
        self._lost += now - max(sent, self._since)
        self._refused_in_window += 1
        if sent > self._refused_at or self._run == 0:
            self._run_since = now if self._run == 0 else self._run_since
            self._run += 1
        is_first_of_interval = self._streak > 0
        self._refused_at, self._streak = now, 0
        if self.interval is not None:
            self._slow_down(now, is_first=is_first_of_interval)
        elif self.in_flight == 0:
            self._run = max(self._run, BLOCKED)
        if self._run >= BLOCKED and self.interval is None:
            self._block(now, wait)
            return
        self._closed = min(self._closed + 1, int(self._goal) - 1)
        self._reopen_at = now + self._grace * 2 ** (self._run - 1)
        if self._is_stepping and self._refused_in_window > (self._goal - self._base) / 2:
            self._fail_step(now)

    def overheard(self, *, limit: int) -> None:
        """Start from a limit that the server is known to bear, unless calls have shown another one."""
        if self._since == -math.inf:
            self._goal = float(min(limit, self._maximum))

    @property
    def _grace(self) -> float:
        return min(max(2 * self._rtt, SHORTEST_GRACE), LONGEST_GRACE)

    @property
    def _is_stepping(self) -> bool:
        return self._goal > self._base

    def _count(self, now: float, change: int) -> None:
        self._busy += self.in_flight * (now - self._busy_at)
        self._busy_at = now
        self.in_flight += change

    # What was borne, and the steps up.

    def _open_window(self, now: float) -> None:
        self._count(now, 0)
        self._since, self._busy, self._lost = now, 0.0, 0.0
        self._refused_in_window = 0
        self._starved = False

    def _judge_window(self, now: float) -> float:
        """End the window if it is over, and step up if a step is due; return the seconds until there is more to do."""
        length = self._grace
        if self._refused_in_window or (self._is_stepping and self._failed_steps):
            length = max(length, self._latency or 0.0)
        if now < self._since + length:
            return self._since + length - now
        self._count(now, 0)
        borne = (self._busy - self._lost) / (now - self._since)
        if self._starved:
            self._goal = max(self._base, self._goal if not self._refused_in_window else self._base)
        elif self._is_stepping:
            self._judge_step(now, borne)
        elif self._refused_in_window and borne < BORNE_SHARE * self._base:
            self._settle_at(borne)
        self._open_window(now)
        self._reopen()
        if not self._is_stepping and self.in_flight >= int(self._base):
            self._step_up()
        return self._since + self._grace - now if self._is_stepping else math.inf

    def _judge_step(self, now: float, borne: float) -> None:
        if not self._refused_in_window and self.in_flight < int(self._goal):
            return  # not all of the step was used yet
        if self._refused_in_window and borne < (self._base + self._goal) / 2:
            self._fail_step(now)
            return
        self._base = self._goal if not self._refused_in_window else min(self._goal, max(1.0, math.floor(borne + 0.5)))
        self._goal = self._base
        self._growth = min(1.0, 2 * self._growth)
        self._failed_steps = max(0, self._failed_steps - 2)
        self._successes = 0

    def _step_up(self) -> None:
        spacing = 0
        if self._base >= UNPROVEN:
            spacing = int(self._base / 2)
        if self._failed_steps:
            spacing = max(spacing, min(FIRST_SPACING * 2 ** (self._failed_steps - 1), LONGEST_SPACING))
        if self._successes < spacing or self._base >= self._maximum:
            return
        self._goal = min(self._base + max(1.0, math.floor(self._growth * self._base)), float(self._maximum))
        self._successes = 0

    def _fail_step(self, now: float) -> None:
        self._base = max(1.0, min(self._base, float(self.in_flight)) if self._base > 1 else float(self.in_flight))
        self._met_limit()
        self._open_window(now)

    def _settle_at(self, borne: float) -> None:
        self._base = max(1.0, math.floor(borne + 0.35))
        self._met_limit()

    def _met_limit(self) -> None:
        self._goal = self._base
        self._closed = 0
        self._growth = GROWTH
        self._failed_steps = min(self._failed_steps + 1, 8)
        self._successes = 0

    def _reopen(self) -> None:
        self._closed = 0

    # Refusals in a row.

    def _note_silence(self, now: float) -> None:
        """Take the last call as accepted if it was not refused in time."""
        if self._sent_at > self._refused_at and now >= self._sent_at + self._grace and self.in_flight:
            if self._run:
                self._accept(now)
            elif self.interval is not None and self._streak == 0:
                self._streak = 1

    def _accept(self, now: float) -> None:
        """A call that was sent after the last refusal was accepted."""
        was_blocked = self._run >= BLOCKED
        self._run = 0
        self._accepted += 1
        if was_blocked and self.interval is None:
            # The outage is over: find the limit as quickly as at the start.
            self._base = self._goal = float(max(1, self.in_flight))
            self._closed = 0
            self._growth, self._failed_steps = 1.0, 0
            self._next_at = -math.inf
            self._open_window(now)

    def _block(self, now: float, wait: float | None) -> None:
        if self._run == BLOCKED:
            self._base = float(max(1, self.in_flight))
            self._met_limit()
            self._open_window(now)
        pause = max(self._grace * 2 ** min(self._run - BLOCKED + 1, 6), OUTAGE_SHARE * (now - self._run_since))
        self._next_at = now + min(max(pause, min(wait or 0.0, LONGEST_TOLD_PAUSE)), LONGEST_PAUSE)

    def _slow_down(self, now: float, *, is_first: bool) -> None:
        raise NotImplementedError
