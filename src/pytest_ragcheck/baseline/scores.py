"""A run's scores beside the baseline's, as the statistics take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.clusters import clusters_of
from pytest_ragcheck.baseline.comparability import measure_change
from pytest_ragcheck.baseline.history import REFERENCE_PIPELINE
from pytest_ragcheck.baseline.measures import is_formula, looks_at_contexts_alone
from pytest_ragcheck.baseline.statistics import MetricScores, PairedScores
from pytest_ragcheck.baseline.update import GENERATION
from pytest_ragcheck.comparison import MetricChange, ScoreChange, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_ragcheck.baseline.entries import Setup
    from pytest_ragcheck.baseline.history import History
    from pytest_ragcheck.baseline.pairs import Key, Pair
    from pytest_ragcheck.model import Result

__all__ = ["Compared", "compared", "incomparable", "metrics_of", "name_in_statistics", "paired_scores"]

OFFLINE = "extractive"
"""The generator that gives the same answer again."""


@dataclass(frozen=True)
class Compared:
    """One question's scores under one metric that was measured in both."""

    pair: Pair
    baseline: tuple[float, ...]
    run: tuple[float, ...]
    threshold: float | None
    confirmations: tuple[float, ...] = ()


def metrics_of(pairs: Iterable[Pair]) -> list[str]:
    """Metrics that the baseline and the run have scores of, in the run's order."""
    names = [name for pair in pairs for name in pair.result.scores if name in pair.entry.scores]
    return list(dict.fromkeys(names))


def compared(metric: str, pairs: Iterable[Pair]) -> list[Compared]:
    """Of the metric all pairs that were measured in both."""
    found = []
    for pair in pairs:
        before = tuple(value for value in pair.entry.scores.get(metric, ()) if value is not None)
        now = _run_trials(pair.result, metric)
        if before and now:
            threshold = pair.result.scores[metric].threshold
            found.append(Compared(pair, before, now, threshold, _values(metric, pair.result.confirmations)))
    return found


def _run_trials(result: Result, metric: str) -> tuple[float, ...]:
    """The measured values, one for each trial; none where too few were measured for a mean."""
    if metric not in result.scores or not result.scores[metric].measured:
        return ()
    return _values(metric, result.trials or (result,))


def _values(metric: str, results: Iterable[Result]) -> tuple[float, ...]:
    scores = (result.scores.get(metric) for result in results)
    return tuple(score.value for score in scores if score is not None and score.value is not None)


def paired_scores(
    metric: str,
    scores: Sequence[Compared],
    now: Mapping[str, Setup],
    *,
    practical_minimum: float,
    history: History | None = None,
) -> MetricScores:
    """As the statistics take them. By a metric that is only reported no single question breaks, but its mean counts."""
    clusters = clusters_of(one.pair for one in scores)
    repeatable = all(
        _is_repeatable(metric, setup) for one in scores for setup in (one.pair.setup, now[one.pair.key[0]])
    )
    earlier = None if repeatable else history
    return MetricScores(
        metric=metric,
        practical_minimum=practical_minimum,
        repeatable=repeatable,
        looks=max((one.pair.result.looks for one in scores), default=1),
        shift=None if earlier is None else earlier.shift(metric, (one.pair.key[0] for one in scores)),
        pairs=tuple(
            PairedScores(
                question=name_in_statistics(one.pair.key),
                baseline=one.baseline,
                run=one.run,
                cluster=str(clusters[one.pair.key]),
                threshold=one.threshold,
                confirmations=one.confirmations,
                history=() if earlier is None else earlier.scores(metric, one.pair),
            )
            for one in scores
        ),
    )


def name_in_statistics(key: Key) -> str:
    """One text for a question's dataset, id and variant."""
    return "\0".join(key)


def _is_repeatable(metric: str, setup: Setup) -> bool:
    """Whether the same system gets the same scores again."""
    measure = setup.scoring.get(metric, "")
    if looks_at_contexts_alone(measure):
        return REFERENCE_PIPELINE in setup.fingerprint
    return is_formula(measure) and setup.models.get(GENERATION) == OFFLINE


def incomparable(
    metric: str, scores: Sequence[Compared], now: Mapping[str, Setup], *, practical_minimum: float
) -> tuple[MetricChange, dict[str, ScoreChange], tuple[str, str]] | None:
    """The metric with what it was measured with before and now, where that is not the same: no test, no break."""
    changes = (measure_change(metric, one.pair.setup, now[one.pair.key[0]]) for one in scores)
    measures = next((change for change in changes if change is not None), None)
    if measures is None:
        return None
    plain = {
        name_in_statistics(one.pair.key): ScoreChange(
            metric=metric, baseline=_mean(one.baseline), value=_mean(one.run), threshold=one.threshold
        )
        for one in scores
    }
    before, value = (_mean([_mean(getattr(one, side)) for one in scores]) for side in ("baseline", "run"))
    change = MetricChange(
        metric=metric,
        verdict=Verdict.NOT_COMPARABLE,
        questions=len(scores),
        clusters=len(set(clusters_of(one.pair for one in scores).values())),
        baseline=before,
        value=value,
        difference=value - before,
        interval=None,
        p_value=None,
        practical_minimum=practical_minimum,
        smallest_visible_drop=None,
    )
    return change, plain, measures


def _mean(values: Sequence[float]) -> float:
    from statistics import fmean

    return fmean(values)
