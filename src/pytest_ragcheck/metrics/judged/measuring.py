"""One measurement with a metric object of deepeval's: a test case in, a number from 0 to 1 or an error of ours out."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError, RagcheckError
from pytest_ragcheck.metrics.judged import library

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from pytest_ragcheck.metrics.base import Case

__all__ = ["as_our_errors", "measured", "test_case_of"]


async def measured(metric: Any, test_case: Any) -> float:
    """Let the metric measure; its state is on the metric. MeasurementError where it gives no number from 0 to 1."""
    kind: Any = type(metric)
    await metric.a_measure(test_case, **_quietly(kind))
    library.stay_quiet()
    if metric.score is None:
        raise MeasurementError("the metric gave no score", kind="judging")
    value = float(metric.score)
    if not 0.0 <= value <= 1.0:
        raise MeasurementError(f"the judge gave {value!r}, which is not from 0 to 1", kind="wrong-value")
    return value


@lru_cache(maxsize=256)
def _quietly(kind: Hashable) -> Mapping[str, bool]:
    """What keeps deepeval's own metrics from drawing; a user's ``a_measure`` need not know it."""
    measure: Any = getattr(kind, "a_measure")  # noqa: B009 (deepeval has no types)
    parameters = inspect.signature(measure).parameters.values()
    knows = any(one.name == "_show_indicator" or one.kind is one.VAR_KEYWORD for one in parameters)
    return {"_show_indicator": False} if knows else {}


def test_case_of(case: Case) -> Any:
    """The case as deepeval has it; what was retrieved stands for both kinds of contexts that it knows."""
    from deepeval.test_case import LLMTestCase

    contexts = [context.text for context in case.contexts]
    return LLMTestCase(
        input=case.question.transcript,
        actual_output=case.answer.text if case.answer is not None else None,
        expected_output=case.question.reference,
        retrieval_context=contexts,
        context=contexts,
    )


@contextmanager
def as_our_errors() -> Iterator[None]:
    """What deepeval raises becomes a MeasurementError; what it has wrapped of ours comes out as it was."""
    try:
        yield
    except RagcheckError:
        raise
    except Exception as problem:
        if (ours := _wrapped(problem)) is not None:
            raise ours from None
        told = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        raise MeasurementError(f"deepeval: {told}", kind="judging") from problem


def _wrapped(problem: BaseException) -> RagcheckError | None:
    """What the gateway or the judge said, where deepeval has wrapped it in an error of its own."""
    cause: BaseException | None = problem
    while cause is not None and not isinstance(cause, RagcheckError):
        cause = cause.__cause__ or cause.__context__
    return cause
