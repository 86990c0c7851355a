"""The judge: a model behind the gateway that answers in the form it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.call_context import scope_of_calls_before
from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.gateway.requests import ModelRequest
from pytest_ragcheck.metrics.judged.library import Library, check_installed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ragcheck.gateway.requests import Completer, ModelReply

__all__ = ["Judge", "deepeval_model"]

MORE_ROOM = 4
"""How many times the tokens a reply gets that was cut off."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Asks the judge model. What it replies is as it was asked for, or an error: nothing is guessed.

    Metrics of users get one as their parameter ``judge``.
    """

    gateway: Completer
    model: str
    max_tokens: int = 4096
    parameters: Mapping[str, Any] = field(default_factory=dict)
    purpose: str = "judging"
    """For the accounts: the metric's name."""
    schema_of: Callable[[Any], Mapping[str, Any]] | None = None
    """From a pydantic class to the JSON schema that is asked for; None: as the Messages API takes it."""

    async def ask(self, prompt: str, *, schema: Any = None) -> Any:
        """The reply: text, or with ``schema`` what it describes.

        ``schema`` is a pydantic model class (the reply is an instance) or a JSON schema (the reply is plain JSON).
        A reply that is cut off is asked for once more with more room.
        Raises :class:`~pytest_ragcheck.errors.MeasurementError` where no whole reply of that form can be had, and what
        :meth:`~pytest_ragcheck.gateway.Gateway.complete` raises.
        """
        reply = await self._whole(self.request(prompt, schema=schema))
        return reply.text if schema is None else _shaped(reply, schema)

    def request(self, prompt: str, *, schema: Any = None) -> ModelRequest:
        """The call that :meth:`ask` makes."""
        return ModelRequest(
            model=self.model,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=self.max_tokens,
            parameters=self.parameters,
            schema=self._json_schema(schema),
            check=None if schema is None else partial(_read, schema),
            purpose=self.purpose,
        )

    async def for_deepeval(self) -> Any:
        """The judge as a ``DeepEvalBaseLLM``, for any metric of deepeval's: ``AnyMetric(model=...)``.

        Make a metric object for each question, and await its ``a_measure(test_case, _show_indicator=False)``.
        """
        check_installed()
        await Library().ready()
        return deepeval_model(self)

    def _json_schema(self, schema: Any) -> Mapping[str, Any] | None:
        if schema is None or isinstance(schema, Mapping):
            return schema
        return (self.schema_of or _schema_of)(schema)

    async def _whole(self, request: ModelRequest) -> ModelReply:
        try:
            return await self.gateway.complete(request)
        except MeasurementError as problem:
            if problem.details.get("stop_reason") != "max_tokens":
                raise
        return await self.gateway.complete(replace(request, max_tokens=MORE_ROOM * request.max_tokens))


@lru_cache(maxsize=256)
def _schema_of(model: Any) -> Mapping[str, Any]:
    """A pydantic model's schema in the part of JSON Schema that the Messages API takes."""
    from anthropic import transform_schema

    return transform_schema(model)


def _read(schema: Any, text: str) -> Any:
    """What a reply says, as the schema has it; ValueError where it says something else."""
    if not isinstance(schema, Mapping):
        return schema.model_validate_json(text)
    value = json.loads(text)
    _check(value, schema, "the reply")
    return value


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def _check(value: Any, schema: Mapping[str, Any], place: str) -> None:
    """The part of JSON Schema that says which fields there are, and what they hold."""
    kinds = schema.get("type", [])
    known = [_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind in _TYPES]
    is_flag = isinstance(value, bool)
    if known and not any(isinstance(value, kind) and is_flag == (kind == (bool,)) for kind in known):
        raise ValueError(f"{place} must be of type {kinds}, got {type(value).__name__}")
    if "enum" in schema and value not in schema["enum"]:
        raise ValueError(f"{place} must be one of {schema['enum']}")
    if isinstance(value, dict):
        missing = [name for name in schema.get("required", []) if name not in value]
        if missing:
            raise ValueError(f"{place} lacks {missing[0]!r}")
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                _check(value[name], inner, f"{place}.{name}")
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for number, entry in enumerate(value):
            _check(entry, schema["items"], f"{place}[{number}]")


def _shaped(reply: ModelReply, schema: Any) -> Any:
    try:
        return _read(schema, reply.text)
    except ValueError as problem:  # pydantic's ValidationError is one
        told = str(problem).partition("\n")[0]
        raise MeasurementError(
            f"{reply.model}: the judge's reply does not follow the schema that was asked for: {told}",
            kind="invalid-reply",
            stop_reason=reply.stop_reason,
            request_id=reply.request_id,
        ) from None


def deepeval_model(judge: Judge, *, calls_in_a_row: int = 1) -> Any:
    """The judge as deepeval's metrics take it, for one measurement; deepeval must have been imported.

    ``calls_in_a_row``: how many of the measurement's calls wait for one another. Those that more calls wait for go
    first.
    """
    return _model_class()(judge, calls_in_a_row)


@lru_cache(maxsize=1)
def _model_class() -> Any:
    from deepeval.models import DeepEvalBaseLLM

    class GatewayJudge(DeepEvalBaseLLM):  # type: ignore[misc]  # deepeval has no types
        """deepeval's view of a :class:`Judge`."""

        def __init__(self, judge: Judge, calls_in_a_row: int) -> None:
            self._judge = judge
            self._calls_in_a_row = calls_in_a_row
            self._answered = 0
            super().__init__(judge.model)

        def load_model(self) -> Any:
            """Nothing to load: calls go through the gateway."""
            return self

        def get_model_name(self) -> str:
            """The model's name, as the API knows it."""
            return self._judge.model

        def generate(self, *_: Any, **__: Any) -> Any:
            """Never: a call that blocks would hold up every other question."""
            raise MeasurementError("the judge is asked by a_measure only", kind="judging")

        async def a_generate(self, prompt: str, schema: Any = None) -> Any:
            """The reply, as an instance of ``schema`` where there is one."""
            after = max(0, self._calls_in_a_row - 1 - self._answered)
            try:
                with scope_of_calls_before(after):
                    reply = await self._judge.ask(prompt, schema=schema)
            except TypeError as problem:
                # deepeval takes a TypeError for a model that knows no schemas, and asks again without one.
                raise MeasurementError(f"the judge could not be asked: {problem}", kind="judging") from problem
            self._answered += 1
            return reply

    return GatewayJudge
