"""Rates as facts: what the user set, and what the server's headers say. Pure: the time is an argument, in seconds."""

from __future__ import annotations

import email.utils
import math
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAMILIES", "RateLimit", "ServerBucket", "SlidingWindow", "read_rate_limits"]

MINUTE = 60.0
SLACK = 0.5
"""Seconds by which a minute is stretched, because calls do not arrive at even intervals."""
ROUNDING = 1e-6
REFUSED_LEVEL = 0.5
"""What is assumed after a refusal with nothing remaining, which is rounded down."""
DISTRUSTED_AFTER = 3
"""Calls in a row that were accepted although the headers before them left no room."""
UNHEARD_AFTER = 3
"""Accepted calls whose replies did not show a bucket, after which what it held before says nothing any more."""
FIRST_LOCK, LONGEST_LOCK = 30.0, 480.0
"""Seconds for which a bucket that turned out true is not tested again."""

FAMILIES = ("requests", "tokens", "input-tokens", "output-tokens")


class SlidingWindow:
    """Rate that the user set: at most ``allowance`` in any minute."""

    def __init__(self, allowance: float) -> None:
        self.allowance = allowance
        self._used: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def wait(self, now: float, cost: float = 1.0) -> float:
        """Return the seconds until ``cost`` fits; a cost above the allowance fits into an empty window."""
        self._forget(now)
        missing = self._sum + cost - self.allowance
        if not self._used or missing <= 0:
            return 0.0
        for moment, amount in self._used:
            missing -= amount
            if missing <= 0:
                return moment + MINUTE + SLACK - now
        return self._used[-1][0] + MINUTE + SLACK - now

    def take(self, now: float, cost: float = 1.0) -> None:
        """Note that ``cost`` was used; a negative one corrects what was taken before."""
        if cost:
            self._used.append((now, cost))
            self._sum += cost

    def _forget(self, now: float) -> None:
        while self._used and self._used[0][0] <= now - MINUTE - SLACK:
            self._sum -= self._used.popleft()[1]
        if not self._used:
            self._sum = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """One family of rate limit headers: the level of a bucket."""

    limit: float
    remaining: float
    full_in: float | None
    """Seconds until the bucket is full again."""


def read_rate_limits(headers: Mapping[str, str]) -> dict[str, RateLimit]:
    """Return the ``anthropic-ratelimit-*`` headers by family; what is missing or makes no sense is left out."""
    found: dict[str, RateLimit] = {}
    for family in FAMILIES:
        prefix = f"anthropic-ratelimit-{family}"
        try:
            limit, remaining = float(headers[f"{prefix}-limit"]), float(headers[f"{prefix}-remaining"])
        except (KeyError, ValueError):
            continue
        if limit >= 1 and math.isfinite(limit) and math.isfinite(remaining):
            full_in = _seconds_until(headers.get(f"{prefix}-reset"), headers.get("date"))
            found[family] = RateLimit(limit=limit, remaining=remaining, full_in=full_in)
    return found


class ServerBucket:
    """Token bucket of one server limit, as far as headers show it.

    A reply's headers give an upper bound of the level, because calls under way may not be counted in it; without all
    of those it is a lower bound. Between the two, and until the next reply, the level is computed. Headers can be
    wrong (``remaining: 0`` for ever): a bucket that seems empty is tested with a call now and then, and ignored once
    several of those were accepted in a row.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._level = 0.0
        self._at: float | None = None
        self._refill = limit / MINUTE
        self._is_refill_known = False
        """Whether a refusal has shown that it refills no faster than the limit says."""
        self._unheard = 0
        """Accepted calls since the last reply that showed it."""
        self._contradictions = 0
        self._is_test_under_way = False
        self._locked_until = -math.inf
        self._lock = FIRST_LOCK
        self._seems_empty = False

    @property
    def is_trusted(self) -> bool:
        """Whether calls wait for it."""
        return self._contradictions < DISTRUSTED_AFTER and self._unheard < UNHEARD_AFTER

    def hear(self, shown: RateLimit, *, now: float, under_way: float, accepted: bool) -> None:
        """Take in a reply's headers; ``under_way``: what calls without a reply may yet take, or have taken."""
        self._unheard = 0
        if shown.remaining < 1 and shown.full_in is not None and shown.full_in <= 0:
            return  # empty, and full again by now: it does not say anything
        self._note_test(now, is_empty=shown.remaining < 1, accepted=accepted)
        self.limit = shown.limit
        self._refill = shown.limit / MINUTE if self._is_refill_known else max(self._refill, shown.limit / MINUTE)
        if shown.full_in is not None and shown.remaining < shown.limit and not self._is_refill_known:
            # Resets are rounded up to seconds, so this falls short, and the greatest is the nearest.
            self._refill = max(self._refill, (shown.limit - shown.remaining) / max(shown.full_in, 0.5))
        known = self._advance(now) if self._at is not None else -math.inf
        self._at = now
        level = max(known, shown.remaining - under_way)
        self._level = level if level < shown.remaining + 1 else shown.remaining  # which is rounded down
        if not accepted and shown.remaining < 1:
            self._level = min(self._level, REFUSED_LEVEL)
            self._refill = self.limit / MINUTE
            self._is_refill_known = True

    def hear_nothing(self) -> None:
        """Note an accepted call whose reply did not show the bucket, as where a server shows it on refusals only."""
        self._unheard += 1

    def wait(self, now: float, cost: float) -> float:
        """Return the seconds until ``cost`` is there."""
        if self._at is None or not self.is_trusted:
            return 0.0
        missing = min(cost, self.limit) - self._advance(now)
        if missing <= ROUNDING:
            return 0.0
        if self._seems_empty and not self._is_test_under_way and now >= self._locked_until:
            return 0.0
        return missing / self._refill

    def take(self, now: float, cost: float) -> None:
        """Note that ``cost`` was used."""
        if self._at is None:
            return
        if self._seems_empty and self._advance(now) < min(cost, self.limit) - ROUNDING and cost > 0:
            self._is_test_under_way = True
        self._level = self._advance(now) - cost

    def _note_test(self, now: float, *, is_empty: bool, accepted: bool) -> None:
        """Compare what was accepted with what the headers said before."""
        self._seems_empty = is_empty
        if self._contradictions >= DISTRUSTED_AFTER:
            return
        if not accepted and is_empty:
            self._contradictions = 0
            self._locked_until = now + self._lock
            self._lock = min(4 * self._lock, LONGEST_LOCK)
        elif accepted and self._is_test_under_way:
            self._contradictions += 1
        self._is_test_under_way = False

    def _advance(self, now: float) -> float:
        self._level = min(self.limit, self._level + (now - (now if self._at is None else self._at)) * self._refill)
        self._at = now
        return self._level


def _seconds_until(moment: str | None, server_date: str | None) -> float | None:
    """Seconds to an RFC 3339 moment from the server's clock where its reply says it, else from ours."""
    try:
        until = datetime.fromisoformat(moment or "").timestamp()
        here = email.utils.parsedate_to_datetime(server_date).timestamp() if server_date else time.time()
    except (ValueError, OverflowError):
        return None
    return until - here
