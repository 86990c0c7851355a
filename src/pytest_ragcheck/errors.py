"""The one root of the errors that pytest-ragcheck raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.safe_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "ConfigurationError",
    "DatasetError",
    "DocumentError",
    "MeasurementError",
    "MissingExtraError",
    "NotRunError",
    "RagcheckError",
    "did_you_mean",
]

_LONGEST_NAME = 100


class RagcheckError(Exception):
    """Root of all errors of pytest-ragcheck; its text is one line that a user can act on.

    Paths, values and other people's messages in it may hold anything, so the text is made printable here, for every
    place that shows it: a line break could begin a command of a CI, an escape sequence rewrite the terminal.
    """

    unknown_metric: str | None = None
    """The name, where the error is that no metric is called so: a module yet to be imported may define it."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class ConfigurationError(RagcheckError):
    """An option, a configuration table or a mark is wrong; the text names the place and the remedy."""


class DatasetError(RagcheckError):
    """A question file cannot be used; the text starts with ``file:line``."""

    def __init__(self, path: Path | str, line: int | None, problem: str) -> None:
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}")


class DocumentError(RagcheckError):
    """A document cannot be read; the text starts with its path."""


class MissingExtraError(RagcheckError):
    """A feature needs an optional dependency that is not installed; the text says what to install.

    Either the ``extra`` that it is in, or a ``package`` that is installed without what it requires.
    """

    def __init__(self, feature: str, *, extra: str = "", package: str = "") -> None:
        if package:
            super().__init__(f"{feature} needs a package: python -m pip install --no-deps {package}")
        else:
            super().__init__(f'{feature} needs an extra: python -m pip install "pytest-ragcheck[{extra}]"')


class MeasurementError(RagcheckError):
    """An answer or a score could not be obtained.

    Raised inside a pipeline, the gateway or a metric; the engine turns it into a
    :class:`~pytest_ragcheck.model.Failure`, so that one question's trouble stays its own.

    ``details`` holds plain JSON values that help to find the cause (status, attempts, request id).
    """

    def __init__(self, message: str, *, kind: str = "error", **details: str | float | None) -> None:
        super().__init__(message)
        self.kind = kind
        self.details = details


class NotRunError(RagcheckError):
    """A call was not made on purpose (budget spent, cache mode ``only``); the question is not run, not in error."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'questions'?"`` where a known name is near, else the known names."""
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(name[:_LONGEST_NAME], names, n=1, cutoff=0.6)  # comparing takes the product of lengths
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
