"""A question's report for pytest-html, which shows it with the item, passed or not."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.session.recorder import RESULT

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_ragcheck.model import Result

__all__ = ["HtmlExtras", "wants_html"]

WIDTH = 120


def wants_html(config: pytest.Config) -> bool:
    """Whether pytest-html is there and was asked for a report."""
    return config.pluginmanager.hasplugin("html") and bool(config.getoption("htmlpath", None))


class HtmlExtras:
    """A plugin that hands pytest-html what it knows of an item, in the process that runs the item."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Add the report to the item's set-up, in which its result came."""
        report = yield
        if report.when == "setup" and RESULT in item.stash:
            from pytest_html import extras

            report.extras = [*getattr(report, "extras", []), extras.html(_question_html(item.stash[RESULT][0]))]
        return report


def _question_html(result: Result) -> str:
    from pytest_ragcheck.report.question import first_line, question_report

    summary, report = escape(first_line(result)), escape(question_report(result, width=WIDTH))
    return f'<details><summary>{summary}</summary><pre dir="auto">{report}</pre></details>'
