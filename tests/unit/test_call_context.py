from __future__ import annotations

import pytest

from pytest_ragcheck.call_context import collect_calls, observe_calls, record_call
from pytest_ragcheck.model import Call


def call(model):
    return Call(purpose="judging", model=model, started=0.0)


def test_calls_that_are_overheard_are_recorded_all_the_same():
    with collect_calls() as outer:
        record_call(call("before"))
        with observe_calls() as inner:
            record_call(call("within"))
        record_call(call("after"))

    assert [one.model for one in inner] == ["within"]
    assert [one.model for one in outer] == ["before", "within", "after"]


def test_calls_are_not_lost_where_what_made_them_fails():
    def fail():
        with observe_calls():
            record_call(call("paid"))
            raise ValueError("no JSON")

    with collect_calls() as outer, pytest.raises(ValueError, match="no JSON"):
        fail()

    assert [one.model for one in outer] == ["paid"]


def test_nobody_need_collect():
    with observe_calls() as calls:
        record_call(call("alone"))
    record_call(call("unheard"))

    assert [one.model for one in calls] == ["alone"]
