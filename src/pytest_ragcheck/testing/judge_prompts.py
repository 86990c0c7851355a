"""What a judge's prompt puts before it: the texts to take apart, and how many verdicts it asks for.

deepeval's prompts end with their material, each part under a label on a line of its own, and lists as Python writes
them. What is found here only makes a rehearsal lifelike; a prompt of another kind gives nothing.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Task", "task_of"]

MOST_ITEMS = 20
"""Taken out of one text."""
LONGEST_ITEM = 200
"""Characters."""
_END_OF_INSTRUCTIONS = re.compile(r"^(?:\*\*|=====.*)\s*$", re.MULTILINE)
_LABEL = re.compile(r"^([A-Z][A-Za-z ]{0,40}?)\s*(?:\(\d+ \w+\))?:[ \t]*$", re.MULTILINE)
_REPLY = "JSON"
"""What the labels of the reply, and of an example of it, end with."""
_TOLD_COUNT = re.compile(r"\bequal to (\d{1,4})\b", re.IGNORECASE)
_OF_SENTENCES = re.compile(r"number of sentences in `expected output`", re.IGNORECASE)
_EXPECTED = "expected output"
_LIST = re.compile(r"""\[['"].*\](?=\s*$)""")
_LONGEST_LIST = 200_000


@dataclass(frozen=True, slots=True)
class Task:
    """What is wanted of the lists in a judge's reply."""

    texts: tuple[str, ...] = ()
    """What there is to take apart: one item each."""
    verdicts: int | None = None
    """None: as many as there are texts."""
    material: str = ""
    """All that is put before the judge, without the instructions."""

    def lengths(self, schema: Mapping[str, Any]) -> dict[str, int | Sequence[str]]:
        """For each list of the reply its length, or the texts that it goes through."""
        wanted: dict[str, int | Sequence[str]] = {}
        for name, part in schema.get("properties", {}).items():
            if not isinstance(part, dict) or part.get("type") != "array":
                continue
            if name in {"verdicts", "answers"} and self.verdicts is not None:
                wanted[name] = self.verdicts
            elif self.texts:
                wanted[name] = self.texts
        return wanted


def task_of(prompt: str) -> Task:
    """What the prompt asks for; an empty task where it is not known."""
    sections = _sections(prompt)
    texts = [text for label, text in sections if not label.endswith(_REPLY)]
    last = texts[-1] if texts else ""
    lists = [found for text in texts or [prompt] for found in _lists(text)]
    if told := _TOLD_COUNT.search(prompt):
        verdicts: int | None = int(told[1])
    elif _OF_SENTENCES.search(prompt):
        verdicts = len(_split(next((text for label, text in sections if label.lower() == _EXPECTED), "")))
    else:
        verdicts = len(lists[-1]) if lists else None
    items = [] if _lists(last) else [text[:LONGEST_ITEM] for text in _split(last)[:MOST_ITEMS]]
    return Task(texts=tuple(items), verdicts=verdicts, material="\n".join(texts))


def _sections(prompt: str) -> list[tuple[str, str]]:
    """Label and text of each part after the instructions."""
    ends = [found.end() for found in _END_OF_INSTRUCTIONS.finditer(prompt)]
    if not ends:
        return []
    material = prompt[ends[-1] :]
    labels = list(_LABEL.finditer(material))
    starts = [label.start() for label in labels[1:]] + [len(material)]
    return [(label[1], material[label.end() : end].strip()) for label, end in zip(labels, starts, strict=True)]


def _lists(text: str) -> list[list[str]]:
    """The lists of texts in it that are not those of an example."""
    found = (_LIST.search(line) for line in text.split("\n") if not line.startswith("Example"))
    lists = (_as_list(match[0]) for match in found if match)
    return [one for one in lists if one]


def _as_list(text: str) -> list[str]:
    if len(text) > _LONGEST_LIST:
        return []
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else []


def _split(text: str) -> list[str]:
    return [text[start:end].strip() for start, end in sentence_spans(text)]
