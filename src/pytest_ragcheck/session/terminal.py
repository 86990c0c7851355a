"""The terminal: how wide it is and whether it shows colours, for the process that has it and for xdist's workers."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.report.colour import ansi, plain
from pytest_ragcheck.safe_text import one_line
from pytest_ragcheck.session.roles import is_worker

if TYPE_CHECKING:
    from pytest_ragcheck.report.colour import Paint

__all__ = ["TerminalFacts", "painter", "report_width", "summary_width", "write_notice"]

MARGIN = 4
"""pytest puts ``E   `` before each line of a failure."""
NARROWEST, WIDEST = 44, 160
WORKER_INPUT = "ragcheck_columns"


def report_width(config: pytest.Config) -> int:
    """Columns that a question's report may take within a failure; the same in every process of a run."""
    return summary_width(config) - MARGIN


def summary_width(config: pytest.Config) -> int:
    """Columns that a line of the summary may take."""
    return max(NARROWEST, min(WIDEST, _columns(config)))


def _columns(config: pytest.Config) -> int:
    if is_worker(config):
        told: int = config.workerinput.get(WORKER_INPUT, 80)  # type: ignore[attr-defined]
        return told
    if config.pluginmanager.hasplugin("terminalreporter"):  # not under -p no:terminal
        return config.get_terminal_writer().fullwidth
    return shutil.get_terminal_size().columns


def painter(config: pytest.Config) -> Paint:
    """Paints where pytest itself does: as ``--color``, ``NO_COLOR``, ``FORCE_COLOR`` and the terminal say."""
    has_terminal = config.pluginmanager.hasplugin("terminalreporter")
    return ansi if has_terminal and config.get_terminal_writer().hasmarkup else plain


def write_notice(terminalreporter: Any, text: str, **markup: bool) -> None:
    """Write a line of ours, whatever is in the paths that it names."""
    terminalreporter.write_line(f"ragcheck: {one_line(text)}", **markup)


class TerminalFacts:
    """A plugin of xdist's controller, which tells the workers how wide the terminal is that they do not have."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker that is about to start."""
        node.workerinput[WORKER_INPUT] = _columns(self._config)
