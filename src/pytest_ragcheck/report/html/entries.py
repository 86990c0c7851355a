"""One question as plain data for the page's scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.calls import dollars
from pytest_ragcheck.report.diagnosis import diagnose
from pytest_ragcheck.report.findings import findings, worst_first
from pytest_ragcheck.report.gold import gold_ranks, missed_gold
from pytest_ragcheck.report.html.marks import doubts, gold_spans, said_spans
from pytest_ragcheck.report.html.texts import browser_spans
from pytest_ragcheck.report.question import against_threshold, answer_facts, outcome, similarity
from pytest_ragcheck.report.rerun import rerun_command
from pytest_ragcheck.report.textual import keywords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_ragcheck.comparison import ScoreChange
    from pytest_ragcheck.model import Answer, Call, Context, Failure, Result, Score, Timing
    from pytest_ragcheck.report.gold import Missed
    from pytest_ragcheck.report.html.texts import Texts

__all__ = ["fault_place", "place", "question_entry", "status"]

_PHASES = ("retrieval", "generation", "evaluation")


def question_entry(result: Result, texts: Texts, changes: Mapping[str, ScoreChange]) -> dict[str, Any]:
    """All that the page shows of one question; contexts are numbers in ``texts``.

    ``changes`` are the question's score changes by metric, empty where there is no baseline.
    """
    question, answer = result.question, result.answer
    return {
        "id": question.id,
        "dataset": question.dataset,
        "line": question.line,
        "variant": result.variant,
        "state": result.state.value,
        "expected": result.expected_failure,
        "outcome": outcome(result),
        "diagnosis": diagnose(result),
        "fault": fault_place(result),
        "answerable": question.answerable,
        "question": question.question,
        "history": [[turn.role, turn.text] for turn in question.history],
        "reference": question.reference,
        "facts": [list(fact) for fact in question.must_contain],
        "tags": list(question.tags),
        "answer": None if answer is None else _answer(result, answer),
        "error": None if result.error is None else _failure(result.error),
        "scores": [_score(score, changes.get(score.metric)) for score in _in_order(result)],
        "contexts": [] if answer is None else _contexts(result, answer, texts),
        "contextsKnown": answer is None or answer.contexts_known,
        "missed": [_missed(missed) for missed in missed_gold(result)],
        "time": _time(result.timing),
        "calls": [_call(call) for call in result.calls],
        "trials": [_trial(trial, texts) for trial in result.trials],
        "rerun": rerun_command(result),
    }


def status(score: Score) -> str:
    """``failed``, ``error``, ``passed``, ``reported`` (it has no threshold) or ``not applicable``."""
    if score.error is not None:
        return "error"
    if score.value is None:
        return "not applicable"
    if score.below_threshold:
        return "failed"
    return "reported" if score.threshold is None else "passed"


def fault_place(result: Result) -> str | None:
    """With what the diagnosis begins: ``retriever``, ``generator``, ``judge`` or ``measurement``, say."""
    diagnosis = diagnose(result)
    return None if diagnosis is None else diagnosis.partition(":")[0].lower()


def place(source: str | None, start: int | None, end: int | None) -> str:
    """Where a text stands: ``docs/leave.md [120:480]``."""
    span = f" [{start}:{end}]" if start is not None and end is not None else ""
    return (source if source and source.strip() else "(source not known)") + span


def _in_order(result: Result) -> list[Score]:
    """What failed, the worst first; what could not be measured; the rest as it was measured."""
    order = {"failed": 0, "error": 1, "passed": 2, "reported": 3, "not applicable": 4}
    others = [score for score in result.scores.values() if not score.below_threshold]
    return sorted([*worst_first(result.failed_scores), *others], key=lambda score: order[status(score)])


def _answer(result: Result, answer: Answer) -> dict[str, Any]:
    found = doubts(result)
    spans = browser_spans(answer.text, [doubt.span for doubt in found])
    marks = [[*span, doubt.kind.value, doubt.remark, doubt.metric] for span, doubt in zip(spans, found, strict=True)]
    return {"text": answer.text, "facts": list(answer_facts(result, answer)), "marks": marks, "made": answer.generated}


def _failure(failure: Failure) -> dict[str, Any]:
    details = [[key, str(value)] for key, value in failure.details.items() if value is not None]
    return {"message": failure.message, "kind": failure.kind, "details": details}


def _score(score: Score, change: ScoreChange | None) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "status": status(score),
        "value": score.value,
        "threshold": score.threshold,
        "shown": against_threshold(score).replace(">=", "≥"),
        "reason": score.reason,
        "error": None if score.error is None else _failure(score.error),
        "findings": [[finding.kind.value, finding.text, finding.remark] for finding in findings(score)],
        "vacuous": "vacuous" in score.details,
        "change": None if change is None else _score_change(change),
    }


def _score_change(change: ScoreChange) -> dict[str, Any]:
    known = change.baseline is not None and change.value is not None
    difference = (change.value or 0.0) - (change.baseline or 0.0) if known else None
    return {
        "before": None if change.baseline is None else figures.value(change.baseline),
        "difference": difference,
        "shown": None if difference is None else figures.change(difference),
        "noise": difference is not None and abs(difference) <= change.noise,
        "again": figures.values(change.confirmations),
        "broke": change.broke,
        "flipped": change.flipped,
        "known": change.known,
    }


def _contexts(result: Result, answer: Answer, texts: Texts) -> list[dict[str, Any]]:
    gold, said = gold_ranks(result), frozenset() if answer.refused else keywords(answer.text)
    ranked = sorted(answer.contexts, key=lambda context: context.rank)
    return [_context(context, result, texts, said, is_gold=context.rank in gold) for context in ranked]


def _context(context: Context, result: Result, texts: Texts, said: frozenset[str], *, is_gold: bool) -> dict[str, Any]:
    marked = [("gold", span) for span in gold_spans(context, result.question.gold)]
    marked += [("said", span) for span in said_spans(context.text, said)]
    spans = browser_spans(context.text, [span for _, span in marked])
    return {
        "rank": context.rank,
        "similarity": similarity(context),
        "place": place(context.source, context.start, context.end),
        "gold": is_gold,
        "text": texts.number(context.text),
        "marks": [[*span, kind] for (kind, _), span in zip(marked, spans, strict=True)],
    }


def _missed(missed: Missed) -> dict[str, Any]:
    passage = missed.passage
    return {
        "place": place(passage.source, passage.start, passage.end),
        "rank": missed.rank,
        "text": passage.text or "",
    }


def _time(timing: Timing) -> dict[str, Any]:
    spans = {phase: getattr(timing, f"{phase}_span") for phase in _PHASES}
    return {
        "begun": timing.begun,
        "started": timing.started,
        "finished": timing.finished,
        "total": figures.seconds(timing.total),
        "phases": [
            [phase, *(span or (None, None)), figures.seconds(getattr(timing, phase))] for phase, span in spans.items()
        ],
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "purpose": call.purpose,
        "model": call.model,
        "started": call.started,
        "queued": call.queued,
        "backoff": call.backoff,
        "wire": call.wire,
        "attempts": call.attempts,
        "cached": call.cached,
        "input": call.usage.input_tokens + call.usage.cache_read_tokens + call.usage.cache_write_tokens,
        "output": call.usage.output_tokens,
        "cost": None if call.cost is None else dollars(call.cost),
        "request": call.request_id,
    }


def _trial(trial: Result, texts: Texts) -> dict[str, Any]:
    return {
        "state": trial.state.value,
        "outcome": outcome(trial),
        "answer": None if trial.answer is None else texts.number(trial.answer.text),
        "scores": _trial_scores(trial.scores.values()),
        "total": figures.seconds(trial.timing.total),
    }


def _trial_scores(scores: Iterable[Score]) -> list[list[Any]]:
    return [
        [score.metric, None if score.value is None else figures.value(score.value), status(score)] for score in scores
    ]
