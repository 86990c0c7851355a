"""Hostile text made safe for a terminal, and long text cut down to what matters.

Answers, documents, datasets and error messages may hold anything: escape sequences that rewrite the
screen, bidirectional overrides that show another text than the one that is there, megabytes. All
text from outside passes :func:`printable` before it is shown. All functions take linear time.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING
from unicodedata import category, east_asian_width

from pytest_ragcheck.safe_text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = ["ELISION", "columns", "fold", "keywords", "one_line", "pad", "printable", "shorten", "shorten_left"]

ELISION = "[...]"

_QUARTERS = 4
"""Breaking counts in quarter columns: a mark without width takes one, so that no line holds endless marks."""


def columns(text: str) -> int:
    """Terminal columns that printable ``text`` takes: 2 for a wide character, 0 for a mark, else 1."""
    return len(text) if text.isascii() else sum(_char_columns(char) for char in text)


@lru_cache(maxsize=4096)
def _char_columns(char: str) -> int:
    if char == "\ufe0f":
        return 1  # asks for the emoji form of the character before it, which is wide
    if category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if east_asian_width(char) in {"W", "F"} else 1


def _quarters(text: str) -> int:
    return _QUARTERS * len(text) if text.isascii() else sum(_char_columns(char) * _QUARTERS or 1 for char in text)


def _fits(text: str, quarters: int) -> bool:
    return len(text) <= quarters and _quarters(text) <= quarters


def pad(text: str, width: int) -> str:
    """``text`` filled with blanks to ``width`` columns."""
    return text + " " * (width - columns(text))


def shorten(text: str, width: int) -> str:
    """``text`` on one line of at most ``width`` columns, its end cut off where it is longer."""
    line = one_line(_bounded(text, width))
    return line if _fits(line, width * _QUARTERS) else _head(line, width - 3).rstrip() + "..."


def shorten_left(text: str, width: int) -> str:
    """``text`` on one line of at most ``width`` columns, its start cut off: the end of a path tells most."""
    line = one_line(text)
    if _fits(line, width * _QUARTERS):
        return line
    return "..." + _head(line[::-1], width - 3)[::-1].lstrip()


def _bounded(text: str, width: int) -> str:
    """Enough of ``text`` to fill ``width`` columns: a cut of a megabyte need not read the megabyte."""
    stripped = text.lstrip()
    return stripped if len(stripped) <= 50 * width else stripped[: 50 * width] + " ..."


def _head(text: str, width: int) -> str:
    """The longest start of ``text`` that fits ``width`` columns."""
    budget = width * _QUARTERS
    for position, char in enumerate(text):
        budget -= _char_columns(char) * _QUARTERS or 1
        if budget < 0:
            return text[:position]
    return text


_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff](?=([\u3040-\u30ff\u3400-\u9fff])?)|[^\W_\u3040-\u30ff\u3400-\u9fff]+"
)
"""A word; in Chinese and Japanese, which put no blanks between words, each pair of characters."""

_COMMON_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        about after all also and any are because been before but can could did does for from had has have
        her his how if in into is it its may more most must no not of off on one only or other our out
        over per shall she should so some such than that the their them then there these they this those
        to under until up was we were what when where which while who whom whose why will with within would you
        your
        """,
    )
)
_LEAST_LETTERS = 3


def keywords(*texts: str | None) -> frozenset[str]:
    """The words of ``texts`` that tell where another text speaks of the same, in lower case."""
    words = {word for text in texts if text for _, word in _tokens(text)}
    return frozenset(word for word in words - _COMMON_WORDS if _tells(word))


def _tells(word: str) -> bool:
    return len(word) >= _LEAST_LETTERS or not word.isascii() or any(char.isdigit() for char in word)


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    for match in _TOKEN.finditer(text):
        yield match.start(), (match[0] + (match[1] or "")).casefold()


def fold(
    text: str, width: int, *, lines: int | None = None, around: Collection[str] = (), keep_breaks: bool = False
) -> list[str]:
    """Printable ``text`` as lines of at most ``width`` columns.

    With ``lines``, a longer text is cut down to that many lines: to the part that holds most of the
    words ``around`` (in lower case, as :func:`keywords` gives them), else to its start; :data:`ELISION`
    stands for what was left out. With ``keep_breaks`` the text's own line breaks are kept where all of
    it fits; else white space is one blank.
    """
    safe = printable(text)
    paragraphs = safe.split("\n") if keep_breaks else [safe]
    if lines is None:
        return _wrapped_all(paragraphs, width)
    if len(safe) <= 2 * width * lines:
        folded = _wrapped_all(paragraphs, width)
        if len(folded) <= lines:
            return folded
    return _cut(" ".join(safe.split()), width, lines, around)


def _wrapped_all(paragraphs: Iterable[str], width: int) -> list[str]:
    return [line for paragraph in paragraphs for line in _wrapped(paragraph.split(), width)]


def _cut(flat: str, width: int, lines: int, around: Collection[str]) -> list[str]:
    if not flat:
        return []
    size = _characters_that_fit(flat, width * lines) - 2 * (len(ELISION) + 1)
    start = _densest_start(flat, max(size, 1), frozenset(around))
    lead = [ELISION] if start else []
    folded = _wrapped(lead + flat[start : start + (size + 1) * 2].split(), width)
    if len(folded) > lines or start + (size + 1) * 2 < len(flat):
        kept = folded[:lines]
        kept[-1] = f"{_whole_words(kept[-1], width - len(ELISION) - 1)} {ELISION}"
        return kept
    return folded


def _whole_words(line: str, width: int) -> str:
    """The longest start of ``line`` that fits ``width`` columns and ends with a word, where it holds a whole one."""
    head = _head(line, width)
    return head if head == line else (head.rpartition(" ")[0] or head).rstrip()


def _characters_that_fit(text: str, width: int) -> int:
    sample = text[:4096]
    return width * _QUARTERS * len(sample) // max(_quarters(sample), 1)


def _densest_start(text: str, size: int, wanted: frozenset[str]) -> int:
    """Where a part of ``size`` characters starts that holds most different words of ``wanted``; the first of equals."""
    wanted = frozenset(word for word in wanted if len(word) <= size)
    hits = [(position, word) for position, word in _tokens(text) if word in wanted] if wanted else []
    if not hits or len(text) <= size:
        return 0
    first, last = _densest_hits(hits, size)
    slack = size - (hits[last][0] - hits[first][0])
    latest = len(text) - size
    start = _readable_start(text, hits[first][0], min(slack // 2, size // 4))
    return start if start <= latest else text.find(" ", latest, start) + 1 or latest


def _densest_hits(hits: Sequence[tuple[int, str]], size: int) -> tuple[int, int]:
    inside: Counter[str] = Counter()
    best, best_count, left = (0, 0), 0, 0
    for right, (position, word) in enumerate(hits):
        inside[word] += 1
        while position + len(word) - hits[left][0] > size:
            inside[hits[left][1]] -= 1
            if not inside[hits[left][1]]:
                del inside[hits[left][1]]
            left += 1
        if len(inside) > best_count:
            best, best_count = (left, right), len(inside)
    return best


_SENTENCE_END = re.compile(r"[.!?]\s+|[。！？]")


def _readable_start(text: str, position: int, slack: int) -> int:
    """The start of a sentence, else of a word, at most ``slack`` characters before ``position``."""
    earliest = max(position - slack, 0)
    if earliest == 0:
        return 0
    ends = [match.end() for match in _SENTENCE_END.finditer(text, earliest - 1, position)]
    if ends:
        return ends[0]
    blank = text.find(" ", earliest, position)
    return blank + 1 if blank >= 0 else position


def _wrapped(words: Iterable[str], width: int) -> list[str]:
    lines: list[str] = []
    line: list[str] = []
    limit = room = width * _QUARTERS
    for word in words:
        for piece in _pieces(word, room, limit):
            size = _quarters(piece)
            if line and size > room:
                lines.append(" ".join(line))
                line, room = [], limit
            line.append(piece)
            room -= size + _QUARTERS
    return [*lines, " ".join(line)] if line else lines


def _pieces(word: str, room: int, limit: int) -> Iterator[str]:
    """``word``, or where it is longer than a line, its pieces: the first fills what is left of this line.

    Sizes are quarter columns. A piece ends with a whole character and its marks.
    """
    if _fits(word, limit):
        yield word
        return
    room = room if room >= _LEAST_PIECE else limit
    start = used = 0
    for position, char in enumerate(word):
        size = _char_columns(char) * _QUARTERS or 1
        if used + size > room:
            cut = _character_boundary(word, start, position)
            yield word[start:cut]
            used, room = _quarters(word[cut:position]), limit
            start = cut
        used += size
    yield word[start:]


_LEAST_PIECE = 10 * _QUARTERS
_LONGEST_CHARACTER = 12
"""Code points of a character with its marks that are kept together."""


_NEVER_FIRST = frozenset(
    "、。，．・：；？！ー々ゝゞヽヾ）］｝」』】〉》〕〗〙〛ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
)
"""What no line of Japanese or Chinese begins with."""
_FLAG_LETTERS = ("\U0001f1e6", "\U0001f1ff")


def _character_boundary(word: str, start: int, position: int) -> int:
    for cut in range(position, max(start, position - _LONGEST_CHARACTER), -1):
        if _may_begin(word[cut]) and word[cut - 1] != "\u200d" and not _belong_together(word, start, cut):
            return cut
    return position


def _may_begin(char: str) -> bool:
    return _char_columns(char) > 0 and char != "\ufe0f" and char not in _NEVER_FIRST


def _belong_together(word: str, start: int, cut: int) -> bool:
    """Whether the characters on both sides of ``cut`` are digits of one number, or the letters of one flag."""
    before, after = word[cut - 1], word[cut]
    if before.isdigit() and after.isdigit():
        return True
    if not (_is_flag_letter(before) and _is_flag_letter(after)):
        return False
    letters = next(
        (count for count, char in enumerate(reversed(word[start:cut])) if not _is_flag_letter(char)), cut - start
    )
    return letters % 2 == 1


def _is_flag_letter(char: str) -> bool:
    return _FLAG_LETTERS[0] <= char <= _FLAG_LETTERS[1]
