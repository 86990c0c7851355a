"""What a rehearsed model drafts where questions about a passage are asked for: one for each of its sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["drafted"]

_PASSAGE = re.compile(r"<(document-\w+)[^<>]{0,100}>\n(.*?)\n</\1>", re.DOTALL)
_COUNT = re.compile(r"\bWrite (\d{1,3}) questions?\b")
_FIELDS = {"question", "answer", "quote"}
_LEAST_WORDS = 5
_NAMED_WORDS = 6
_MARKS = ("#", "|")
"""What headings and rows of tables start with."""


def drafted(prompt: str, schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Questions, answers and quotes, if prompt and schema ask for them; fewer than wanted of a short passage."""
    items = schema.get("properties", {}).get("questions", {}).get("items", {})
    count, passage = _COUNT.search(prompt), _PASSAGE.search(prompt)
    if set(items.get("properties", {})) != _FIELDS or count is None or passage is None:
        return None
    sentences = [passage[2][start:end] for start, end in sentence_spans(passage[2])]
    told = [one for one in sentences if len(one.split()) >= _LEAST_WORDS and not one.startswith(_MARKS)]
    return {"questions": [_draft(sentence) for sentence in _spread(told, int(count[1]))]}


def _spread(sentences: Sequence[str], count: int) -> list[str]:
    step = max(len(sentences) // max(count, 1), 1)
    return list(sentences[::step][:count])


def _draft(sentence: str) -> dict[str, str]:
    start = " ".join(sentence.split()[:_NAMED_WORDS]).strip("#*- .,:;")
    return {"question": f'What is said about "{start}"?', "answer": sentence, "quote": sentence}
