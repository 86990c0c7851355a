"""The names of a question's fields, ours and those of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.values import Place, shown
from pytest_ragcheck.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_ragcheck.dataset.values import Row

__all__ = ["CONTEXT_NAMES", "GOLD", "HUMAN", "IDENTITY_NAMES", "QUESTION", "field_of", "given_fields", "unknown_field"]

QUESTION = "question"
GOLD = "gold"
HUMAN = "human"

CONTEXT_NAMES = frozenset({"context", "reference_contexts"})
"""Names of ``gold`` under which every text is a quote: deepeval's and ragas'."""

_FIELD_OF = {
    "id": "id",
    "question": QUESTION,
    "reference": "reference",
    "gold": GOLD,
    "must_contain": "must_contain",
    "tags": "tags",
    "answerable": "answerable",
    "thresholds": "thresholds",
    HUMAN: HUMAN,
    "history": "history",
    "chat_history": "history",
    # deepeval goldens, and their names in JSON that deepeval sends by alias
    "input": QUESTION,
    "expected_output": "reference",
    "expectedOutput": "reference",
    "context": GOLD,
    # ragas rows
    "user_input": QUESTION,
    "reference_contexts": GOLD,
    # ragas before 0.2, and scripts written after it
    "ground_truth": "reference",
}

IDENTITY_NAMES = frozenset(name for name, field in _FIELD_OF.items() if field in {"id", QUESTION})
"""The names of the fields that a question's id is made from."""

_LEFT_ALONE = frozenset(
    {
        "metadata",
        # deepeval goldens
        *("actual_output", "retrieval_context", "additional_metadata", "comments", "tools_called", "expected_tools"),
        *("source_file", "name", "custom_column_key_values", "images_mapping", "multimodal"),
        *("token_cost", "input_token_count", "output_token_count", "expectations", "expected_labels"),
        *("tokenCost", "inputTokenCount", "outputTokenCount", "expectedLabels"),
        *("actualOutput", "retrievalContext", "additionalMetadata", "toolsCalled", "expectedTools"),
        *("sourceFile", "customColumnKeyValues", "imagesMapping"),
        # ragas rows
        *("response", "retrieved_contexts", "reference_context_ids", "retrieved_context_ids", "multi_responses"),
        *("rubrics", "persona_name", "query_style", "query_length", "synthesizer_name"),
    }
)

_MEANT = {
    "answer": "reference",
    "expected": "reference",
    "expected_answer": "reference",
    "reference_answer": "reference",
    "query": QUESTION,
    "prompt": QUESTION,
    "contexts": GOLD,
    "documents": GOLD,
    "sources": GOLD,
    "facts": "must_contain",
    "messages": "history",
    "conversation": "history",
}
"""Likely names that are spelled like none of ours, or like a wrong one."""

_CONVERSATION = frozenset({"scenario", "turns"})


def field_of(name: str) -> str | None:
    """Our field for a name in a file; None where the name is not known or its value is left alone."""
    return _FIELD_OF.get(name)


def unknown_field(name: str, *, what: str = "field") -> str | None:
    """What is wrong with a name, or None where it is known."""
    if name in _FIELD_OF or name in _LEFT_ALONE:
        return None
    if name in _CONVERSATION:
        return (
            f"the {what} {name!r} belongs to a conversation without a question; write what the user said last as "
            "'question' and what was said before as 'history'"
        )
    if meant := _MEANT.get(name):
        return f"unknown {what} {name!r}; did you mean {meant!r}?"
    near = did_you_mean(name, _FIELD_OF)
    return f"unknown {what} {shown(name)}{near} (data of your own goes under 'metadata')"


def given_fields(row: Row, place: Place, *, only: Iterable[str] | None = None) -> dict[str, tuple[str, Any]]:
    """Our fields that the row gives, each as the name it has there and its value; null is the same as absent.

    ``only`` leaves all other names unread.

    Raises:
        DatasetError: a name is not known, or two names of one field are given.

    """
    given: dict[str, tuple[str, Any]] = {}
    for name, value in row.fields.items():
        if only is not None and name not in only:
            continue
        field = _FIELD_OF.get(name)
        if field is None:
            if problem := unknown_field(name):
                raise place.error(problem)
        elif value is not None:
            if field in given:
                raise place.error(f"{given[field][0]!r} and {name!r} are the same field; keep one of them")
            given[field] = name, value
    return given
