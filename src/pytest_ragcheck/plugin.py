"""The pytest hooks: each hands over to the session room.

Every pytest where this package is installed imports this module: all else is imported late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_ragcheck.session.rewriting import keep_out

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MARK_LINE = (
    "ragcheck(questions=..., documents=..., metrics=...): the suite of a test, class or module: a question file, "
    "document patterns (both relative to the test file), and metric names with their least values"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    keep_out("pytest_ragcheck")
    from pytest_ragcheck.session.options import add_options

    add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Let a ``conftest.py`` import large libraries without what would make that slow."""
    if not early_config.known_args_namespace.ragcheck:
        return (yield)
    from pytest_ragcheck.heavy_imports import without_collections

    keep_out("deepeval", "anthropic", "openai")
    with without_collections(freeze=True):
        return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark and the fixtures; with ``--ragcheck`` all the rest."""
    from pytest_ragcheck.session import fixtures

    config.addinivalue_line("markers", MARK_LINE)
    config.pluginmanager.register(fixtures, "ragcheck-fixtures")
    if config.getoption("ragcheck"):
        from pytest_ragcheck.session import activation

        activation.activate(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item for each question, if the test asks for one."""
    from pytest_ragcheck.session.fixtures import ENTRY

    if ENTRY in metafunc.fixturenames:
        from pytest_ragcheck.session.selection import CATALOG, parametrize

        parametrize(metafunc, metafunc.config.stash.get(CATALOG, None))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A question file named on the command line is a test file."""
    if not parent.config.getoption("ragcheck"):
        return None
    from pytest_ragcheck.session.collection import collect_questions

    return collect_questions(file_path, parent)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the stores."""
    if config.getoption("ragcheck"):
        from pytest_ragcheck.session.selection import CATALOG

        if CATALOG in config.stash:
            config.stash[CATALOG].close()
