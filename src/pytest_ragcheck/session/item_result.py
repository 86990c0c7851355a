"""The result as a test sees it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from pytest_ragcheck.model import Result
from pytest_ragcheck.report.question import question_report

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ItemResult", "ThresholdNotMet"]


class ThresholdNotMet(AssertionError):  # noqa: N818 (pytest prints the name: it says what happened)
    """A measured score is below its threshold; the text is the question report."""

    __module__ = "ragcheck"


@dataclass(frozen=True, kw_only=True)
class ItemResult(Result):
    """A question's result with the assertion that belongs to it."""

    describe: Callable[[Result], str] = question_report
    excuse: Callable[[Result], str | None] = lambda _: None
    """Why a failure does not fail the item; None: it does."""

    @classmethod
    def of(
        cls,
        result: Result,
        describe: Callable[[Result], str],
        excuse: Callable[[Result], str | None] = lambda _: None,
    ) -> Self:
        """The same result, described by ``describe`` when it fails, unless ``excuse`` has a reason not to."""
        own = {field.name: getattr(result, field.name) for field in fields(Result)}
        return cls(**own, describe=describe, excuse=excuse)

    def __repr__(self) -> str:
        return f"<{self.question.id}: {self.state}>"

    def assert_passed(self) -> None:
        """Raise ThresholdNotMet, with the question report, if any score is below its threshold.

        Under ``--ragcheck-fail-on regression`` the item is xfailed instead: the gate decides over the whole run.
        """
        __tracebackhide__ = True
        if not self.failed_scores:
            return
        if (reason := self.excuse(self)) is not None:
            import pytest

            pytest.xfail(reason)
        raise ThresholdNotMet(self.describe(self)) from None
