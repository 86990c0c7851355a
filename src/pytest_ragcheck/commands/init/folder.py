"""What a folder holds already: documents, settings, tests."""

from __future__ import annotations

import configparser
import os
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_ragcheck.session.config import Settings

__all__ = ["Folder", "document_patterns", "look_at"]

_PROJECT_FILES = frozenset(
    """readme changelog changes history contributing contributors authors license licence notice code_of_conduct
    security requirements constraints todo agents claude""".split()  # noqa: SIM905 (a name a line would be longer than all else here)
)
"""First words of the names of files that tell about the project, not about what its users ask."""
_NOT_DOCUMENTS = frozenset(
    """tests test src node_modules venv env site-packages build dist target site htmlcov coverage _build __pycache__
    evals""".split()  # noqa: SIM905 (a name a line would be longer than all else here)
)
_MOST_NAMED = 20
"""Documents beside project files are named one by one, up to so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What :func:`look_at` saw."""

    root: Path
    settings: Settings | None
    """Of a configuration that stands in the folder already."""
    documents: tuple[str, ...]
    """Files, folders and globs relative to ``root``; empty where there are none."""
    tests: Path
    """Where tests are, else ``root``."""
    has_pipeline: bool
    """Whether a conftest.py names the fixture ``ragcheck_pipeline``."""
    pytest_settings: Mapping[str, Any] | None
    """pytest's own; None where no file has any."""

    @property
    def names_a_system(self) -> bool:
        """Whether the configuration says who answers without documents."""
        from pytest_ragcheck.session.systems import is_own_system

        return self.settings is not None and is_own_system(self.settings)

    @property
    def lacks_a_system(self) -> bool:
        """Whether nothing in the folder could answer."""
        return not (self.documents or self.has_pipeline or self.names_a_system)


def look_at(root: Path, documents: Sequence[str]) -> Folder:
    """What is in ``root``; ``documents`` that were named are taken as they are.

    Raises ConfigurationError for a configuration that is not valid.
    """
    from pytest_ragcheck.session.config import load_settings
    from pytest_ragcheck.session.config_file import find_configuration

    find_configuration.cache_clear()
    found = find_configuration(root)
    settings = load_settings(root, invocation=root) if found is not None and found.path.parent == root else None
    tests = _tests(root)
    return Folder(
        root=root,
        settings=settings,
        documents=settings.documents if settings else tuple(documents) or document_patterns(root),
        tests=tests,
        has_pipeline=any(_names_the_pipeline(folder / "conftest.py") for folder in {root, tests}),
        pytest_settings=_pytest_settings(root),
    )


def document_patterns(root: Path) -> tuple[str, ...]:
    """Globs for the documents below ``root``: its own ones, then those of each folder in it."""
    from pytest_ragcheck.rag.ingestion import DOCUMENT_SUFFIXES

    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in _files(root):
        if path.suffix.lower() in DOCUMENT_SUFFIXES:
            parts = path.relative_to(root).parts
            found[parts[0] if len(parts) > 1 else ""].append(path)
    patterns = list(_patterns_of_root(found.pop("", [])))
    for name in sorted(found):
        patterns += [f"{name}/**/*{suffix}" for suffix in sorted({path.suffix for path in found[name]})]
    return tuple(patterns)


def _patterns_of_root(paths: Sequence[Path]) -> Iterator[str]:
    documents = [path for path in paths if not _is_project_file(path)]
    for suffix in sorted({path.suffix for path in documents}):
        names = [path.name for path in documents if path.suffix == suffix]
        all_names = [path.name for path in paths if path.suffix == suffix]
        if names == all_names or len(names) > _MOST_NAMED:
            yield f"*{suffix}"
        else:
            yield from names


def _is_project_file(path: Path) -> bool:
    return path.stem.lower().replace("-", "_").split(".")[0].removesuffix("_dev") in _PROJECT_FILES


def _files(root: Path) -> Iterator[Path]:
    """The files below ``root`` that are not hidden, in the order of their names, without those of code and tools."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(place, name)))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


def _is_left_out(folder: Path) -> bool:
    name = folder.name.lower()
    return (
        name.startswith(".")
        or name in _NOT_DOCUMENTS
        or (folder / "pyvenv.cfg").exists()
        or (folder / "__init__.py").exists()
    )


def _tests(root: Path) -> Path:
    said = (_pytest_settings(root) or {}).get("testpaths", ())
    named = said.split() if isinstance(said, str) else map(str, said)
    candidates = (root / name for name in (*named, "tests", "test"))
    return next((folder for folder in candidates if folder.is_dir()), root)


def _pytest_settings(root: Path) -> Mapping[str, Any] | None:
    """Pytest's own settings in the first file that has any, in pytest's order."""
    for name in ("pytest.toml", ".pytest.toml"):
        if (root / name).is_file():
            return _table(_toml(root / name).get("pytest"))
    for name in ("pytest.ini", ".pytest.ini"):
        if (root / name).is_file():
            return _section(root / name, "pytest") or {}
    in_project = _table(_toml(root / "pyproject.toml").get("tool")).get("pytest")
    if isinstance(in_project, dict):
        return _table(in_project.get("ini_options", in_project))
    in_tox = _section(root / "tox.ini", "pytest")
    return in_tox if in_tox is not None else _section(root / "setup.cfg", "tool:pytest")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _section(path: Path, section: str) -> Mapping[str, Any] | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return None
    return dict(parser[section]) if parser.has_section(section) else None


def _names_the_pipeline(path: Path) -> bool:
    try:
        return "ragcheck_pipeline" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
