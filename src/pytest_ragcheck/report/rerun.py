"""The command that asks one question of a run again."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ragcheck.model import Result

__all__ = ["rerun_command"]

_SELECTABLE = re.compile(r"[\w.-]+", re.ASCII)


def rerun_command(result: Result) -> str | None:
    """A command for the folder in which the run was made; None where pytest's ``-k`` cannot name the question.

    A run does not say in which test a question stood, so that all tests that ask it are run. Where the results are
    told apart by a variant, an item's id holds more than the question's, and questions whose ids hold this one
    come along.
    """
    identifier = result.question.id
    if not _SELECTABLE.fullmatch(identifier):
        return None
    trials = f" --ragcheck-trials {result.planned_trials}" if result.planned_trials > 1 else ""
    return f"pytest --ragcheck{trials} -k {shlex.quote(identifier if result.variant else f'[{identifier}]')}"
