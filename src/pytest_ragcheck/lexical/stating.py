"""Whether a text states a fact in given words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_ragcheck.lexical import numbers
from pytest_ragcheck.lexical.affixes import continues_word
from pytest_ragcheck.lexical.folding import fold, unescaped, without_marks
from pytest_ragcheck.lexical.sized_cache import SizedCache

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["states"]

_NUMBER = re.compile(numbers.NUMBER)
_MINUS = "\u2212"


def states(text: str, spelling: str) -> bool:
    """Whether ``spelling`` stands in ``text``, folded, on word borders, with or without the marks of Markdown.

    Numbers are compared by their digits and signs, whatever marks group them: 5 is not found within 5'000 or -5, and
    1,000 is found in 1000. Korean particles and the prefixes of Arabic and Hebrew may stand next to a word.
    """
    bare = without_marks(unescaped(spelling))
    if not any(_forms(spelling)):  # nothing but marks of footnotes
        return bool(fold(spelling)) and fold(spelling) in fold(text)
    if _is_stated(_bare_forms(text), _forms(bare)):
        return True
    return bare != spelling and _is_stated(_forms(text), _forms(spelling))


def _is_stated(texts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return any(_stands_in(text, form) for text in texts for form in wanted)


def _make_forms(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_with_plain_numbers(text, numbers.style_of(text))))


_CACHED = 2_000_000
"""Characters of texts whose forms are held."""
_forms = SizedCache(_make_forms, _CACHED)
"""A text as it is compared, in both readings of ambiguous numbers."""
_bare_forms = SizedCache(lambda text: _make_forms(without_marks(unescaped(text))), _CACHED)


def _with_plain_numbers(text: str, style: numbers.Style) -> Iterator[str]:
    text = numbers.numbered(text)
    for joined in (True, False):

        def plain(match: re.Match[str]) -> str:
            sign = _MINUS if numbers.is_negative(text, match.start(), style) else ""
            read = numbers.read(match[0], style, joined=joined)  # noqa: B023 (called before the next one)
            return sign + (read[0] if len(read) == 1 else match[0])

        yield " ".join(_NUMBER.sub(plain, text).casefold().split())


def _stands_in(said: str, wanted: str) -> bool:
    start = said.find(wanted) if wanted else -1
    while start >= 0:
        if _stands_alone(said, start, start + len(wanted)):
            return True
        start = said.find(wanted, start + 1)
    return False


# Compared by hand: to compile a pattern with these borders for each spelling takes milliseconds.
def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether neither a word nor a number goes on beyond the borders."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if text[start].isdecimal() and (before[-1:] == _MINUS or (before[-1:] == "." and before[:-1].isdecimal())):
        return False
    if text[end - 1].isdecimal() and after[:1] == "." and after[1:].isdecimal():
        return False
    return not continues_word(text, start, end)
