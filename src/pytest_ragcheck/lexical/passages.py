"""Whether a context and a passage are the same place of the same document: by source, by offsets, by text."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pytest_ragcheck.lexical.folding import fold
from pytest_ragcheck.lexical.words import content_words

if TYPE_CHECKING:
    from pytest_ragcheck.model import Context, Passage

__all__ = ["is_end", "overlap", "path_parts", "same_source", "same_text"]

_LEAST_OVERLAP = 0.5
"""Share of the shorter of two spans that must be common for them to be the same place."""
_LEAST_WORDS = 5
"""Words from which a text is its own evidence; "see below" stands in many places."""


def same_source(context: Context, passage: Passage) -> bool | None:
    """Whether the one source is an end of the other's path; None where one of them has none."""
    if context.source is None or passage.source is None:
        return None
    parts = path_parts(context.source)
    return bool(parts) and is_end(parts, path_parts(passage.source))


def path_parts(source: str) -> tuple[str, ...]:
    """Return the parts of a path, written in any system's way."""
    return PurePosixPath(source.replace("\\", "/")).parts


def is_end(parts: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether one path ends in the other."""
    one, other = sorted((parts, others), key=len)
    return other[-len(one) :] == one


def overlap(start: int, end: int, other_start: int, other_end: int) -> bool:
    """Whether two spans of one document have at least half of the shorter one in common."""
    common = min(end, other_end) - max(start, other_start)
    return common > 0 and common >= _LEAST_OVERLAP * min(end - start, other_end - other_start)


def same_text(text: str, other: str) -> bool:
    """Whether, folded, both are equal, or the shorter one stands in the longer one and has five words or more."""
    shorter, longer = sorted((fold(text), fold(other)), key=len)
    if shorter == longer:
        return bool(shorter)
    # Content words count pairs of characters where a script has no spaces.
    return shorter in longer and max(len(shorter.split()), len(content_words(shorter))) >= _LEAST_WORDS
