"""Rates: fixed caps, what the server's headers tell, and what its refusals teach. Pure: the time is an argument."""

from __future__ import annotations

import email.utils
import math
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FAMILIES",
    "LONG_WAIT",
    "MINUTE",
    "SLACK",
    "Allowance",
    "LearnedRate",
    "Level",
    "Told",
    "Window",
    "told_levels",
]

MINUTE = 60.0
SLACK = 0.5
"""Seconds by which a minute is stretched: what was sent in order does not arrive in step."""
LONG_WAIT = 10.0
"""A refusal that tells to wait so long speaks of a window that is used up, not of a bucket that refills."""

ROUNDING = 1e-6
FIRST_STEP = 0.005
MARGIN = 0.985
FEW = 5


class Allowance(Protocol):
    """What may be used; times are in seconds."""

    def wait(self, now: float, cost: float = 1.0) -> float:
        """Seconds until ``cost`` may be used."""

    def take(self, now: float, cost: float = 1.0) -> None:
        """Note that ``cost`` was used."""

    def correct(self, now: float, by: float) -> None:
        """What was taken lately turned out as more or less."""


class Window:
    """At most ``allowance`` in any minute."""

    def __init__(self, allowance: float) -> None:
        self.allowance = allowance
        self._used: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def wait(self, now: float, cost: float = 1.0) -> float:
        """Seconds until ``cost`` fits; a cost above the allowance fits into an empty window."""
        self._forget(now)
        if not self._used or self._sum + cost <= self.allowance:
            return 0.0
        missing = self._sum + cost - self.allowance
        for moment, amount in self._used:
            missing -= amount
            if missing <= 0:
                return moment + MINUTE + SLACK - now
        return self._used[-1][0] + MINUTE + SLACK - now

    def take(self, now: float, cost: float = 1.0) -> None:
        """Note that ``cost`` was used."""
        self._used.append((now, cost))
        self._sum += cost

    def correct(self, now: float, by: float) -> None:
        """What was taken lately turned out as more or less."""
        if by:
            self.take(now, by)

    def _forget(self, now: float) -> None:
        while self._used and self._used[0][0] <= now - MINUTE - SLACK:
            self._sum -= self._used.popleft()[1]
        if not self._used:
            self._sum = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One family of ``anthropic-ratelimit-*`` headers: the level of a bucket."""

    limit: float
    remaining: float
    full_in: float | None
    """Seconds until the bucket is full again."""


FAMILIES = ("requests", "tokens", "input-tokens", "output-tokens")


def told_levels(headers: Mapping[str, str]) -> dict[str, Told]:
    """By family; what is missing or not understood is left out."""
    found: dict[str, Told] = {}
    for family in FAMILIES:
        prefix = f"anthropic-ratelimit-{family}"
        try:
            limit, remaining = float(headers[f"{prefix}-limit"]), float(headers[f"{prefix}-remaining"])
        except (KeyError, ValueError):
            continue
        if limit >= 1 and math.isfinite(limit) and math.isfinite(remaining):
            full_in = _seconds_until(headers.get(f"{prefix}-reset"), headers.get("date"))
            found[family] = Told(limit=limit, remaining=remaining, full_in=full_in)
    return found


class Level:
    """The server's bucket as the client can know it.

    What a reply tells is an upper bound, as requests that are under way may not be in it; without all
    of those it is a lower one. Between the two, and until the next reply, the level is computed.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._level = limit
        self._at: float | None = None
        self._refill = limit / MINUTE

    def tell(self, told: Told, *, now: float, under_way: float) -> None:
        """A reply's headers; ``under_way`` is what requests without a reply may yet take, or have taken."""
        self.limit = told.limit
        self._refill = max(self._refill, told.limit / MINUTE)
        if told.full_in is not None and told.remaining < told.limit:
            # Resets are rounded up to seconds, so this falls short, and the greatest is the nearest.
            self._refill = max(self._refill, (told.limit - told.remaining) / max(told.full_in, 0.5))
        self._level = min(max(self._advance(now), told.remaining - under_way), told.remaining)

    def has(self, now: float, cost: float) -> bool:
        """Whether ``cost`` is there, for all that is known."""
        return self._advance(now) >= cost

    def exhausted(self, now: float) -> None:
        """A refusal: there is less than was thought, and it refills no faster than the limit says."""
        self._level = min(self._advance(now), 0.0)
        self._refill = self.limit / MINUTE

    def wait(self, now: float, cost: float) -> float:
        """Seconds until ``cost`` is there."""
        missing = min(cost, self.limit) - self._advance(now)
        return missing / self._refill if missing > ROUNDING else 0.0

    def take(self, now: float, cost: float) -> None:
        """Note that ``cost`` was used."""
        self._level = self._advance(now) - cost

    def _advance(self, now: float) -> float:
        if self._at is not None:
            self._level = min(self.limit, self._level + (now - self._at) * self._refill)
        self._at = now
        return self._level


class LearnedRate:
    """The rate that a server's refusals teach where its headers tell nothing.

    Between two moments at which a bucket is empty exactly its refill was let in: accepted requests over
    elapsed time is the rate, ever more exactly. Where a refusal tells of a long wait, a window is used up:
    nothing is sent until then, and after that only as much as fitted.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        """Requests a second; None while unknown."""
        self.window: Window | None = None
        self.hold_until = -math.inf
        self._accepted: deque[float] = deque()
        self._anchor = -math.inf
        self._next = -math.inf
        self._grown_at = -math.inf
        self._step = FIRST_STEP
        self._measured = False
        self._bounded = False
        """Whether a rate was met that is too high."""
        self._held_back = False

    @property
    def allowance(self) -> float | None:
        """Requests in a minute, where a window was met."""
        return None if self.window is None else self.window.allowance

    def accepted(self, now: float) -> int:
        """Requests of the last minute that were not refused."""
        return sum(moment > now - MINUTE for moment in self._accepted)

    def go_by(self, now: float, rate: float | None, allowance: float | None) -> None:
        """Keep to what several processes found together, as far as it is this one's."""
        if rate is not None:
            if self.rate is None:
                self._restart(now)
            self.rate = max(rate, 1 / MINUTE)
        if allowance is not None:
            if self.window is None:
                self._open_window(allowance)
            else:
                self.window.allowance = max(allowance, 1.0)

    def heed(self, now: float, refused_at: float, hold_until: float) -> None:
        """Another process was refused then, and the limit is that of all."""
        self.hold_until = max(self.hold_until, hold_until)
        if self.rate is not None:
            if refused_at > self._anchor:
                self._measure(now, self.rate)
            self._next = max(self._next, now + 1 / self.rate)

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        pace = self._next - now if self.rate is not None else 0.0
        self._held_back = self._held_back or pace > 0
        waits = [self.hold_until - now, pace]
        if self.window is not None:
            waits.append(self.window.wait(now))
        return max(0.0, *waits)

    def take(self, now: float) -> None:
        """A request goes."""
        self._accepted.append(now)
        while self._accepted[0] < now - MINUTE:
            self._accepted.popleft()
        if self.window is not None:
            self.window.take(now)
        if self.rate is not None:
            if self._held_back:
                self._grow(now)
            else:  # nothing is learned of a higher rate that was not needed
                self._grown_at = now
            self._held_back = False
            self._next = max(now, self._next) + 1 / self.rate

    def forget(self, sent: float) -> None:
        """The request that went at ``sent`` did not count."""
        with suppress(ValueError):
            self._accepted.remove(sent)

    def refuse(self, now: float, sent: float, wait: float | None) -> None:
        """A request that was sent then was refused for the rate."""
        if wait is not None and wait >= LONG_WAIT:
            self._close_window(now, wait)
        elif self.rate is None:
            self.rate = max(len(self._accepted) / MINUTE, 1 / max(wait or MINUTE, 1.0))
            self._restart(now)
        elif sent > self._anchor:
            self._measure(now, self.rate)
        if self.rate is not None:
            self._next = max(self._next, now + (1 / self.rate if wait is None else wait))

    def _close_window(self, now: float, wait: float) -> None:
        # Refusals of one moment all tell the same end; later ones cannot push it ever further.
        if now >= self.hold_until:
            self.hold_until = now + min(wait, MINUTE)
        self._open_window(max(1, len(self._accepted)))

    def _open_window(self, allowance: float) -> None:
        self.window = Window(allowance)
        for moment in self._accepted:
            self.window.take(moment)

    def _measure(self, now: float, rate: float) -> None:
        elapsed = now - self._anchor
        accepted = sum(moment > self._anchor for moment in self._accepted)
        if elapsed < max(2.0, 3 / rate):
            if not self._measured:
                self.rate = max(0.8 * rate, 1 / MINUTE)
                self._bounded = True
                self._restart(now)
            return
        estimate = MARGIN * accepted / min(elapsed, MINUTE)
        if self._measured or accepted < FEW:  # a small bucket that was full meanwhile let in less than its refill
            estimate = min(max(estimate, 0.85 * rate), MARGIN * rate)
        self.rate = max(estimate, 1 / MINUTE)
        self._measured = self._bounded = True
        self._step = FIRST_STEP
        self._grown_at = now
        self._anchor = max(self._anchor, now - MINUTE)

    def _restart(self, now: float) -> None:
        self._anchor = now
        self._grown_at = now

    def _grow(self, now: float) -> None:
        """Fast until a rate was too high; after that by little, and by more the longer it goes well."""
        if self.rate is None:
            return
        if now - self._grown_at < (max(4.0, 16 / self.rate) if self._bounded else max(1.0, 4 / self.rate)):
            return
        self._grown_at = now
        growth = 1 + (self._step if self._bounded else 0.5)
        if self._bounded:
            self._step = min(2 * self._step, 0.08)
        self.rate *= growth
        if self.window is not None:
            self.window.allowance *= growth


def _seconds_until(moment: str | None, server_date: str | None) -> float | None:
    """From the server's clock where it tells it, else from ours, to an RFC 3339 moment."""
    try:
        until = datetime.fromisoformat(moment or "").timestamp()
        here = email.utils.parsedate_to_datetime(server_date).timestamp() if server_date else time.time()
    except (ValueError, OverflowError):
        return None
    return until - here
