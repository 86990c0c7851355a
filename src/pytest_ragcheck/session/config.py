"""``ragcheck.toml`` and ``[tool.ragcheck]`` to one frozen Settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.baseline.settings import GateSettings
from pytest_ragcheck.errors import ConfigurationError, did_you_mean
from pytest_ragcheck.metrics.judged.settings import JudgeSettings, judge_model
from pytest_ragcheck.session.config_file import FILE_NAME, ConfigurationFile, find_configuration
from pytest_ragcheck.session.config_kinds import WrongValueError
from pytest_ragcheck.session.config_schema import UnknownKeyError, checked_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Endpoint", "Generation", "Settings", "load_settings"]

REPORT_ONLY = "report"
"""In the metrics table instead of a least value: measure, but let nothing fail by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How a model is asked for an answer; None: the generator's default."""

    prompt: str | None
    """With ``$contexts`` and ``$question``."""
    system: str | None
    max_tokens: int | None
    parameters: Mapping[str, Any]
    """Passed on in the request's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How a system behind HTTP is asked; None: as :class:`~pytest_ragcheck.rag.endpoint.HttpEndpoint` does alone."""

    method: str
    request: Mapping[str, Any] | str | None
    headers: Mapping[str, str]
    """With the names of variables of the environment, never their values."""
    answer: str | None
    contexts: str | None
    sources: str | None
    stream: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a suite is configured with; paths are absolute or relative to ``root``."""

    root: Path
    origin: str
    """Where the settings stand, for messages."""
    questions: Path | None
    documents: tuple[str, ...]
    generator: str
    answers: Path | None
    """Recorded answers, in the generator's place."""
    endpoint: Endpoint
    fingerprint: str | tuple[str, ...] | None
    """What tells versions of a user's system apart; None: its answers are not kept."""
    embedder: str
    top_k: int
    chunk_size: int
    """Words."""
    chunk_overlap: int
    exact_search_up_to: int
    """Chunks; among more the search is approximate."""
    metrics: Mapping[str, float | None]
    """Least value that passes; None: only reported. Empty: nothing was configured."""
    concurrency: int | None
    request_timeout: float
    """Seconds, one attempt of one model call."""
    answer_timeout: float
    """Seconds, one answer of a user's pipeline."""
    call_deadline: float
    """Seconds, all attempts of one model call."""
    run_deadline: float | None
    """Seconds from the first model call, after which no more are made."""
    requests_per_minute: float | None
    tokens_per_minute: float | None
    generation: Generation
    judge: str | None
    """The judge's model; None where nothing is judged."""
    judging: JudgeSettings
    gate: GateSettings
    prices: Mapping[str, Mapping[str, float]]
    """US dollars per million tokens by model and kind of tokens."""


def load_settings(
    folder: Path, *, questions: Path | None = None, documents: tuple[str, ...] | None = None, invocation: Path
) -> Settings:
    """The settings for tests or questions in ``folder``.

    The nearest configuration above ``folder`` counts, else the one above ``invocation``; without any, the
    defaults, relative to ``folder``. ``questions`` and ``documents`` win over what it says.
    Raises ConfigurationError with the file and line of what is wrong.
    """
    found = find_configuration(folder) or find_configuration(invocation)
    settings = _defaults(folder) if found is None else _validated(found)
    if questions is not None:
        settings = replace(settings, questions=questions)
    if documents is not None:
        settings = replace(settings, documents=documents)
    return settings


def _defaults(root: Path) -> Settings:
    return _validated(ConfigurationFile(path=root / FILE_NAME, text="", table={}))


def _validated(file: ConfigurationFile) -> Settings:
    try:
        table = checked_table(file.table)
    except UnknownKeyError as problem:
        near = did_you_mean(problem.place[-1], problem.known)
        raise file.error(f"unknown key {str(problem)!r}{near}", *problem.place) from None
    except WrongValueError as problem:
        raise _wrong_value(file, problem) from None
    if table.chunking.overlap >= table.chunking.size:
        raise file.error("chunking.overlap must be smaller than chunking.size", "chunking", "overlap")
    root = file.path.parent
    return Settings(
        root=root,
        origin=file.shown,
        questions=None if table.questions is None else root / table.questions,
        documents=tuple(table.documents),
        generator=_generator(file, table),
        answers=None if table.answers is None else root / table.answers,
        endpoint=_endpoint(file, table),
        fingerprint=_fingerprint(file, table.fingerprint),
        embedder=table.embedder,
        top_k=table.top_k,
        chunk_size=table.chunking.size,
        chunk_overlap=table.chunking.overlap,
        exact_search_up_to=table.exact_search_up_to,
        metrics=MappingProxyType(_thresholds(file, table.metrics)),
        concurrency=table.concurrency,
        request_timeout=table.request_timeout,
        answer_timeout=table.answer_timeout,
        call_deadline=table.call_deadline,
        run_deadline=table.run_deadline,
        requests_per_minute=table.requests_per_minute,
        tokens_per_minute=table.tokens_per_minute,
        generation=Generation(
            prompt=table.generation.prompt,
            system=table.generation.system,
            max_tokens=table.generation.max_tokens,
            parameters=MappingProxyType(table.generation.parameters),
        ),
        judge=_judge(file, table.judge),
        judging=_judging(table.judging),
        gate=GateSettings(
            practical_minimum=table.gate.minimum,
            minimums=MappingProxyType(table.gate.minimums),
            coverage=table.gate.coverage,
        ),
        prices=MappingProxyType(table.prices),
    )


def _judge(file: ConfigurationFile, said: str | None) -> str | None:
    try:
        return None if said is None else judge_model(said)
    except ConfigurationError as problem:
        raise file.error(str(problem), "judge") from None


def _generator(file: ConfigurationFile, table: Any) -> str:
    if table.answers is not None and "generator" in file.table:
        raise file.error("answers are recorded, and generator makes new ones; keep one of the two keys", "answers")
    generator: str = table.generator
    return generator


def _endpoint(file: ConfigurationFile, table: Any) -> Endpoint:
    if "endpoint" in file.table and not table.generator.startswith(("http://", "https://")):
        raise file.error('[endpoint] is for an address; set generator = "http://..."', "endpoint")
    said = vars(table.endpoint)
    return Endpoint(**said | {"headers": MappingProxyType(said["headers"])})


def _fingerprint(file: ConfigurationFile, said: str | list[str] | None) -> str | tuple[str, ...] | None:
    if said is not None and not said:
        raise file.error("fingerprint is empty; leave it out, or say what tells versions apart", "fingerprint")
    return tuple(said) if isinstance(said, list) else said


def _judging(said: Any) -> JudgeSettings:
    values = vars(said) | {
        "parameters": MappingProxyType(said.parameters),
        "evaluation_steps": tuple(said.evaluation_steps),
    }
    return JudgeSettings(**values)


def _thresholds(file: ConfigurationFile, metrics: Mapping[str, float | str]) -> dict[str, float | None]:
    thresholds: dict[str, float | None] = {}
    for name, least in metrics.items():
        if isinstance(least, str):
            thresholds[name] = None
        elif 0.0 <= least <= 1.0:
            thresholds[name] = float(least)
        else:
            raise file.error(f"metrics.{name}: a least value is a number from 0 to 1, got {least}", "metrics", name)
    return thresholds


def _wrong_value(file: ConfigurationFile, wrong: WrongValueError) -> ConfigurationError:
    place = wrong.place
    if place[0] == "metrics" and len(place) > 1:
        expected = f'metrics.{place[1]}: expected a number from 0 to 1 or "{REPORT_ONLY}", got {wrong.value!r}'
        return file.error(expected, *place[:2])
    return file.error(f"{'.'.join(place)}: {wrong.problem}, got {wrong.value!r}", *place)
