"""What pytest calls the parameter that a fixture has for an item: it tells only the ids of all of them, joined."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["parameter_id"]


def parameter_id(item: pytest.Item, name: str, definition: Any) -> str:
    """The id of the item's parameter of the fixture ``name``, which ``definition`` defines."""
    callspec: Any = item.callspec  # type: ignore[attr-defined]
    index, value = callspec.indices[name], callspec.params[name]
    for mark in item.iter_markers("parametrize"):
        names = _names(mark.args[0] if mark.args else mark.kwargs.get("argnames", ()))
        if name in names:
            values = mark.args[1] if len(mark.args) > 1 else mark.kwargs.get("argvalues", ())
            shown = _given(index, values, mark.kwargs.get("ids"), value if len(names) == 1 else None)
            return shown or _of_value(value) or f"{name}{index}"
    shown = _given(index, getattr(definition, "params", None) or (), getattr(definition, "ids", None), value)
    return shown or _of_value(value) or f"{name}{index}"


def _names(said: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in said.split(",")] if isinstance(said, str) else list(said)


def _given(index: int, values: Any, ids: Sequence[object] | Callable[[Any], object] | None, value: Any) -> str | None:
    """The id that was written: at the value (``pytest.param``), or in ``ids``."""
    own = getattr(values[index], "id", None) if isinstance(values, Sequence) and index < len(values) else None
    if isinstance(own, str):
        return own
    if callable(ids):
        return _of_value(ids(value))
    return _of_value(ids[index]) if ids is not None and index < len(ids) else None


def _of_value(value: object) -> str | None:
    match value:
        case None:
            return None
        case str():
            return value
        case bool() | int() | float() | complex() | enum.Enum():
            return str(value)
        case bytes():
            return value.decode("ascii", "backslashreplace")
        case re.Pattern():
            return str(value.pattern)
        case _:
            own = getattr(value, "__name__", None)
            return own if isinstance(own, str) else None
