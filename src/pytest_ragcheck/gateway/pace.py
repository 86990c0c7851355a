"""Interval between calls, in front of a server that admits so many calls in a time.

Pure: the time is an argument, in seconds.
"""

from __future__ import annotations

import math

__all__ = ["FEW_MEASURED", "RETRY_SHARE", "Pace"]

SEARCH, RECOVER, PROBE = 0.97, 0.985, 0.999
"""What each call changes: until the first refusal; in a narrow pace that was slowed without knowing an average; and
otherwise. The last one and ``SLOWER`` balance at one refusal in about 60 calls."""
SLOWER = 1.06
LONG_STREAK, SHORT_STREAK = 80, 8
"""Calls without a refusal after which the server may admit more than before, and below which the pace was far off."""
MEASURED, FEW_MEASURED = 32, 4
"""Calls after which a new average of the interval begins, and from which on it is believed."""
MEASURED_MARGIN = 1.02
RETRY_SHARE = 0.3
"""Of the interval: the wait after a refusal, because the call came only a little too early."""
MOST_DEBT, DEBT_PAID = 3.5, 0.06
"""Refusals that other calls have not paid for, after which a wide pace is wrong, and what each call pays."""
MOST_MISSES = 4
"""Refusals in a row after which a narrow pace is wrong."""
OUTRUN, OUTLASTED = 8, 3
"""Times faster than at first, and times slower, from which on a wide pace is wrong."""
FIRST_TEST, LONGEST_SPACING = 4, 36
FIRST_WIDE_TEST, WIDE_SPACING = 12, 100
"""Calls until a narrow and a wide pace are tested, three times as many after each test that was refused, at most so
many."""
TESTS, TEST_SHARE = 3, 1 / 3
"""A test is so many calls in a row, because a few may have been saved up, each after this share of the interval."""


class Pace:
    """Interval between calls that the server accepts, tested by going a little faster with each call.

    Small steps would take minutes to show that it is wrong, so it is tested now and then by a few calls that go much
    faster. It is narrow where fewer than one call goes per round trip, else wide.
    """

    def __init__(self, interval: float, now: float, *, latency: float) -> None:
        self.interval = interval
        self._is_narrow = interval > latency
        self._fastest = latency if self._is_narrow else interval / OUTRUN
        self._slowest = math.inf if self._is_narrow else interval * OUTLASTED
        self._factor = SEARCH
        self._misses = self._streak = 0
        """Refusals in a row, and calls since the last one."""
        self._short = 0
        """Short streaks in a row."""
        self._debt = 0.0
        self._sent = self._refused = 0
        self._longest_spacing = LONGEST_SPACING if self._is_narrow else WIDE_SPACING
        self._test_spacing = self._test_at = FIRST_TEST if self._is_narrow else FIRST_WIDE_TEST
        self._tests = 0
        """Calls in a row that were sent faster."""
        self._before_test = interval
        self._since, self._measured = now, 0

    @property
    def is_outrun(self) -> bool:
        """Whether the server admits far more."""
        return self.interval < self._fastest

    @property
    def is_wrong(self) -> bool:
        """Whether too many calls are refused for a limit of the rate."""
        is_refused = self._misses > MOST_MISSES if self._is_narrow else self._debt > MOST_DEBT
        return is_refused or self.interval > self._slowest

    def sent(self) -> float:
        """Count a call as accepted, until it is refused; return the seconds until the next one, a little fewer."""
        self._misses = 0 if self._streak else self._misses
        self._streak += 1
        self._sent += 1
        self._measured += 1
        self._debt = max(0.0, self._debt - DEBT_PAID)
        self.interval *= SEARCH if self._streak > LONG_STREAK else self._factor
        return self.interval * (TEST_SHARE if self._is_test() else 1.0)

    def refused(self, now: float) -> float:
        """Go slower; return the seconds until the next call."""
        self._measured -= 1
        if self._tests:  # behind a rate limit, as assumed
            self._tests, self._test_spacing = 0, min(max(FIRST_TEST, 3 * self._test_spacing), self._longest_spacing)
            self._test_at = self._sent + self._test_spacing
            return self.interval
        self._debt += 1
        self._refused += 1
        self._misses += 1
        if self._sent < self._test_at and self._test_spacing == 0:  # more had been saved up than the test used
            self.interval, self._test_spacing = self._before_test, self._longest_spacing
            self._test_at = self._sent + self._test_spacing
            self._streak = SHORT_STREAK + 1  # the pace itself was not far off
            return self.interval
        self._slow_down(now)
        if self._measured >= MEASURED or self._refused == 1:
            self._since, self._measured = now, 0
        self._streak = 0
        return self.interval * RETRY_SHARE * 2.0 ** (self._misses - 1)

    def _slow_down(self, now: float) -> None:
        """Lengthen the interval, the more the fewer calls were sent since the last refusal."""
        average = (now - self._since) / self._measured if self._measured >= FEW_MEASURED else math.inf
        most = MEASURED_MARGIN * average / self.interval
        self._short = self._short + 1 if self._streak <= SHORT_STREAK else 0
        if self._streak > LONG_STREAK:  # what was saved up is used up, so the average is the rate
            step, self._factor = most, SEARCH
        else:
            step = min(SLOWER**2.0**self._short, most)
            self._factor = RECOVER if self._is_narrow and step > SLOWER and average == math.inf else PROBE
        self.interval *= max(SLOWER, step)

    def _is_test(self) -> bool:
        if self._sent < self._test_at:
            return False
        self._tests += 1
        if self._tests <= TESTS:
            return True
        self._before_test = self.interval
        self.interval *= TEST_SHARE
        self._tests, self._test_spacing = 0, 0
        self._test_at = self._sent + FIRST_TEST
        return False
