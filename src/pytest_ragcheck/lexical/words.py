"""Content words, numbers and names of a text in a form that can be compared."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from pytest_ragcheck.lexical.stemming import stem

__all__ = ["Word", "WordKind", "content_keys", "content_words", "fold", "normalized"]


class WordKind(StrEnum):
    """What a content word is."""

    WORD = "word"
    NUMBER = "number"
    NAME = "name"
    """Written large inside a sentence, or holding a second capital or a digit."""


class Word(NamedTuple):
    """A content word: as written, and the form in which it is compared."""

    text: str
    key: str
    kind: WordKind


def normalized(text: str) -> str:
    """``text`` in Unicode form NFKC with ASCII apostrophes, quotation marks and hyphens."""
    return unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)


def fold(text: str) -> str:
    """``text`` as it is compared literally: normalised, case folded, white space runs as one space."""
    return " ".join(normalized(text).casefold().split())


def content_keys(text: str) -> frozenset[str]:
    """The keys of the content words of ``text``."""
    return frozenset(word.key for word in content_words(text))


@lru_cache(maxsize=2048)
def content_words(text: str) -> tuple[Word, ...]:
    """The content words of ``text`` in order: words that are no function words, numbers, symbols of units.

    Keys are case folded and stripped of inflection (:func:`stem`); numbers have one form
    (``1,000`` = ``1000`` = ``one thousand``, ``2.50`` = ``2.5``); ``%`` is ``percent``, ``$`` is ``dollar``.
    """
    tokens = _tokens(normalized(text))
    words: list[Word] = []
    index = 0
    while index < len(tokens):
        number, used = _number_at(tokens, index)
        words.extend(_words_of(tokens, index) if number is None else (number,))
        index += used
    return tuple(words)


# ---- Words -----------------------------------------------------------------------------------

_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("‘’‛ʼ′`´", "'"),
        **dict.fromkeys("“”„«»″", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "\u00ad": None,
        "\u200b": None,
        "\ufeff": None,
    }
)

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_TOKEN = re.compile(
    rf"""
      (?P<number>\d{{1,3}}(?:,\d{{3}})+(?![\d])(?:\.\d+)?|\d+(?:\.\d+)*)
    | (?P<spaceless>[{_SPACELESS}]+)
    | (?P<word>(?:[A-Za-z]++|(?![{_SPACELESS}])[^\W\d_])(?:[A-Za-z0-9]++|(?![{_SPACELESS}])[^\W_]|'(?=[^\W\d_]))*+)
    | (?P<symbol>[%$€£¥])
    """,
    re.VERBOSE,
)
_CONTRACTION = re.compile(r"(?:n't|'(?:s|re|ll|ve|d|m)|')+\Z")
_SENTENCE_START = re.compile(r"""(?:\A|[.!?:;|#>*\n]|^\s*-)[\s"'(\[*_>#|]*\Z""", re.MULTILINE)
_LOOK_BEHIND = 12
"""Characters before a word in which the end of the sentence before it is looked for."""


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SYMBOLS = {"%": "percent", "$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_SUFFIXES_OF_NUMBERS = frozenset({"st", "nd", "rd", "th", "s"})
_UNITS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
_TEENS = {
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
_TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_NUMBER_WORDS = _UNITS | _TEENS | _TENS
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}

_FUNCTION_WORDS = _word_set(
    """a an the this that these those i me my mine myself we us our ours ourselves you your yours yourself yourselves
    he him his himself she her hers herself it its itself they them their theirs themselves one's who whom whose which
    what when where why how whoever whatever whichever whenever wherever however
    am is are was were be been being do does did doing done have has had having will would shall should can could may
    might must ought ca wo sha cannot
    and or but nor so yet if then else than as because since although though while whereas unless until whether
    of in on at by for with without within about against between into through during before after above below to from
    up down out off over under again further upon among amongst per via onto toward towards across along around
    behind beside besides beyond despite except like near
    no not none neither either both each every any some all such only own same other others another more most less
    least few many much very too also just even still already ever never rather quite here there now
    s t d m ll re ve etc eg ie yes ok please"""
)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int
    opens_sentence: bool


def _tokens(text: str) -> list[_Token]:
    return [
        _Token(
            match.lastgroup or "",
            written := match[0],
            start := match.start(),
            match.end(),
            written[0].isupper() and _opens_sentence(text, start),
        )
        for match in _TOKEN.finditer(text)
    ]


def _opens_sentence(text: str, start: int) -> bool:
    return _SENTENCE_START.search(text[max(0, start - _LOOK_BEHIND) : start]) is not None


def _number_at(tokens: list[_Token], index: int) -> tuple[Word | None, int]:
    """The number that starts at ``index``, or None, and of how many tokens it consists (else 1)."""
    token = tokens[index]
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    used = 1
    if token.kind == "number":
        value = _plain_number(token.text)
    elif _counts(token, following):
        value = str(_NUMBER_WORDS[token.text.casefold()])
        if following and token.text.casefold() in _TENS and _adjacent(token, following):
            unit = _UNITS.get(following.text.casefold(), 0)
            value, used = (str(int(value) + unit), 2) if unit else (value, used)
    else:
        return None, 1
    last = index + used
    if last < len(tokens) and _adjacent(tokens[last - 1], tokens[last]):
        value, scaled = _scaled(value, tokens[last].text.casefold())
        used += scaled
    text = " ".join(part.text for part in tokens[index : index + used])
    return Word(text, value, WordKind.NUMBER), used


def _counts(token: _Token, following: _Token | None) -> bool:
    """Whether a word is a number. "One" is a pronoun as well, and counts where a power of ten follows."""
    word = token.text.casefold()
    return word in _NUMBER_WORDS and (word != "one" or (following is not None and following.text.casefold() in _SCALES))


def _adjacent(left: _Token, right: _Token) -> bool:
    return right.start - left.end == 1


def _scaled(value: str, scale: str) -> tuple[str, int]:
    """``value`` times ten to the power that ``scale`` names; and 1 where it names one, else 0."""
    if scale not in _SCALES or value.count(".") > 1:
        return value, 0
    whole, _, fraction = value.partition(".")
    zeros = _SCALES[scale]
    digits = whole + fraction.ljust(zeros, "0")
    point = len(whole) + zeros
    return _plain_number(f"{digits[:point]}.{digits[point:]}".rstrip(".")), 1


def _plain_number(text: str) -> str:
    """One form for equal numbers; a dotted sequence (a version, a date) is kept as it is."""
    digits = "".join(character if character in ".," else str(unicodedata.decimal(character)) for character in text)
    digits = digits.replace(",", "")
    if digits.count(".") > 1:
        return digits
    whole, _, fraction = digits.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def _words_of(tokens: list[_Token], index: int) -> list[Word]:
    token = tokens[index]
    if token.kind == "symbol":
        return [Word(token.text, _SYMBOLS[token.text], WordKind.WORD)]
    if token.kind == "spaceless":
        return [Word(pair, pair.casefold(), WordKind.WORD) for pair in _pairs(token.text)]
    if _is_suffix_of_number(tokens, index):
        return []
    word = _word(token.text, opens_sentence=token.opens_sentence)
    return [] if word is None else [word]


@lru_cache(maxsize=65536)
def _word(text: str, *, opens_sentence: bool) -> Word | None:
    """A token as a content word; None for function words."""
    base = _CONTRACTION.sub("", text)
    lower = base.casefold()
    if lower == "one":
        return Word(text, "1", WordKind.WORD)
    if not lower or lower in _FUNCTION_WORDS:
        return None
    return Word(text, stem(lower), _kind(base, opens_sentence=opens_sentence))


def _is_suffix_of_number(tokens: list[_Token], index: int) -> bool:
    before = tokens[index - 1] if index else None
    return (
        before is not None
        and before.kind == "number"
        and before.end == tokens[index].start
        and tokens[index].text.casefold() in _SUFFIXES_OF_NUMBERS
    )


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[start : start + 2] for start in range(len(run) - 1)]


def _kind(word: str, *, opens_sentence: bool) -> WordKind:
    inner = word[1:]
    if any(character.isupper() or character.isdigit() for character in inner):
        return WordKind.NAME
    return WordKind.NAME if word[0].isupper() and not opens_sentence else WordKind.WORD
