"""The system that a configuration names in place of the reference pipeline."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError, DatasetError
from pytest_ragcheck.rag.importing import import_object, is_import_path
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.gateway.limiter import AdmissionControl
    from pytest_ragcheck.model import Question
    from pytest_ragcheck.rag.endpoint import HttpEndpoint
    from pytest_ragcheck.rag.pipeline import Pipeline
    from pytest_ragcheck.rag.recorded import RecordedAnswers
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.suites import Suite
    from pytest_ragcheck.session.turns import Turns

__all__ = [
    "ANTHROPIC",
    "EXTRACTIVE",
    "NONE",
    "check_environment",
    "check_history",
    "is_endpoint",
    "is_named_object",
    "is_own_system",
    "keeping_answers",
    "make_endpoint",
    "own_system",
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


def own_system(
    settings: Settings,
    *,
    at_once: int | None,
    requests_per_minute: float | None,
    limiter: AdmissionControl | None = None,
    turns: Turns | None = None,
) -> Pipeline:
    """The pipeline of an address or of an object; ConfigurationError where there can be none.

    ``limiter`` of an address and ``turns`` of an object are shared with other processes.
    """
    from pytest_ragcheck.rag.pipeline import as_pipeline

    if is_endpoint(settings):
        return make_endpoint(settings, concurrency=at_once, requests_per_minute=requests_per_minute, limiter=limiter)
    made = make_named_object(settings)
    try:
        return as_pipeline(made, timeout=settings.answer_timeout, at_once=at_once, owned=True, turns=turns)
    except ConfigurationError as problem:
        raise ConfigurationError(f"{settings.origin}: generator = {settings.generator!r}: {problem}") from None


def make_endpoint(
    settings: Settings,
    *,
    concurrency: int | None = None,
    requests_per_minute: float | None = None,
    limiter: AdmissionControl | None = None,
) -> HttpEndpoint:
    """The endpoint; ConfigurationError for what cannot be sent or read."""
    from pytest_ragcheck.rag.endpoint import HttpEndpoint

    said = {field.name: getattr(settings.endpoint, field.name) for field in fields(settings.endpoint)}
    try:
        return HttpEndpoint(
            settings.generator,
            **said,
            timeout=settings.answer_timeout,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            limiter=limiter,
        )
    except ConfigurationError as problem:
        raise _about_endpoint(settings, problem) from None


def check_history(endpoint: HttpEndpoint, questions: Sequence[Question]) -> None:
    """Raise DatasetError for a question with earlier turns that the endpoint would not get."""
    question = next((question for question in questions if question.history), None)
    if question is not None and not endpoint.takes_history:
        problem = 'history: the endpoint would not get it; put "$history" into [endpoint] request'
        raise DatasetError(question.dataset, question.line, problem)


def check_environment(endpoint: HttpEndpoint, settings: Settings) -> None:
    """Raise ConfigurationError where the environment lacks what the endpoint needs."""
    try:
        endpoint.check()
    except ConfigurationError as problem:
        raise _about_endpoint(settings, problem) from None


def _about_endpoint(settings: Settings, problem: ConfigurationError) -> ConfigurationError:
    key, _, text = str(problem).partition(": ")
    place = "generator" if key == "url" else f"endpoint.{key}"
    return ConfigurationError(f"{settings.origin}: {place}: {text}")


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
    pipeline: Pipeline, suite: Suite, options: Options, *, system: str, is_configured: bool
) -> tuple[Pipeline, str | None]:
    """The pipeline behind the store, if the configuration says what tells its versions apart; and a notice.

    ``system`` names the pipeline among those of a session. Raises ConfigurationError where ``fingerprint`` cannot be
    used.
    """
    from pytest_ragcheck.rag.fingerprints import UNCOMMITTED, version_of_system
    from pytest_ragcheck.rag.kept import KeptAnswers

    settings = suite.settings
    only = options.cache == "only"
    version, notice = None, None
    if settings.fingerprint is not None and options.cache != "off":
        try:
            version = version_of_system(settings.fingerprint, settings.root)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{settings.origin}: {problem}") from None
        notice = f"{settings.origin}: {UNCOMMITTED}" if version is None else None
    if version is None and not (only and is_configured and is_endpoint(settings)):
        return pipeline, notice
    since = suite.gateways.run_started if options.cache == "refresh" else None
    configured = [settings.generator, repr(settings.endpoint)] if is_configured else []
    whole = digest(system, *configured, version or "").hex()
    kept = KeptAnswers(pipeline, suite.store, version=whole, dataset=suite.local_name, since=since, only=only)
    return kept, notice
