"""Whatever goes wrong in a step, as a value."""

from __future__ import annotations

import asyncio
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_ragcheck.errors import MeasurementError, NotRunError, RagcheckError
from pytest_ragcheck.model import Failure, Result
from pytest_ragcheck.run_file import whole_characters

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pytest_ragcheck.model import Question

__all__ = ["Outcome", "Stopped", "guarded"]

T = TypeVar("T")
_OURS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Stopped:
    """Why a step gave nothing."""

    failure: Failure | None = None
    not_run: str | None = None

    def result(self, question: Question) -> Result:
        """What becomes of a question that is stopped so."""
        return Result(question=question, error=self.failure, not_run=self.not_run)


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a step gave, or why it gave nothing."""

    value: T | None = None
    stopped: Stopped | None = None


async def guarded(work: Coroutine[Any, Any, T]) -> Outcome[T]:
    """Turn whatever a step raises into data; only our own cancellation and Ctrl-C pass."""
    task = asyncio.current_task()
    try:
        return Outcome(value=await work)
    except NotRunError as reason:
        return Outcome(stopped=Stopped(not_run=str(reason)))
    except KeyboardInterrupt:
        raise
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise
        return Outcome(stopped=Stopped(failure=Failure(message="it was cancelled from within", kind="cancelled")))
    except BaseException as problem:  # pytest's own outcomes and SystemExit are BaseExceptions
        if isinstance(problem, GeneratorExit) and _current_task() is not task:
            raise  # the coroutine is closed from outside
        return Outcome(stopped=Stopped(failure=_failure(problem)))


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # the loop has ended
        return None


def _failure(problem: BaseException) -> Failure:
    if isinstance(problem, MeasurementError):
        details = {
            key: detail if detail is None or type(detail) in {int, float} else whole_characters(str(detail))
            for key, detail in problem.details.items()
        }
        return Failure(message=whole_characters(str(problem)), kind=problem.kind, details=details)
    if isinstance(problem, RagcheckError):
        return Failure(message=whole_characters(str(problem)), kind=type(problem).__name__)
    outside = _outside_frames(problem)
    frames = traceback.extract_tb(outside.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    text = _MARKERS.sub("", "".join(traceback.format_exception(outside)))
    first_line = _text_of(problem).partition("\n")[0]
    return Failure(
        message=whole_characters(f"{type(problem).__name__}: {first_line}{where}"),
        kind="exception",
        details={"traceback": whole_characters(text)},
    )


def _text_of(problem: BaseException) -> str:
    try:
        return str(problem)
    except Exception as broken:  # noqa: BLE001 (the code of a user's exception)
        return f"its text cannot be had ({type(broken).__name__})"


_MARKERS = re.compile(r"^[ ^~]+\n", re.MULTILINE)
"""The lines of a traceback that underline a part of the line above."""


def _outside_frames(problem: BaseException) -> BaseException:
    """The exception with a traceback that starts where our own frames end, if it was raised outside of them."""
    rest = problem.__traceback__
    while rest is not None and _is_ours(rest.tb_frame.f_code.co_filename):
        rest = rest.tb_next
    return problem if rest is None else problem.with_traceback(rest)


def _is_ours(filename: str) -> bool:
    return Path(filename).is_relative_to(_OURS)
