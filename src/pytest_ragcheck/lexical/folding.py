"""Texts in one form: Unicode, typography, HTML entities, Markdown marks."""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["COMBINING", "fold", "normalized", "unescaped", "without_marks", "without_tags"]

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

COMBINING = "".join(chr(code) for code in range(0x300, 0x1B00) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
"""Marks that belong to the letter before them, such as the vowels of Hindi and Tamil; ``re`` has no class for them."""
_POINTS = [
    # Vowel points of Hebrew and Arabic, which most texts leave out, and the stroke that lengthens Arabic words.
    *(code for code in range(0x0591, 0x05C8) if unicodedata.category(chr(code)) == "Mn"),
    *range(0x0610, 0x061B),
    *range(0x064B, 0x0660),
    *(code for code in range(0x06D6, 0x06EE) if unicodedata.category(chr(code)) == "Mn"),
    0x0640,
    0x0670,
]
_INVISIBLE = "\u00ad\u034f\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("‘’‛ʼ′`´", "'"),
        **dict.fromkeys("“”„«»″", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys(_INVISIBLE),
        **dict.fromkeys("\u2066\u2067\u2068\u2069"),
        **dict.fromkeys(map(chr, _POINTS)),
    }
)


def unescaped(text: str) -> str:
    """``text`` with HTML entities such as ``&nbsp;`` replaced by their characters."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text) if "&" in text else text


def normalized(text: str) -> str:
    """``text`` in Unicode form NFKC with ASCII apostrophes, quotation marks and hyphens.

    HTML entities are replaced; invisible characters and the vowel points of Arabic and Hebrew are left out.
    """
    if text.isascii() and "&" not in text:
        return text.replace("`", "'")  # what follows comes to the same, and takes longer
    return unicodedata.normalize("NFKC", unescaped(text)).translate(_TYPOGRAPHY)


def fold(text: str) -> str:
    """``text`` as it is compared literally: normalised, case folded, white space runs as one space."""
    return " ".join(normalized(text).casefold().split())


_TAG = re.compile(
    r"</?(?:b|strong|i|em|u|s|del|ins|code|kbd|mark|small|span|font|a|sub|sup)(?:\s[^<>]{0,300})?>", re.IGNORECASE
)
_BREAK = re.compile(r"<br\s?/?>", re.IGNORECASE)


def without_tags(text: str) -> str:
    """``text`` without inline tags of HTML."""
    return _BREAK.sub("\n", _TAG.sub("", text)) if "<" in text else text


_LINK = re.compile(r"!?\[([^\]\[]{0,300})\]\([^)(\s]{0,2000}\)")
_MARK = re.compile(
    r"\*\*|__|~~|`|(?<![^\n])[ \t>]*+(?:#{1,6}[ \t]++|[-*+•][ \t]++)?"
    r"|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|\\(?=[!-/:-@\[-`{-~])| ?\[\^?\d{1,3}\](?![(:])"
)


def without_marks(text: str) -> str:
    """``text`` without the marks of Markdown: emphasis, code, headings, list items, quotes, escapes, footnotes.

    Links are their texts.
    """
    return _MARK.sub("", _LINK.sub(r"\1", text))
