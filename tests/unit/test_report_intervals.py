from __future__ import annotations

import pytest

from pytest_ragcheck.report.intervals import mean_interval


def test_a_single_value_has_no_interval():
    assert mean_interval([]) is None
    assert mean_interval([0.5]) is None


@pytest.mark.parametrize(("ones", "count"), [(0, 2), (3, 3), (7, 10), (1, 69), (500, 1000)])
def test_of_zeros_and_ones_it_is_scipys_wilson_interval(ones, count):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(ones, count).proportion_ci(method="wilson")

    assert mean_interval([1.0] * ones + [0.0] * (count - ones)) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("count", [2, 3, 4, 12, 69])
def test_of_other_values_it_is_scipys_t_interval_within_0_and_1(count):
    stats = pytest.importorskip("scipy.stats")
    values = [0.3 + 0.4 * (n % 3) / 2 for n in range(count)]
    mean = sum(values) / count
    low, high = stats.t.interval(0.95, count - 1, mean, stats.sem(values))

    assert mean_interval(values) == pytest.approx((max(low, 0), min(high, 1)))


def test_equal_values_that_are_no_proportion_leave_no_doubt():
    assert mean_interval([0.8, 0.8, 0.8]) == pytest.approx((0.8, 0.8))
