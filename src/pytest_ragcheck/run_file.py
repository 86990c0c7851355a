"""Runs and results as plain JSON, and back."""

from __future__ import annotations

import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pytest_ragcheck.errors import RagcheckError
from pytest_ragcheck.model import Result, Run

__all__ = ["RunFileError", "dump", "load", "load_run", "save_run", "write_atomically"]

T = TypeVar("T", Result, Run)


class RunFileError(RagcheckError):
    """A run file cannot be read; the text names the file and what is wrong."""


def dump(value: Result | Run) -> dict[str, Any]:
    """Builtin types only, fit for JSON and for xdist's channel."""
    plain: dict[str, Any] = _adapter(type(value).__name__).dump_python(value, mode="json", warnings="error")
    return plain


def load(kind: type[T], plain: Any) -> T:
    """The inverse of :func:`dump`; pydantic's ValidationError where the shape is wrong."""
    value: T = _adapter(kind.__name__).validate_python(plain)
    return value


def save_run(run: Run, path: Path) -> None:
    """Write a run's JSON file in one step."""
    write_atomically(path, _adapter(Run.__name__).dump_json(run, indent=1, warnings="error") + b"\n")


def load_run(path: Path) -> Run:
    """Read a run's JSON file; RunFileError where it is missing, damaged or of another version."""
    try:
        return load(Run, json.loads(path.read_bytes()))
    except OSError as problem:
        raise RunFileError(f"{path}: {problem.strerror}") from None
    except ValueError as problem:
        first = str(problem).partition("\n")[0]
        raise RunFileError(f"{path}: not a run of pytest-ragcheck ({first})") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old or the new content, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@lru_cache(maxsize=4)
def _adapter(kind: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter({"Result": Result, "Run": Run}[kind])
