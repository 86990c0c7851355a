"""Earlier turns as systems take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ragcheck.model import Question

__all__ = ["HISTORY", "messages_of", "search_text"]

HISTORY = "history"
"""The parameter of a user's callable that gets the earlier turns."""


def messages_of(question: Question) -> list[dict[str, str]]:
    """The earlier turns as messages with ``role`` and ``content``, oldest first."""
    return [{"role": turn.role, "content": turn.text} for turn in question.history]


def search_text(question: Question) -> str:
    """What to search for: the question, after what the user asked before."""
    return "\n".join([*(turn.text for turn in question.history if turn.role == "user"), question.question])
