"""Rates as facts: the user's, and those of the server's headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from pytest_ragcheck.gateway.rate_limits import MINUTE, SLACK, RateLimit, ServerBucket, SlidingWindow, read_rate_limits

EPOCH = 1_800_000_000.0


def show(remaining, *, limit=60.0, full_in=None):
    return RateLimit(limit=limit, remaining=remaining, full_in=full_in)


def headers(limit="60", remaining="5", reset=None, family="requests"):
    found = {f"anthropic-ratelimit-{family}-limit": limit, f"anthropic-ratelimit-{family}-remaining": remaining}
    if reset is not None:
        found[f"anthropic-ratelimit-{family}-reset"] = reset
    return found


def test_window_counts_costs():
    window = SlidingWindow(10)
    window.take(0.0, 6)
    assert window.wait(1.0, 4) == 0
    assert window.wait(1.0, 5) == pytest.approx(MINUTE + SLACK - 1)
    window.take(1.0, -3)  # it took less than was expected
    assert window.wait(1.0, 5) == 0
    assert window.wait(MINUTE + SLACK + 1.0, 10) == 0


def test_window_lets_a_cost_above_the_allowance_into_an_empty_minute():
    window = SlidingWindow(10)
    assert window.wait(0.0, 50) == 0
    window.take(0.0, 50)
    assert window.wait(0.0, 1) == pytest.approx(MINUTE + SLACK)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        headers(limit="many"),
        headers(limit="0", remaining="0"),
        headers(limit="nan", remaining="nan"),
        headers(limit="inf"),
        {"anthropic-ratelimit-requests-limit": "5"},
    ],
)
def test_headers_that_make_no_sense_are_left_out(bad):
    assert read_rate_limits(bad) == {}


def test_one_bad_family_does_not_hide_the_others():
    found = read_rate_limits(headers(limit="many") | headers(family="tokens"))
    assert set(found) == {"tokens"}


def test_a_reset_that_makes_no_sense_leaves_the_level():
    assert read_rate_limits(headers(reset="soon")) == {"requests": show(5.0)}


def test_the_reset_is_measured_by_the_servers_clock():
    reset = datetime.fromtimestamp(EPOCH + 20, UTC).isoformat()
    found = read_rate_limits(headers(reset=reset) | {"date": formatdate(EPOCH, usegmt=True)})
    assert found["requests"].full_in == pytest.approx(20)


def test_a_bucket_that_no_header_has_shown_holds_nothing_back():
    assert ServerBucket(60).wait(0.0, 1) == 0


def test_the_level_lies_between_what_the_header_shows_and_that_less_what_is_under_way():
    bucket = ServerBucket(60)
    bucket.hear(show(10), now=0.0, under_way=4, accepted=True)
    assert bucket.wait(0.0, 6) == 0
    assert bucket.wait(0.0, 7) == pytest.approx(1.0)
    bucket.hear(show(10), now=0.0, under_way=0, accepted=True)
    assert bucket.wait(0.0, 10) == 0
    bucket.hear(show(2), now=0.0, under_way=0, accepted=True)
    assert bucket.wait(0.0, 3) == pytest.approx(1.0)


def test_a_bucket_refills_at_the_rate_of_its_limit():
    bucket = ServerBucket(60)
    bucket.hear(show(1), now=0.0, under_way=0, accepted=True)
    bucket.take(0.0, 1)
    assert bucket.wait(0.0, 5) == pytest.approx(5.0)
    assert bucket.wait(5.0, 5) == 0
    assert bucket.wait(1000.0, 60) == 0
    bucket.take(1000.0, 60)
    assert bucket.wait(1000.0, 1) == pytest.approx(1.0)  # never more than full


def test_a_bucket_that_refills_faster_than_a_minute_is_believed():
    bucket = ServerBucket(60)
    bucket.hear(show(30, full_in=3.0), now=0.0, under_way=0, accepted=True)
    bucket.take(0.0, 30)
    assert bucket.wait(0.0, 10) == pytest.approx(1.0)


def test_a_refusal_shows_the_true_refill():
    bucket = ServerBucket(60)
    bucket.hear(show(30, full_in=3.0), now=0.0, under_way=0, accepted=True)
    bucket.hear(show(0, full_in=60.0), now=1.0, under_way=0, accepted=False)
    bucket.take(1.0, 1)  # a test, which the refusal allows
    bucket.hear(show(0, full_in=60.0), now=1.0, under_way=0, accepted=False)
    assert bucket.wait(1.0, 1) == pytest.approx(1.0)
    bucket.hear(show(30, full_in=3.0), now=2.0, under_way=30, accepted=True)
    bucket.take(2.0, 30)
    waits = bucket.wait(2.0, 10)
    assert waits >= 10, "a later reply does not raise it"


def test_headers_that_are_contradicted_three_times_are_ignored():
    bucket = ServerBucket(60)
    bucket.hear(show(0, full_in=1000.0), now=0.0, under_way=0, accepted=True)
    for number in range(3):
        assert bucket.is_trusted, number
        assert bucket.wait(0.0, 1) == 0  # the test
        bucket.take(0.0, 1)
        assert bucket.wait(0.0, 1) > 0, "one test at a time"
        bucket.hear(show(0, full_in=1000.0), now=0.0, under_way=0, accepted=True)
    assert not bucket.is_trusted
    bucket.take(0.0, 100)
    assert bucket.wait(0.0, 1) == 0


def test_a_test_that_is_refused_proves_the_headers_right_for_a_while():
    bucket = ServerBucket(60)
    bucket.hear(show(0, full_in=60.0), now=0.0, under_way=0, accepted=True)
    bucket.take(0.0, 1)
    bucket.hear(show(0, full_in=60.0), now=0.1, under_way=0, accepted=False)
    assert bucket.wait(0.1, 1) > 0
    assert bucket.is_trusted


def test_an_empty_bucket_whose_reset_has_passed_says_nothing():
    bucket = ServerBucket(60)
    bucket.hear(show(0, full_in=-5.0), now=0.0, under_way=0, accepted=False)
    assert bucket.wait(0.0, 1) == 0
    bucket.hear(show(40), now=1.0, under_way=0, accepted=True)
    bucket.hear(show(0, full_in=0.0), now=2.0, under_way=0, accepted=True)
    assert bucket.wait(2.0, 40) == 0


def test_a_bucket_that_only_refusals_show_is_forgotten_after_three_accepted_calls():
    bucket = ServerBucket(100)
    bucket.hear(RateLimit(limit=100, remaining=2, full_in=60.0), now=0.0, under_way=0.0, accepted=False)
    bucket.take(0.0, 50.0)
    assert bucket.wait(0.0, 1.0) > 0
    for _ in range(3):
        bucket.hear_nothing()
    assert bucket.wait(0.0, 1.0) == 0
    bucket.hear(RateLimit(limit=100, remaining=0, full_in=60.0), now=1.0, under_way=0.0, accepted=False)
    assert bucket.wait(1.0, 1.0) > 0


def test_what_rounding_hides_of_a_level_is_kept():
    bucket = ServerBucket(60)
    bucket.hear(show(0, full_in=60.0), now=0.0, under_way=0, accepted=False)
    bucket.hear(show(0), now=0.4, under_way=0, accepted=True)
    assert bucket.wait(0.4, 1) == pytest.approx(0.6)
    bucket.hear(show(0), now=5.0, under_way=0, accepted=True)  # others have used what came in
    assert bucket.wait(5.0, 1) == pytest.approx(1.0)
