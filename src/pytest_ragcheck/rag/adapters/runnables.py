"""LangChain's Runnables: chains, retrievers, graphs. What goes in is told by their own input schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.rag.adapters.messages import messages_of

if TYPE_CHECKING:
    from pytest_ragcheck.model import Question

__all__ = ["Inputs", "is_runnable"]

QUESTION_KEYS = ("input", "question", "query", "user_input")
HISTORY_KEYS = ("chat_history", "history")
MESSAGES_KEY = "messages"


def is_runnable(candidate: Any) -> bool:
    """Whether it has what all Runnables have."""
    return all(callable(getattr(candidate, name, None)) for name in ("invoke", "ainvoke", "get_input_schema"))


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a Runnable takes: keys of a mapping, or with no key at all the plain text."""

    question: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    messages: bool = False

    @classmethod
    def of(cls, runnable: Any) -> Inputs:
        """As the input schema says; a Runnable that says nothing gets the text."""
        try:
            schema = runnable.get_input_schema().model_json_schema()
        except Exception:  # noqa: BLE001 (of what LangChain cannot describe nothing is known)
            return cls()
        if "$ref" in schema:  # LangGraph: the state is defined apart
            schema = schema.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], schema)
        if schema.get("type") != "object" and "properties" not in schema:
            return cls()
        names = schema.get("properties", {})
        question = tuple(key for key in QUESTION_KEYS if key in names)
        if not question and MESSAGES_KEY in names:
            return cls(messages=True)
        history = tuple(key for key in HISTORY_KEYS if key in names)
        return cls(question=question or QUESTION_KEYS[:3], history=history)

    @property
    def takes_history(self) -> bool:
        """Whether earlier turns have a place in it."""
        return bool(self.history) or self.messages

    def made(self, question: Question) -> Any:
        """The input for one question."""
        if self.messages:
            return {MESSAGES_KEY: [*messages_of(question), {"role": "user", "content": question.question}]}
        if not self.question:
            return question.question
        turns = {key: messages_of(question) for key in self.history}
        return turns | dict.fromkeys(self.question, question.question)
