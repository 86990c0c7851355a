"""The pytest hooks: each hands over to the session room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.session import fixtures, options, selection

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark and the fixtures; with ``--ragcheck`` all the rest."""
    config.addinivalue_line("markers", selection.MARK_LINE)
    config.pluginmanager.register(fixtures, "ragcheck-fixtures")
    if config.getoption("ragcheck"):
        from pytest_ragcheck.session import activation

        activation.activate(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One item for each question."""
    selection.parametrize(metafunc, metafunc.config.stash.get(selection.CATALOG, None))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A question file named on the command line is a test file."""
    if not parent.config.getoption("ragcheck"):
        return None
    from pytest_ragcheck.session.collection import collect_questions

    return collect_questions(file_path, parent)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the stores."""
    if selection.CATALOG in config.stash:
        config.stash[selection.CATALOG].close()
