"""The system that a configuration names in place of the reference pipeline."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError, DatasetError
from pytest_ragcheck.rag.importing import import_object, is_import_path
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.model import Question
    from pytest_ragcheck.rag.endpoint import HttpEndpoint
    from pytest_ragcheck.rag.pipeline import Pipeline
    from pytest_ragcheck.rag.recorded import RecordedAnswers
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.store import Store

__all__ = [
    "ANTHROPIC",
    "EXTRACTIVE",
    "NONE",
    "is_endpoint",
    "is_named_object",
    "is_own_system",
    "keeping_answers",
    "make_endpoint",
    "make_named_object",
    "read_recorded",
    "unknown_generator",
    "without_secrets",
]

EXTRACTIVE = "extractive"
NONE = "none"
ANTHROPIC = "anthropic"


def is_endpoint(settings: Settings) -> bool:
    """Whether an HTTP address answers."""
    return settings.answers is None and settings.generator.startswith(("http://", "https://"))


def is_named_object(settings: Settings) -> bool:
    """Whether an object of the user's answers, named by its import path."""
    is_model = settings.generator.startswith(f"{ANTHROPIC}:")
    return settings.answers is None and not is_model and is_import_path(settings.generator)


def is_own_system(settings: Settings) -> bool:
    """Whether the configuration names something else than the reference pipeline."""
    return settings.answers is not None or is_endpoint(settings) or is_named_object(settings)


def unknown_generator(settings: Settings) -> ConfigurationError:
    """The error for a generator that is none of those that there are."""
    return ConfigurationError(
        f'{settings.origin}: generator = {settings.generator!r} is not known; use "{EXTRACTIVE}", "{NONE}", '
        f'"{ANTHROPIC}:MODEL", "package.module:name", "http://...", '
        "or override the fixture ragcheck_pipeline with your own system"
    )


def without_secrets(settings: Settings) -> str:
    """The generator as it may be written into a run."""
    return settings.generator.partition("?")[0] if is_endpoint(settings) else settings.generator


def make_endpoint(settings: Settings, questions: Sequence[Question], *, concurrency: int | None) -> HttpEndpoint:
    """The endpoint; ConfigurationError, or DatasetError for a question that it cannot be asked."""
    from pytest_ragcheck.rag.endpoint import HttpEndpoint

    try:
        endpoint = HttpEndpoint(
            settings.generator,
            **{name: getattr(settings.endpoint, name) for name in asdict(settings.endpoint) if name != "headers"},
            headers=settings.endpoint.headers,
            timeout=settings.answer_timeout,
            concurrency=concurrency,
            requests_per_minute=settings.requests_per_minute,
        )
    except ConfigurationError as problem:
        place = "generator: " if str(problem).startswith("url: ") else "endpoint."
        raise ConfigurationError(f"{settings.origin}: {place}{str(problem).removeprefix('url: ')}") from None
    with_turns = next((question for question in questions if question.history), None)
    if with_turns is not None and not endpoint.takes_history:
        remedy = 'put "$history" into [endpoint] request'
        raise DatasetError(with_turns.dataset, with_turns.line, f"history: the endpoint would not get it; {remedy}")
    return endpoint


def make_named_object(settings: Settings) -> Any:
    """The object that ``generator`` names; a class, and a function without parameters, is called once for it."""
    try:
        found = import_object(settings.generator, root=settings.root, key="generator")
    except ConfigurationError as problem:
        raise ConfigurationError(f"{settings.origin}: {problem}") from None
    except Exception as problem:
        raise _broken(settings, "be imported", problem) from problem
    if not (inspect.isclass(found) or _takes_nothing(found)):
        return found
    try:
        made = found()
    except Exception as problem:
        raise _broken(settings, "be made", problem) from problem
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigurationError(
            f"{settings.origin}: generator = {settings.generator!r} takes no question; "
            "make it a function without async that returns the system"
        )
    return made


def _takes_nothing(found: Any) -> bool:
    return inspect.isfunction(found) and not inspect.signature(found).parameters


def _broken(settings: Settings, verb: str, problem: Exception) -> ConfigurationError:
    cause = f"{type(problem).__name__}: {problem}".partition("\n")[0]
    return ConfigurationError(f"{settings.origin}: generator = {settings.generator!r} cannot {verb}: {cause}")


def read_recorded(settings: Settings, questions: Sequence[Question]) -> RecordedAnswers:
    """The recorded answers; DatasetError where they cannot be used."""
    from pytest_ragcheck.rag.recorded import RecordedAnswers

    assert settings.answers is not None  # noqa: S101 (the caller has looked)
    here = Path.cwd()
    path = settings.answers
    return RecordedAnswers(path, questions, name=str(path.relative_to(here) if path.is_relative_to(here) else path))


def keeping_answers(
    pipeline: Pipeline, settings: Settings, store: Store, *, system: str, since: float | None, only: bool
) -> tuple[Pipeline, str | None]:
    """The pipeline behind the store, if the configuration says what tells its versions apart; and a notice.

    ``system`` names the pipeline among those that share a configuration.
    Raises ConfigurationError where ``fingerprint`` cannot be used.
    """
    from pytest_ragcheck.rag.fingerprints import UNCOMMITTED, version_of_system
    from pytest_ragcheck.rag.kept import KeptAnswers

    if settings.fingerprint is None:
        return pipeline, None
    try:
        version = version_of_system(settings.fingerprint, settings.root)
    except ConfigurationError as problem:
        raise ConfigurationError(f"{settings.origin}: {problem}") from None
    if version is None:
        return pipeline, f"{settings.origin}: {UNCOMMITTED}"
    whole = digest(system, settings.generator, repr(settings.endpoint), version).hex()
    return KeptAnswers(pipeline, store, version=whole, since=since, only=only), None
