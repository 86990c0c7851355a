"""What the rehearsed model says: an extract that fits the question, or JSON that fits the schema."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Annotated, Literal

import anthropic
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from pytest_ragcheck.testing.extracts import NOTHING_FOUND, extract, question_of
from pytest_ragcheck.testing.replies import default_reply
from pytest_ragcheck.testing.schema_values import SchemaError, schema_value

MATERIAL = "Leave lasts sixteen weeks. The canteen opens at noon. Badges are worn at all times."


def request(text, **more):
    return {"messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("<context>Is it? Yes.</context>\n\nHow long is leave?", "How long is leave?"),
        ("Question: Tell me about leave\nAnswer in one sentence.", "Tell me about leave"),
        ("<question>When does it open?</question>\n<rules>Be brief.</rules>", "When does it open?"),
        ("Summarise this.", "Summarise this."),
        ("", ""),
    ],
)
def test_question_is_found_in_the_prompt(text, question):
    assert question_of(text) == question


def test_extract_is_the_sentence_that_shares_most_words():
    contexts = "<context>\n[1] Leave lasts sixteen weeks. Leave is paid.\n[2] The canteen opens at noon.\n</context>\n"
    assert extract(request(f"{contexts}\nHow many weeks of leave?")) == "Leave lasts sixteen weeks."
    assert (
        extract(request(f"{contexts}\nQuestion: When does the canteen open, at noon?")) == "The canteen opens at noon."
    )


def test_extract_takes_the_first_of_equals_and_whole_words_only():
    assert (
        extract(request("- Cleave nothing.\n- Leave is paid.\n- Leave is long.\n\nIs leave good?")) == "Leave is paid."
    )


def test_extract_prefers_the_first_of_equals_over_one_that_only_looks_nearer():
    text = "Leave is paid.\nLeave needs no daylight, days off.\n\nIs leave light?"
    assert extract(request(text)) == "Leave is paid."  # "daylight" holds "light" but is another word


def test_extract_reads_other_letters_and_broken_ones():
    text = "Die Kantine öffnet mittags.\nÜberstunden werden bezahlt.\n\nFrage: Was ist mit überstunden?"
    assert extract(request(text)) == "Überstunden werden bezahlt."
    assert extract(request("Leave is \ud800 paid.\n\nIs leave \ud800 free?")) == "Leave is \ud800 paid."


def test_extract_says_so_where_nothing_fits():
    assert extract(request("Leave is paid.\n\nWhere is the moon?")) == NOTHING_FOUND
    assert extract(request("Where is the moon?")) == "You asked: Where is the moon?"


def test_extract_reads_blocks_documents_and_the_system_prompt():
    document = {"type": "document", "source": {"type": "text", "data": "Leave lasts sixteen weeks."}}
    blocks = [
        document,
        {"type": "image", "source": {"type": "base64", "data": "x"}},
        {"type": "text", "text": "Leave?"},
    ]
    assert extract(request(blocks)) == "Leave lasts sixteen weeks."
    assert extract(request("How long is leave?", system="Badges are worn. Leave is long.")) == "Leave is long."


class Truths(BaseModel):
    truths: list[str]


class Verdict(BaseModel):
    verdict: Literal["yes", "no", "idk"]
    reason: str | None = None


class Verdicts(BaseModel):
    verdicts: list[Verdict]


class LooseVerdict(BaseModel):
    verdict: str
    reason: str


class Scored(BaseModel):
    score: float
    reason: str


class Bounded(BaseModel):
    score: Annotated[int, Field(ge=1, le=5)]
    share: Annotated[float, Field(gt=0, lt=1)]
    even: Annotated[int, Field(multiple_of=2, ge=3, le=9)]
    items: Annotated[list[int], Field(min_length=2, max_length=3)]
    name: Annotated[str, Field(min_length=150, max_length=160)]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Everything(BaseModel):
    colour: Colour
    number: int
    flag: bool
    nothing: None
    maybe: int | str | None
    table: dict[str, int]
    pair: tuple[int, bool]
    day: datetime.date
    moment: datetime.datetime
    clock: datetime.time
    key: uuid.UUID
    nested: Verdicts
    anything: list


class Tree(BaseModel):
    name: str
    left: Tree | None
    children: list[Tree]


ROOTS = [Truths, Verdict, Verdicts, LooseVerdict, Scored, Bounded, Everything, Tree]


@pytest.mark.parametrize("model", ROOTS)
def test_values_are_valid_varied_and_repeatable(model):
    schema = model.model_json_schema()
    values = [schema_value(schema, seed=number, material=MATERIAL) for number in range(200)]
    for value in values:
        model.model_validate(value)
    assert values == [schema_value(schema, seed=number, material=MATERIAL) for number in range(200)]
    assert len({repr(value) for value in values}) > 2


@pytest.mark.parametrize("model", [model for model in ROOTS if model is not Everything])  # the SDK refuses a bare list
def test_values_fit_what_the_sdk_makes_of_a_schema(model):
    schema = anthropic.transform_schema(model)
    for number in range(100):
        value = schema_value(schema, seed=number, material=MATERIAL)
        if model is not Bounded:  # exclusive bounds and multiples are lost on the way
            model.model_validate(value)
        else:
            assert 1 <= value["score"] <= 5
            assert 2 <= len(value["items"]) <= 3


def test_verdicts_are_yes_or_no_and_mostly_yes():
    for schema in (Verdict.model_json_schema(), LooseVerdict.model_json_schema()):
        verdicts = [schema_value(schema, seed=number)["verdict"] for number in range(500)]
        assert set(verdicts) == {"yes", "no"}
        assert 0.7 < verdicts.count("yes") / 500 < 0.9


def test_arrays_have_one_to_four_items_and_strings_come_from_the_prompt():
    lists = [schema_value(Truths.model_json_schema(), seed=n, material=MATERIAL)["truths"] for n in range(200)]
    assert {len(items) for items in lists} == {1, 2, 3, 4}
    assert {item for items in lists for item in items} == {f"{part}." for part in MATERIAL.rstrip(".").split(". ")}


def test_scores_without_bounds_use_the_scale_of_g_eval():
    scores = {schema_value(Scored.model_json_schema(), seed=number)["score"] for number in range(300)}
    assert scores == {float(number) for number in range(11)}


def test_default_reply_follows_the_request():
    schema = Truths.model_json_schema()
    first, again, other = (default_reply(request(text), schema) for text in ("One. Two.", "One. Two.", "Three. Four."))
    assert first == again != other
    TypeAdapter(Truths).validate_json(first)


def test_all_of_and_union_of_types():
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": ["integer", "null"]}}, "required": ["a"]},
            {"$ref": "#/$defs/B"},
        ],
        "$defs": {"B": {"type": "object", "properties": {"b": {"const": 7}}, "required": ["b"]}},
    }
    values = [schema_value(schema, seed=number) for number in range(50)]
    assert all(value["b"] == 7 for value in values)
    assert {type(value["a"]) for value in values} == {int, type(None)}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string", "pattern": "^a$"}, "'pattern'"),
        ({"$ref": "#/$defs/Missing"}, "leads to nothing"),
        ({"$ref": "https://example.com/schema"}, "out of the schema"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "circle"),
        ({"type": "matrix"}, "'matrix'"),
        ({"enum": []}, "empty 'enum'"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "between 3 and 2"),
        ({"type": "array", "items": False, "minItems": 1}, "allows no value"),
        (
            {"type": "object", "properties": {"self": {"$ref": "#"}}, "required": ["self"]},
            "without an end",
        ),
    ],
)
def test_schema_that_cannot_be_followed_is_named(schema, told):
    with pytest.raises(SchemaError, match=told):
        schema_value(schema, seed=1)
