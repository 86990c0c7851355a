"""The test that a question file gets when no test file stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ragcheck.session.item_result import ItemResult


def test_question(ragcheck_result: ItemResult) -> None:
    """Every configured threshold."""
    __tracebackhide__ = True
    ragcheck_result.assert_passed()
