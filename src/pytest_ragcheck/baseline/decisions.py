"""What becomes of each metric: tested, or set apart because its measure changed, the judge moved or scores lack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline import statistics
from pytest_ragcheck.baseline.comparability import setups_now
from pytest_ragcheck.baseline.drift import movement, weighed
from pytest_ragcheck.baseline.scores import compared, incomparable, metrics_of, name_in_statistics, paired_scores
from pytest_ragcheck.comparison import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_ragcheck.baseline.coverage import Coverage
    from pytest_ragcheck.baseline.differences import Differences
    from pytest_ragcheck.baseline.drift import Drift, Movement
    from pytest_ragcheck.baseline.entries import Setup
    from pytest_ragcheck.baseline.history import History
    from pytest_ragcheck.baseline.pairs import Key, Match, Pair
    from pytest_ragcheck.baseline.scores import Compared
    from pytest_ragcheck.baseline.settings import GateSettings
    from pytest_ragcheck.comparison import MetricChange, ScoreChange
    from pytest_ragcheck.model import Run

__all__ = ["Decision", "decisions_of", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One metric, with what its verdict rests on beside the numbers."""

    change: MetricChange
    scores: Mapping[str, ScoreChange]
    found: Differences | None = None
    """Mean difference and its error; None where nothing was tested."""
    measures: tuple[str, str] | None = None
    """What it was measured with before and now, where that is why it cannot be compared."""
    moved: Movement | None = None
    """How the judge moved."""


def decisions_of(
    run: Run,
    match: Match,
    coverage: Coverage,
    settings: GateSettings,
    *,
    drift: Drift | None = None,
    history: History | None = None,
) -> dict[str, Decision]:
    """By metric, for all that have a score both in the baseline and in the run."""
    now = setups_now(run)
    scores = {metric: compared(metric, match.pairs) for metric in metrics_of(match.pairs)}
    scores = {metric: found for metric, found in scores.items() if found}
    apart = dict(_apart(scores, now, settings))
    like = {metric: found for metric, found in scores.items() if metric not in apart}
    tested = _tested(like, now, settings, history)
    weighed_too = {metric: _with_drift(one, drift) for metric, one in tested.items()}
    whole = apart | weighed_too
    return {metric: _with_coverage(whole[metric], coverage, settings) for metric in scores}


def undecided(pairs: Sequence[Pair], measures: Mapping[str, str], settings: GateSettings) -> set[Key]:
    """Return the questions to ask in a further round of trials, by all metrics that are measured as in the baseline.

    ``measures``: what these are measured with now. A question without any score yet is asked as long as another is.
    """
    now = {pair.key[0]: pair.setup for pair in pairs}
    found = {metric: compared(metric, pairs) for metric in metrics_of(pairs)}
    alike = {
        metric: [one for one in scores if one.pair.setup.scoring.get(metric) == measures.get(metric)]
        for metric, scores in found.items()
    }
    names = statistics.undecided(
        [
            paired_scores(metric, scores, now, practical_minimum=settings.minimum(metric))
            for metric, scores in alike.items()
            if scores
        ]
    )
    scored = {one.pair.key for scores in alike.values() for one in scores}
    return {pair.key for pair in pairs if names and (pair.key not in scored or name_in_statistics(pair.key) in names)}


def _apart(
    scores: Mapping[str, Sequence[Compared]], now: Mapping[str, Setup], settings: GateSettings
) -> Iterable[tuple[str, Decision]]:
    """Metrics whose measure changed."""
    for metric, found in scores.items():
        told = incomparable(metric, found, now, practical_minimum=settings.minimum(metric))
        if told is not None:
            change, plain, measures = told
            yield metric, Decision(change=change, scores=plain, measures=measures)


def _tested(
    scores: Mapping[str, Sequence[Compared]],
    now: Mapping[str, Setup],
    settings: GateSettings,
    history: History | None,
) -> dict[str, Decision]:
    paired = [
        paired_scores(metric, found, now, practical_minimum=settings.minimum(metric), history=history)
        for metric, found in scores.items()
    ]
    return {
        one.change.metric: Decision(change=one.change, scores=one.scores, found=one.found)
        for one in statistics.decide(paired)
    }


def _with_drift(one: Decision, drift: Drift | None) -> Decision:
    moved = None if drift is None else movement(one.change.metric, drift)
    if moved is None or one.found is None:
        return one
    change, scores = weighed(one.change, one.scores, one.found, moved)
    return replace(one, change=change, scores=scores, moved=moved)


def _with_coverage(one: Decision, coverage: Coverage, settings: GateSettings) -> Decision:
    if coverage.share_of(one.change.metric) >= settings.coverage:
        return one
    return replace(one, change=replace(one.change, verdict=Verdict.INVALID))
