"""JSON as question files may hold it: a key stands once in an object, and every fault has a sentence."""

from __future__ import annotations

import json
from typing import Any

from pytest_ragcheck.dataset.values import shown
from pytest_ragcheck.strict_json import RepeatedKeyError, mapping_of

__all__ = ["InvalidJSONError", "decode", "decode_at"]

_SPACE = " \t\r\n"
_REMEDY = "check the quotes, commas and brackets there"


class InvalidJSONError(ValueError):
    """What is wrong with a piece of JSON; ``line`` (from 1, in that piece) where it is known."""

    def __init__(self, problem: str, *, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


_DECODER = json.JSONDecoder(object_pairs_hook=mapping_of)


def decode(piece: str) -> Any:
    """The value of ``piece``, which must hold nothing else but white space.

    Raises:
        InvalidJSONError: it is not valid JSON, a key is given twice, or it is nested too deep.

    """
    value, end = decode_at(piece, len(piece) - len(piece.lstrip(_SPACE)))
    rest = piece[end:].lstrip(_SPACE)
    if rest:
        raise _syntax_fault(json.JSONDecodeError("text after the end of the value", piece, len(piece) - len(rest)))
    return value


def decode_at(content: str, position: int) -> tuple[Any, int]:
    """The value that starts at ``position`` and the position after it.

    Raises:
        InvalidJSONError: as for :func:`decode`.

    """
    try:
        return _DECODER.raw_decode(content, position)
    except json.JSONDecodeError as error:
        raise _syntax_fault(error) from None
    except RepeatedKeyError as error:
        raise InvalidJSONError(f"the key {shown(error.key)} is given twice; keep one of them") from None
    except RecursionError:
        raise InvalidJSONError("the value is nested too deep; make it flatter") from None
    except ValueError:
        # The only other fault of the decoder: int() refuses thousands of digits.
        raise InvalidJSONError("a number has too many digits; shorten it") from None


def _syntax_fault(error: json.JSONDecodeError) -> InvalidJSONError:
    what = error.msg[:1].lower() + error.msg[1:]
    problem = f"not valid JSON: {what} (column {error.colno}); {_REMEDY}"
    return InvalidJSONError(problem, line=error.lineno)
