"""Which results are known not to pass: those of items that are marked xfail."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["LEFT_TO_THE_GATE", "ExpectedFailures"]

Key = tuple[str, ...]
LEFT_TO_THE_GATE = "whether that is a regression, the gate says"
"""Ends the reason of an item that is xfailed for ``--ragcheck-fail-on regression``, not for a mark of the user."""


class ExpectedFailures:
    """Counts items that failed as expected, and knows the results that they share."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}
        self._expected: set[str] = set()
        self._unexpected: set[str] = set()
        self._left: set[str] = set()

    @property
    def count(self) -> int:
        """Items that failed and were marked xfail."""
        return len(self._expected)

    @property
    def left_to_the_gate(self) -> int:
        """Items below a threshold that nobody expected to be, and that the gate decides about."""
        return len(self._left)

    def note_result(self, nodeid: str, key: Key) -> None:
        """An item has the result of this key."""
        self._keys[nodeid] = key

    def note_report(self, report: pytest.TestReport) -> None:
        """What became of an item; the last try counts."""
        if report.when == "setup":
            self._expected.discard(report.nodeid)
            self._unexpected.discard(report.nodeid)
            self._left.discard(report.nodeid)
        if report.skipped and str(getattr(report, "wasxfail", "")).endswith(LEFT_TO_THE_GATE):
            self._left.add(report.nodeid)
        elif report.skipped and hasattr(report, "wasxfail"):
            self._expected.add(report.nodeid)
        elif report.failed and report.when in {"setup", "call"}:
            self._unexpected.add(report.nodeid)

    def results(self) -> set[Key]:
        """The results of which some item failed as expected, and none otherwise."""
        expected = {self._keys[nodeid] for nodeid in self._expected if nodeid in self._keys}
        otherwise = self._unexpected | self._left
        return expected - {self._keys[nodeid] for nodeid in otherwise if nodeid in self._keys}
