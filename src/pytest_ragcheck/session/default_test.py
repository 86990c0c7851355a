"""The test that a question file gets when no test file stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_ragcheck.session.item_result import ItemResult


def test_question(ragcheck_result: ItemResult) -> None:
    """Every configured threshold."""
    try:
        ragcheck_result.assert_passed()
    except AssertionError as missed:
        # There is no line of the user's to show.
        raise pytest.fail.Exception(str(missed), pytrace=False) from None
