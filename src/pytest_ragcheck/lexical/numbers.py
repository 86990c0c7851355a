"""Numbers in one form, whatever marks their digits are grouped with.

``1.500`` is 1500 in German and 1.5 in English. The text around a number shows which (:func:`style_of`); where it does
not, the number has two readings, *joined* (marks group digits: 1500) and apart (1.5), and matches either.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import NamedTuple

from pytest_ragcheck.lexical.folding import normalized, unescaped, without_tags
from pytest_ragcheck.lexical.sized_cache import SizedCache

__all__ = [
    "FIRST_WORDS",
    "MOST_WORDS",
    "NUMBER",
    "NUMBER_WORDS",
    "Style",
    "is_negative",
    "is_scale",
    "numbered",
    "read",
    "scaled",
    "spelled",
    "style_of",
    "value_of",
]

# ---- Text in which numbers can be found ------------------------------------------------------

_NO_BREAK_GROUP = re.compile("(?<=[0-9])[\u00a0\u2007\u2008\u2009\u200a\u202f](?=[0-9]{3}(?![0-9]))")
_RAISED_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RAISED = re.compile(rf"⁻?[{_RAISED_DIGITS}]++(?:,[{_RAISED_DIGITS}]++)*+|(?<=\d)[ªº]|[①-⑳❶-❿➀-➓™℠]")
_PLAIN_DIGITS = str.maketrans(_RAISED_DIGITS + "⁻", "0123456789-")
_RAISING = str.maketrans("0123456789", _RAISED_DIGITS)
_UNIT = re.compile(r"(?:(?<![^\W\d_])[^\W\d_]|(?<![^\W\d_])(?:[kcdmhn]m|ft|in|yd|mi))\Z")
_FRACTION = re.compile("(?<=[0-9])(?=[¼-¾⅐-⅞↉])")
_DASH = re.compile(r"(?<!\w)[—―](?=\d)")
_ARABIC = str.maketrans({"\u066a": "%", "\u066b": ".", "\u066c": "'"})
_RAISED_TAG = re.compile(r"<sup>\W{0,3}([0-9,]{1,8})\W{0,3}</sup>", re.IGNORECASE)
_HIGHEST_NOTE = 3
"""Up to this one a raised digit after 10 may be the number of a footnote."""


def numbered(text: str) -> str:
    """``text`` as :func:`~pytest_ragcheck.lexical.folding.normalized` gives it, but with what NFKC hides of numbers.

    Inline tags of HTML are left out. No-break spaces that group digits become ``'``, fractions stand apart from the
    whole number before them, powers of ten are written ``10^6``, and raised digits of footnotes are left out.
    """
    if "<" in text:
        text = without_tags(_RAISED_TAG.sub(lambda tag: tag[1].translate(_RAISING), text))
    text = unescaped(text)
    if text.isascii():
        return normalized(text)
    text = _NO_BREAK_GROUP.sub("'", text).translate(_ARABIC)
    text = _RAISED.sub(_lowered, _FRACTION.sub(" ", text))
    return normalized(_DASH.sub("— ", text))


def _lowered(raised: re.Match[str]) -> str:
    """A raised digit as a power of ten, as part of a unit (m²), or, as a footnote's number, nothing."""
    before = raised.string[max(0, raised.start() - 4) : raised.start()]
    digits = raised[0].translate(_PLAIN_DIGITS)
    if digits.lstrip("-").isdecimal():
        if before.endswith("10") and not before[:-2][-1:].isdecimal():
            return f"{'↑' if digits.isdecimal() and int(digits[:4]) <= _HIGHEST_NOTE else '^'}{digits}"
        if digits in ("2", "3") and _UNIT.search(before):
            return digits
    return " " if raised.string[raised.end() : raised.end() + 1].isdecimal() else ""


# ---- How a text writes its numbers -----------------------------------------------------------


class Style(NamedTuple):
    """What the numbers of a text show of the way in which it writes them."""

    comma_decimals: int = 0
    """2 where a comma is surely a decimal mark (``0,5``, ``1.234,56``), 1 where it may be (``2,5``)."""
    point_decimals: bool = False
    spaces: bool = False
    """Spaces group digits."""
    bullets: bool = False
    """A hyphen that opens a line is a list's mark, also without a space after it."""


_NO_STYLE = Style()
_MARKED = re.compile(r"\d[.,' ]\d")
"""What each of the patterns of numbers below needs: most texts have none, and this is quickly seen."""
_SURELY_COMMA = re.compile(
    r"(?<![\d.,])(?:\d{1,3}(?:\.\d{3})+,\d|\d{1,3}(?:\.\d{3}){2}(?![\d.])|\d+,\d{1,2} ?[%€]"
    r"|(?<![\[({])0,\d+(?![\d,\])}]))"
)
_MAYBE_COMMA = re.compile(r"(?<![\d.,\[({])\d+,\d{1,2}(?![\d,])")
_SURELY_POINT = re.compile(
    r"(?<![\d.,])(?:\d{1,3}(?:,\d{3})+\.\d|\d{1,3}(?:,\d{3}){2,}(?![\d,])|0\.\d|\d+\.\d{1,2} ?%|[$£] ?\d+\.\d\d(?!\d))"
)
_MAYBE_POINT = re.compile(r"(?<![\d.,])[1-9]\d{0,2},\d{3}(?![\d,])")
_SPACED = re.compile(r"(?<![\d.,] )(?<![\d.,])[1-9]\d{0,2}(?: \d{3})* 0\d\d(?! ?\d)")
_BULLET = re.compile(r"^[ \t]*+-[^\W\d_]", re.MULTILINE)


def _find_style(text: str) -> Style:
    text = numbered(text)
    bullets = _BULLET.search(text) is not None
    if _MARKED.search(text) is None:
        return Style(bullets=bullets)
    comma = 2 if _SURELY_COMMA.search(text) else int(_MAYBE_COMMA.search(text) is not None)
    point = _SURELY_POINT.search(text) or (not comma and _MAYBE_POINT.search(text))
    spaces = _SPACED.search(text) or re.search(r"\d'\d{3}(?!\d)", text)
    return Style(comma, bool(point), spaces is not None, bullets)


_cached_style = SizedCache(_find_style, 2_000_000)
_DIGIT = re.compile(r"\d")


def style_of(text: str) -> Style:
    """How ``text`` writes its numbers; best asked of a whole document, not of a sentence."""
    return _cached_style(text) if _DIGIT.search(text) else _NO_STYLE


# ---- Digits ----------------------------------------------------------------------------------

_EAST_ASIAN_SCALES = dict(zip("百千万萬億亿兆백천만억", (2, 3, 4, 4, 8, 8, 12, 2, 3, 4, 8), strict=True))
_EAST_ASIAN_SCALE = "(?:[百千백천]?+[万萬億亿兆만억]|[百千백천])"
_EAST_ASIAN = re.compile(rf"(?<![\d.,])(\d++(?:[.,]\d++)*+)({_EAST_ASIAN_SCALE})")
NUMBER = (
    rf"(?:\d++(?:[.,]\d++)*+{_EAST_ASIAN_SCALE})++(?:\d++(?!{_EAST_ASIAN_SCALE}))?+"
    r"|\d++(?:(?:[.,'_/⁄↑]|\^-?| (?=\d{3}(?!\d))| (?=\d++[/⁄]\d))\d++)*+"
)
"""Pattern of the longest run of digits and marks that may be one number, in what :func:`numbered` gives."""

_COMMAS = re.compile(r"([1-9]\d{0,2}(?:,\d{3})+|[1-9]\d?(?:,\d{2})+,\d{3})(?:\.(\d+))?")
_POINTS = re.compile(r"([1-9]\d{0,2}(?:\.\d{3})+)(?:,(\d+))?")
_CLEAR_MARKS = re.compile(r"(\d{1,3}(?:['_]\d{3})+)(?:[.,](\d+))?")
_SPACES = re.compile(r"([1-9]\d{0,2}(?: \d{3})+)(?:[.,](\d+))?")
_DECIMAL = re.compile(r"(\d+)([.,])(\d+)")
_POWER_OF_TEN = re.compile(r"10([\^↑])(-?\d{1,2})")
_SLASHED = re.compile(r"(?:(\d{1,4}) )?(\d{1,4})([/⁄])(\d{1,4})")
_APART = re.compile(r"[,'_/⁄↑^ ]+")
_GROUP = 3
_LONGEST_WHOLE = 4
_MOST_DIGITS = 28  # what Decimal adds exactly


def read(written: str, style: Style, *, joined: bool) -> tuple[str, ...]:
    """A run that :data:`NUMBER` matches as plain numbers (``1234.5``), one where its marks belong to one number.

    Dotted sequences (versions, dates) stay as they are. Where ``style`` leaves two readings, ``joined`` is the one that
    makes one number of it, of the greatest value.
    """
    written = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in written)
    found = (
        _fraction(written, joined=joined)
        or _grouped(written, style, joined=joined)
        or _power(written, joined=joined)
        or _east_asian(written)
    )
    return (found,) if found else tuple(filter(None, _APART.split(written)))


def _grouped(written: str, style: Style, *, joined: bool) -> str | None:
    if written.isdecimal():
        return written
    if match := _CLEAR_MARKS.fullmatch(written):
        return _number(match)
    if match := _SPACES.fullmatch(written):
        return _number(match) if joined or style.spaces or match[2] or " 0" in match[1] else None
    if match := _COMMAS.fullmatch(written):
        return _number(match) if _commas_group(match, style, joined=joined) else written.replace(",", ".")
    if match := _POINTS.fullmatch(written):
        return _number(match) if _points_group(match, style, joined=joined) else written
    match = _DECIMAL.fullmatch(written)
    return _decimal(match, style, joined=joined) if match else None


def _decimal(match: re.Match[str], style: Style, *, joined: bool) -> str | None:
    """The number, or None where its comma may part two numbers: 2023,2024."""
    if match[2] == ",":
        is_english = style.point_decimals and not style.comma_decimals
        if (is_english and not joined) or (len(match[1]) >= _LONGEST_WHOLE and len(match[3]) >= _GROUP):
            return None
    return f"{match[1]}.{match[3]}"


def _commas_group(match: re.Match[str], style: Style, *, joined: bool) -> bool:
    if match[2] or match[1].count(",") > 1 or not style.comma_decimals:
        return True
    return joined and (style.comma_decimals == 1 or style.point_decimals)


def _points_group(match: re.Match[str], style: Style, *, joined: bool) -> bool:
    if match[2] or match[1].count(".") > 1:
        return True
    if style.point_decimals != bool(style.comma_decimals):
        return not style.point_decimals
    return joined or match[1].endswith(".000")


def _number(match: re.Match[str]) -> str:
    whole = "".join(filter(str.isdecimal, match[1]))
    return f"{whole}.{match[2]}" if match[2] else whole


def _fraction(written: str, *, joined: bool) -> str | None:
    match = _SLASHED.fullmatch(written)
    if match is None:
        return None
    whole, above, below = int(match[1] or 0), int(match[2]), int(match[4])
    if not below or (match[3] == "/" and not (joined and above < below)):
        return None
    above += whole * below
    for exponent in range(4):
        if above * 10**exponent % below == 0:
            return _shifted(str(above * 10**exponent // below), -exponent)
    return f"{above}⁄{below}"


def _power(written: str, *, joined: bool) -> str | None:
    match = _POWER_OF_TEN.fullmatch(written)
    if match is None:
        return None
    return "10" if match[1] == "↑" and not joined else _shifted("1", int(match[2]))


def _east_asian(written: str) -> str | None:
    if not _EAST_ASIAN_SCALES.keys() & set(written):
        return None
    parts = _EAST_ASIAN.findall(written)
    rest = _EAST_ASIAN.sub("", written)
    values = [
        _shifted(digits.replace(",", ""), sum(map(_EAST_ASIAN_SCALES.__getitem__, unit))) for digits, unit in parts
    ]
    return _sum([*values, rest or "0"])


def _sum(values: list[str]) -> str:
    if sum(map(len, values)) > _MOST_DIGITS:
        return ",".join(values)
    return format(sum(map(Decimal, values)), "f")


def _shifted(number: str, places: int) -> str:
    """A plain number times ten to the power of ``places``."""
    whole, _, fraction = number.partition(".")
    if places < 0:
        padded = whole.rjust(1 - places, "0")
        whole, fraction = padded[:places], padded[places:] + fraction
    else:
        padded = fraction.ljust(places, "0")
        whole, fraction = whole + padded[:places], padded[places:]
    return f"{whole}.{fraction}" if fraction else whole


def value_of(plain: str) -> str:
    """One form for equal numbers; a dotted sequence (a version, a date) is kept as it is."""
    if plain.count(".") > 1:
        return plain
    whole, _, fraction = plain.partition(".")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


_INDENT = 12
"""Characters before a hyphen in which the start of its line is looked for."""
_OPENING = frozenset(" \t\n\r([{:;=<>/*_~|\"',≈≤≥")


def is_negative(text: str, start: int, style: Style) -> bool:
    """Whether the number at ``start`` has a minus sign, before it or before its currency."""
    at = start - 1
    if at >= 0 and unicodedata.category(text[at]) == "Sc":
        at -= 1
    if at < 0 or text[at] != "-":
        return False
    line = text[max(0, at - _INDENT) : at].rpartition("\n")[2]
    if not line.strip(" \t>*"):
        return not style.bullets
    return line[-1] in _OPENING and not (line[-1] in " '," and line[-2:-1].isdecimal())


# ---- Number words ----------------------------------------------------------------------------

_UNITS = "one two three four five six seven eight nine"
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {
    **{word: value for value, word in enumerate(f"{_UNITS} {_TEENS}".split(), start=1)},
    **{word: value for value, word in zip(range(20, 100, 10), _TENS.split(), strict=True)},
}
_SCALES = {
    word: places
    for places, words in {
        2: "hundred",
        3: "thousand tausend tsd",
        5: "lakh lakhs",
        6: "million millions millionen mio mn",
        7: "crore crores",
        9: "billion billions bn milliarde milliarden milliard milliards mrd",
        12: "trillion",
    }.items()
    for word in words.split()
}
FIRST_WORDS = frozenset(NUMBER_WORDS) | {"zero", "half", "a", "an"}
"""Words that a number may begin with."""
MOST_WORDS = 16
_TENS_START = 20
_HUNDRED = 100


def is_scale(word: str) -> bool:
    """Whether a word multiplies the number before it: million, thousand."""
    return word in _SCALES


def scaled(plain: str, word: str) -> str:
    """A plain number times what the word names: 1.5 million is 1500000."""
    return plain if plain.count(".") > 1 else value_of(_shifted(plain, _SCALES[word]))


def spelled(words: list[str]) -> tuple[str, int]:
    """The number that the first of some lower-case words spell, and how many they are; 0 where they spell none."""
    if words[0] == "zero":
        return "0", 1
    if words[:2] == ["half", "a"] and len(words) > 2 and words[2] in _SCALES:  # noqa: PLR2004 (half, a, million)
        return scaled("0.5", words[2]), 3
    if not _begins_number(words):
        return "", 0
    total, used = _spelled_whole(words)
    plain = str(total)
    if words[used : used + 3] == ["and", "a", "half"]:
        plain, used = f"{plain}.5", used + 3
    if used < len(words) and words[used] in _SCALES:
        plain, used = scaled(plain, words[used]), used + 1
    return plain, used


def _begins_number(words: list[str]) -> bool:
    """Whether a number begins here. "One" is a pronoun and "a" an article, except before a power of ten."""
    first, following = words[0], words[1] if len(words) > 1 else ""
    if first == "one":
        return following in _SCALES or following == "dozen" or words[1:4] == ["and", "a", "half"]
    return first in NUMBER_WORDS or (
        first in ("a", "an") and following in ("hundred", "thousand", "million", "billion", "dozen")
    )


def _spelled_whole(words: list[str]) -> tuple[int, int]:
    total, group, used = 0, 1, 1
    # The next word of the group must be less than room, the next power of ten less than scale.
    room, scale = 1, 10**15
    if words[0] in NUMBER_WORDS:
        group = NUMBER_WORDS[words[0]]
        room = 10 if group >= _TENS_START else 1
    while used < min(len(words), MOST_WORDS):
        joins = words[used] == "and" and (room == _HUNDRED or not group)
        at = used + joins
        word = words[at] if at < len(words) else ""
        value, power = NUMBER_WORDS.get(word, 0), 10 ** _SCALES.get(word, 0)
        if value and value < room:
            group, room = group + value, 10 if value >= _TENS_START else 1
        elif joins:
            break
        elif word == "hundred" and 0 < group < _HUNDRED:
            group, room = group * _HUNDRED, _HUNDRED
        elif word == "dozen" and group:
            return total + group * 12, at + 1
        elif _HUNDRED < power < scale and group:
            total, group, room, scale = total + group * power, 0, _HUNDRED * 10, power
        else:
            break
        used = at + 1
    return total + group, used
