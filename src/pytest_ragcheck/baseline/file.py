"""The baseline's file: JSON that is committed, so that a diff of it says what changed.

Sorted, a line for each question, in UTF-8. Characters that hide something or rewrite a screen stand as escapes.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.atomic_files import write_atomically
from pytest_ragcheck.baseline.entries import SCHEMA_VERSION, Baseline, Dataset, Entry, Setup
from pytest_ragcheck.baseline.migrations import MIGRATIONS
from pytest_ragcheck.baseline.update import updated
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.run_file import whole_characters
from pytest_ragcheck.strict_json import RepeatedKeyError, mapping_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Baseline", "BaselineError", "load_baseline", "save_baseline", "updated"]

REMEDY = "restore it from version control, or delete it and write it anew with --ragcheck-update-baseline"

_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?: |$)", re.MULTILINE)
_NO_NUMBER = re.compile(r"(?<=[:\[,\s])(?:NaN|-?Infinity)(?=[,\]}\s])")
_TWICE = 2
_HIDDEN = re.compile(
    "[\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb]|[\U000e0000-\U000e0fff]"
)


class BaselineError(ConfigurationError):
    """A baseline's file cannot be used; the text starts with the file, with its line where that is known."""

    def __init__(self, path: Path | str, problem: str, *, line: int | None = None, remedy: str = REMEDY) -> None:
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}; {remedy}")


# ---- Writing ---------------------------------------------------------------------------------


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Write the file in one step; equal baselines give equal bytes. BaselineError where it cannot be written."""
    content = "".join(_lines(baseline)).encode("utf-8")
    try:
        write_atomically(path.resolve(), content, shared=True)  # a link stays a link
    except OSError as problem:
        raise BaselineError(path, f"{problem.strerror}", remedy="nothing was written") from None


def _lines(baseline: Baseline) -> Iterator[str]:
    yield f'{{"schema_version": {SCHEMA_VERSION},\n"created": {_encoded(baseline.created)},\n"datasets": {{'
    yield from _separated(
        _dataset(name, dataset) for name, dataset in sorted(baseline.datasets.items(), key=lambda item: item[0])
    )
    yield "}}\n"


def _dataset(name: str, dataset: Dataset) -> str:
    questions = sorted(dataset.questions, key=lambda entry: entry.key)
    earlier = sorted(dataset.earlier_setups.items(), key=lambda item: item[0])
    return "".join(
        [
            f'{_encoded(name)}: {{"setup": {_setup(dataset.setup)},\n"earlier_setups": {{',
            *_separated(f"{_encoded(key)}: {_setup(setup)}" for key, setup in earlier),
            '},\n"questions": [',
            *_separated(map(_entry, questions)),
            "]}",
        ]
    )


def _setup(setup: Setup) -> str:
    parts = [f'\n  "{field.name}": {_encoded(_sorted(getattr(setup, field.name)))}' for field in fields(setup)]
    return f"{{{','.join(parts)}}}"


def _entry(entry: Entry) -> str:
    """What has its default is left out."""
    kept = {field.name: getattr(entry, field.name) for field in fields(entry)}
    defaults = Entry(id="", question="")
    plain = {name: value for name, value in kept.items() if name == "id" or value != getattr(defaults, name)}
    for name in ("scores", "thresholds"):
        if name in plain:
            plain[name] = _sorted(plain[name])
    return _encoded(plain)


def _sorted(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(mapping.items(), key=lambda item: item[0]))


def _separated(parts: Iterable[str]) -> Iterator[str]:
    """Each part on a line of its own."""
    for number, part in enumerate(parts):
        yield f"{',' if number else ''}\n{part}"


def _encoded(value: Any) -> str:
    text = whole_characters(json.dumps(value, ensure_ascii=False, allow_nan=False))
    return _HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


# ---- Reading ---------------------------------------------------------------------------------


def load_baseline(path: Path) -> Baseline:
    """Read the file, also one of an older version; BaselineError where it is missing, damaged or newer."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BaselineError(path, "it is not UTF-8") from None
    except OSError as problem:
        remedy = "write it with --ragcheck-update-baseline" if isinstance(problem, FileNotFoundError) else "name a file"
        raise BaselineError(path, f"{problem.strerror}", remedy=remedy) from None
    plain = _migrated(path, _parsed(path, text))
    return _checked(path, text, plain)


def _parsed(path: Path, text: str) -> Any:
    if not text.strip():
        raise BaselineError(path, "it is empty")
    if conflict := _CONFLICT.search(text):
        line = _line_at(text, conflict.start())
        remedy = "resolve it, or take either side and run with --ragcheck-update-baseline"
        raise BaselineError(path, f"unresolved merge conflict at line {line}", line=line, remedy=remedy)
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=mapping_of)
    except json.JSONDecodeError as problem:
        told = f"it is no JSON ({problem.msg}, column {problem.colno})"
        raise BaselineError(path, told, line=problem.lineno) from None
    except _NoNumberError as problem:
        found = _NO_NUMBER.search(text)
        where = None if found is None else _line_at(text, found.start())
        raise BaselineError(path, f"{problem} is no score", line=where) from None
    except RepeatedKeyError as problem:
        places = [found.start() for found in re.finditer(rf"{re.escape(_encoded(problem.key))}\s*:", text)]
        second = _line_at(text, places[1]) if len(places) == _TWICE else None
        raise BaselineError(path, f"{problem}; keep one of them", line=second) from None
    except (ValueError, RecursionError) as problem:
        raise BaselineError(path, f"it is no JSON ({problem})") from None


class _NoNumberError(Exception):
    pass


def _refuse(constant: str) -> Any:
    raise _NoNumberError(constant)


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _migrated(path: Path, plain: Any) -> dict[str, Any]:
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise BaselineError(path, "it is no baseline of pytest-ragcheck (no schema_version)")
    if "results" in plain:
        remedy = "to make a baseline of a run, run with --ragcheck-update-baseline"
        raise BaselineError(path, "it is a run, not a baseline", remedy=remedy)
    if version > SCHEMA_VERSION:
        known = f"schema version {version}, this one reads up to {SCHEMA_VERSION}"
        problem = f"it was written by a newer pytest-ragcheck ({known})"
        raise BaselineError(path, problem, remedy="python -m pip install --upgrade pytest-ragcheck")
    while version < SCHEMA_VERSION:
        migration: Callable[[dict[str, Any]], dict[str, Any]] | None = MIGRATIONS.get(version)
        if migration is None:
            raise BaselineError(path, f"schema version {version} is not known")
        try:
            plain = migration(plain)
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            told = f"it is no baseline of schema version {version} ({type(problem).__name__}: {problem})"
            raise BaselineError(path, told) from None
        version += 1
    return {**plain, "schema_version": SCHEMA_VERSION}


def _checked(path: Path, text: str, plain: dict[str, Any]) -> Baseline:
    from pydantic import ValidationError

    try:
        baseline: Baseline = _adapter().validate_json(json.dumps(plain), strict=True)
    except ValidationError as problem:
        error = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        place, name = _place(plain, error["loc"])
        raise BaselineError(path, f"{place}: {error['msg']}", line=_line_of(text, name)) from None
    for name, dataset in baseline.datasets.items():
        _check_dataset(path, text, name, dataset)
    return baseline


def _check_dataset(path: Path, text: str, name: str, dataset: Dataset) -> None:
    seen: set[tuple[str, str]] = set()
    for entry in dataset.questions:
        problem = _problem(entry, dataset)
        if entry.key in seen:
            problem = "it stands there twice; keep one of the lines"
        if problem is not None:
            line = _line_of(text, entry.id)
            raise BaselineError(path, f"{name}, question {entry.id!r}: {problem}", line=line)
        seen.add(entry.key)


def _problem(entry: Entry, dataset: Dataset) -> str | None:
    for metric, trials in entry.scores.items():
        for value in trials:
            if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
                return f"{metric} is {value!r}, not a number from 0 to 1"
        if len(trials) != len(entry.answers):
            return f"{metric} has {len(trials)} scores for {len(entry.answers)} answers"
    if entry.setup is not None and entry.setup not in dataset.earlier_setups:
        return f"its setup {entry.setup!r} is not among earlier_setups"
    return None


def _place(plain: Any, location: tuple[int | str, ...]) -> tuple[str, str | None]:
    """Where in the data, in words, and the id of the question that it is in."""
    match location:
        case ("datasets", str(dataset), "questions", int(number), *rest):
            found = plain["datasets"][dataset]["questions"][number]
            name = found.get("id") if isinstance(found, dict) else None
            which = f"question {name!r}" if isinstance(name, str) else f"question {number + 1}"
            parts = ", ".join([dataset, which, *([".".join(map(str, rest))] if rest else [])])
            return parts, name if isinstance(name, str) else None
    return ".".join(map(str, location)) or "baseline", None


def _line_of(text: str, name: str | None) -> int | None:
    """The line of a question's entry, where just one can be it."""
    if name is None:
        return None
    start = f'"id": {_encoded(name)}'
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if start in line]
    return lines[0] if len(lines) == 1 else None


@lru_cache(maxsize=1)
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Baseline)
