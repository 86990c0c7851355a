from __future__ import annotations

import pytest

from pytest_ragcheck.model import ModelCalls, Planned, Usage
from pytest_ragcheck.report.calls import calls_lines, dollars, plan_lines


def planned(**values):
    basis = {
        "calls": 40,
        "cached": 2,
        "input_tokens": (12_000, 20_000),
        "output_tokens": (4_000, 40_960),
        "cost": (0.05, 1.5),
        "unpriced_models": (),
        "minutes": (0.12, 1.25),
    }
    return Planned(**basis | values)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0.0, "$0.00"),
        (0.00004, "$0.0000"),
        (0.0042, "$0.0042"),
        (0.00996, "$0.0100"),
        (0.01, "$0.01"),
        (12.345, "$12.35"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars(amount, shown):
    assert dollars(amount) == shown


def test_a_run_without_trouble():
    calls = ModelCalls(asked=4, cached=1, cost=0.0123, usage=Usage(input_tokens=1250, output_tokens=47), saved=0.004)
    assert calls_lines(calls) == (
        "4 model calls, 1 from the cache\ntokens: 1,250 in, 47 out\ncost: $0.01; the cache saved $0.0040"
    )


def test_trouble_is_told_where_there_was_some():
    calls = ModelCalls(asked=1200, failed=1, retries=1, refused=3)
    first = calls_lines(calls, width=160).splitlines()[0]
    assert first == (
        "1,200 model calls, 0 from the cache, 1 retry, 3 requests refused with 429, 1 without a usable reply"
    )


def test_prompt_cache_tokens_are_part_of_what_went_in():
    usage = Usage(input_tokens=10, output_tokens=1, cache_read_tokens=2000, cache_write_tokens=500)
    second = calls_lines(ModelCalls(asked=2, usage=usage), width=120).splitlines()[1]
    assert second == "tokens: 2,510 in (2,000 read from and 500 written to the prompt cache), 1 out"


def test_an_unknown_price_is_never_nothing():
    alone = calls_lines(ModelCalls(asked=2, unpriced=2), width=120).splitlines()[-1]
    assert alone == "cost: unknown for 2 calls (no price for the model; set it under [prices])"
    beside = calls_lines(ModelCalls(asked=2, unpriced=1, cost=0.5), width=120).splitlines()[-1]
    assert beside == "cost: $0.50 and unknown for 1 call (no price for the model; set it under [prices])"


@pytest.mark.parametrize("width", [40, 52, 80])
def test_no_line_is_too_wide(width):
    calls = ModelCalls(asked=12_345, cached=2345, failed=17, retries=123, refused=45, cost=12.3, unpriced=6, saved=3.0)
    plans = [planned(cost=None, unpriced_models=("house-model-1", "house-model-2"))]
    for text in (calls_lines(calls, width=width), plan_lines(plans, unforeseen=300, width=width)):
        assert max(map(len, text.splitlines())) <= width


def test_a_plan():
    assert plan_lines([planned()]) == (
        "plan: nothing was called\n"
        "  40 model calls to make, 2 from the cache\n"
        "  tokens: 12,000 to 20,000 in, 4,000 to 40,960 out\n"
        "  cost: $0.05 to $1.50\n"
        "  minutes: 0.1 to 1.2"
    )


def test_a_plan_with_all_replies_there():
    assert plan_lines([planned(calls=0, cached=42)]).splitlines()[1:] == [
        "  0 model calls to make, 42 from the cache",
    ]


def test_a_plan_without_a_price():
    lines = plan_lines([planned(cost=None, unpriced_models=("a", "b"))]).splitlines()
    assert "  cost: unknown (no price for a, b; set it under [prices])" in lines


def test_what_cannot_be_foreseen_stands_beside_what_can():
    lines = plan_lines([planned()], unforeseen=1).splitlines()
    assert lines[-1] == "  1 question for a pipeline of your own, whose calls cannot be foreseen"
    assert "  40 model calls to make, 2 from the cache" in lines


def test_a_plan_of_nothing():
    assert plan_lines([]) == "plan: nothing was called\n  no model is configured, so a run calls none"
