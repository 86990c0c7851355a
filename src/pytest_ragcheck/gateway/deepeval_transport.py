"""Transport over a judge model that the user made, a ``DeepEvalBaseLLM``."""

from __future__ import annotations

import inspect
import json
import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.gateway.anthropic_transport import Secrets
from pytest_ragcheck.gateway.transport import Response, TransportError
from pytest_ragcheck.store import digest
from pytest_ragcheck.timeouts import attempt_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DeepEvalTransport", "fingerprint"]

JSON = {"content-type": "application/json"}
CHARACTERS_PER_TOKEN = 4.0
"""For models that do not tell their tokens: a guess, for the accounts."""
DEEPEST = 8
"""Settings are no deeper; what is, may hold itself."""
_SECRET = re.compile(r"key(?!word)|token(?!s)|secret|password|credential|authorization", re.IGNORECASE)
_TRANSIENT = re.compile(r"timeout|timedout|connect|unavailable|overloaded|ratelimit|throttl", re.IGNORECASE)
"""In the name of an exception's class: trouble of the moment, where no status tells."""
_LONGEST_CAUSE = 300
_BEYOND_HTTP = 600


def fingerprint(model: Any) -> str:
    """A digest of all that is known to change what a model replies: its class, its name, and its plain settings.

    Attributes that look like keys or tokens are left out, as are private ones and objects.
    """
    kind = type(model)
    told = json.dumps(_settings(getattr(model, "__dict__", {})), sort_keys=True)
    return digest(f"{kind.__module__}.{kind.__qualname__}", str(model.get_model_name()), told).hex()[:32]


def _settings(value: Any, depth: int = 0) -> Any:
    """The value as plain JSON, without what is secret or no setting."""
    if isinstance(value, dict) and depth < DEEPEST:
        names = [name for name in value if isinstance(name, str) and not name.startswith("_")]
        return {name: _settings(value[name], depth + 1) for name in names if not _SECRET.search(name)}
    if isinstance(value, list | tuple) and depth < DEEPEST:
        return [_settings(one, depth + 1) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else "an object"


class DeepEvalTransport:
    """Awaits the model's ``a_generate``.

    What it takes and gives is deepeval's custom: ``a_generate(prompt, schema=Class)`` gives an instance of the class,
    JSON text, or either with its cost. A model without the parameter ``schema`` is told what JSON is wanted in the
    prompt. Errors with a status, or that are named for time-outs and connections, are left to the gateway's retries.
    """

    def __init__(self, model: Any) -> None:
        self.endpoint = f"model:{fingerprint(model)}"
        """In the place of an address, to tell the replies of one model from those of another."""
        self._model = model
        self._takes_schema = _takes_schema(model.a_generate)
        self._schemas: dict[str, Any] = {}
        names = (name for name in os.environ if _SECRET.search(name))
        self._secrets = Secrets(os.environ[name] for name in names)

    async def open(self) -> None:
        """Nothing: the model is there."""

    def schema_of(self, kind: Any) -> Mapping[str, Any]:
        """The JSON schema of a pydantic class, which is remembered: the model wants the class itself."""
        schema: dict[str, Any] = kind.model_json_schema()
        self._schemas[_as_key(schema)] = kind
        return schema

    async def send(self, body: Mapping[str, Any], *, seconds: float) -> Response:
        """See :class:`~pytest_ragcheck.gateway.transport.Transport`."""
        prompt, schema = body["messages"][0]["content"], _schema_in(body)
        try:
            async with attempt_timeout(seconds) as time:
                said = await self._ask(prompt, schema)
        except MeasurementError:
            raise
        except Exception as error:  # noqa: BLE001 (each provider has errors of its own)
            if isinstance(error, TimeoutError) and time.expired():
                raise TransportError(f"no answer within {seconds:g} s", timed_out=True) from None
            return self._reply_of(error)
        return self._message(prompt, said)

    async def close(self) -> None:
        """Nothing: the model stays the user's."""

    async def _ask(self, prompt: str, schema: Mapping[str, Any] | None) -> Any:
        if schema is None:
            return await self._model.a_generate(prompt)
        kind = self._schemas.get(_as_key(schema))
        if kind is not None and self._takes_schema:
            return await self._model.a_generate(prompt, schema=kind)
        if kind is not None:  # deepeval's prompts say which JSON they want
            return await self._model.a_generate(prompt)
        wanted = f"{prompt}\n\nReply with JSON alone, as this JSON schema describes it:\n{json.dumps(schema)}"
        return await self._model.a_generate(wanted)

    def _message(self, prompt: str, said: Any) -> Response:
        """What was said as a message of the Messages API, which is what the gateway keeps."""
        cost = None
        if isinstance(said, tuple) and len(said) == 2:  # noqa: PLR2004 (what was said, and its cost)
            said, cost = said
        text = _text(said)
        tokens = {
            "input_tokens": _tokens(cost, "input_tokens", prompt),
            "output_tokens": _tokens(cost, "output_tokens", text),
        }
        message = {
            "type": "message",
            "model": str(self._model.get_model_name()),
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": tokens,
        }
        return Response(status=HTTPStatus.OK.value, headers=JSON, body=json.dumps(message).encode())

    def _reply_of(self, error: Exception) -> Response:
        """The server's own answer where the error has one; else trouble of the moment, or an error for good."""
        cause = _cause(error)
        message = self._secrets.scrub(" ".join(str(cause).split()))[:_LONGEST_CAUSE]
        told = f"{type(cause).__name__}: {message}"
        status = _status(cause)
        if status is not None and status not in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}:
            body = {"error": {"type": type(cause).__name__, "message": message}}
            return Response(status=status, headers=JSON | _retry_headers(cause), body=json.dumps(body).encode())
        if status is None and (isinstance(cause, OSError) or _TRANSIENT.search(type(cause).__name__)):
            raise TransportError(told, timed_out=isinstance(cause, TimeoutError))
        raise MeasurementError(f"{self._model.get_model_name()}: {told}", kind="judging", status=status) from error


def _takes_schema(function: Any) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(one.name == "schema" or one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)


def _schema_in(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    schema: Mapping[str, Any] | None = body.get("output_config", {}).get("format", {}).get("schema")
    return schema


def _as_key(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    if hasattr(said, "model_dump_json"):
        return str(said.model_dump_json())
    if isinstance(said, dict | list):
        return json.dumps(said)
    raise MeasurementError(f"the judge gave {type(said).__name__}, not text", kind="invalid-reply")


def _tokens(cost: Any, name: str, text: str) -> int:
    told = getattr(cost, name, None)
    return told if isinstance(told, int) and told >= 0 else round(len(text) / CHARACTERS_PER_TOKEN)


def _cause(error: BaseException) -> BaseException:
    """What failed, where tenacity (which deepeval's own models retry with) has put an error of its own around it."""
    attempt = getattr(error, "last_attempt", None)
    inner = None if attempt is None else attempt.exception()
    return error if inner is None else _cause(inner)


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for holder, name in ((error, "status_code"), (response, "status_code"), (error, "code"), (error, "http_status")):
        status = getattr(holder, name, None)
        if isinstance(status, int) and HTTPStatus.MULTIPLE_CHOICES <= status < _BEYOND_HTTP:
            return status
    return None


def _retry_headers(error: BaseException) -> dict[str, str]:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    told = {str(name).lower(): str(value) for name, value in dict(headers).items()}
    return {name: told[name] for name in ("retry-after", "retry-after-ms") if name in told}
