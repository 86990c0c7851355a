"""The earlier turns of a conversation, in the two ways in which they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.values import kind, shown, text
from pytest_ragcheck.errors import did_you_mean
from pytest_ragcheck.model import Turn

if TYPE_CHECKING:
    from pytest_ragcheck.dataset.values import Place

__all__ = ["read_history"]

USER, ASSISTANT = "user", "assistant"
_PAIR = frozenset({USER, ASSISTANT})
_MESSAGE = frozenset({"role", "content"})


def read_history(value: Any, place: Place, label: str) -> tuple[Turn, ...]:
    """Turns from a list of pairs (``user``, ``assistant``) or of messages (``role``, ``content``).

    Raises:
        DatasetError: an element is neither, or the turns are not user and assistant by turns, the assistant last.

    """
    if not isinstance(value, list):
        raise place.error(f"expected a list of earlier turns, got {kind(value)}", label)
    turns = [
        (f"{label} {position}", turn)
        for position, element in enumerate(value, start=1)
        for turn in _turns(element, place, f"{label} {position}")
    ]
    for number, (where, turn) in enumerate(turns):
        expected = (USER, ASSISTANT)[number % 2]
        if turn.role != expected:
            problem = f"the {expected} is next, but this is what the {turn.role} said"
            raise place.error(f"{problem}; user and assistant speak by turns, the user first", where)
    if turns and turns[-1][1].role == USER:
        raise place.error("the last turn is the user's; write it as 'question'", turns[-1][0])
    return tuple(turn for _, turn in turns)


def _turns(element: Any, place: Place, label: str) -> list[Turn]:
    if not isinstance(element, dict):
        raise place.error(f"expected 'user' and 'assistant', or 'role' and 'content', got {kind(element)}", label)
    if element.keys() == _PAIR:
        return [Turn(role=role, text=text(element[role], place, f"{label}, {role}")) for role in (USER, ASSISTANT)]
    if element.keys() != _MESSAGE:
        raise place.error(_wrong_keys(element), label)
    role = text(element["role"], place, f"{label}, role").lower()
    if role not in _PAIR:
        raise place.error(f"the role must be {USER!r} or {ASSISTANT!r}, got {shown(role)}", label)
    return [Turn(role=role, text=text(element["content"], place, f"{label}, content"))]


def _wrong_keys(element: dict[str, Any]) -> str:
    unknown = sorted(map(str, element.keys() - _PAIR - _MESSAGE))
    if unknown:
        return f"unknown key {shown(unknown[0])}{did_you_mean(unknown[0], _PAIR | _MESSAGE)}"
    return "a turn has 'user' and 'assistant', or 'role' and 'content', both of them and no more"
