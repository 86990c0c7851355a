"""Whether the judge moved: what today's judge says of the baseline's own stored answers.

The stored answers did not change, so a difference between their old and new scores is the judge's alone. Which
answers are judged anew is chosen here, and what the scores mean; the judging itself is done where a judge is at hand,
past the cache: a kept reply would tell what the judge said, not what it says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.differences import PairedScores, differences
from pytest_ragcheck.baseline.pairs import matched
from pytest_ragcheck.baseline.statistics import LEVEL
from pytest_ragcheck.baseline.swaps import swap_test
from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.model import Answer, Context

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_ragcheck.baseline.entries import Baseline, Entry
    from pytest_ragcheck.baseline.pairs import Key, Pair
    from pytest_ragcheck.comparison import MetricChange, ScoreChange
    from pytest_ragcheck.model import Question, Run

__all__ = ["MOST_REJUDGED", "Drift", "Movement", "Rejudged", "StoredAnswer", "movement", "stored_answers", "weighed"]

MOST_REJUDGED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer of the baseline with its contexts, to be judged anew."""

    key: Key
    """Dataset, id and variant."""
    question: Question
    answer: Answer
    scores: Mapping[str, float]
    """What the judge said then, by metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """One stored answer's score then and now."""

    key: Key
    metric: str
    baseline: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What judging stored answers anew gave."""

    scores: tuple[Rejudged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """How far the judge moved under one metric, beyond chance."""

    answers: int
    mean: float
    bounds: tuple[float, float]
    """Two-sided 95 % interval of the mean; all of the scale where it cannot be told."""


def stored_answers(
    baseline: Baseline,
    run: Run,
    *,
    metrics: Collection[str],
    texts: Mapping[str, str],
    most: int = MOST_REJUDGED,
) -> tuple[StoredAnswer, ...]:
    """At most ``most`` answers of the baseline that can be judged anew under any of ``metrics``.

    Of questions that the run asked and that are what they were. ``texts`` are those of the contexts at hand, by their
    SHA-256 (:func:`~pytest_ragcheck.baseline.changes.context_texts`); an answer of which one is missing is left out.
    The choice looks random, but is the same in every run.
    """
    pairs = sorted(matched(run, baseline).pairs, key=lambda pair: _draw(pair.key))
    found = []
    for pair in pairs:
        scores = {name: old for name in sorted(metrics) if (old := _score_of_kept_answer(pair.entry, name)) is not None}
        if scores and all(context.sha256 in texts for context in pair.entry.contexts):
            found.append(_stored(pair, scores, texts))
        if len(found) == most:
            break
    return tuple(found)


def _draw(key: Key) -> bytes:
    return hashlib.sha256("\0".join(key).encode("utf-8", "surrogatepass")).digest()


def _score_of_kept_answer(entry: Entry, metric: str) -> float | None:
    """The first trial's: its answer is the one whose text is kept."""
    return entry.scores[metric][0] if metric in entry.scores else None


def _stored(pair: Pair, scores: Mapping[str, float], texts: Mapping[str, str]) -> StoredAnswer:
    contexts = tuple(
        Context(text=texts[kept.sha256], rank=rank, source=kept.source, start=kept.start, end=kept.end)
        for rank, kept in enumerate(pair.entry.contexts, start=1)
    )
    answer = Answer(text=pair.entry.answer, contexts=contexts)
    return StoredAnswer(key=pair.key, question=pair.result.question, answer=answer, scores=scores)


def movement(metric: str, drift: Drift) -> Movement | None:
    """How far the judge moved under the metric; None where that may be chance.

    The same test as for a run, one-sided in either direction.
    """
    scores = [one for one in drift.scores if one.metric == metric]
    if not scores:
        return None
    pairs = [PairedScores(question="\0".join(one.key), baseline=(one.baseline,), run=(one.value,)) for one in scores]
    found = differences(pairs)
    test = swap_test(pairs)
    if min(test.drop, test.rise) > LEVEL:
        return None
    return Movement(answers=len(scores), mean=found.mean, bounds=found.interval() or (-1.0, 1.0))


def weighed(
    change: MetricChange, scores: Mapping[str, ScoreChange], moved: Movement
) -> tuple[MetricChange, Mapping[str, ScoreChange]]:
    """The metric's change where the judge moved: ``judge drifted`` where that may be why it fell or rose.

    It stays regressed, or better, where even the largest likely movement of the judge does not account for the change;
    so does a question that broke.
    """
    low, high = moved.bounds
    if change.verdict is Verdict.REGRESSED and moved.mean < 0:
        still = {name: replace(one, broke=one.broke and _fall(one) > one.noise - low) for name, one in scores.items()}
        fell = change.interval is not None and change.interval[1] - low < -change.practical_minimum
        if any(one.broke for one in still.values()):
            return change, still
        return (change, scores) if fell else (replace(change, verdict=Verdict.JUDGE_DRIFTED), still)
    if change.verdict is Verdict.BETTER and moved.mean > 0:
        rose = change.interval is not None and change.interval[0] - high > change.practical_minimum
        return (change, scores) if rose else (replace(change, verdict=Verdict.JUDGE_DRIFTED), scores)
    return change, scores


def _fall(change: ScoreChange) -> float:
    return (change.baseline or 0.0) - (change.value or 0.0)
