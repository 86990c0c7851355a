from __future__ import annotations

import json

import pytest

from pytest_ragcheck.gateway.replies import REPLIES, StoredReply
from pytest_ragcheck.metrics.judged.scores import Judged, Scores
from pytest_ragcheck.model import Usage
from pytest_ragcheck.store import Fields, Store, StoredKind, digest
from pytest_ragcheck.strict_json import parse_json

TEXTS = StoredKind("text", bytes.decode)
KEY, OTHER = digest("key"), digest("other key")
REPLY = StoredReply(
    text="yes", stop_reason="end_turn", model="m", usage=Usage(input_tokens=3), latency=0.5, request_id=None, cost=None
)
JUDGED = {"value": 0.5, "summary": "s", "vacuous": None, "rejected": [{"claim": "c", "reason": "r"}], "reason": None}


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "cache.sqlite") as store:
        yield store


def test_a_value_comes_back_as_it_was_put(store):
    TEXTS.put_many(store, {KEY: b"one", OTHER: b""})
    assert TEXTS.get_many(store, [KEY, OTHER, digest("absent")]) == {KEY: "one", OTHER: ""}
    assert not store.damaged


@pytest.mark.parametrize("place", range(12))
def test_any_changed_byte_makes_a_value_absent_and_counted(store, place):
    kind = StoredKind("text", bytes.decode, needs_checksum=True)
    kind.put(store, KEY, b"25 days")
    data = bytearray(store.get("text", KEY))
    data[place] ^= 1
    store.put("text", KEY, bytes(data))
    assert kind.get(store, KEY) is None
    assert store.damaged == {"text": 1}
    assert store.get("text", KEY) is None, "it was dropped, so that it is told once"
    assert kind.get(store, KEY) is None
    assert store.damaged == {"text": 1}


def test_a_value_under_another_key_is_not_that_keys_value(store):
    kind = StoredKind("text", bytes.decode, needs_checksum=True)
    kind.put(store, KEY, b"one")
    store.put("text", OTHER, store.get("text", KEY))
    assert kind.get_many(store, [KEY, OTHER]) == {KEY: "one"}


def test_a_value_without_a_checksum_is_one_of_an_earlier_version(store):
    store.put("text", KEY, b"one")
    assert TEXTS.get(store, KEY) == "one"
    store.put("judged-score", KEY, json.dumps(JUDGED).encode())
    assert Scores(store).get(KEY) == Judged(**{**JUDGED, "rejected": tuple(JUDGED["rejected"])})


def test_a_value_that_was_replaced_meanwhile_is_not_dropped(store):
    store.drop_damaged("text", {KEY: b"old"})
    TEXTS.put(store, KEY, b"new")
    store.drop_damaged("text", {KEY: b"old"})
    assert TEXTS.get(store, KEY) == "new"
    assert store.damaged.total() == 0


def test_new_values_take_the_place_of_damaged_ones(store):
    store.put("text", KEY, b"\xff")
    assert TEXTS.get(store, KEY) is None
    TEXTS.put_if_new(store, KEY, b"new")
    assert TEXTS.get(store, KEY) == "new"


@pytest.mark.parametrize(
    "data", [b"NaN", b"-Infinity", b"1e999", b"1" * 30, b"9" * 5_000, b"[1", b"\xff", b'{"a": 1, "a": 2}']
)
def test_json_is_strict(data):
    with pytest.raises(ValueError):  # noqa: PT011 (of several kinds)
        parse_json(data)


REPLY_FIELDS = json.loads(REPLY.to_bytes())


@pytest.mark.parametrize(
    "changed",
    [
        {"text": None},
        {"text": ["yes"]},
        {"stop_reason": True},
        {"latency": -1},
        {"latency": "0"},
        {"cost": True},
        {"usage": REPLY_FIELDS["usage"] | {"input_tokens": -5}},
        {"usage": REPLY_FIELDS["usage"] | {"output_tokens": 1.5}},
        {"usage": []},
    ],
)
def test_a_stored_reply_holds_what_a_reply_holds(store, changed):
    REPLIES.put(store, KEY, REPLY.to_bytes())
    assert REPLIES.get(store, KEY) == REPLY
    store.put("model-reply", KEY, json.dumps(REPLY_FIELDS | changed).encode())
    assert REPLIES.get(store, KEY) is None
    assert store.damaged == {"model-reply": 1}


@pytest.mark.parametrize(
    "data",
    [
        *(
            json.dumps(JUDGED | changed)
            for changed in (
                {"value": True},
                {"value": None},
                {"value": 1.5},
                {"value": "1"},
                {"rejected": {}},
                {"rejected": [1]},
                {"rejected": [{"claim": 1}]},
                {"reason": 1},
                {"summary": None},
            )
        ),
        "{}",
        "true",
        "[]",
        "null",
        '{"value": 1.0}',
        json.dumps(JUDGED).replace("0.5", "NaN"),
    ],
)
def test_a_stored_judgement_holds_a_number_and_what_it_rests_on(store, data):
    store.put("judged-score", KEY, data.encode())
    assert Scores(store).get(KEY) is None
    assert store.damaged == {"judged-score": 1}


def test_fields_left_out_and_null_are_alike():
    fields = Fields.parse(b'{"a": null, "b": false}')
    assert (fields.optional_text("a"), fields.optional_number("c"), fields.optional_flag("b")) == (None, None, False)
