"""Hostile text made safe for a terminal and for a CI's log.

Answers, documents, question files, paths and error messages may hold anything: escape sequences that rewrite the
screen, bidirectional overrides that show another text than the one that is there, line breaks before what a CI takes
for a command. All text from outside passes through here before it is shown. All functions take linear time.
"""

from __future__ import annotations

import re
from unicodedata import bidirectional, category

__all__ = ["one_line", "printable"]

_BLACK_FLAG = "\U0001f3f4"
_FLAG = f"{_BLACK_FLAG}[\U000e0030-\U000e0039\U000e0061-\U000e007a]{{1,6}}\U000e007f"
"""A regional flag emoji: the one place where invisible tag characters are meant."""

_SUSPECT_CHARACTERS = (
    "\x00-\x08\x0e-\x1f\x7f-\x9f"  # controls: C0, DEL, C1
    "\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c"  # bidirectional embeddings, overrides, isolates, marks
    "\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff\u00ad\u034f\u180b-\u180f"  # zero width
    "\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # letters without a glyph
    "\ufe00-\ufe0f\U000e0000-\U000e0fff"  # variation selectors, tags
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # annotations, shorthand and musical controls
    "\ud800-\udfff"  # half a character: no encoding can print it
)
_SUSPECT = re.compile(f"{_FLAG}|[{_SUSPECT_CHARACTERS}]+")
_LONGEST_MEANT = 3
"""No script and no emoji needs more invisible characters in a row."""

_LINE_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_NEVER_MEANT = frozenset(map(chr, range(0xA0)))
_JOINERS = frozenset("\u200c\u200d")
_DIRECTION_MARKS = frozenset("\u200e\u200f\u061c")
_FIRST_JOINED_SCRIPT = "\u0590"
"""Hebrew; Latin, Greek and Cyrillic letters, which lie before it, have no use for joiners."""


def printable(text: str) -> str:
    r"""``text`` with everything that acts on a terminal, or hides in it, shown as its escape (``\x1b``, ``\u202e``).

    Other line breaks than ``\n`` become one. Right-to-left letters, combining marks, joined scripts and
    emoji stay as they are: joiners, direction marks and variation selectors are kept where they do
    what they are for, and shown elsewhere.
    """
    return _SUSPECT.sub(_neutralised, _LINE_BREAK.sub("\n", text))


def _neutralised(match: re.Match[str]) -> str:
    found, text, start = match[0], match.string, match.start()
    if found[0] == _BLACK_FLAG:
        return found
    if len(found) > _LONGEST_MEANT or found in _NEVER_MEANT:
        return _escaped(found)
    around = text[max(start - 1, 0) : start], *found, text[match.end() : match.end() + 1]
    return "".join(
        char if _is_meant(char, before, after) else _escaped(char)
        for before, char, after in zip(around, around[1:], around[2:], strict=False)
    )


def _is_meant(char: str, before: str, after: str) -> bool:
    if char in _JOINERS:
        return _is_joined(before) and _is_joined(after)
    if char in _DIRECTION_MARKS:
        return _is_right_to_left(before) or _is_right_to_left(after)
    if "\ufe00" <= char <= "\ufe0f":
        return before != "" and not before.isspace() and not _is_ascii_letter(before) and not _SUSPECT.match(before)
    if "\U000e0100" <= char <= "\U000e01ef":
        return before != "" and category(before) == "Lo" and not _SUSPECT.match(before)
    return False


def _is_joined(char: str) -> bool:
    return char >= _FIRST_JOINED_SCRIPT and category(char) in {"Lo", "Mn", "Mc", "So", "Sk", "Sm"}


def _is_right_to_left(char: str) -> bool:
    return char not in _DIRECTION_MARKS and char != "" and bidirectional(char) in {"R", "AL"}


def _is_ascii_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _escaped(chars: str) -> str:
    return chars.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """Printable ``text`` on one line, each run of white space one blank."""
    return " ".join(printable(text).split())
