"""What a check of questions found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ragcheck.errors import RagcheckError
    from pytest_ragcheck.model import Question

__all__ = ["Finding", "Level", "error_at", "of_error", "warning_at"]


class Level(StrEnum):
    """Errors stop a run, or spoil it; warnings may be meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of output."""

    level: Level
    place: str
    """``file:line``."""
    kind: str
    text: str
    remedy: str = ""

    def line(self) -> str:
        """As it is printed."""
        told = f"{self.place}: {self.level}: {self.kind}: {self.text}"
        return f"{told}; {self.remedy}" if self.remedy else told

    @property
    def order(self) -> tuple[str, int]:
        """File, then line."""
        file, _, line = self.place.rpartition(":")
        return (file, int(line)) if line.isdigit() else (self.place, 0)


def error_at(question: Question, kind: str, text: str, remedy: str) -> Finding:
    """Something about a question that stops a run, or spoils it."""
    return Finding(Level.ERROR, place_of(question), kind, text, remedy)


def warning_at(question: Question, kind: str, text: str, remedy: str) -> Finding:
    """Something about a question that may be meant."""
    return Finding(Level.WARNING, place_of(question), kind, text, remedy)


def of_error(error: RagcheckError, kind: str, *, fallback: str, remedy: str = "") -> Finding:
    """An error as a run would raise it: its text starts with its place, else the place is ``fallback``."""
    text = str(error)
    place, separator, rest = text.partition(": ")
    if not separator or " " in place:
        place, rest = fallback, text
    return Finding(Level.ERROR, place, kind, rest, remedy)


def place_of(question: Question) -> str:
    """``file:line`` of a question."""
    return question.dataset if question.line is None else f"{question.dataset}:{question.line}"
