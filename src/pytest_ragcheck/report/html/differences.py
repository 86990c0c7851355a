"""What changed between two texts, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Piece", "word_difference"]

Piece = tuple[str, str]
"""``=``, ``-`` (only in the earlier text) or ``+`` (only in the later one), and the piece of text."""

_WORD = re.compile(r"\S+\s*|\s+")
_FEW = 2
"""Words."""
_MOST_COMPARED = 1_000_000
"""Words of the one text times words of the other: beyond that, what lies between the common start and end changed."""


def word_difference(before: str, after: str) -> list[Piece]:
    """The pieces of both texts in their order; those that are in both as the later one writes them.

    The matching is that of :class:`difflib.SequenceMatcher` on words, white space left out of account.
    """
    old, new = _WORD.findall(before), _WORD.findall(after)
    start = _common_start(old, new)
    end = _common_start(old[start:][::-1], new[start:][::-1])
    middle = _middle(old[start : len(old) - end], new[start : len(new) - end])
    pieces = [("=", "".join(new[:start])), *middle, ("=", "".join(new[len(new) - end :]))]
    return [piece for piece in pieces if piece[1]]


def _common_start(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a.strip() != b.strip()), min(len(one), len(other)))


def _middle(old: Sequence[str], new: Sequence[str]) -> Iterator[Piece]:
    for changed, (old_first, old_last, new_first, new_last) in _stretches(old, new):
        if changed:
            yield "-", "".join(old[old_first:old_last])
        yield "+" if changed else "=", "".join(new[new_first:new_last])


_Stretch = tuple[int, int, int, int]
"""``[start, end)`` in the earlier and in the later words."""


def _stretches(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, _Stretch]]:
    """What changed and what did not, by turns.

    A word or two that happen to stand in both texts amid much that changed count as changed: they only confuse.
    """
    if len(old) * len(new) > _MOST_COMPARED:
        yield True, (0, len(old), 0, len(new))
        return
    matcher = SequenceMatcher(None, [word.strip() for word in old], [word.strip() for word in new], autojunk=False)
    operations = [(name != "equal", place) for name, *place in matcher.get_opcodes()]
    told = [
        (changed or _is_chance([place for _, place in operations[max(index - 1, 0) : index + 2]]), place)
        for index, (changed, place) in enumerate(operations)
    ]
    for changed, group in groupby(told, key=itemgetter(0)):
        places = [place for _, place in group]
        yield changed, (places[0][0], places[-1][1], places[0][2], places[-1][3])


def _is_chance(around: Sequence[Sequence[int]]) -> bool:
    """Of a stretch that did not change and its neighbours, whether it is a little one between two large ones."""
    if len(around) < len(("before", "itself", "after")):
        return False
    before, itself, after = (
        max(old_last - old_first, new_last - new_first) for old_first, old_last, new_first, new_last in around
    )
    return itself <= _FEW and min(before, after) > 2 * _FEW
