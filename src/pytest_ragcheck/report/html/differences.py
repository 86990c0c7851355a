"""What changed between two texts, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Piece", "word_difference"]

Piece = tuple[str, str]
"""``=``, ``-`` (only in the earlier text) or ``+`` (only in the later one), and the piece of text."""

_WORD = re.compile(r"\S+\s*|\s+")
_MOST_COMPARED = 1_000_000
"""Words of the one text times words of the other: beyond that, what lies between the common start and end changed."""


def word_difference(before: str, after: str) -> list[Piece]:
    """The pieces of both texts in their order; those that are in both as the later one writes them.

    The matching is that of :class:`difflib.SequenceMatcher` on words, white space left out of account.
    """
    old, new = _WORD.findall(before), _WORD.findall(after)
    old_words, new_words = [word.strip() for word in old], [word.strip() for word in new]
    start = _common_start(old_words, new_words)
    end = _common_start(old_words[start:][::-1], new_words[start:][::-1])
    old_stop, new_stop = len(old) - end, len(new) - end
    pieces = [("=", "".join(new[:start]))]
    if (old_stop - start) * (new_stop - start) > _MOST_COMPARED:
        pieces += [("-", "".join(old[start:old_stop])), ("+", "".join(new[start:new_stop]))]
    else:
        matcher = SequenceMatcher(None, old_words[start:old_stop], new_words[start:new_stop], autojunk=False)
        for operation, old_first, old_last, new_first, new_last in matcher.get_opcodes():
            added = "".join(new[start + new_first : start + new_last])
            if operation == "equal":
                pieces.append(("=", added))
            else:
                pieces += [("-", "".join(old[start + old_first : start + old_last])), ("+", added)]
    pieces.append(("=", "".join(new[new_stop:])))
    return [piece for piece in pieces if piece[1]]


def _common_start(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
