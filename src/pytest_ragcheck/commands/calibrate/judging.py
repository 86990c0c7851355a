"""From a question file to the judge's scores beside people's."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.dataset import load_questions, load_scored_answers
from pytest_ragcheck.errors import ConfigurationError, DatasetError, MeasurementError, NotRunError, did_you_mean
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.judged import library
from pytest_ragcheck.metrics.judged.agreement import agreement
from pytest_ragcheck.metrics.judged.calibration import Calibration
from pytest_ragcheck.metrics.judged.kinds import judging_digest
from pytest_ragcheck.metrics.judged.settings import named_judge
from pytest_ragcheck.metrics.registry import create_metrics, metric_names, required_inputs
from pytest_ragcheck.model import Answer, Context
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.gateways import Gateways
from pytest_ragcheck.session.judges import Judges
from pytest_ragcheck.session.options import Options
from pytest_ragcheck.session.user_metrics import register_named
from pytest_ragcheck.store import Store, state_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.dataset import ScoredAnswer
    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.metrics.judged.agreement import Agreement
    from pytest_ragcheck.model import Question
    from pytest_ragcheck.session.config import Settings

__all__ = ["Outcome", "Trouble", "judge_answers"]

USUAL_THRESHOLD = 0.5
"""For metrics without a least value in the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An answer that has no score of the judge's."""

    metric: str
    where: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a calibration came to."""

    root: Path
    """The configuration's folder."""
    questions: str
    """The question file, as the user knows it."""
    scored_answers: int
    calibration: Calibration
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One answer and one metric."""

    metric: str
    people: float
    case: Case
    where: str


def judge_answers(path: Path | None, *, cache: str, concurrency: int | None, max_cost: float | None) -> Outcome:
    """Let the judge score what people scored.

    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` and :class:`~pytest_ragcheck.errors.DatasetError`.
    """
    settings = _settings(path)
    if settings.questions is None:
        raise ConfigurationError(f"{settings.origin}: no questions; name a question file")
    if settings.judge is None:
        raise ConfigurationError(f'{settings.origin}: there is no judge; set `judge = "anthropic:MODEL"`')
    library.check_installed()
    name = os.path.relpath(settings.questions)
    scored = load_scored_answers(settings.questions, load_questions(settings.questions, name=name), name=name)
    if not scored:
        raise DatasetError(name, None, "no question has scored answers; write them under 'human'")
    register_named((*settings.metrics, *(metric for _, one in scored for metric in one.scores)), settings.root)
    pairs = [pair for question, one in scored for pair in _pairs(question, one)]
    options = Options(cache=cache, concurrency=concurrency, max_cost=max_cost)
    with Store(state_folder(settings.root) / "cache.sqlite", forgiving=True) as store:
        judged = asyncio.run(_judged(pairs, settings, options, store))
    return _outcome(settings, name, len(scored), pairs, judged)


def _settings(path: Path | None) -> Settings:
    here = Path.cwd()
    if path is None or path.is_dir():
        return load_settings((path or here).resolve(), invocation=here)
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file")
    return load_settings(path.resolve().parent, questions=path.resolve(), invocation=here)


def _pairs(question: Question, scored: ScoredAnswer) -> list[_Pair]:
    contexts = tuple(Context(text=text, rank=rank) for rank, text in enumerate(scored.contexts or (), 1))
    case = Case(question=question, contexts=contexts, answer=Answer(text=scored.answer, contexts=contexts))
    for name in scored.scores:
        _check(name, question, scored)
    return [
        _Pair(
            metric=name,
            people=people,
            case=case,
            where=f"{scored.where.name}:{scored.where.line}: {scored.label}",
        )
        for name, people in scored.scores.items()
    ]


def _check(name: str, question: Question, scored: ScoredAnswer) -> None:
    """DatasetError where the metric cannot be compared on this answer."""
    place, label = scored.where, f"{scored.label}, scores"
    if name not in metric_names():
        raise place.error(f"unknown metric {name!r}{did_you_mean(name, metric_names())}", label)
    needs = required_inputs(name)
    if "judge" not in needs:
        raise place.error(f"metric {name!r} asks no judge, so that there is nothing to calibrate", label)
    if "contexts" in needs and scored.contexts is None:
        raise place.error(f"metric {name!r} looks at contexts; write them beside the answer", label)
    if "reference" in needs and not question.reference:
        raise place.error(f"metric {name!r} needs a reference, and the question has none", label)


async def _judged(pairs: Sequence[_Pair], settings: Settings, options: Options, store: Store) -> list[float | str]:
    """For each pair the judge's score, or why there is none."""
    gateways = Gateways(options)
    judges = Judges(settings=settings, options=options, store=store, gateways=gateways, thresholds={})
    names = dict.fromkeys(pair.metric for pair in pairs)
    made = create_metrics(names, top_k=settings.top_k, embed=None, judging=judges.configured, judging_by=judges.by)
    metrics = {metric.name: metric for metric in made}
    try:
        async with asyncio.TaskGroup() as tasks:
            scoring = [tasks.create_task(_score(metrics[pair.metric], pair.case)) for pair in pairs]
    except BaseExceptionGroup as problems:
        raise _first(problems) from None
    finally:
        await gateways.close()
    return [task.result() for task in scoring]


async def _score(metric: Metric, case: Case) -> float | str:
    try:
        score = await metric.measure(case)
    except (MeasurementError, NotRunError) as problem:
        return str(problem)
    return score.reason if score.value is None else score.value


def _first(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _outcome(
    settings: Settings, questions: str, scored: int, pairs: Sequence[_Pair], judged: Sequence[float | str]
) -> Outcome:
    together = list(zip(pairs, judged, strict=True))
    return Outcome(
        root=settings.root,
        questions=questions,
        scored_answers=scored,
        calibration=Calibration(
            judge=named_judge(settings.judge or ""),
            judging=judging_digest(settings.judging),
            deepeval=library.version(),
            date=datetime.now(UTC).date().isoformat(),
            metrics=_agreements([(pair, score) for pair, score in together if not isinstance(score, str)], settings),
        ),
        troubles=tuple(
            Trouble(metric=pair.metric, where=pair.where, cause=cause)
            for pair, cause in together
            if isinstance(cause, str)
        ),
    )


def _agreements(scored: Sequence[tuple[_Pair, float]], settings: Settings) -> Mapping[str, Agreement]:
    of_metric: dict[str, list[tuple[float, float]]] = {}
    for pair, score in scored:
        of_metric.setdefault(pair.metric, []).append((pair.people, score))
    return {
        name: agreement(*zip(*both, strict=True), threshold=_threshold(name, settings))
        for name, both in of_metric.items()
    }


def _threshold(name: str, settings: Settings) -> float:
    least = settings.metrics.get(name)
    return USUAL_THRESHOLD if least is None else least
