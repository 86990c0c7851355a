"""A value for a JSON schema, the same for the same arguments: what a rehearsed model says where JSON is asked for."""

from __future__ import annotations

import datetime
import math
import re
import uuid
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.testing.extracts import sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Schema", "SchemaError", "schema_value"]

Schema = dict[str, Any]
NO_LISTS: Mapping[str, int | Sequence[str]] = MappingProxyType({})
YES_OR_NO = frozenset({"verdict", "answers"})
YES_SHARE = 0.8
"""Of the verdicts; a judge that finds nothing wrong or everything would tell little."""
MAX_SENTENCE = 200
MAX_ITEMS = 4
MAX_DEPTH = 6
"""Levels after which a recursive schema is brought to its end."""
ENDLESS_DEPTH = 24
MAX_REFERENCES = 8
SCORE_RANGE = (0.0, 10.0)
"""G-Eval's scale, for a ``score`` whose schema names no bounds."""

_WORD = re.compile(r"\w")
_BOUND_IN_TEXT = re.compile(r"\b(minimum|maximum|minItems|maxItems|minLength|maxLength): (-?\d+(?:\.\d+)?)")


class SchemaError(ValueError):
    """A JSON schema uses what this module cannot follow; the text names it."""


def schema_value(
    schema: Schema, *, seed: str | int, material: str = "", lists: Mapping[str, int | Sequence[str]] = NO_LISTS
) -> Any:
    """A value that is valid for a JSON schema, the same for the same arguments.

    Strings are sentences of ``material``; strings called ``verdict`` are yes or no where the schema lets them; arrays
    have 1 to 4 items where the schema lets them, or as many as ``lists`` says for their names, or one for each of the
    texts there, which it then tells of. Bounds are also read from the description, where the SDK's
    ``transform_schema`` moves them. Raises :class:`SchemaError` for what is not understood: ``pattern``, ``not``,
    references to elsewhere.
    """
    said = [sentence[:MAX_SENTENCE] for sentence in sentences(material) if _WORD.search(sentence)]
    draw = Random(seed)  # noqa: S311 (repeatable, not secret)
    return _Writer(schema, draw, said or ["Nothing was said."], lists).value(schema, name="", depth=0)


class _Writer:
    """Walks one schema."""

    def __init__(
        self, root: Schema, draw: Random, sentences: Sequence[str], lists: Mapping[str, int | Sequence[str]]
    ) -> None:
        self._root = root
        self._draw = draw
        self._sentences = sentences
        self._lists = lists
        self._stated: set[str] = set()
        self._told: str | None = None
        """What the item that is being written tells of."""
        self._kinds: dict[str, Callable[[Schema, str, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _name, _depth: self._draw.random() < YES_SHARE,
            "null": lambda _schema, _name, _depth: None,
        }

    def value(self, schema: Any, *, name: str, depth: int) -> Any:
        """A value for a part of the schema; ``name`` is that of the property it is for."""
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._member(schema["enum"], name)
        variants = schema.get("anyOf") or schema.get("oneOf")
        if variants:
            return self.value(self._variant(variants, depth), name=name, depth=depth + 1)
        return self._kinds[self._kind(schema)](schema, name, depth)

    def _resolved(self, part: Any) -> Schema:
        """With references followed and allOf merged."""
        if part is True or part == {}:
            return {"type": "string"}
        if not isinstance(part, dict):
            raise SchemaError(f"{part!r} allows no value")
        schema = self._without_references(part)
        for keyword in ("pattern", "not", "if", "patternProperties"):
            if keyword in schema:
                raise SchemaError(f"'{keyword}' is not supported")
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for one in schema.get("allOf", ()):
            merged = _merged(merged, self._resolved(one))
        return merged

    def _without_references(self, schema: Schema) -> Schema:
        for _ in range(MAX_REFERENCES):
            if "$ref" not in schema:
                return schema
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._referenced(schema["$ref"]), **beside}
        raise SchemaError("a '$ref' leads round in a circle")

    def _referenced(self, reference: str) -> Schema:
        if not reference.startswith("#"):
            raise SchemaError(f"the reference {reference!r} leads out of the schema")
        target: Any = self._root
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise SchemaError(f"the reference {reference!r} leads to nothing")
        return target

    def _kind(self, schema: Schema) -> str:
        kinds = schema.get("type")
        if isinstance(kinds, list) and kinds:
            kinds = self._draw.choice(kinds)
        if kinds is None:
            kinds = "object" if "properties" in schema else "array" if "items" in schema else "string"
        if not isinstance(kinds, str) or kinds not in self._kinds:
            raise SchemaError(f"the type {kinds!r} is not known")
        return kinds

    def _member(self, members: Sequence[Any], name: str) -> Any:
        if not members:
            raise SchemaError("an empty 'enum' allows no value")
        if name.lower() in YES_OR_NO and {"yes", "no"} <= {member for member in members if isinstance(member, str)}:
            return self._verdict()
        return self._draw.choice(members)

    def _variant(self, variants: Sequence[Schema], depth: int) -> Schema:
        if depth < MAX_DEPTH:
            return self._draw.choice(variants)
        simple = [
            variant for variant in variants if self._resolved(variant).get("type") not in ("object", "array", None)
        ]
        return simple[0] if simple else variants[-1]

    def _verdict(self) -> str:
        return "yes" if self._draw.random() < YES_SHARE else "no"

    def _object(self, schema: Schema, _name: str, depth: int) -> dict[str, Any]:
        if depth > ENDLESS_DEPTH:
            raise SchemaError("the schema requires itself without an end")
        required = schema.get("required", ())
        properties = {
            key: self.value(part, name=key, depth=depth + 1)
            for key, part in schema.get("properties", {}).items()
            if depth < MAX_DEPTH or key in required
        }
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict) and not properties and depth < MAX_DEPTH:
            for number in range(1, self._draw.randint(1, MAX_ITEMS) + 1):
                properties[f"key_{number}"] = self.value(extra, name="", depth=depth + 1)
        return properties

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        fixed = schema.get("prefixItems", [])
        values = [self.value(part, name=name, depth=depth + 1) for part in fixed]
        least = int(_bound(schema, "minItems", 0))
        most = _bound(schema, "maxItems", math.inf)
        items = schema.get("items", not fixed)
        wanted = self._lists.get(name)
        if wanted is not None and items is not False and depth == 1:
            return [*values, *self._wanted_items(items, wanted, name, least, most)]
        if items is False or depth >= MAX_DEPTH:
            length = least
        else:
            length = self._draw.randint(int(min(max(least, 1), most)), int(min(max(least, MAX_ITEMS), most)))
        values += [self.value(items, name=name, depth=depth + 1) for _ in range(length - len(values))]
        return values

    def _wanted_items(
        self, items: Any, wanted: int | Sequence[str], name: str, least: int, most: float
    ) -> Iterator[Any]:
        told: list[str | None] = [None] * wanted if isinstance(wanted, int) else list(wanted)
        told += [None] * (least - len(told))
        for self._told in told[: int(min(most, len(told)))]:
            yield self.value(items, name=name, depth=2)
        self._told = None

    def _string(self, schema: Schema, name: str, _depth: int) -> str:
        form = schema.get("format")
        if form in _FORMATS:
            return _FORMATS[form](self._draw)
        least = int(_bound(schema, "minLength", 0))
        most = _bound(schema, "maxLength", math.inf)
        text = self._verdict() if name.lower() in YES_OR_NO else self._text(name)
        while len(text) < least:
            text = f"{text} {self._draw.choice(self._sentences)}"
        return text if len(text) <= most else text[: int(most)]

    def _text(self, name: str) -> str:
        if self._told is not None and (name == "statement" or name in self._lists):
            return self._told
        if name == "statement":  # a judge does not judge the same statement twice
            unused = [sentence for sentence in self._sentences if sentence not in self._stated]
            self._stated.add(text := self._draw.choice(unused or self._sentences))
            return text
        return self._draw.choice(self._sentences)

    def _number(self, schema: Schema, name: str, depth: int) -> float:
        if "multipleOf" in schema:
            return self._multiple(schema, name, float(schema["multipleOf"]))
        if name.lower() == "score" and not (_has_bound(schema, "minimum") or _has_bound(schema, "maximum")):
            return float(self._integer(schema, name, depth))
        low, high = _range(schema, name)
        value = round(self._draw.uniform(low, high), 2)
        if not low <= value <= high or value in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
            value = (low + high) / 2
        return value

    def _integer(self, schema: Schema, name: str, _depth: int) -> int:
        return round(self._multiple(schema, name, float(schema.get("multipleOf", 1))))

    def _multiple(self, schema: Schema, name: str, step: float) -> float:
        low, high = _range(schema, name, integer=True)
        first, last = math.ceil(low / step), math.floor(high / step)
        if first * step == schema.get("exclusiveMinimum"):
            first += 1
        if last * step == schema.get("exclusiveMaximum"):
            last -= 1
        if first > last:
            raise SchemaError(f"no multiple of {step:g} lies between {low:g} and {high:g}")
        return self._draw.randint(first, last) * step


def _merged(left: Schema, right: Schema) -> Schema:
    merged = {**left, **right}
    for key in ("properties", "$defs"):
        if key in left and key in right:
            merged[key] = {**left[key], **right[key]}
    if "required" in left and "required" in right:
        merged["required"] = [*left["required"], *right["required"]]
    return merged


def _has_bound(schema: Schema, keyword: str) -> bool:
    return keyword in schema or keyword in _bounds_in_text(schema)


def _bound(schema: Schema, keyword: str, default: float) -> float:
    return float(schema[keyword]) if keyword in schema else _bounds_in_text(schema).get(keyword, default)


def _bounds_in_text(schema: Schema) -> dict[str, float]:
    description = schema.get("description")
    if not isinstance(description, str) or "{" not in description:
        return {}
    return {name: float(number) for name, number in _BOUND_IN_TEXT.findall(description[description.rindex("{") :])}


def _range(schema: Schema, name: str, *, integer: bool = False) -> tuple[float, float]:
    """Least and greatest value; where the schema gives one end, the other is 10 (integers) or 1 away."""
    width = 10.0 if integer else 1.0
    low = _bound(schema, "minimum", schema.get("exclusiveMinimum", math.nan))
    high = _bound(schema, "maximum", schema.get("exclusiveMaximum", math.nan))
    if math.isnan(low) and math.isnan(high):
        return SCORE_RANGE if name.lower() == "score" else (0.0, width)
    if math.isnan(low):
        low = min(0.0, high - width) if high < width else 0.0
    if math.isnan(high):
        high = low + width
    if low > high:
        raise SchemaError(f"no number lies between {low:g} and {high:g}")
    return low, high


def _moment(draw: Random) -> datetime.datetime:
    return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=draw.randrange(365 * 86_400))


_FORMATS: dict[str, Callable[[Random], str]] = {
    "date-time": lambda draw: _moment(draw).isoformat(),
    "date": lambda draw: _moment(draw).date().isoformat(),
    "time": lambda draw: _moment(draw).timetz().isoformat(),
    "duration": lambda draw: f"PT{draw.randint(1, 3600)}S",
    "email": lambda draw: f"reader{draw.randint(1, 999)}@example.com",
    "hostname": lambda draw: f"host{draw.randint(1, 999)}.example.com",
    "uri": lambda draw: f"https://example.com/{draw.randint(1, 999)}",
    "ipv4": lambda draw: f"192.0.2.{draw.randint(1, 254)}",
    "ipv6": lambda draw: f"2001:db8::{draw.randint(1, 9999):x}",
    "uuid": lambda draw: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
}
"""Addresses are those that the RFCs 2606, 5737 and 3849 keep for examples."""
