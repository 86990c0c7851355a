"""The order of calls in virtual time; the same as benchmarks/order_virtual.py, with fewer questions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("deepeval")

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def order():
    sys.path.insert(0, BENCHMARKS)
    try:
        return importlib.import_module("order_virtual")
    finally:
        sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("pipeline", ["reference", "own"])
@pytest.mark.parametrize(("questions", "in_flight", "most"), [(40, 8, 1.05), (60, 32, 1.05), (100, 100, 1.12)])
def test_calls_take_about_as_long_as_with_list_scheduling_that_knows_all(order, pipeline, questions, in_flight, most):
    """With few calls for each place, the last ones end unevenly: nobody knows how long they take."""
    assert order.run(questions, in_flight, pipeline).over_schedule < most


def test_first_results_come_early(order):
    """Answers alone, all of them before anything is judged, would be as fast."""
    measured = order.run(40, 4, "reference")
    assert measured.first_result < measured.first_to_last / 8
    assert measured.over_schedule < 1.05


def test_without_a_cap_a_second_run_takes_as_long_as_its_longest_chain(order):
    first = order.run(100, 0, "own")
    second = order.run(100, 0, "own", known=first.found)
    assert second.over_bound < 1.03 < first.over_bound


def test_more_questions_are_live_than_one_round_of_a_model_serves(order):
    measured = order.run(400, 0, "reference", known={order.WRITER: 1024, order.JUDGE: 1024})
    assert measured.over_bound < 1.1
