"""Objects named ``package.module:name`` in the configuration."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager, suppress
from functools import reduce
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["import_object", "is_import_path"]


def is_import_path(name: str) -> bool:
    """Whether a name looks like ``package.module:name``."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))


def import_object(name: str, *, root: Path, key: str) -> Any:
    """The object, its module looked for where Python looks and then in ``root``, whatever pytest's import mode.

    ``key`` is the configuration key, for the error. Raises ConfigurationError where the module or the name is missing.
    """
    module_name, _, attribute = name.partition(":")
    try:
        with _importable(root):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{module_name}.".startswith(f"{problem.name}."):
            raise
        raise ConfigurationError(
            f"{key} = {name!r}: there is no module {problem.name!r} on the path or in {root}"
        ) from None
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise ConfigurationError(f"{key} = {name!r}: module {module_name!r} has no {attribute!r}") from None


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    if str(root) in sys.path:
        yield
        return
    sys.path.append(str(root))
    try:
        yield
    finally:
        with suppress(ValueError):  # the module took it off itself
            sys.path.remove(str(root))
