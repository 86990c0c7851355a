"""Whether the judge moved: what today's judge says of the baseline's own stored answers.

The stored answers did not change, so a difference between their old and new scores is the judge's alone. Which
answers are judged anew is chosen here, and what the scores mean; the judging itself is done where a judge is at hand,
past the cache: a kept reply would tell what the judge said, not what it says.
"""

from __future__ import annotations

import hashlib
import math
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

    from pytest_ragcheck.baseline.differences import Differences
    from pytest_ragcheck.baseline.entries import Baseline, Entry
    from pytest_ragcheck.baseline.pairs import Key, Pair
    from pytest_ragcheck.comparison import MetricChange, ScoreChange
    from pytest_ragcheck.model import Question, Run

__all__ = ["MOST_REJUDGED", "Drift", "Movement", "Rejudged", "StoredAnswer", "movement", "stored_answers", "weighed"]

MOST_REJUDGED = 50
"""As many as a suite of usual size has: the judge's movement must be known as well as the run's."""
LEFT_LEVEL = 2 * LEVEL
"""One-sided, of what is left of a change without the judge's movement: only a change that is beyond chance by itself is
looked at, which one of two movements of the judge is not, as it goes the other way."""
LEAST_REJUDGED = 5
"""Fewer say nothing: even if all moved alike that could be chance."""
JUDGE_MAY_HAVE_MOVED = "measure more questions: the judge itself may have moved as far as the scores did"


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
    """How far the judge moved under one metric."""

    found: Differences
    by_question: Mapping[str, float]
    """By the question's name in the statistics."""
    beyond_chance: bool
    """Whether the judge is sure to have moved, not only its noise."""

    @property
    def answers(self) -> int:
        """How many stored answers were judged again."""
        return len(self.by_question)

    @property
    def mean(self) -> float:
        """What the judge gives now, less what it gave then."""
        return self.found.mean

    @property
    def bounds(self) -> tuple[float, float]:
        """Two-sided 95 % interval of the mean."""
        return self.found.interval() or (-1.0, 1.0)


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
    """How far the judge moved under the metric; None where too few answers were judged again to say.

    Whether that is beyond chance says the same test as for a run, one-sided in either direction.
    """
    scores = [one for one in drift.scores if one.metric == metric]
    if len(scores) < LEAST_REJUDGED:
        return None
    pairs = [PairedScores(question="\0".join(one.key), baseline=(one.baseline,), run=(one.value,)) for one in scores]
    test = swap_test(pairs)
    return Movement(
        found=differences(pairs),
        by_question={pair.question: pair.difference for pair in pairs},
        beyond_chance=min(test.drop, test.rise) <= LEVEL,
    )


def weighed(
    change: MetricChange, scores: Mapping[str, ScoreChange], found: Differences, moved: Movement
) -> tuple[MetricChange, Mapping[str, ScoreChange]]:
    """The metric's change less the judge's own movement, as far as that is known.

    It stays regressed, or better, where what is left is beyond chance, the error of the judge's movement included. Else
    it is ``judge drifted`` where the judge is sure to have moved that way, and otherwise inconclusive. A question that
    broke did so where even the largest likely movement of the judge does not account for its fall.
    """
    left = _less(found, scores, moved)
    drop, rise = left.p_values()
    if change.verdict is Verdict.REGRESSED:
        reach = min(0.0, moved.bounds[0])
        scores = {
            name: replace(one, broke=one.broke and _fall(one) > one.noise - reach) for name, one in scores.items()
        }
        fell = change.mean_fell and drop <= LEFT_LEVEL and left.mean < -change.practical_minimum
        if fell or any(one.broke for one in scores.values()):
            return replace(change, mean_fell=fell), scores
        return _explained(change, sure=moved.beyond_chance and moved.mean < 0), scores
    if change.verdict is Verdict.BETTER and not (rise <= LEFT_LEVEL and left.mean > change.practical_minimum):
        return _explained(change, sure=moved.beyond_chance and moved.mean > 0), scores
    return change, scores


def _less(found: Differences, scores: Mapping[str, ScoreChange], moved: Movement) -> Differences:
    """The mean difference less the judge's movement.

    The noise of the baseline's own scores is in both, and cancels as far as the same questions are in both.
    """
    shared = [
        (change.value - change.baseline - found.mean, moved.by_question[name] - moved.mean)
        for name, change in scores.items()
        if name in moved.by_question and change.value is not None and change.baseline is not None
    ]
    covariance = math.fsum(own * judges for own, judges in shared) / max(1, len(shared) - 1) / found.questions
    error = (moved.found.standard_error or 0.0) ** 2
    both = (found.standard_error or 0.0) ** 2 + error
    variance = error - min(2 * covariance, both)
    return found.beyond(variance, observed=error, freedom=moved.found.freedom, mean=moved.mean)


def _explained(change: MetricChange, *, sure: bool) -> MetricChange:
    verdict = Verdict.JUDGE_DRIFTED if sure else Verdict.INCONCLUSIVE
    return replace(change, verdict=verdict, mean_fell=False, remedy="" if sure else JUDGE_MAY_HAVE_MOVED)


def _fall(change: ScoreChange) -> float:
    return (change.baseline or 0.0) - (change.value or 0.0)
