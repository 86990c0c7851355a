"""English words without their inflection."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["stem"]

_IRREGULAR = {
    form: base
    for base, forms in {
        "become": "became",
        "begin": "began begun",
        "bring": "brought",
        "build": "built",
        "buy": "bought",
        "child": "children",
        "choose": "chose chosen",
        "come": "came",
        "find": "found",
        "foot": "feet",
        "get": "got gotten",
        "give": "gave given",
        "go": "went gone",
        "grow": "grew grown",
        "hold": "held",
        "keep": "kept",
        "know": "knew known",
        "lead": "led",
        "leave": "left",
        "lose": "lost",
        "make": "made",
        "man": "men",
        "mean": "meant",
        "meet": "met",
        "pay": "paid",
        "run": "ran",
        "say": "said",
        "see": "saw seen",
        "sell": "sold",
        "send": "sent",
        "show": "shown",
        "speak": "spoke spoken",
        "spend": "spent",
        "take": "took taken",
        "teach": "taught",
        "tell": "told",
        "think": "thought",
        "tooth": "teeth",
        "understand": "understood",
        "win": "won",
        "woman": "women",
        "write": "wrote written",
    }.items()
    for form in forms.split()
}

_VOWELS = "aeiou"
_SHORTEST_TO_STEM = 4


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A lower-case word without its inflection (plural, -ed, -ing, silent -e, doubled letters).

    Steps 1 and 5 of M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980) 130-137: the
    inflections alone. Steps 2 to 4 take off derivations (-ment, -ness, -ive), which change the sense,
    and are left out. Common irregular forms go by a table. Words with letters outside ASCII stay as they are.
    """
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    if len(word) < _SHORTEST_TO_STEM or not word.isascii() or not word.isalpha():
        return word
    word = _without_plural(word)
    word = _without_past_and_participle(word)
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    return _without_silent_end(word)


def _without_plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) else word


def _without_past_and_participle(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        base = word.removesuffix(suffix)
        if base != word and _has_vowel(base):
            return _mended(base)
    return word


def _mended(base: str) -> str:
    """What Porter's step 1b puts back after taking off -ed or -ing."""
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if len(base) > 1 and base[-1] == base[-2] and base[-1] not in "aeioulsz":
        return base[:-1]
    return base + "e" if _measure(base) == 1 and _ends_short(base) else base


def _without_silent_end(word: str) -> str:
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _ends_short(word[:-1])):
            word = word[:-1]
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _vowels(word: str) -> Iterator[bool]:
    """Of each letter whether it is a vowel; y is one after a consonant."""
    is_vowel = True
    for letter in word:
        is_vowel = letter in _VOWELS or (letter == "y" and not is_vowel)
        yield is_vowel


def _has_vowel(word: str) -> bool:
    return any(_vowels(word))


def _measure(word: str) -> int:
    """Porter's m: how often a vowel is followed by a consonant."""
    return sum(left and not right for left, right in pairwise(_vowels(word)))


def _ends_short(word: str) -> bool:
    """Porter's *o: the word ends consonant, vowel, consonant, the last not w, x or y."""
    return [*_vowels(word)][-3:] == [False, True, False] and word[-1] not in "wxy"
