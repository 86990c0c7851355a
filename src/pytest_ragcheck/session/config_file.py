"""``ragcheck.toml`` and the table in ``pyproject.toml``: found, read, and places in them told by line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE_NAME", "ConfigurationFile", "find_configuration"]

FILE_NAME = "ragcheck.toml"
_TOML_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_OUR_HEADER = re.compile(r"""\s*\[\s*["']?tool["']?\s*\.\s*["']?ragcheck["']?\s*[.\]]""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFile:
    """A TOML file and the table in it that is ours."""

    path: Path
    text: str
    table: Mapping[str, Any]

    @property
    def shown(self) -> str:
        """The path as the user knows it."""
        return _shown(self.path)

    def error(self, problem: str, *place: str) -> ConfigurationError:
        """An error at the line of the key at ``place`` (``"chunking", "size"``), or of the table that it is in."""
        return ConfigurationError(f"{self.place(*place)}: {problem}")

    def place(self, *place: str) -> str:
        """``file:line`` of a key, or of the table that it is in."""
        lines = (self._line(key) for key in reversed(place))
        line = next((line for line in lines if line is not None), None)
        return f"{self.shown}{f':{line}' if line else ''}"

    def _line(self, key: str) -> int | None:
        quoted = rf"""["']?{re.escape(key)}["']?"""
        header = re.compile(rf"""\s*\[\s*(?:[\w."'-]+\.)?{quoted}\s*\]""")
        assignment = re.compile(rf"""\s*(?:[\w."'-]+\.)?{quoted}\s*=""")
        ours = self.path.name == FILE_NAME
        for number, line in enumerate(self.text.split("\n"), 1):
            if line.lstrip().startswith("["):
                ours = self.path.name == FILE_NAME or _OUR_HEADER.match(line) is not None
            if ours and (header.match(line) or assignment.match(line)):
                return number
        return None


@lru_cache(maxsize=1024)
def find_configuration(folder: Path) -> ConfigurationFile | None:
    """The nearest configuration at or above ``folder``; ConfigurationError where it is not TOML.

    In one folder ``ragcheck.toml`` goes before ``pyproject.toml``.
    """
    for candidate in (folder / FILE_NAME, folder / "pyproject.toml"):
        found = _read(candidate)
        if found is not None:
            return found
    return find_configuration(folder.parent) if folder.parent != folder else None


def _read(path: Path) -> ConfigurationFile | None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_shown(path)}: not UTF-8; save it as UTF-8") from None
    except OSError as problem:
        raise ConfigurationError(f"{_shown(path)}: {problem.strerror}") from None
    if path.name != FILE_NAME and "ragcheck" not in text:
        return None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise _not_toml(path, text, "values are nested too deeply") from None
    except ValueError as problem:  # a TOMLDecodeError, or a number of too many digits
        raise _not_toml(path, text, str(problem)) from None
    table = document if path.name == FILE_NAME else _our_table(document)
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigurationError(f"{_shown(path)}: tool.ragcheck must be a table, got {table!r}")
    return ConfigurationFile(path=path, text=text, table=table)


def _our_table(document: Mapping[str, Any]) -> Any:
    tools = document.get("tool")
    return tools.get("ragcheck") if isinstance(tools, dict) else None


def _not_toml(path: Path, text: str, problem: str) -> ConfigurationError:
    place = _TOML_PLACE.search(problem)
    if place is None:
        return ConfigurationError(f"{_shown(path)}: not valid TOML: {problem}")
    line = place["line"] or text.rstrip("\n").count("\n") + 1
    told = f"not valid TOML: {problem[: place.start()]}; check the quotes, commas and brackets there"
    return ConfigurationError(f"{_shown(path)}:{line}: {told}")


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
