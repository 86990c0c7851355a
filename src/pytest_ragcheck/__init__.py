"""Regression tests for retrieval-augmented generation (RAG) as ordinary pytest items.

The names here are imported when they are first used: loading the pytest plugin imports this module too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError, RagcheckError
    from pytest_ragcheck.metrics.own import metric
    from pytest_ragcheck.model import (
        Answer,
        Chunk,
        Context,
        Failure,
        Passage,
        Question,
        Result,
        Run,
        Score,
        State,
        Turn,
        Usage,
    )
    from pytest_ragcheck.rag.claude import generate_answer, generate_answer_async, generate_answers_batch_async
    from pytest_ragcheck.rag.endpoint import HttpEndpoint

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Chunk",
    "ConfigurationError",
    "Context",
    "Failure",
    "HttpEndpoint",
    "MeasurementError",
    "NotRunError",
    "Passage",
    "Question",
    "RagcheckError",
    "Result",
    "Run",
    "Score",
    "State",
    "Turn",
    "Usage",
    "generate_answer",
    "generate_answer_async",
    "generate_answers_batch_async",
    "metric",
]

_HOMES = {
    **dict.fromkeys(("ConfigurationError", "MeasurementError", "NotRunError", "RagcheckError"), "errors"),
    **dict.fromkeys(("generate_answer", "generate_answer_async", "generate_answers_batch_async"), "rag.claude"),
    "HttpEndpoint": "rag.endpoint",
    "metric": "metrics.own",
}
"""Where the names are defined that are not in ``model``."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'model')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
