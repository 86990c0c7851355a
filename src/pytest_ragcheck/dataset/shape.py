"""The outer shape that YAML and JSON question files share: a list, or a mapping that holds it."""

from __future__ import annotations

from typing import Any

from pytest_ragcheck.dataset.values import kind, shown
from pytest_ragcheck.errors import DatasetError, did_you_mean

__all__ = ["QUESTIONS_KEY", "check_file_key", "no_list_of_questions", "not_a_row"]

QUESTIONS_KEY = "questions"

_FILE_KEYS = frozenset({QUESTIONS_KEY, "description", "metadata", "name", "version"})
_OWN_PREFIX = "x-"


def check_file_key(name: str, line: int, key: str) -> None:
    """Refuse a key beside ``questions`` that could be meant to have an effect.

    Raises:
        DatasetError: the key is not known and does not start with ``x-``.

    """
    if key in _FILE_KEYS or key.startswith(_OWN_PREFIX):
        return
    near = did_you_mean(key, _FILE_KEYS)
    problem = (
        f"unknown key {shown(key)} beside the list of questions{near} (keys of your own start with '{_OWN_PREFIX}')"
    )
    raise DatasetError(name, line, problem)


def no_list_of_questions(name: str, line: int, value: Any) -> DatasetError:
    """The error for a file, or a key ``questions``, that holds something else."""
    got = f"got {kind(value)}" if not isinstance(value, dict) else "found no such list"
    return DatasetError(
        name, line, f"expected a list of questions, or a mapping with it under '{QUESTIONS_KEY}'; {got}"
    )


def not_a_row(name: str, line: int, value: Any) -> DatasetError:
    """The error for an element of the list of questions that is not a mapping."""
    return DatasetError(name, line, f"expected a mapping with the field 'question', got {kind(value)}")
