"""Colour for those who see it: names for what a text means, and what a terminal makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

__all__ = ["Paint", "Style", "Styled", "ansi", "plain"]

Style = Literal["bad", "good", "unsure", "gold", "title"]
Paint = Callable[[str, Style], str]
"""Takes a text and what it means."""

_CODES: dict[Style, str] = {"bad": "31", "good": "32", "unsure": "33", "gold": "33", "title": "1"}


class Styled(str):
    """A text that knows what it means; where nobody asks, it is a text."""

    __slots__ = ("style",)
    style: Style

    @classmethod
    def of(cls, text: str, style: Style) -> Styled:
        """``text`` with its meaning."""
        made = cls(text)
        made.style = style
        return made


def plain(text: str, style: Style) -> str:  # noqa: ARG001 (one signature for all painters)
    """``text`` as it is."""
    return text


def ansi(text: str, style: Style) -> str:
    """``text`` in a colour of ECMA-48, which every terminal with colours knows; ``text`` must be printable."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if text else text
