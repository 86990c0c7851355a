"""Probabilities and quantiles against published tables and SciPy."""

from __future__ import annotations

import math

import pytest

from pytest_ragcheck.distributions import (
    binomial_tail,
    find_root,
    normal_cdf,
    normal_quantile,
    poisson_tail,
    student_cdf,
    student_quantile,
)

FREEDOMS = [1, 1.5, 2, 3.3, 7, 29, 99.5, 1000, 1e5]


@pytest.mark.parametrize(
    ("freedom", "probability", "value"),
    [
        (1, 0.975, 12.706),
        (2, 0.975, 4.303),
        (5, 0.95, 2.015),
        (10, 0.995, 3.169),
        (30, 0.975, 2.042),
        (120, 0.9, 1.289),
    ],
)
def test_students_quantiles_are_those_of_the_tables(freedom, probability, value):
    assert student_quantile(freedom, probability) == pytest.approx(value, abs=6e-4)
    assert student_quantile(freedom, 1 - probability) == pytest.approx(-value, abs=6e-4)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_students_distribution_is_scipys(freedom):
    special = pytest.importorskip("scipy.special")

    for t in (0, 1e-6, 0.01, 0.3, 1, 2, 5, 12, 40):
        for signed in (t, -t):
            assert student_cdf(freedom, signed) == pytest.approx(special.stdtr(freedom, signed), rel=1e-9, abs=1e-250)
    for probability in (0.5, 0.51, 0.8, 0.95, 0.975, 0.999, 1 - 1e-6, 1 - 1e-9, 0.2, 1e-5):
        expected = special.stdtrit(freedom, probability)
        assert student_quantile(freedom, probability) == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_the_normal_distribution_is_scipys():
    special = pytest.importorskip("scipy.special")

    for z in range(-30, 9):
        assert normal_cdf(z) == pytest.approx(special.ndtr(z), rel=1e-12)
    for probability in (1e-9, 0.025, 0.5, 0.8, 0.975, 1 - 1e-9):
        assert normal_quantile(probability) == pytest.approx(special.ndtri(probability), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("least", [1, 2, 5, 20, 100, 3000])
@pytest.mark.parametrize("mean", [0, 1e-9, 0.01, 0.5, 3, 20, 100, 2999, 5000])
def test_the_poisson_tail_is_scipys(least, mean):
    special = pytest.importorskip("scipy.special")

    assert poisson_tail(least, mean) == pytest.approx(special.pdtrc(least - 1, mean), rel=1e-9, abs=1e-280)


@pytest.mark.parametrize("count", [1, 2, 7, 50, 1000, 20_000])
@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_the_binomial_tail_is_scipys(count, probability):
    special = pytest.importorskip("scipy.special")

    for least in {1, 2, count // 3 or 1, count // 2 or 1, count, count + 1}:
        expected = special.bdtrc(least - 1, count, probability)
        assert binomial_tail(least, count, probability) == pytest.approx(expected, rel=1e-9, abs=1e-280)


def test_the_binomial_tail_by_counting():
    assert binomial_tail(3, 4, 0.5) == pytest.approx(5 / 16, rel=1e-14)
    assert binomial_tail(9, 10, 0.5) == pytest.approx(11 / 1024, rel=1e-14)


@pytest.mark.parametrize(
    ("function", "low", "high", "root"),
    [
        (lambda x: x * x - 2, 0, 2, math.sqrt(2)),
        (lambda x: x**9 - 1e-9, 0, 10, 0.1),
        (lambda x: math.exp(-x) - 1e-5, 0, 60, 5 * math.log(10)),
        (lambda x: x - 1, 0, 1, 1),
    ],
)
def test_roots(function, low, high, root):
    assert find_root(function, low, high) == pytest.approx(root, rel=1e-11)
