"""Interval between calls, in front of a server that admits so many calls in a time.

Pure: the time is an argument, in seconds.
"""

from __future__ import annotations

import math

__all__ = ["Pace"]

SEARCH, RECOVER, PROBE = 0.97, 0.985, 0.999
"""What each call changes: until the first refusal, after refusals that came fast, and else. The third and ``SLOWER``
balance at one refusal in about 60 calls."""
SLOWER = 1.06
LONG_STREAK, SHORT_STREAK = 80, 8
"""Calls without a refusal after which the server may admit more than before, and below which the pace was far off."""
MEASURED, FEW_MEASURED = 32, 4
"""Calls after which a new average of the interval begins, and from which on it is believed."""
MEASURED_MARGIN = 1.02
RETRY_SHARE = 0.3
"""Of the interval: the wait after a refusal, because the call came only a little too early."""
MOST_DEBT, DEBT_PAID = 3.5, 0.06
"""Refusals that other calls have not paid for, after which the pace is wrong, and what each call pays."""
MOST_MISSES = 4
"""Refusals in a row after which a narrow pace is wrong."""
OUTRUN = 8
"""Times faster than at first: the server does not limit the rate."""
FIRST_TEST, TEST_SPACING, TESTS = 4, 3, 3
"""Calls until one is sent at once; the next time after three times as many; so many at once, while they are accepted,
because a few may have been saved up."""


class Pace:
    """Interval between calls that the server accepts, tested by going a little faster with each call.

    Where fewer than one call goes per round trip (``is_narrow``), one is sent at once now and then: behind such a limit
    it is refused, and where it is accepted the pace was wrong.
    """

    def __init__(self, interval: float, now: float, *, is_narrow: bool) -> None:
        self.interval = interval
        self._first = interval
        self._factor = SEARCH
        self._misses = self._streak = 0
        """Refusals in a row, and calls since the last one."""
        self._short = 0
        """Short streaks in a row."""
        self._debt = 0.0
        self._sent = self._refused = 0
        self._is_narrow = is_narrow
        self._test_at = FIRST_TEST
        self._since, self._measured = now, 0

    @property
    def is_wrong(self) -> bool:
        """Whether too many calls are refused, or hardly any although they go ever faster."""
        is_refused = self._misses > MOST_MISSES if self._is_narrow else self._debt > MOST_DEBT
        return is_refused or self.interval < self._first / OUTRUN

    @property
    def refused_share(self) -> float:
        """Share of all its calls that were refused."""
        return self._refused / max(1, self._sent)

    @property
    def retry_after(self) -> float:
        """Seconds after a refusal until the next call."""
        return self.interval * RETRY_SHARE * 2.0 ** max(0, self._misses - 1)

    def sent(self) -> None:
        """Count a call as accepted, until it is refused, and go a little faster."""
        self._misses = 0 if self._streak else self._misses
        self._streak += 1
        self._sent += 1
        self._measured += 1
        self._debt = max(0.0, self._debt - DEBT_PAID)
        self.interval *= SEARCH if self._streak > LONG_STREAK else self._factor

    def is_test_due(self) -> bool:
        """Return whether to send a call at once."""
        if not self._is_narrow or self._sent < self._test_at:
            return False
        self._test_at *= TEST_SPACING
        return True

    def refused(self, now: float) -> None:
        """Go slower, the more the fewer calls were sent since the last refusal."""
        self._measured -= 1
        self._debt += 1
        self._refused += 1
        measured = MEASURED_MARGIN * (now - self._since) / self._measured if self._measured >= FEW_MEASURED else math.inf
        was_search = self._streak > LONG_STREAK
        self._short = self._short + 1 if self._streak <= SHORT_STREAK else 0
        most = measured if was_search else SLOWER ** 2.0**self._short * self.interval
        probed, self.interval = self.interval, max(SLOWER * self.interval, min(most, measured))
        if self._measured >= MEASURED or self._refused == 1:
            self._since, self._measured = now, 0
        is_far_off = self.interval > 1.001 * SLOWER * probed
        self._factor = SEARCH if was_search else RECOVER if is_far_off and self._is_narrow else PROBE
        self._misses += 1
        self._streak = 0
