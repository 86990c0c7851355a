"""Keeps packages out of pytest's rewriting of assertions."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["keep_out"]


class _PlainImports(MetaPathFinder):
    """Finds modules within some packages as Python does, before pytest's import hook sees them.

    The packages themselves are left to pytest, which warns where it has marked a package for rewriting and finds it
    imported by others.
    """

    def __init__(self) -> None:
        self.packages: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, dot, _ = fullname.partition(".")
        return PathFinder.find_spec(fullname, path, target) if dot and package in self.packages else None


_FINDER = _PlainImports()


def keep_out(*packages: str) -> None:
    """Let pytest leave the modules of these packages as they are.

    pytest rewrites all modules of a distribution that brings a plugin along, and keeps the result in files of its own.
    Where no bytecode may be written it reads, rewrites and compiles each of them at every start, although the installer
    has compiled them.
    """
    _FINDER.packages.update(packages)
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    sys.meta_path.insert(0, _FINDER)  # another pytest in this process has put its hook in front
