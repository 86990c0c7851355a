"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.report.colour import Style

__all__ = ["Finding", "Verdict", "failed", "fine", "skipped", "warned"]


class Verdict(StrEnum):
    """How it stands; ``FAILED`` alone makes the doctor's exit code 1."""

    FINE = "ok"
    WARNED = "warning"
    FAILED = "FAILED"
    SKIPPED = "skipped"

    @property
    def style(self) -> Style | None:
        """How it is painted."""
        return _STYLES.get(self)


_STYLES: Mapping[Verdict, Style] = {Verdict.FINE: "good", Verdict.WARNED: "unsure", Verdict.FAILED: "bad"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how ``name`` stands, and how to mend it."""

    verdict: Verdict
    name: str
    text: str
    remedy: str = ""

    def line(self) -> str:
        """What is printed after the verdict."""
        told = f"{self.name}: {self.text}"
        return f"{told}; {self.remedy}" if self.remedy else told


def fine(name: str, text: str) -> Finding:
    """Nothing to mend."""
    return Finding(Verdict.FINE, name, text)


def warned(name: str, text: str, remedy: str) -> Finding:
    """Works, but not as well as it could."""
    return Finding(Verdict.WARNED, name, text, remedy)


def failed(name: str, text: str, remedy: str = "") -> Finding:
    """Does not work; without ``remedy`` where ``text`` tells it already."""
    return Finding(Verdict.FAILED, name, text, remedy)


def skipped(name: str, text: str, remedy: str = "") -> Finding:
    """Was not looked at, and why."""
    return Finding(Verdict.SKIPPED, name, text, remedy)
