"""Content words, numbers and names of a text in a form that can be compared."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.lexical import numbers
from pytest_ragcheck.lexical.affixes import without_affixes
from pytest_ragcheck.lexical.folding import COMBINING
from pytest_ragcheck.lexical.sized_cache import SizedCache
from pytest_ragcheck.lexical.stemming import stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.lexical.numbers import Style

__all__ = ["Word", "WordKind", "content_keys", "content_words", "word_readings"]


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


def content_keys(text: str, style: Style | None = None) -> frozenset[str]:
    """The keys of the content words of ``text``, of all its readings."""
    return frozenset(word.key for words in word_readings(text, style) for word in words)


def content_words(text: str) -> tuple[Word, ...]:
    """The content words of ``text`` in order: words that are no function words, numbers, symbols of units.

    Keys are case folded and stripped of inflection (:func:`stem`); numbers have one form
    (``1,000`` = ``1000`` = ``one thousand``, ``2.50`` = ``2.5``); ``%`` is ``percent``, ``$`` is ``dollar``.
    """
    return word_readings(text)[0]


def word_readings(text: str, style: Style | None = None) -> tuple[tuple[Word, ...], ...]:
    """The content words of ``text``: once, or twice where a number in it can be read in two ways (``1.500``).

    ``style`` says how the document that ``text`` is part of writes its numbers; without it ``text`` shows it.
    """
    return _cached_readings(text, style or numbers.style_of(text))


def _word_readings(text: str, style: Style) -> tuple[tuple[Word, ...], ...]:
    text = numbers.numbered(text)
    tokens = list(_tokens(text, style))
    joined = tuple(_words(tokens, style, joined=True))
    if not any(token.kind == "number" and _is_ambiguous(token, style) for token in tokens):
        return (joined,)
    return joined, tuple(_words(tokens, style, joined=False))


_cached_readings = SizedCache(_word_readings, 300_000)  # about 10 MB


def _is_ambiguous(token: _Token, style: Style) -> bool:
    return not token.text.isdecimal() and (
        numbers.read(token.text, style, joined=True) != numbers.read(token.text, style, joined=False)
    )


# ---- Tokens ----------------------------------------------------------------------------------

_SPACELESS = (
    "\u0e01-\u0e3a\u0e40-\u0eff\u1000-\u109f\u1780-\u17da\u17dc-\u17ff\u3005"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


def _pairs_in(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_CURRENCIES = _pairs_in(
    "$ dollar € euro £ pound ¥ yen ₹ rupee ₽ rouble ₩ krw ₺ lira ₴ hryvnia ₪ shekel ฿ baht ₫ dong ₦ naira ₱ peso "
    "₿ bitcoin ¢ cent ₸ tenge ₵ cedi ₡ colon ₲ guarani ៛ riel ৳ taka"
)
_TOKEN = re.compile(
    rf"""
      (?P<number>{numbers.NUMBER.replace(" ", "[ ]")})
    | (?P<spaceless>(?:(?!\d)[{_SPACELESS}])++)
    | (?P<symbol>US\$|[%‰{"".join(_CURRENCIES)}]|°(?:[CF](?![^\W_]))?)
    | (?P<word>(?:[A-Za-z]++|(?![{_SPACELESS}])[^\W\d_])
        (?:[A-Za-z0-9]++|(?![{_SPACELESS}])[^\W_]|[{COMBINING}]|'(?=[^\W\d_]))*+)
    """,
    re.VERBOSE,
)
_SENTENCE_START = re.compile(r"""(?:\A|[.!?:;|#>*\n]|^\s*-)[\s"'(\[*_>#|]*\Z""", re.MULTILINE)
_LOOK_BEHIND = 12
"""Characters before a word in which the end of the sentence before it is looked for."""


_MINUS = re.compile(
    rf"(?<!\d )(?:minus|negative)[ ](?=\d|(?:{'|'.join(sorted(numbers.NUMBER_WORDS.keys() - {'one'}))})\b)",
    re.IGNORECASE,
)


class _Token(NamedTuple):
    kind: str
    """``number``, ``sign`` (of the next number), ``spaceless``, ``word`` or ``symbol``."""
    text: str
    start: int
    end: int
    opens_sentence: bool = False


def _tokens(text: str, style: Style) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind, written, start, end = match.lastgroup or "", match[0], match.start(), match.end()
        if kind == "number" and numbers.is_negative(text, start, style):
            yield _Token("sign", "-", start, start)
        elif kind == "word" and _MINUS.match(text, start):
            kind = "sign"
        yield _Token(kind, written, start, end, written[0].isupper() and _opens_sentence(text, start))


def _opens_sentence(text: str, start: int) -> bool:
    return _SENTENCE_START.search(text[max(0, start - _LOOK_BEHIND) : start]) is not None


def _words(tokens: list[_Token], style: Style, *, joined: bool) -> Iterator[Word]:
    index = 0
    while index < len(tokens):
        words, used = _numbers_at(tokens, index, style, joined=joined)
        if not used:
            words, used = _words_at(tokens, index)
        yield from words
        index += used


# ---- Numbers ---------------------------------------------------------------------------------

_ATTACHED = {"k": "thousand", "m": "million", "b": "billion"}
_PENSION_PLANS = frozenset({"401", "403", "457"})
"""Numbers of sections of a law, which are written 401k."""
_HALF = ["and", "a", "half"]
_SUFFIXES_OF_NUMBERS = frozenset({"st", "nd", "rd", "th", "s"})


def _numbers_at(tokens: list[_Token], index: int, style: Style, *, joined: bool) -> tuple[list[Word], int]:
    """The numbers that start at ``index``, and of how many tokens they consist; 0 where none starts there."""
    token = tokens[index]
    if token.kind == "word":
        if token.text.casefold() not in numbers.FIRST_WORDS:
            return [], 0
        value, used = numbers.spelled(_lower(tokens, index, numbers.MOST_WORDS))
        if not used:
            return [], 0
        pieces = [value]
    elif token.kind == "number":
        pieces, used = list(numbers.read(token.text, style, joined=joined)), 1
        if scale := _scale_after(tokens, index):
            pieces[-1], used = numbers.scaled(pieces[-1], scale), 2
        elif pieces[-1].isdecimal() and _lower(tokens, index + 1, len(_HALF)) == _HALF:
            pieces[-1], used = f"{pieces[-1]}.5", 1 + len(_HALF)
    else:
        return [], 0
    sign = "-" if index and tokens[index - 1].kind == "sign" else ""
    written = " ".join(part.text for part in tokens[index : index + used])
    if len(pieces) > 1:
        return [_number(piece, "", piece) for piece in pieces], used
    return [_number(pieces[0], sign, sign + written)], used


def _number(plain: str, sign: str, written: str) -> Word:
    value = numbers.value_of(plain)
    return Word(written, value if value == "0" else sign + value, WordKind.NUMBER)


def _lower(tokens: list[_Token], index: int, count: int) -> list[str]:
    """The words from ``index`` on, up to ``count``, as far as one character stands between them."""
    words = []
    for place in range(index, min(index + count, len(tokens))):
        token = tokens[place]
        if token.kind != "word" or (place and place > index and token.start - tokens[place - 1].end != 1):
            break
        words.append(token.text.casefold())
    return words


def _scale_after(tokens: list[_Token], index: int) -> str | None:
    """What multiplies the number at ``index``: "million" in ``5 million`` and ``$5M``, "thousand" in ``20k``."""
    if index + 1 >= len(tokens) or tokens[index + 1].kind != "word":
        return None
    gap, word = tokens[index + 1].start - tokens[index].end, tokens[index + 1].text.casefold()
    if gap <= 1 and numbers.is_scale(word):
        return word
    if gap or word not in _ATTACHED:
        return None
    before = tokens[index - 1] if index else None
    is_price = before is not None and before.text in _CURRENCIES and before.end == tokens[index].start
    return _ATTACHED[word] if is_price or (word == "k" and tokens[index].text not in _PENSION_PLANS) else None


# ---- Words -----------------------------------------------------------------------------------

_CONTRACTIONS = tuple(
    form for one in ("n't", "'s", "'re", "'ll", "'ve", "'d", "'m", "'") for form in dict.fromkeys((one, one.upper()))
)
_LONGEST_CACHED = 64
_SAME = _pairs_in("pct percent prozent percent procent percent процент percent процентов percent half 0.5 one 1") | {
    "rs": stem("rupee"),
    "franken": stem("franc"),
}
_CODES = _pairs_in(
    "EUR euro USD dollar GBP pound JPY yen CHF franc CNY yuan RMB yuan INR rupee RUB rouble KRW krw TRY lira UAH "
    "hryvnia ILS shekel THB baht VND dong NGN naira KZT tenge"
)
_SYMBOLS = {symbol: (stem(name),) for symbol, name in _CURRENCIES.items()} | {
    "US$": (stem("dollar"),),
    "%": ("percent",),
    "‰": ("‰",),
    "°": (stem("degree"),),
    "°C": (stem("degree"), stem("celsius")),
    "°F": (stem("degree"), stem("fahrenheit")),
}
_PER_CENT = frozenset({("per", "cent"), ("pour", "cent"), ("por", "ciento"), ("por", "cento"), ("per", "cento")})
_PER = frozenset(first for first, _ in _PER_CENT)


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


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


def _words_at(tokens: list[_Token], index: int) -> tuple[list[Word], int]:
    """The words of the token at ``index``, and of how many tokens they consist."""
    token = tokens[index]
    if token.kind == "sign":
        return [], 1
    if token.kind == "symbol":
        return [Word(token.text, key, WordKind.WORD) for key in _SYMBOLS[token.text]], 1
    if token.kind == "spaceless":
        return [Word(pair, pair.casefold(), WordKind.WORD) for pair in _neighbours(token.text)], 1
    if _is_suffix_of_number(tokens, index):
        return [], 1
    if token.text.casefold() in _PER and tuple(_lower(tokens, index, 2)) in _PER_CENT:
        return [Word(f"{token.text} {tokens[index + 1].text}", "percent", WordKind.WORD)], 2
    make = _word if len(token.text) <= _LONGEST_CACHED else _word.__wrapped__
    word = make(token.text, opens_sentence=token.opens_sentence)
    return [] if word is None else [word], 1


@lru_cache(maxsize=65536)
def _word(text: str, *, opens_sentence: bool) -> Word | None:
    """A token as a content word; None for function words."""
    if text in _CODES:
        return Word(text, stem(_CODES[text]), WordKind.WORD)
    base = without_affixes(_without_contraction(text))
    lower = base.casefold()
    if lower in _SAME:
        return Word(text, _SAME[lower], WordKind.WORD)
    if not lower or lower in _FUNCTION_WORDS:
        return None
    return Word(text, stem(lower), _kind(base, opens_sentence=opens_sentence))


def _without_contraction(word: str) -> str:
    if "'" not in word:
        return word
    end = len(word)
    while cut := next((len(form) for form in _CONTRACTIONS if word.endswith(form, 0, end)), 0):
        end -= cut
    return word[:end]


def _is_suffix_of_number(tokens: list[_Token], index: int) -> bool:
    before = tokens[index - 1] if index else None
    return (
        before is not None
        and before.kind == "number"
        and before.end == tokens[index].start
        and tokens[index].text.casefold() in _SUFFIXES_OF_NUMBERS
    )


def _neighbours(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[start : start + 2] for start in range(len(run) - 1)]


def _kind(word: str, *, opens_sentence: bool) -> WordKind:
    inner = word[1:]
    if any(character.isupper() or character.isdigit() for character in inner):
        return WordKind.NAME
    return WordKind.NAME if word[0].isupper() and not opens_sentence else WordKind.WORD
