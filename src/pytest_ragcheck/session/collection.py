"""Question files named on the command line, collected as if a test file stood beside them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ragcheck.errors import RagcheckError
from pytest_ragcheck.session import default_test
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.config_file import FILE_NAME, find_configuration
from pytest_ragcheck.session.selection import check_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_ragcheck.session.suite_catalog import SuiteCatalog

__all__ = ["check_arguments", "collect_questions"]


def collect_questions(path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A module with the default test for a question file that was named, None for any other file."""
    from pytest_ragcheck.dataset import QUESTION_SUFFIXES

    if path.suffix.lower() not in QUESTION_SUFFIXES or path not in _named_paths(parent.config):
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=path)
    module.obj = default_test
    return module


def check_arguments(config: pytest.Config, catalog: SuiteCatalog) -> None:
    """Make the suites that the arguments lead to, before anything is collected; UsageError for the first problem."""
    from pytest_ragcheck.dataset import QUESTION_SUFFIXES

    try:
        for path in _named_paths(config):
            if path.is_file() and path.suffix.lower() in QUESTION_SUFFIXES:
                _check_suite(config, catalog, path.parent, questions=path)
            elif path.exists():
                folder = path if path.is_dir() else path.parent
                for configured in _configured_folders(folder, config):
                    _check_suite(config, catalog, configured)
    except RagcheckError as problem:
        raise pytest.UsageError(f"ragcheck: {problem}") from None
    except OSError as problem:
        raise pytest.UsageError(f"ragcheck: {problem.filename}: {problem.strerror}") from None


def _check_suite(config: pytest.Config, catalog: SuiteCatalog, folder: Path, *, questions: Path | None = None) -> None:
    """Make a suite; one that names a metric which a module in the folder may define is made when that is imported."""
    try:
        check_tags(catalog.suite(folder, questions=questions))
    except RagcheckError as problem:
        if problem.unknown_metric is None or not _stands_in_a_module(problem.unknown_metric, folder, config):
            raise


def _stands_in_a_module(name: str, folder: Path, config: pytest.Config) -> bool:
    word = re.compile(rf"\b{re.escape(name)}\b")
    patterns: list[str] = config.getini("norecursedirs")
    for place, folders, files in os.walk(folder):
        folders[:] = [sub for sub in folders if not _is_left_out(sub, patterns)]
        modules = [Path(place, file) for file in files if file.endswith(".py")]
        if any(word.search(module.read_text(encoding="utf-8", errors="replace")) for module in modules):
            return True
    return False


def _named_paths(config: pytest.Config) -> list[Path]:
    folder = config.invocation_params.dir
    names = (argument.partition("::")[0] for argument in config.args)
    return list(dict.fromkeys(Path(os.path.normpath(folder / name)) for name in names))


def _configured_folders(folder: Path, config: pytest.Config) -> Iterator[Path]:
    """``folder`` if a configuration above it has questions, and every folder below with a ragcheck.toml of its own."""
    if _has_questions(folder, config):
        yield folder
    patterns: list[str] = config.getini("norecursedirs")
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_left_out(name, patterns)]
        if FILE_NAME in files and Path(place) != folder and _has_questions(Path(place), config):
            yield Path(place)


def _has_questions(folder: Path, config: pytest.Config) -> bool:
    if find_configuration(folder) is None:
        return False
    return load_settings(folder, invocation=config.invocation_params.dir).questions is not None


def _is_left_out(name: str, patterns: Iterable[str]) -> bool:
    return name.startswith(".") or name == "__pycache__" or any(Path(name).match(pattern) for pattern in patterns)
