"""Function words that Korean, Arabic, Hebrew and French write together with the next word."""

from __future__ import annotations

import re

from pytest_ragcheck.lexical.folding import COMBINING

__all__ = ["continues_word", "without_affixes"]

_HANGUL = "\uac00-\ud7a3"
_PARTICLE = (
    "(?:은|는|이|가|을|를|에|에서|에게|에게서|께|께서|한테|으로|로|으로서|로서|으로써|로써|의|와|과|랑|이랑|도|만|까지|부터|"
    "보다|처럼|마다|밖에|조차|이나|나|이며|며|이고|고|이란|란|이라|라|이다|다|입니다|이에요|예요|이었다|였다)"
)
_PARTICLES = re.compile(rf"{_PARTICLE}{{1,3}}(?![{_HANGUL}])")
_KOREAN = re.compile(rf"[{_HANGUL}]{{3,}}\Z")
_ENDING = re.compile(
    r"(?:에서|에게|으로|까지|부터|보다|처럼|입니다|이에요|예요)?(?:은|는|이|가|을|를|에|의|와|과|도|만|로|이다)?\Z"
)
_SHORTEST_KOREAN = 2

_ARABIC = re.compile(r"[\u0620-\u064a\u066e-\u06d3]")
_ARABIC_PREFIX = re.compile(r"[وف]?(?:[بكل]?ال|لل|[بكلس])?\Z")
_ARTICLE = re.compile(r"[وف]?(?:[بك]?ال|لل)|و")
_HEBREW = re.compile(r"[\u05d0-\u05ea]")
_HEBREW_PREFIX = re.compile(r"[ושמהכלב]{1,3}\Z")
_SHORTEST_BASE = 3
_LONGEST_PREFIX = 4

_ELISION = re.compile(
    r"(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|d?all|[dns]ell|[dns]ull|un|quest)'(?=[^\W\d_]{2})", re.IGNORECASE
)


def without_affixes(word: str) -> str:
    """A word without what its language writes together with it: Korean particles, the Arabic article, French l'."""
    if word.isascii():
        return _ELISION.sub("", word, count=1) if "'" in word and _ELISION.match(word) else word
    if _KOREAN.match(word):
        end = _ENDING.search(word, _SHORTEST_KOREAN)
        return word[: end.start()] if end else word
    if _ARABIC.match(word):
        article = _ARTICLE.match(word)
        return word[article.end() :] if article and len(word) - article.end() >= _SHORTEST_BASE else word
    elided = _ELISION.match(word)
    return word[elided.end() :] if elided else word


def continues_word(text: str, start: int, end: int) -> bool:
    """Whether letters next to ``text[start:end]`` make another word of it, and are not such affixes."""
    return _continues_before(text, start, end) or _continues_after(text, end)


def _continues_before(text: str, start: int, end: int) -> bool:
    if not _is_of_any_word(text[start]) or not _is_of_a_word(text[max(0, start - 1) : start]):
        return False
    prefix = _ARABIC_PREFIX if _ARABIC.match(text[start]) else _HEBREW_PREFIX if _HEBREW.match(text[start]) else None
    if prefix is None or end - start < _SHORTEST_BASE:
        return True
    first = start
    while first > 0 and start - first <= _LONGEST_PREFIX and _is_of_a_word(text[first - 1]):
        first -= 1
    return prefix.match(text[first:start]) is None


def _continues_after(text: str, end: int) -> bool:
    last, after = text[end - 1], text[end : end + 1]
    if not _is_of_any_word(last) or not _is_of_a_word(after):
        return False
    if not "\uac00" <= after <= "\ud7a3":
        return True
    # Korean counts with a word right after the number: 25일.
    return not last.isdecimal() and not _PARTICLES.match(text, end)


def _is_of_any_word(character: str) -> bool:
    return character.isalnum() or character in _COMBINING


def _is_of_a_word(character: str) -> bool:
    """Whether it would go on with a word; not so next to the letters of scripts without spaces."""
    if character.isascii():
        return character.isalnum() or character == "_"
    return _is_of_any_word(character) and not any(first <= character <= last for first, last in _SPACELESS)


_COMBINING = frozenset(COMBINING)
# Thai to Burmese, Khmer, Japanese and Chinese letters stand next to each other without a word ending.
_SPACELESS = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3005", "\u9fff"),
    ("\uf900", "\ufaff"),
)
