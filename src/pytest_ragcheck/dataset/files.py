"""A question file's text, read within limits."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from pytest_ragcheck.dataset.values import CONTROL_CHARACTER
from pytest_ragcheck.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_FILE_BYTES", "MAX_LINE_BYTES", "read_text"]

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_text(path: Path, name: str) -> str:
    """The whole file as text, without a byte order mark.

    The limits are tested on the bytes, so that no parser ever sees what is over them.

    Raises:
        DatasetError: the file cannot be read, is over a limit, is not UTF-8 or holds control characters.

    """
    data = _read_bytes(path, name)
    _refuse_long_lines(data, name)
    content = _decode(data, name)
    if not content.strip():
        raise DatasetError(name, 1, "the file is empty; write at least one question")
    if unusable := CONTROL_CHARACTER.search(content):
        line = content.count("\n", 0, unusable.start()) + 1
        raise DatasetError(name, line, f"control character U+{ord(unusable[0]):04X}; take it out")
    return content


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DatasetError(name, None, "not a regular file; give the path of a question file")
        with path.open("rb") as file:
            # The file may grow, so its size alone does not bound the reading.
            data = file.read(MAX_FILE_BYTES + 1) if status.st_size <= MAX_FILE_BYTES else None
    except FileNotFoundError:
        raise DatasetError(name, None, "no such file; check the path of the question file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not usable"
        raise DatasetError(name, None, f"cannot be read ({reason}); check the path and its permissions") from None
    if data is None or len(data) > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // (1024 * 1024)
        raise DatasetError(name, None, f"the file is over the limit of {limit} MB; split it into several files")
    return data


def _refuse_long_lines(data: bytes, name: str) -> None:
    """Hop from line end to line end in steps of the limit; a hop that finds none is inside a line too long."""
    start = 0
    while len(data) - start > MAX_LINE_BYTES:
        line_end = data.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if line_end < 0:
            line = data.count(b"\n", 0, start) + 1
            limit = MAX_LINE_BYTES // (1024 * 1024)
            raise DatasetError(
                name, line, f"the line is over the limit of {limit} MB; write one question a line, or indent the file"
            )
        start = line_end + 1


def _decode(data: bytes, name: str) -> str:
    try:
        return data.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start + (len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0)
        line = data.count(b"\n", 0, offset) + 1
        raise DatasetError(
            name, line, f"not UTF-8: byte 0x{data[offset]:02x} at offset {offset}; save the file as UTF-8"
        ) from None
