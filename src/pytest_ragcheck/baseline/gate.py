"""The gate: whether a run is worse than a baseline, and what that rests on. It fails closed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline import reasons
from pytest_ragcheck.baseline.changes import context_texts, question_change
from pytest_ragcheck.baseline.comparability import differences, setups_now
from pytest_ragcheck.baseline.coverage import coverage_of
from pytest_ragcheck.baseline.decisions import decisions_of
from pytest_ragcheck.baseline.drift import Drift
from pytest_ragcheck.baseline.history import History
from pytest_ragcheck.baseline.pairs import matched
from pytest_ragcheck.baseline.scores import name_in_statistics
from pytest_ragcheck.baseline.settings import GateSettings
from pytest_ragcheck.baseline.update import repeated
from pytest_ragcheck.comparison import Comparison, ScoreChange, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.baseline.coverage import Coverage
    from pytest_ragcheck.baseline.decisions import Decision
    from pytest_ragcheck.baseline.entries import Baseline
    from pytest_ragcheck.baseline.pairs import Match, Pair
    from pytest_ragcheck.model import Run

__all__ = ["Drift", "GateSettings", "compare", "may_be_chance", "passes"]

_WEIGHTIEST_FIRST = (
    Verdict.INVALID,
    Verdict.REGRESSED,
    Verdict.NOT_COMPARABLE,
    Verdict.JUDGE_DRIFTED,
    Verdict.INCONCLUSIVE,
    Verdict.BETTER,
    Verdict.SAME,
)


def passes(verdict: Verdict) -> bool:
    """Whether the gate lets a run with this verdict through.

    What cannot be compared, or says nothing, does not pass; what was measured too little to tell does.
    """
    return verdict in {Verdict.BETTER, Verdict.SAME, Verdict.INCONCLUSIVE}


def may_be_chance(comparison: Comparison) -> bool:
    """Whether something moved that earlier runs, or judging stored answers again, may explain or confirm."""
    moved = any(change.verdict in {Verdict.REGRESSED, Verdict.BETTER} for change in comparison.metrics.values())
    return moved or any(score.chance is not None for one in comparison.questions for score in one.scores.values())


def compare(
    run: Run,
    baseline: Baseline,
    *,
    name: str,
    settings: GateSettings | None = None,
    drift: Drift | None = None,
    texts: Mapping[str, str] | None = None,
    history: Sequence[Run] = (),
) -> Comparison:
    """The run against the baseline, over the questions that were asked in both.

    ``name`` is the baseline's file as the user knows it. ``drift``: what judging stored answers anew gave. ``texts``:
    contexts' texts that are at hand beside the run's own, by their SHA-256, to show what is no longer retrieved.
    ``history``: earlier runs, which show how far whole runs lie apart, and how questions came out.
    """
    empty = Comparison(
        verdict=Verdict.INVALID, reasons=(), baseline_name=name, baseline_created=baseline.created, coverage=0.0
    )
    if (told := _unfit(run)) is not None:
        return replace(empty, reasons=(told,))
    match = matched(run, baseline)
    coverage = coverage_of(run, match.by_key)
    listed = _listed(empty, run, baseline, match, coverage)
    if not match.pairs:
        verdict = Verdict.INVALID if match.missing else Verdict.NOT_COMPARABLE
        return replace(listed, verdict=verdict, reasons=reasons.without_pairs(match, listed, baseline))
    chosen = settings or GateSettings()
    decisions = decisions_of(
        run, match, coverage, chosen, drift=drift, history=History(history, run) if history else None
    )
    at_hand = {**(texts or {}), **context_texts(run.results)}
    names = reasons.Names.of(run, baseline)
    changes = tuple(
        replace(question_change(pair, _scores_of(pair, decisions), at_hand), name=names.one(pair.key))
        for pair in match.pairs
    )
    with_questions = replace(
        listed,
        metrics={metric: one.change for metric, one in decisions.items()},
        questions=changes,
        notes=reasons.notes(match, changes, (one.change for one in decisions.values())),
    )
    uncovered = _uncovered(match, coverage, chosen)
    return replace(
        with_questions,
        verdict=_verdict(with_questions, uncovered=bool(uncovered) or coverage.share < chosen.coverage),
        reasons=reasons.of(with_questions, decisions, uncovered, chosen.coverage),
    )


def _unfit(run: Run) -> str | None:
    """Why the run is not compared at all."""
    if not run.complete:
        return "the run was interrupted or stopped early, so that it is not compared"
    if not run.results:
        return "the run has no results"
    return repeated(run)


def _listed(empty: Comparison, run: Run, baseline: Baseline, match: Match, coverage: Coverage) -> Comparison:
    """With all that is told by names."""
    names = reasons.Names.of(run, baseline)
    return replace(
        empty,
        new=names.each(match.new),
        gone=names.each(match.gone),
        reworded=names.each(match.reworded),
        missing=names.each(match.missing),
        unmeasured=names.each(coverage.incomplete),
        changed=differences(match.pairs, setups_now(run)),
        coverage=coverage.share,
    )


def _verdict(comparison: Comparison, *, uncovered: bool) -> Verdict:
    found = {change.verdict for change in comparison.metrics.values()} or {Verdict.NOT_COMPARABLE}
    if comparison.missing or uncovered:
        found.add(Verdict.INVALID)
    if comparison.broken:
        found.add(Verdict.REGRESSED)
    return min(found, key=_WEIGHTIEST_FIRST.index)


def _uncovered(match: Match, coverage: Coverage, settings: GateSettings) -> dict[str, float]:
    """Metrics of the baseline of which too little could be measured, with the share that was."""
    known = {metric for pair in match.pairs for metric in pair.entry.scores} & coverage.wanted.keys()
    shares = {metric: coverage.share_of(metric) for metric in sorted(known)}
    return {metric: share for metric, share in shares.items() if share < settings.coverage}


def _scores_of(pair: Pair, decisions: Mapping[str, Decision]) -> dict[str, ScoreChange]:
    """The pair's change under each metric; where one of the two was not measured, that side's value alone."""
    name = name_in_statistics(pair.key)
    found = {metric: one.scores[name] for metric, one in decisions.items() if name in one.scores}
    halves = {
        metric: _half(pair, metric)
        for metric in sorted(pair.entry.scores.keys() | pair.result.scores.keys())
        if metric not in found
    }
    return found | {metric: half for metric, half in halves.items() if half is not None}


def _half(pair: Pair, metric: str) -> ScoreChange | None:
    score = pair.result.scores.get(metric)
    before, value = pair.entry.mean(metric), None if score is None else score.value
    if before is None and value is None:
        return None
    threshold = None if score is None else score.threshold
    return ScoreChange(metric=metric, baseline=before, value=value, threshold=threshold)
