"""Limit of the calls in flight to one model, learned from what the server accepts and refuses.

The quantity that matters is what the server *bears*: the calls in flight that it has not refused, averaged over about
a round trip. In front of a cap that is the cap; behind a rate limit it is the rate times the latency; and where
refusals have nothing to do with load, it is all that we send. So the limit follows from what was borne, not from the
number of refusals, and a step up tests it again within seconds. docs/design/gateway.md explains the whole.

Pure: the time is an argument, in seconds.
"""

from __future__ import annotations

import math
from enum import StrEnum

from pytest_ragcheck.gateway.outages import (
    BLOCKED,
    LONGEST_PAUSE,
    NOTHING_BORNE,
    SHORTEST_GRACE,
    Refusals,
)
from pytest_ragcheck.gateway.pace import FEW_MEASURED, RETRY_SHARE, Pace

__all__ = ["MAXIMUM", "START", "AdaptiveLimit", "Hold"]

START = 10
"""Calls sent at once to a server that nothing is known of: a small cap refuses a few of them; with fewer, one refusal
by chance could stop the search."""
MAXIMUM = 1024
"""Calls in flight, at most: as many connections are opened."""
UNPROVEN = 128
"""The limit grows up to here without waiting for replies; beyond, a server that queues could time out all calls."""
LONGEST_WINDOW = 1.0
"""Seconds over which what is borne is averaged, at most; else over one round trip."""
BORNE_SHARE = 0.85
"""Of the limit: while the server bears so much, refusals do not lower it."""
GROWTH, FASTEST = 0.125, 0.5
"""Of the limit: the first step up after a limit was met; steps double while they are borne, up to the second, which is
the first one where no limit is known. What passes the limit is refused: larger steps waste more than they gain."""
LONGEST_DOUBT, FEWEST_SUCCESSES = 3.0, 12
"""Seconds after which a limit is tested again in any case, given so many successes."""
FIRST_SPACING, LONGEST_SPACING = 8, 64
"""Successes between two steps up; they double with each step that was refused."""
CLOSED_SHARE, LONGEST_CLOSED = 0.5, 3.0
"""Of a round trip, and seconds at most: so long a refused call's place stays closed. Behind a rate limit it would be
refused again at once."""
LONGEST_ASKED_PAUSE = 5.0
"""Of a Retry-After: how long calls that were not refused themselves wait before one of them is tried."""
EVEN_SHARE, MOST_EVEN = 0.5, 32.0
"""Of the average time between two calls: what lies between them at least, for limits up to the second, once a limit was
met. Behind a rate limit with a small burst, calls that are sent together are refused."""
MOST_DEBT, DEBT_PAID, MOST_PATIENCE = 6.0, 0.1, 8
"""Refusals that accepted calls have not paid for, after which a pace is tried, and what each accepted call pays: more
than one call in ten is refused for some time then. Allow twice as many after each pace that was wrong, up to so many
times as many."""
SURE = 3
"""Failed steps from which on one refusal is enough for the next one to fail."""


class Hold(StrEnum):
    """What keeps the next call from being sent."""

    NOTHING = ""
    LIMIT = "limit"
    """The limit of calls in flight."""
    REFUSALS = "refusals"
    """The server refused the last calls; one at a time is tried."""
    PACE = "pace"
    """The server limits the rate, and nothing shows it: calls go at an interval."""


class AdaptiveLimit:
    """Decides when the next call to a model may be sent.

    ``maximum`` is the user's cap, which the search never passes. It starts there, or with ``start`` calls.
    """

    def __init__(self, *, maximum: int | None = None, start: int | None = None) -> None:
        self._maximum = maximum or MAXIMUM
        self.in_flight = 0
        self.hold = Hold.NOTHING
        self.pace: Pace | None = None
        """The interval between calls, where the server seems to limit the rate; then nothing limits those in flight."""
        self._base = 1.0
        """What the server is known to bear."""
        self._goal = float(min(start or maximum or START, self._maximum))
        """What is tried: above the base during a step."""
        self._growth = FASTEST
        self._met = math.inf
        """The limit as it was met last."""
        self._failed_steps = 0
        self._floor = 1.0
        """What was borne before the step that failed last."""
        self._failed_at = 0
        """Number of the last call that was sent before a step failed."""
        self._successes = 0
        """Since the last step."""
        self._stepped_at = -math.inf
        self._closed = 0
        """Places of refused calls that are not used yet."""
        self._reopen_at = -math.inf
        self._window = _Window()
        self._short_windows = 0
        """Windows in a row in which the server bore less than the base."""
        self._debt, self._patience = 0.0, 1
        self._debt_since, self._debt_accepted = 0.0, 0
        """When there was none, and calls accepted from then on."""
        self._refusals = Refusals()
        self._latency: float | None = None
        self._next_at = -math.inf
        """No call goes before."""

    @property
    def limit(self) -> int:
        """Calls that may be in flight."""
        return max(1, int(self._goal) - self._closed)

    @property
    def latency(self) -> float:
        """Seconds that accepted calls took, on average, the last ones most; 0 before the first."""
        return self._latency or 0.0

    @property
    def is_blocked(self) -> bool:
        """Whether the server refused the last calls, so that one at a time is tried."""
        return self._refusals.is_outage or self._refusals.run >= BLOCKED

    def pause(self, now: float) -> float:
        """Return the seconds until one more call may go, while one waits; inf: not before something settles."""
        if self.pace is None and self._refusals.run and self._refusals.is_over(now):
            self._accept(now)
        if now < self._next_at:
            self.hold = Hold.PACE if self.pace is not None else Hold.REFUSALS if self.is_blocked else Hold.LIMIT
            return self._next_at - now
        if self.pace is not None or self.is_blocked:
            self.hold = Hold.REFUSALS if self.pace is None else Hold.PACE
            if self.pace is not None:
                return 0.0
            return math.inf if self.in_flight >= self._base else self._refusals.until_known(now)
        wait = self._judge_window(now)
        if self._refusals.run > 1 and self._refusals.fresh >= self._quota:
            self.hold = Hold.REFUSALS
            return max(SHORTEST_GRACE / 4, self._refusals.until_known(now))
        if self.in_flight < self.limit:
            self.hold = Hold.NOTHING
            return 0.0
        self.hold = Hold.LIMIT
        return max(0.0, min(wait, self._reopen_at - now if self._closed else math.inf))

    def sent(self, now: float) -> int:
        """Note that a call was sent, and return its number."""
        self._count(now, 1)
        if self.pace is not None:
            self._next_at = now + self.pace.sent()
            if self.pace.is_outrun:
                self.pace = None
                self._search_again(now)
        elif self._failed_steps and self._latency and self._goal <= MOST_EVEN:
            self._next_at = now + EVEN_SHARE * self._latency / self._goal
        return self._refusals.sent(now)

    def withdrawn(self, now: float) -> None:
        """Note a call that was not sent after all, or whose outcome teaches nothing."""
        self._count(now, -1)

    def succeeded(self, now: float, sent: float, number: int, *, waiting: bool) -> None:
        """Note an accepted call; ``waiting``: whether others wait for a place."""
        self._count(now, -1)
        self._latency = now - sent if self._latency is None else 0.8 * self._latency + 0.2 * (now - sent)
        self._successes += 1
        self._window.is_starved |= not waiting
        self._pay_debt(now, is_starved=not waiting)
        if number > self._refusals.since:
            if self.pace is not None:
                self._refusals.accept_in_pace()
            elif self.is_blocked:
                self._accept(now)

    def refused(
        self, now: float, sent: float, number: int, *, wait: float | None, waiting: bool, is_overload: bool = False
    ) -> None:
        """Note a refusal for the server's limits or its load; ``wait``: seconds that the server asked to wait.

        ``is_overload``: for its load alone.
        """
        self._count(now, -1)
        self._window.is_starved |= not waiting
        self._window.refuse(now, sent)
        is_fresh = self._refusals.refuse(now, sent, number)
        if self.in_flight == 0 and is_fresh and self._refusals.run >= NOTHING_BORNE:
            self._refusals.nothing_borne()
        if self.pace is not None:
            if is_fresh and (self.is_blocked or not is_overload):
                self._refused_in_pace(now)
        elif self.is_blocked:
            if is_fresh:
                self._block(now, wait)
        elif waiting and self._is_pace_due(now, is_fresh=is_fresh and not is_overload):
            pass
        elif number <= self._failed_at:  # a call of the step that has failed already
            self._lower(max(self._floor, self._base - 1))
            self._met = self._base
        elif self._is_stepping and self._window.refused > self._refusals_allowed:
            self._floor = self._base
            self._lower(max(self._floor, float(self.in_flight)))
            self._met = self._base
            self._fail_step(now)
        else:
            self._close_place(now)

    @property
    def _refusals_allowed(self) -> float:
        """Refusals that a step may have before it has failed; none for small ones once the limit is well known."""
        return max(1.0 if self._failed_steps < SURE else 0.0, (self._goal - self._base - 1) / 2)

    @property
    def _quota(self) -> float:
        """Calls to be sent before the outcome of the first one is known, fewer with each refusal in a row."""
        share = self._refusals.grace / max(self.latency, self._refusals.grace)
        return max(1.0, share * self._goal / 2.0 ** (self._refusals.run - 1))

    @property
    def _is_stepping(self) -> bool:
        return self._goal > self._base

    def _count(self, now: float, change: int) -> None:
        self._window.advance(now, self.in_flight)
        self.in_flight += change

    # What was borne, and the steps up.

    def _judge_window(self, now: float) -> float:
        """End the window if it is over, and step up if a step is due; return the seconds until there is more to do."""
        if self._closed and now >= self._reopen_at:
            self._closed -= 1 if self._refusals.run > 1 else self._closed
        window, length = self._window, self._refusals.grace
        if window.refused or (self._is_stepping and self._failed_steps):
            length = max(length, min(self.latency, LONGEST_WINDOW))
        if now < window.since + length:
            return window.since + length - now
        borne = window.borne(now, self.in_flight)
        if self._is_stepping:
            self._judge_step(now, borne)
        elif window.refused > 1 and not window.is_starved and borne < BORNE_SHARE * self._base:
            self._short_windows += 1
            if self._short_windows > 1 and self._base > 1:  # one may be by chance
                self._lower(math.floor(borne + 0.35))
                self._fail_step(now)
                self._failed_steps = 2  # the limit has moved: look where it is now
        else:
            self._short_windows = 0
        window.open(now, self.in_flight)
        if not self._is_stepping and self.in_flight >= self.limit:
            self._step_up(now)
        return self._refusals.grace if self._is_stepping else math.inf

    def _judge_step(self, now: float, borne: float) -> None:
        window = self._window
        if window.refused and not window.is_starved and borne < (self._base + self._goal) / 2:
            self._lower(self._base)
            self._fail_step(now)
        elif not window.is_starved and self.in_flight >= self.limit:
            refused = window.refused > 0
            self._base = self._goal = max(self._base, math.floor(borne + 0.5)) if refused else self._goal
            self._growth = min(FASTEST, 2 * self._growth)
            self._failed_steps = max(0, self._failed_steps - 2)
            self._successes = 0
        elif window.refused:
            self._goal = self._base

    def _step_up(self, now: float) -> None:
        spacing = int(self._base / 2) if self._base >= UNPROVEN else 0
        if self._failed_steps:
            spacing = max(spacing, min(FIRST_SPACING * 2 ** (self._failed_steps - 1), LONGEST_SPACING))
        is_overdue = self._successes >= FEWEST_SUCCESSES and now >= self._stepped_at + LONGEST_DOUBT
        if self._successes >= spacing or is_overdue:
            if self._base == self._met > 1:
                self._growth, self._met = GROWTH, math.inf
            step = max(1.0, math.floor(self._growth * self._base))
            top = self._met if self._base < self._met else math.inf
            self._goal = min(self._base + step, top, float(self._maximum))
            self._successes, self._stepped_at = 0, now

    def _lower(self, base: float) -> None:
        self._base = self._goal = max(1.0, min(self._goal, base))
        self._closed = 0

    def _fail_step(self, now: float) -> None:
        self._growth = GROWTH
        self._failed_steps = min(self._failed_steps + 1, 6)
        self._failed_at = self._refusals.count
        self._successes = 0
        self._window.open(now, self.in_flight)

    def _close_place(self, now: float) -> None:
        pause = self._refusals.grace * 2 ** max(0, self._refusals.run - 1)
        pause = max(pause, min(CLOSED_SHARE * self.latency, LONGEST_CLOSED))
        if self._closed == 0 or self._refusals.run > 1:
            self._reopen_at = now + pause
        if int(self._goal) == 1:  # its place cannot be closed
            self._next_at = now + pause
        self._closed = min(self._closed + 1, int(self._goal) - 1)

    # Rates.

    def _pay_debt(self, now: float, *, is_starved: bool) -> None:
        self._debt = 0.0 if is_starved else max(0.0, self._debt - DEBT_PAID)
        self._debt_accepted += 1
        if self._debt == 0.0:
            self._debt_since, self._debt_accepted = now, 0

    def _is_pace_due(self, now: float, *, is_fresh: bool) -> bool:
        """Count a refusal; begin a pace if there are too many, and return whether that is so."""
        self._debt += is_fresh
        seconds = now - self._debt_since
        if self._debt <= MOST_DEBT * self._patience or self._debt_accepted < FEW_MEASURED or seconds < 3 * self.latency:
            return False
        self.pace = Pace(seconds / self._debt_accepted, now, latency=self.latency)
        self._next_at = now + self.pace.interval
        return True

    # Outages.

    def _block(self, now: float, wait: float | None) -> None:
        """Try one call at a time, at intervals that grow with the outage."""
        refusals = self._refusals
        self._debt = 0.0
        if refusals.run == BLOCKED or (refusals.is_outage and refusals.run == NOTHING_BORNE):
            self._lower(float(self.in_flight))
            self._fail_step(now)
        if refusals.is_outage and (interval := refusals.steady_interval(now)) is not None:
            self.pace = Pace(interval, now, latency=self.latency)
            self._next_at = now + RETRY_SHARE * interval
            return
        asked = min(wait or 0.0, LONGEST_ASKED_PAUSE) if refusals.is_outage else 0.0
        pause = max(refusals.pause(now), asked)
        self._next_at = now + min(pause, LONGEST_PAUSE)

    def _accept(self, now: float) -> None:
        """A call that was sent after the last refusal was accepted."""
        was_blocked = self.is_blocked
        self._refusals.accept(now)
        if was_blocked:
            self._search_again(now)

    def _search_again(self, now: float) -> None:
        self._next_at = now
        self._base = self._goal = float(max(1, self.in_flight))
        self._growth = FASTEST  # look for the limit as at the start, with longer steps up to where it was met
        self._failed_steps = 0
        self._closed = 0
        self._window.open(now, self.in_flight)

    def _refused_in_pace(self, now: float) -> None:
        assert self.pace is not None  # noqa: S101 (asked only then)
        self._next_at = now + self.pace.refused(now)
        if self.pace.is_wrong:
            self.pace = None
            self._debt, self._patience = 0.0, min(2 * self._patience, MOST_PATIENCE)
            self._next_at = now + (self._refusals.pause(now) if self.is_blocked else 0.0)
            self._lower(self._base)
            self._window.open(now, self.in_flight)


class _Window:
    """Time over which the calls in flight are averaged, without those that were refused."""

    def __init__(self) -> None:
        self.since = -math.inf
        self.refused = 0
        self.is_starved = False
        """Whether there were times with nothing to send."""
        self._busy = self._lost = self._at = 0.0

    def open(self, now: float, in_flight: int) -> None:
        """Begin a new average."""
        self.advance(now, in_flight)
        self.since, self.refused, self.is_starved = now, 0, False
        self._busy = self._lost = 0.0

    def advance(self, now: float, in_flight: int) -> None:
        """Count up to now; ``in_flight`` has not changed since the last time."""
        self._busy += in_flight * (now - self._at)
        self._at = now

    def refuse(self, now: float, sent: float) -> None:
        """Leave a refused call out."""
        self.refused += 1
        self._lost += now - max(sent, self.since)

    def borne(self, now: float, in_flight: int) -> float:
        """Return the average since the window was opened."""
        self.advance(now, in_flight)
        if self.since == -math.inf:
            return float(in_flight)
        return (self._busy - self._lost) / max(now - self.since, 1e-9)
