"""Runs and results as plain JSON, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import lru_cache
from numbers import Integral, Number
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ragcheck.atomic_files import write_atomically
from pytest_ragcheck.errors import MeasurementError, RagcheckError
from pytest_ragcheck.model import Answer, Context, Result, Run, Score, Usage
from pytest_ragcheck.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydantic import ValidationError


__all__ = ["RunFileError", "dump", "load", "load_run", "normalised", "save_run", "whole_characters"]

T = TypeVar("T", Answer, Result, Run)
Returned = TypeVar("Returned", Answer, Score)


class RunFileError(RagcheckError):
    """A run file cannot be read; the text names the file and what is wrong."""


def dump(value: Answer | Result | Run) -> dict[str, Any]:
    """Builtin types only, fit for JSON and for xdist's channel."""
    plain: dict[str, Any] = _adapter(type(value).__name__).dump_python(value, mode="json", warnings="error")
    return plain


def load(kind: type[T], plain: Any) -> T:
    """The inverse of :func:`dump`; pydantic's ValidationError where the shape is wrong."""
    value: T = _adapter(kind.__name__).validate_python(plain)
    return value


def normalised(value: Returned, source: str) -> Returned:
    """What a user's code returned, as the builtin types that the model promises, so that it can be kept.

    Numbers of other libraries become ``float`` or ``int``, sequences tuples or lists, half characters (lone
    surrogates, which no encoding can write) U+FFFD. ``source`` names who returned it.

    Raises :class:`~pytest_ragcheck.errors.MeasurementError` (kind ``wrong-return``), which names the field, where
    a field holds something else.
    """
    if _is_sound(value):
        return value
    from pydantic import ValidationError

    kind: type[Returned] = Answer if isinstance(value, Answer) else Score
    try:
        made: Returned = _adapter(kind.__name__).validate_python(_plain_fields(value, kind, ""))
    except _NotPlainError as problem:
        raise MeasurementError(f"{source}: {kind.__name__}{problem}", kind="wrong-return") from None
    except ValidationError as problem:
        raise MeasurementError(f"{source}: {kind.__name__}{_first_error(problem)}", kind="wrong-return") from None
    return made


def whole_characters(text: str) -> str:
    """``text`` with U+FFFD for half characters."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_sound(value: Answer | Score) -> bool:
    """Whether there is nothing to normalise: the usual case, without importing pydantic for it."""
    if isinstance(value, Answer):
        return (
            _is_text(value.text)
            and type(value.contexts) is tuple
            and all(map(_is_sound_context, value.contexts))
            and type(value.refused) in {bool, NoneType}
            and (value.model is None or _is_text(value.model))
            and type(value.latency) in {float, NoneType}
            and type(value.cached) is bool
            and type(value.usage) in {Usage, NoneType}
            and not value.metadata
            and type(value.contexts_known) is bool
            and type(value.generated) is bool
        )
    return (
        _is_text(value.metric)
        and type(value.value) in {float, NoneType}
        and _is_text(value.reason)
        and value.error is None
        and type(value.details) is dict
        and _is_json(value.details)
    )


def _is_sound_context(context: Any) -> bool:
    return (
        type(context) is Context
        and _is_text(context.text)
        and type(context.rank) is int
        and type(context.score) in {float, NoneType}
        and all(entry is None or _is_text(entry) for entry in (context.source, context.chunk_id))
        and type(context.start) in {int, NoneType}
        and type(context.end) in {int, NoneType}
    )


def _is_json(value: Any) -> bool:
    if type(value) is dict:
        return all(_is_text(key) and _is_json(entry) for key, entry in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return type(value) in {bool, int, NoneType} or (type(value) is float and math.isfinite(value)) or _is_text(value)


def _is_text(value: Any) -> bool:
    """Whether it is a plain string of whole characters."""
    return type(value) is str and (value.isascii() or whole_characters(value) == value)


class _NotPlainError(ValueError):
    pass


def _plain(value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        return {whole_characters(str(key)): _plain(entry, f"{place}[{key!r}]") for key, entry in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [_plain(entry, f"{place}[{number}]") for number, entry in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain_fields(value, type(value), place)
    if callable(getattr(value, "tolist", None)):  # scalars and arrays of numpy and torch
        return _plain(value.tolist(), place)
    return _plain_scalar(value, place)


def _plain_fields(value: Any, kind: type[Any], place: str) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name), f"{place}.{field.name}") for field in fields(kind)}


def _plain_scalar(value: Any, place: str) -> str | float | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return whole_characters(str(value))
    try:
        if isinstance(value, Integral):
            return int(value)
        if isinstance(value, Number):
            return float(value)  # type: ignore[arg-type]  # complex has no float, and says so
    except (TypeError, ValueError, OverflowError):
        pass
    raise _NotPlainError(f"{place} must be a text, a number, or a list or mapping of such, got {type(value).__name__}")


def _first_error(problem: ValidationError) -> str:
    error = problem.errors(include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    expected = error["msg"].removeprefix("Input ").replace("should be", "must be")
    return f"{place} {expected}, got {type(error['input']).__name__}"


def save_run(run: Run, path: Path, *, findings: Mapping[str, Any] | None = None, shared: bool = False) -> None:
    """Write a run's JSON file in one step, a line for each result; ``shared`` as in ``write_atomically``.

    ``findings`` are further values of a report, which :func:`load_run` passes over. In ASCII, so that text which is no
    Unicode can stand in it too.
    """
    write_atomically(path, (part.encode("ascii") for part in _parts(run, findings or {})), shared=shared)


def _parts(run: Run, findings: Mapping[str, Any]) -> Iterator[str]:
    """The file in parts: that of a long run is larger than what should be in memory."""
    plain = {**_shallow(run), **findings}
    results = plain.pop("results")
    yield f'{_encoded(plain).removesuffix("}")}, "results": ['
    for number, result in enumerate(results):
        yield f"{',' if number else ''}\n{_encoded_result(result)}"
    yield "\n]}\n"


def _encoded_result(result: Result) -> str:
    try:
        return _encoded(_with_contexts_once(result) if result.trials or result.confirmations else result)
    except (TypeError, ValueError):  # something that JSON lacks, such as NaN
        return json.dumps(dump(result), allow_nan=False)


def _with_contexts_once(result: Result) -> dict[str, Any]:
    """The fields of a result whose trials leave out what it holds already.

    The question, and contexts that were written before: a number stands for them, counted from 0 over the different
    contexts of the result.
    """
    numbers: dict[str, int] = {}
    for context in result.answer.contexts if result.answer else ():
        numbers.setdefault(_encoded(context), len(numbers))
    repeated = {
        name: [_short_trial(trial, result, numbers) for trial in getattr(result, name)] for name in _REPETITIONS
    }
    return {**_shallow(result), **repeated}


def _short_trial(trial: Result, result: Result, numbers: dict[str, int]) -> dict[str, Any]:
    plain = _shallow(trial)
    if trial.question == result.question:
        del plain["question"]
    if trial.answer is not None:
        contexts: list[Context | int] = []
        for context in trial.answer.contexts:
            encoded = _encoded(context)
            contexts.append(numbers.get(encoded, context))
            numbers.setdefault(encoded, len(numbers))
        plain["answer"] = {**_shallow(trial.answer), "contexts": contexts}
    return plain


def _encoded(value: Any) -> str:
    return json.dumps(value, allow_nan=False, default=_shallow)


def _shallow(value: Any) -> dict[str, Any]:
    """What JSON's encoder, which knows only builtin types, sees of a dataclass or a mapping."""
    if isinstance(value, Mapping):
        return dict(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}


_REPETITIONS = ("trials", "confirmations")
_OLDEST_VERSION = 1
"""Its trials hold their questions and contexts whole."""
_RUNS = "runs are the files of .ragcheck/runs, and JSON reports"


def load_run(path: Path) -> Run:
    """Read a run's JSON file; RunFileError where it is missing, damaged or of another version."""
    try:
        plain = parse_json(path.read_bytes())
        _check_version(plain)
        for result in plain["results"] if isinstance(plain.get("results"), list) else ():
            _complete_trials(result)
        run = load(Run, {**plain, "schema_version": Run.schema_version})
        _check_scores(plain["results"])
        return run
    except OSError as problem:
        raise RunFileError(f"{path}: {problem.strerror}; {_RUNS}") from None
    except (ValueError, RecursionError) as problem:
        raise RunFileError(f"{path}: not a run of pytest-ragcheck ({_first_problem(problem)}); {_RUNS}") from None


def _check_version(plain: Any) -> None:
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if type(version) is not int or not _OLDEST_VERSION <= version <= Run.schema_version:
        raise ValueError(f"schema_version is {version!r}, this version reads {_OLDEST_VERSION} to {Run.schema_version}")


def _complete_trials(result: Any) -> None:
    """Give the trials of a result in JSON what :func:`_with_contexts_once` left out; other shapes stay as they are."""
    if not isinstance(result, dict):
        return
    numbered = list({json.dumps(context): context for context in _contexts_of(result)}.values())
    for name in _REPETITIONS:
        for trial in result[name] if isinstance(result.get(name), list) else ():
            if isinstance(trial, dict):
                trial.setdefault("question", result.get("question"))
                contexts = _contexts_of(trial)
                contexts[:] = [_numbered_context(context, numbered) for context in contexts]


def _contexts_of(result: dict[str, Any]) -> list[Any]:
    answer = result.get("answer")
    contexts = answer.get("contexts") if isinstance(answer, dict) else None
    return contexts if isinstance(contexts, list) else []


def _numbered_context(context: Any, numbered: list[Any]) -> Any:
    if type(context) is not int:
        numbered.append(context)
        return context
    if not 0 <= context < len(numbered):
        raise ValueError(f"a trial names the context {context}, but {len(numbered)} stand before it")
    return numbered[context]


def _check_scores(results: Iterable[Mapping[str, Any]]) -> None:
    """Values and thresholds are numbers from 0 to 1: pydantic takes ``true`` for 1, and no number is below NaN."""
    for result in results:
        for name, score in result.get("scores", {}).items():
            for field in ("value", "threshold"):
                number = score.get(field)
                if number is not None and not (type(number) in {int, float} and 0 <= number <= 1):
                    raise ValueError(f"{field} of {name} must be a number from 0 to 1, got {number!r}")
        _check_scores([*result.get("trials", ()), *result.get("confirmations", ())])


def _first_problem(problem: Exception) -> str:
    errors = getattr(problem, "errors", None)  # pydantic's
    if errors is None:
        return str(problem).partition("\n")[0]
    first = errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


@lru_cache(maxsize=8)
def _adapter(kind: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter({"Answer": Answer, "Result": Result, "Run": Run, "Score": Score}[kind])
