"""What a value of unknown kind is, and the texts in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_ragcheck.errors import MeasurementError

__all__ = ["field", "first_field", "is_sequence", "kind_of", "text_of", "wrong_return"]

_SHOWN_KEYS = 8
_TEXT_FIELDS = ("text", "content", "data", "response")
"""Where messages and answers of libraries have their text."""


def wrong_return(message: str) -> MeasurementError:
    """The error for something that a pipeline must not return."""
    return MeasurementError(message, kind="wrong-return")


def kind_of(value: Any) -> str:
    """A value's class, and of a mapping its keys, for a message of one line."""
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if not isinstance(value, Mapping):
        return name
    keys = [repr(str(key)[:40]) for key in list(value)[:_SHOWN_KEYS]]
    more = ", ..." if len(value) > _SHOWN_KEYS else ""
    return f"{name} with {'the keys ' + ', '.join(keys) + more if keys else 'no keys'}"


def is_sequence(value: Any) -> bool:
    """Whether it is a list or something like it: neither a text nor a mapping."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def field(value: Any, name: str) -> Any:
    """A mapping's entry, or an object's attribute that is no method; None where there is none."""
    if isinstance(value, Mapping):
        return value.get(name)
    if name.startswith("_") or isinstance(value, str | bytes | int | float | list | tuple):
        return None
    found = getattr(value, name, None)
    # LangChain's message.text is a text that can also be called.
    return None if callable(found) and not isinstance(found, str) else found


def first_field(value: Any, names: Iterable[str]) -> tuple[str, Any] | None:
    """The first of the names under which something is, with it."""
    for name in names:
        found = field(value, name)
        if found is not None:
            return name, found
    return None


def text_of(value: Any) -> str | None:
    """The text of a text, a message, a message's list of blocks, or an answer object; None where there is none."""
    if isinstance(value, str):
        return str(value)
    if is_sequence(value):
        parts = [text_of(part) for part in value if _is_text_block(part)]
        told = [part for part in parts if part is not None]
        return "".join(told) if told else None
    found = first_field(value, _TEXT_FIELDS)
    return None if found is None else text_of(found[1])


def _is_text_block(block: Any) -> bool:
    """Whether it is a text, or a block of a message that holds one: neither thinking nor a tool's call."""
    return isinstance(block, str) or field(block, "type") in {None, "text", "output_text"}
