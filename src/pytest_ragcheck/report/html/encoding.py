"""Data as text that can stand inside a page without becoming part of it."""

from __future__ import annotations

import json
import math
import zlib
from base64 import b64decode, b64encode
from typing import Any, NamedTuple

from pytest_ragcheck.report.textual import printable

__all__ = ["Block", "block_of", "content_of", "json_text"]

_LARGE = 500_000
"""Characters of JSON from which a page holds it compressed; below it can be read and searched in the file."""

# With these no JSON can end the element that holds it, open a comment in it, or break a line of a script.
_ESCAPES = {char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_DECIMALS = 6


class Block(NamedTuple):
    """The text of a data block and how it is to be read: ``json``, or ``deflate`` (JSON in zlib's format in base64)."""

    text: str
    encoding: str


def json_text(data: Any) -> str:
    """``data`` as JSON, in which nothing acts on a screen or hides.

    Texts in it, keys too, become :func:`~pytest_ragcheck.report.textual.printable`: so that no half character is left
    that UTF-8 cannot write either. Numbers are rounded to six decimals; those that JSON does not know become null.
    """
    return json.dumps(_sound(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def block_of(text: str) -> Block:
    """JSON for a ``<script>`` element that is not run: no character of it means anything in HTML."""
    if len(text) < _LARGE:
        return Block(_escaped(text), "json")
    return Block(b64encode(zlib.compress(text.encode("utf-8"))).decode("ascii"), "deflate")


def content_of(block: Block) -> Any:
    """What a page's script reads from a block."""
    text = zlib.decompress(b64decode(block.text)).decode("utf-8") if block.encoding == "deflate" else block.text
    return json.loads(text)


def _escaped(text: str) -> str:
    for char, escape in _ESCAPES.items():
        text = text.replace(char, escape)
    return text


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        # Most texts are short and plain, which is told much faster than what else there may be.
        return value if value.isascii() and value.isprintable() else printable(value)
    if isinstance(value, dict):
        return {_sound(key): _sound(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(entry) for entry in value]
    if isinstance(value, float):
        return round(value, _DECIMALS) if math.isfinite(value) else None
    return value
