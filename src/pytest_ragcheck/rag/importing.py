"""Objects named ``package.module:name`` in the configuration."""

from __future__ import annotations

import importlib
import sys
import sysconfig
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["import_object", "is_import_path"]


def is_import_path(name: str) -> bool:
    """Whether a name looks like ``package.module:name``."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))


def import_object(name: str, *, root: Path, key: str) -> Any:
    """The object, its module looked for where Python looks and then in ``root``, whatever pytest's import mode.

    ``key`` is the configuration key, for the error. Raises ConfigurationError where the module or the name is missing,
    or where ``root`` has a module of this name and another folder's is imported.
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
    _check_origin(module_name.partition(".")[0], root, f"{key} = {name!r}")
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise ConfigurationError(f"{key} = {name!r}: module {module_name!r} has no {attribute!r}") from None


def _check_origin(package: str, root: Path, said: str) -> None:
    """Two services of one run may have modules of one name, of which Python imports the first it meets for both.

    An installed package may stand in for its own source folder.
    """
    own = next((path for path in (root / package / "__init__.py", root / f"{package}.py") if path.is_file()), None)
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None or own is None:
        return
    imported = Path(file).resolve()
    installed = (Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib"))
    if imported == own.resolve() or any(map(imported.is_relative_to, installed)):
        return
    raise ConfigurationError(
        f"{said}: module {package!r} is imported from {imported}, not from {own}; "
        "give one of the two another name, or run them separately"
    )


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
