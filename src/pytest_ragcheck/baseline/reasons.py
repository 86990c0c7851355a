"""What a verdict rests on, in words: one line each, the weightiest first. Names in them are as they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.report import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_ragcheck.baseline.decisions import Decision
    from pytest_ragcheck.baseline.drift import Movement
    from pytest_ragcheck.baseline.entries import Baseline
    from pytest_ragcheck.baseline.pairs import Key, Match
    from pytest_ragcheck.comparison import Comparison, MetricChange, QuestionChange
    from pytest_ragcheck.model import Run

__all__ = ["Names", "notes", "of", "without_pairs"]

SHOWN_NAMES, SHOWN_SCORES = 5, 2


@dataclass(frozen=True, slots=True)
class Names:
    """Names of questions: the id, with the variant, and the dataset where there are several."""

    several: bool

    @classmethod
    def of(cls, run: Run, baseline: Baseline) -> Names:
        """For a run and a baseline."""
        return cls(len({result.question.dataset for result in run.results} | baseline.datasets.keys()) > 1)

    def each(self, keys: Iterable[Key]) -> tuple[str, ...]:
        """The names of the questions with these keys."""
        return tuple(map(self.one, keys))

    def one(self, key: Key) -> str:
        """The name of the question with this key."""
        dataset, name, variant = key
        told = [part for part in (variant, dataset if self.several else "") if part]
        return f"{name} ({', '.join(told)})" if told else name


def without_pairs(match: Match, listed: Comparison, baseline: Baseline) -> tuple[str, ...]:
    """Why nothing was compared."""
    if match.missing:
        return tuple(_missing(listed))
    if match.reworded:
        return ("every question that is in both is worded or marked otherwise than in the baseline",)
    if told := _other_variants(match, baseline):
        return (told,)
    return ("no question of the run is in the baseline",)


def _other_variants(match: Match, baseline: Baseline) -> str | None:
    """Says so where the baseline has the run's questions under other variants alone."""
    now = {(dataset, name): variant for dataset, name, variant in match.new}
    entries = ((name, entry) for name, dataset in baseline.datasets.items() for entry in dataset.questions)
    before = {entry.variant for name, entry in entries if (name, entry.id) in now}
    if not before:
        return None
    variants = (", ".join(sorted(variant or "none" for variant in side)) for side in (before, set(now.values())))
    return "the baseline has these questions under another variant: {} in the baseline, {} now".format(*variants)


def of(
    comparison: Comparison, decisions: Mapping[str, Decision], uncovered: Mapping[str, float], least: float
) -> tuple[str, ...]:
    """Of the whole comparison, before its verdict is known."""
    by_verdict: dict[Verdict, list[Decision]] = {}
    for one in decisions.values():
        by_verdict.setdefault(one.change.verdict, []).append(one)
    told = [*_missing(comparison), *_uncovered(comparison, uncovered, least), *_regressions(comparison, by_verdict)]
    told += [_not_comparable(one) for one in by_verdict.get(Verdict.NOT_COMPARABLE, [])]
    told += [_drifted(one) for one in by_verdict.get(Verdict.JUDGE_DRIFTED, [])]
    told += [_inconclusive(one) for one in by_verdict.get(Verdict.INCONCLUSIVE, [])]
    told += [_moved(one.change, "rose") for one in by_verdict.get(Verdict.BETTER, [])]
    told += _not_measured_any_more(comparison)
    if not decisions:
        told.append("no metric has scores both in the baseline and in the run")
    return tuple(told) or ("no metric fell, and no question broke",)


# ---- One verdict's ---------------------------------------------------------------------------


def _missing(comparison: Comparison) -> Iterator[str]:
    if comparison.missing:
        count = figures.plural(len(comparison.missing), "selected question")
        yield f"{count} of the baseline without a result: {_listed(comparison.missing)}"


def _uncovered(comparison: Comparison, uncovered: Mapping[str, float], least: float) -> Iterator[str]:
    for metric, share in uncovered.items():
        yield f"{metric}: {share:.1%} of the scores could be measured, {least:.0%} are needed"
    if not uncovered and comparison.coverage < least:
        yield f"{comparison.coverage:.1%} of the scores could be measured, {least:.0%} are needed"


def _regressions(comparison: Comparison, by_verdict: Mapping[Verdict, Sequence[Decision]]) -> Iterator[str]:
    for one in by_verdict.get(Verdict.REGRESSED, []):
        if one.change.mean_fell:
            yield _moved(one.change, "fell")
    if broken := comparison.broken:
        with_scores = len(broken) <= SHOWN_SCORES
        names = [f"{change.name} ({_breaks(change)})" if with_scores else change.name for change in broken]
        yield f"{figures.plural(len(broken), 'question')} broke: {_listed(names)}"


def _breaks(change: QuestionChange) -> str:
    return ", ".join(
        f"{name} {figures.move(score.baseline, score.value)}" for name, score in change.scores.items() if score.broke
    )


def _moved(change: MetricChange, verb: str) -> str:
    told = f"{change.metric} {verb} by {figures.value(abs(change.difference))}"
    told += f", {figures.value(change.baseline)} to {figures.value(change.value)}"
    if change.interval is not None:
        low, high = change.interval
        told += f" (95 % interval {low:+.2f} to {high:+.2f})"
    return told


def _not_comparable(one: Decision) -> str:
    if one.measures is None:
        return f"{one.change.metric} cannot be compared"
    before, now = (measure or "an unknown measure" for measure in one.measures)
    return f"{one.change.metric} was measured with {before} in the baseline, and with {now} now"


def _drifted(one: Decision) -> str:
    moved = _moved(one.change, "fell" if one.change.difference < 0 else "rose")
    return f"{moved}, but {_judge(one.moved)}" if one.moved is not None else f"{one.change.metric}: the judge moved"


def _judge(moved: Movement) -> str:
    answers = figures.plural(moved.answers, "stored answer")
    by = f"{figures.value(abs(moved.mean))} {'less' if moved.mean < 0 else 'more'} than then"
    return f"the judge now gives {answers} of the baseline {by}"


def _inconclusive(one: Decision) -> str:
    change = one.change
    if one.moved is not None:
        low, high = one.moved.bounds
        return f"{_drifted(one)} (95 % interval {low:+.2f} to {high:+.2f})"
    moved = _moved(change, "fell" if change.difference < 0 else "rose") if change.difference else change.metric
    compared = figures.plural(change.questions, "question")
    if change.smallest_visible_drop is None or change.smallest_visible_drop > 1:
        return f"{moved}: {compared} cannot tell that from chance"
    return f"{moved}: {compared} show a drop only from {figures.value(change.smallest_visible_drop)} on"


def _not_measured_any_more(comparison: Comparison) -> Iterator[str]:
    before = {name for one in comparison.questions for name, score in one.scores.items() if score.baseline is not None}
    now = {name for one in comparison.questions for name, score in one.scores.items() if score.value is not None}
    for metric in sorted(before - now):
        yield f"{metric} is in the baseline, and was not measured in this run"


# ---- Beside the verdict ----------------------------------------------------------------------


def notes(match: Match, changes: Sequence[QuestionChange], metrics: Iterable[MetricChange]) -> tuple[str, ...]:
    """What else a reader should know."""
    return (*_flips(changes), *_spreads(metrics), *_new_metrics(match), *_no_longer_applying(match))


def _spreads(metrics: Iterable[MetricChange]) -> Iterator[str]:
    for change in metrics:
        if change.run_spread is not None:
            spread = f"a standard deviation of {change.run_spread:.3f}"
            yield f"{change.metric}: earlier runs of one system lie apart by {spread}, which a drop is held against"


def _flips(changes: Sequence[QuestionChange]) -> Iterator[str]:
    names = [change.name for change in changes if change.flipped and not change.broke]
    if names:
        told = figures.plural(len(names), "question")
        yield f"{told} fell, but passed when asked again, and did not break: {_listed(names)}"


def _new_metrics(match: Match) -> Iterator[str]:
    before = {metric for pair in match.pairs for metric in pair.entry.scores}
    now = {name for pair in match.pairs for name, score in pair.result.scores.items() if score.measured}
    for metric in sorted(now - before):
        yield f"{metric} is not in the baseline yet"


def _no_longer_applying(match: Match) -> Iterator[str]:
    counts: dict[str, int] = {}
    for pair in match.pairs:
        for name, score in pair.result.scores.items():
            if name in pair.entry.scores and not score.measured and score.error is None:
                counts[name] = counts.get(name, 0) + 1
    for metric, count in sorted(counts.items()):
        told = figures.plural(count, "question that was measured", "questions that were measured")
        yield f"{metric} does not apply any more to {told} in the baseline"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES:,} more"
