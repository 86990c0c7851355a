"""The mechanisms of the adaptive limit, one by one, against servers of a few lines; the time is an argument."""

from __future__ import annotations

import heapq
import math
import random
from itertools import pairwise

import pytest

from pytest_ragcheck.gateway.adaptive import AdaptiveLimit, Hold
from pytest_ragcheck.gateway.outages import LONGEST_PAUSE, Refusals
from pytest_ragcheck.gateway.pace import LONG_STREAK, SLOWER, Pace

LATENCY, DELAY = 0.3, 0.03


class Line:
    """Calls without end to a server: ``accepts(now, in flight)`` decides on each when it is sent."""

    def __init__(self, accepts, *, latency=LATENCY, **settings):
        self.limit = AdaptiveLimit(**settings)
        self.accepts = accepts
        self.latency = latency
        self.now = 0.0
        self.at_server = 0
        self.sent = []
        self.refused = []
        self.accepted = []
        self._events = []
        self._draw = random.Random(1)

    def run(self, until):
        while True:
            while (pause := self.limit.pause(self.now)) <= 0:
                self._send()
            moment = min(self.now + max(pause, 0.001), self._events[0][0] if self._events else math.inf)
            if moment > until:
                return self
            self.now = moment
            if self._events and self._events[0][0] <= self.now:  # one at a time, as the limiter does
                self._settle(*heapq.heappop(self._events)[1:])

    def _send(self):
        number = self.limit.sent(self.now)
        self.sent.append(self.now)
        is_accepted = self.accepts(self.now, self.at_server)
        self.at_server += is_accepted
        end = self.now + (self.latency * self._draw.uniform(0.8, 1.2) if is_accepted else DELAY)
        heapq.heappush(self._events, (end, number, self.now, is_accepted))

    def _settle(self, number, sent, is_accepted):
        self.at_server -= is_accepted
        if is_accepted:
            self.accepted.append(self.now)
            self.limit.succeeded(self.now, sent, number, waiting=True)
        else:
            self.refused.append(self.now)
            self.limit.refused(self.now, sent, number, wait=None, waiting=True)

    def count(self, moments, since, until):
        return sum(since <= moment < until for moment in moments)


def cap(number):
    return lambda _, at_server: at_server < number


def bucket(per_second, burst=1):
    level, at = burst, 0.0

    def accepts(now, _):
        nonlocal level, at
        level, at = min(burst, level + (now - at) * per_second), now
        if level < 1 - 1e-9:
            return False
        level -= 1
        return True

    return accepts


def test_what_passes_a_cap_is_refused_once_and_the_cap_is_found():
    line = Line(cap(8)).run(10.0)
    assert line.limit.limit in {8, 9}
    assert line.count(line.accepted, 2.0, 10.0) >= 0.95 * 8 * 8.0 / LATENCY
    assert len(line.refused) <= 0.08 * len(line.sent)


def test_without_refusals_the_limit_grows_within_a_second():
    line = Line(lambda *_: True).run(1.0)
    assert line.limit.limit >= 128
    assert line.refused == []


def test_the_users_cap_is_where_the_search_starts_and_is_never_passed():
    line = Line(lambda *_: True, maximum=6)
    line.run(0.001)
    assert line.limit.in_flight == 6
    line.run(3.0)
    assert line.limit.limit == 6


@pytest.mark.parametrize(("share", "least"), [(0.02, 12_000), (0.05, 7_500)])
def test_refusals_that_have_nothing_to_do_with_load_do_not_lower_the_limit(share, least):
    draw = random.Random(3)
    line = Line(lambda *_: draw.random() >= share).run(12.0)
    assert len(line.accepted) >= least


def test_behind_a_rate_few_calls_are_refused():
    """What was borne becomes the limit, and the place of a refused call stays closed for a while."""
    line = Line(bucket(20, burst=5)).run(30.0)
    assert 5 <= line.limit.limit <= 8
    assert len(line.refused) <= 0.2 * len(line.sent)
    assert len(line.accepted) >= 0.95 * 20 * 30


def test_a_cap_that_rises_is_found_within_seconds():
    line = Line(lambda now, at_server: at_server < (8 if now < 5 else 64)).run(15.0)
    assert line.limit.limit >= 48


def test_a_cap_that_falls_is_followed_within_seconds():
    line = Line(lambda now, at_server: at_server < (32 if now < 5 else 8)).run(8.0)
    assert line.limit.limit <= 10


def test_tries_grow_with_the_outage_and_its_end_is_noticed_in_proportion():
    end = 60.0
    line = Line(lambda now, _: now >= end).run(59.9)
    tries = [moment for moment in line.sent if moment > 1.0]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert line.limit.is_blocked
    assert line.limit.in_flight <= 1
    assert len(line.sent) <= 30
    assert max(gaps) <= LONGEST_PAUSE + 2 * DELAY
    assert all(later >= 0.99 * earlier for earlier, later in pairwise(gaps))
    line.run(end + LONGEST_PAUSE + 1)
    assert line.accepted


def test_after_an_outage_the_server_is_not_met_with_all_calls_at_once():
    line = Line(lambda now, at_server: not 5 <= now < 20 and at_server < 64).run(40.0)
    first = min(moment for moment in line.accepted if moment > 20)
    assert line.count(line.sent, 20, first) <= 10
    assert line.limit.limit >= 48


def test_hold_names_the_outage():
    line = Line(lambda *_: False).run(5.0)
    assert line.limit.hold is Hold.REFUSALS


def test_less_than_one_call_per_round_trip_is_paced():
    line = Line(bucket(0.5)).run(120.0)
    assert line.limit.pace is not None
    assert line.limit.pace.interval == pytest.approx(2.0, rel=0.3)
    assert line.count(line.accepted, 30.0, 120.0) >= 0.8 * 45
    assert line.count(line.refused, 30.0, 120.0) <= 0.3 * 45


def test_a_narrow_pace_that_is_wrong_is_given_up_within_some_calls():
    slow = bucket(0.5)
    line = Line(lambda now, at_server: slow(now, at_server) if now < 60 else at_server < 8).run(59.0)
    assert line.limit.pace is not None
    line.run(150.0)
    assert line.limit.pace is None
    assert line.limit.limit >= 7


def test_a_rate_of_several_calls_per_round_trip_is_paced_and_hardly_passed():
    line = Line(bucket(15)).run(120.0)
    assert line.limit.pace is not None
    assert line.count(line.accepted, 40.0, 120.0) >= 0.9 * 15 * 80
    assert line.count(line.refused, 40.0, 120.0) <= 0.05 * 15 * 80


def test_a_pace_goes_on_whatever_is_in_flight():
    line = Line(bucket(15)).run(60.0)
    line.latency = 3.0
    line.run(90.0)
    assert line.count(line.accepted, 70.0, 90.0) >= 0.9 * 15 * 20


def test_a_cap_contradicts_a_pace_within_seconds():
    rate = bucket(15)
    line = Line(lambda now, at_server: rate(now, at_server) if now < 60 else at_server < 2).run(59.0)
    assert line.limit.pace is not None
    line.run(66.0)
    assert line.limit.pace is None
    line.run(80.0)
    assert line.limit.limit in {2, 3}
    assert line.count(line.accepted, 66.0, 80.0) >= 0.85 * 2 * 14 / LATENCY


def test_a_rate_that_rises_is_found():
    slow, fast = bucket(15), bucket(60)
    line = Line(lambda now, at_server: (slow if now < 60 else fast)(now, at_server)).run(90.0)
    assert line.count(line.accepted, 75.0, 90.0) >= 0.85 * 60 * 15


def test_what_is_overloaded_does_not_slow_a_pace():
    line = Line(bucket(15)).run(60.0)
    before = line.limit.pace.interval
    number = line.limit.sent(line.now)
    line.limit.refused(line.now, line.now, number, wait=None, waiting=True, is_overload=True)
    assert line.limit.pace.interval <= before


def test_a_streak_that_ends_shows_the_average():
    """A burst that was saved up lets calls go too fast; the average until it is used up is the rate."""
    pace = Pace(1.0, 0.0, latency=10.0)
    pace.refused(0.0)
    calls = LONG_STREAK + 15
    for _ in range(calls):
        if pace.sent() < pace.interval:  # the next call is a test
            pace.refused(0.0)
    assert pace.interval < 0.7
    pace.refused(calls * 0.9)
    assert pace.interval == pytest.approx(0.9, rel=0.08)


def test_a_test_that_used_up_a_burst_is_taken_back():
    pace = Pace(6.0, 0.0, latency=0.3)
    pauses = [pace.sent() for _ in range(7)]
    assert pauses[3:6] == pytest.approx([1.8] * 3, rel=0.1)
    before, tested = 3 * pauses[5], pace.interval
    assert tested == pytest.approx(before / 3, rel=0.1)
    assert pace.refused(40.0) == pace.interval == pytest.approx(before, rel=0.1)


def test_refusals_that_come_fast_slow_a_pace_ever_more():
    pace = Pace(1.0, 0.0, latency=10.0)
    steps = []
    for _ in range(3):
        before = pace.interval
        pace.refused(0.0)
        steps.append(pace.interval / before)
    assert steps[0] >= SLOWER
    assert steps == sorted(steps)
    assert steps[-1] > 1.2
    assert not pace.is_wrong
    pace.refused(0.0)
    assert pace.is_wrong


def test_refusals_of_calls_that_were_sent_together_are_one_step_of_a_run():
    refusals = Refusals()
    numbers = [refusals.sent(0.0) for _ in range(20)]
    assert refusals.refuse(DELAY, 0.0, numbers[0])
    assert not any(refusals.refuse(DELAY, 0.0, number) for number in numbers[1:])
    assert refusals.run == 1


def test_a_call_withdrawn_frees_its_place():
    limit = AdaptiveLimit(maximum=1)
    limit.sent(0.0)
    assert limit.pause(0.0) > 0
    limit.withdrawn(0.0)
    assert limit.pause(0.0) == 0
