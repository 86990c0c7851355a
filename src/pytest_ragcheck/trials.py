"""Trials: several repetitions of one question put together into one result.

A score's value is the mean over the trials in which it was measured, and thresholds are asserted on that mean.
What could not be measured is never counted as a low score:

- a question is *not run* where any of its trials was not run (the budget is spent, or the store lacks its reply);
- its answer is an *error* where no trial gave one;
- a score is an *error* where fewer than half of the trials to which it applies could be measured.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import NOT_RUN, Failure, Result, Score, State, Timing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ANSWER_DEPENDENT",
    "SAMPLES_OF_A_FALL",
    "Tally",
    "combined",
    "confirmations_wanted",
    "confirmed",
    "next_round",
    "shown_trial",
    "tally",
]

SAMPLES_OF_A_FALL = 12
"""A question that fell below what it reached in the baseline is asked until it passes, or there are so many samples of
it in baseline and run together: of five coins in a suite one shows so clean a break in 1 of 800 comparisons."""
FIRST_CONFIRMATIONS = 2
"""So many are asked at once, and the others where these failed too: most questions that flip take no more."""
ANSWER_DEPENDENT = "answer_dependent"
"""Detail of a score that does not apply to this answer, but may apply to another one to the same question."""


def combined(trials: Sequence[Result], *, planned: int = 1) -> Result:
    """One result for all ``trials`` of a question; the trial itself where only one was ``planned``.

    The answer, and what the scores' reasons and details rest on, are those of :func:`shown_trial`. Each score's details
    tell also its ``trials`` (the values, None where a trial gave none), their ``spread`` (sample standard deviation,
    None for fewer than two) and, with a threshold, the ``pass_rate`` of the measured ones.
    Timing is the hull of the trials', and the seconds of a phase and the calls are those of all.
    """
    if planned == 1:
        return trials[0]
    not_run = _common_not_run(trials)
    whole = Result(
        question=trials[0].question,
        answer=next((trial.answer for trial in trials if trial.answer is not None), None),
        error=_common_error(trials),
        scores={name: _mean_score(name, trials) for name in _metric_names(trials)},
        timing=_hull([trial.timing for trial in trials if trial.timing.finished]),
        calls=tuple(chain.from_iterable(trial.calls for trial in trials)),
        trials=tuple(trials),
        planned_trials=planned,
    )
    if not_run is not None:
        return replace(whole, not_run=not_run, answer=None, error=None, scores={})
    number = shown_trial(whole)
    if number is None:
        return whole
    shown = trials[number]
    scores = {name: _with_evidence(score, shown, trials) for name, score in whole.scores.items()}
    return replace(whole, answer=shown.answer, scores=scores)


def shown_trial(result: Result) -> int | None:
    """Which of the trials' answers a result shows, from 0; None where no trial gave one.

    The first whose state is the result's, and of those rather one that misses the same threshold.
    """
    answered = [number for number, trial in enumerate(result.trials) if trial.answer is not None]
    missed = _missed(result)

    def unlike(number: int) -> tuple[bool, bool]:
        trial = result.trials[number]
        return trial.state is not result.state, bool(missed) and not missed & _missed(trial)

    return min(answered, key=unlike, default=None)


def _missed(result: Result) -> set[str]:
    """The metrics that decide about the state."""
    return {score.metric for score in result.failed_scores or result.unmeasured_scores}


# ---- One score over all trials ---------------------------------------------------------------


def _metric_names(trials: Iterable[Result]) -> list[str]:
    """In the order of the trial that has most: one without an answer lacks those that need it."""
    by_number = sorted(trials, key=lambda trial: len(trial.scores), reverse=True)
    return list(dict.fromkeys(name for trial in by_number for name in trial.scores))


def _mean_score(name: str, trials: Sequence[Result]) -> Score:
    """The mean, or why there is none, without what it rests on."""
    scores = [score for trial in trials if (score := trial.scores.get(name)) is not None]
    values = [score.value for score in scores if score.value is not None]
    failures = [failure for trial in trials if (failure := _unmeasured(name, trial)) is not None]
    threshold = scores[0].threshold
    if all(score.value is None and score.error is None for score in scores):  # nor would it apply to a missing answer
        return Score(metric=name, threshold=threshold, reason=scores[0].reason)
    if 2 * len(values) < len(values) + len(failures):
        return Score(metric=name, threshold=threshold, error=_too_few(values, failures))
    return Score(metric=name, value=_mean(values), threshold=threshold)


def _unmeasured(name: str, trial: Result) -> Failure | None:
    """Why a trial lacks a score that it should have; None where it has it, or the metric does not apply."""
    score = trial.scores.get(name)
    if score is not None:
        return score.error
    if trial.error is not None:
        return replace(trial.error, message=f"no answer: {trial.error.message}")
    return Failure(message=trial.not_run or "no answer", kind=NOT_RUN)


def _too_few(values: Sequence[float], failures: Sequence[Failure]) -> Failure:
    cause = _commonest(failures)
    told = f"measured in {len(values)} of {len(values) + len(failures)} trials; {cause.message}"
    return replace(cause, message=told)


def _commonest(failures: Sequence[Failure]) -> Failure:
    """The commonest cause, which tells whether there are others; an error rather than a call that was not made."""
    errors = [failure for failure in failures if failure.kind != NOT_RUN]
    message, count = Counter(failure.message for failure in errors or failures).most_common(1)[0]
    cause = next(failure for failure in failures if failure.message == message)
    if count == len(failures):
        return cause
    return replace(cause, message=f"{message} (and {len(failures) - count} for other causes)")


def _with_evidence(score: Score, shown: Result, trials: Sequence[Result]) -> Score:
    """The score with the shown trial's reason and details, and what the trials gave."""
    own = [trial.scores.get(score.metric) for trial in trials]
    measured = [one for one in own if one is not None and one.value is not None]
    if score.value is None:
        return score
    evidence = shown.scores.get(score.metric)
    if evidence is None or evidence.value is None:
        evidence = measured[0]
    values = [one.value for one in measured if one.value is not None]
    details: dict[str, Any] = {
        **evidence.details,
        "trials": [None if one is None else one.value for one in own],
        "spread": _spread(values),
    }
    if score.threshold is not None:
        details["pass_rate"] = sum(not one.below_threshold for one in measured) / len(measured)
    return replace(score, reason=evidence.reason, details=details)


def _mean(values: Sequence[float]) -> float:
    """Exact but for one rounding, so that the mean of equal values is that value and not just below a threshold."""
    from statistics import mean

    return min(max(float(mean(values)), 0.0), 1.0)


def _spread(values: Sequence[float]) -> float | None:
    from statistics import stdev

    return float(stdev(values)) if len(values) > 1 else None


# ---- The answer, the time --------------------------------------------------------------------


def _common_not_run(trials: Sequence[Result]) -> str | None:
    reasons = [trial.not_run for trial in trials if trial.not_run is not None]
    if not reasons:
        return None
    return reasons[0] if len(reasons) == len(trials) else f"{len(reasons)} of {len(trials)} trials: {reasons[0]}"


def _common_error(trials: Sequence[Result]) -> Failure | None:
    failures = [trial.error for trial in trials if trial.error is not None]
    if not failures or any(trial.answer is not None for trial in trials):
        return None
    return _commonest(failures)


def _hull(timings: Sequence[Timing]) -> Timing:
    if not timings:
        return Timing()
    return Timing(
        retrieval=sum(timing.retrieval for timing in timings),
        generation=sum(timing.generation for timing in timings),
        evaluation=sum(timing.evaluation for timing in timings),
        started=min(timing.started for timing in timings),
        finished=max(timing.finished for timing in timings),
        retrieval_span=_around(timing.retrieval_span for timing in timings),
        generation_span=_around(timing.generation_span for timing in timings),
        evaluation_span=_around(timing.evaluation_span for timing in timings),
    )


def _around(spans: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    known = [span for span in spans if span is not None]
    return (min(start for start, _ in known), max(end for _, end in known)) if known else None


# ---- When further trials cannot change the verdict -------------------------------------------


def next_round(done: Sequence[Result], remaining: int, thresholds: Mapping[str, float]) -> int:
    """How many of a question's ``remaining`` trials to ask at once; 0 where they cannot change the verdict any more.

    As many as it takes at least to settle the verdict, so that none is asked in vain.
    """
    if not remaining or (done and _is_settled(done, remaining, thresholds)):
        return 0
    return _least_further(done, remaining, thresholds)


def _is_settled(trials: Sequence[Result], remaining: int, thresholds: Mapping[str, float]) -> bool:
    """Whether no mean can cross its threshold any more, whatever values the ``remaining`` trials measure.

    Exact: values lie between 0 and 1. False where no metric has a threshold, as there is no verdict to settle, and
    while the question is an error or not run.
    """
    whole = combined(trials, planned=len(trials) + remaining)
    values = {name: _measured(name, trials) for name in thresholds if _can_apply(name, trials)}
    if whole.state is State.FAILED:
        failed = values.keys() & {score.metric for score in whole.failed_scores}
        return any(_stays_below(values[name], remaining, thresholds[name]) for name in failed)
    return (
        whole.state is State.PASSED
        and bool(values)
        and all(_stays_above(values[name], remaining, thresholds[name]) for name in values)
    )


def _least_further(trials: Sequence[Result], remaining: int, thresholds: Mapping[str, float]) -> int:
    """How many of the ``remaining`` trials it takes at least to settle the verdict."""
    values = [(_measured(name, trials), least) for name, least in thresholds.items() if _can_apply(name, trials)]

    def may_settle(count: int) -> bool:
        left = remaining - count
        fails = any(_stays_below([*known, *[0.0] * count], left, least) for known, least in values)
        return fails or all(_stays_above([*known, *[1.0] * count], left, least) for known, least in values)

    return next((count for count in range(1, remaining) if values and may_settle(count)), remaining)


def _measured(name: str, trials: Iterable[Result]) -> list[float]:
    scores = (trial.scores.get(name) for trial in trials)
    return [score.value for score in scores if score is not None and score.value is not None]


def _can_apply(name: str, trials: Iterable[Result]) -> bool:
    """Whether a metric may have a value in a further trial: one that does not apply to the question has none."""
    scores = [score for trial in trials if (score := trial.scores.get(name)) is not None]
    return not scores or any(
        score.measured or score.error is not None or ANSWER_DEPENDENT in score.details for score in scores
    )


def _stays_below(values: Sequence[float], remaining: int, threshold: float) -> bool:
    return bool(values) and _mean([*values, *[1.0] * remaining]) < threshold


def _stays_above(values: Sequence[float], remaining: int, threshold: float) -> bool:
    return _mean([*values, *[0.0] * remaining]) >= threshold


# ---- When a question fell ----------------------------------------------------------------------


def confirmations_wanted(result: Result, least: Mapping[str, float], confirmations: Sequence[Result] = ()) -> int:
    """How often to ask a question again now, because it fell; 0 where it did not, passed since, or was asked enough.

    ``least``: by metric below which value it is worse than it was. ``confirmations``: what asking it again gave so far.
    """
    values = {name: score.value for name, score in result.scores.items() if score.value is not None}
    fell = {name: bound for name, bound in least.items() if name in values and values[name] < bound}
    unclear = [name for name, bound in fell.items() if max(_measured(name, confirmations), default=0.0) < bound]
    if not unclear or any(one.not_run is not None for one in confirmations):
        return 0
    left = max(0, SAMPLES_OF_A_FALL - 2 * max(1, len(result.trials)) - len(confirmations))
    return left if confirmations else min(left, FIRST_CONFIRMATIONS)


def confirmed(result: Result, confirmations: Sequence[Result]) -> Result:
    """The result with what asking it again gave: its time and its calls are those of all."""
    timings = [one.timing for one in (result, *confirmations) if one.timing.finished]
    calls = chain(result.calls, *(one.calls for one in confirmations))
    return replace(result, confirmations=tuple(confirmations), timing=_hull(timings), calls=tuple(calls))


# ---- How many passed -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How the trials of a question came out; those that are errors or were not run count in neither."""

    planned: int
    asked: int
    passed: int
    failed: int

    @property
    def pass_rate(self) -> float | None:
        """The share of passed among the passed and failed; None where there are none."""
        judged = self.passed + self.failed
        return self.passed / judged if judged else None

    @property
    def any_passed(self) -> bool | None:
        """pass@N: whether at least one of the planned trials passed; None where that is not known."""
        if self.passed:
            return True
        return False if self.failed == self.planned else None

    @property
    def all_passed(self) -> bool | None:
        """pass^N: whether all of the planned trials passed; None where that is not known."""
        if self.failed:
            return False
        return True if self.passed == self.planned else None


def tally(result: Result) -> Tally | None:
    """How a question's trials came out; None where it was not repeated, or has no threshold to pass."""
    if not result.trials or all(score.threshold is None for score in result.scores.values()):
        return None
    states = Counter(trial.state for trial in result.trials)
    return Tally(
        planned=result.planned_trials,
        asked=len(result.trials),
        passed=states[State.PASSED],
        failed=states[State.FAILED],
    )
