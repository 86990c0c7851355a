"""What changed for one question, and where the change came from: the retriever, the generator or the measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.entries import answered_trials, context_digest, passage_label, text_digest
from pytest_ragcheck.comparison import Cause, ContextChange, GoldChange, QuestionChange
from pytest_ragcheck.report.gold import group_ranks
from pytest_ragcheck.run_file import whole_characters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_ragcheck.baseline.entries import KeptContext
    from pytest_ragcheck.baseline.pairs import Pair
    from pytest_ragcheck.comparison import ScoreChange
    from pytest_ragcheck.model import Context, Result

__all__ = ["context_texts", "question_change"]

LABEL_CHARACTERS = 60


def context_texts(results: Iterable[Result]) -> dict[str, str]:
    """The texts of the contexts of ``results``, by their SHA-256."""
    return {
        context_digest(context): context.text
        for result in results
        for trial in answered_trials(result)
        if trial.answer is not None
        for context in trial.answer.contexts
    }


def question_change(pair: Pair, scores: Mapping[str, ScoreChange], texts: Mapping[str, str]) -> QuestionChange:
    """The change of one question; ``texts`` are those of contexts that are at hand, by their SHA-256."""
    trials = answered_trials(pair.result)
    known = trials and all(trial.answer.contexts_known for trial in trials if trial.answer is not None)
    contexts = _context_changes(pair.entry.contexts, _contexts(trials), texts) if known else ()
    return QuestionChange(
        id=pair.result.question.id,
        dataset=pair.result.question.dataset,
        variant=pair.result.variant,
        scores=scores,
        cause=_cause(pair, trials, contexts, scores, Cause.ANSWER if known else Cause.ANSWER_ALONE),
        contexts=contexts,
        gold=_gold_changes(pair, trials[0]) if trials else (),
        baseline_answer=_earlier_answer(pair, trials),
    )


def _cause(
    pair: Pair,
    trials: Sequence[Result],
    contexts: Sequence[ContextChange],
    scores: Mapping[str, ScoreChange],
    same_contexts: Cause,
) -> Cause | None:
    if not trials:
        return Cause.UNKNOWN
    if contexts:
        return Cause.CONTEXTS
    if _answers(trials) != set(pair.entry.answers):
        return same_contexts
    return Cause.SCORE if any(change.baseline != change.value for change in scores.values()) else None


def _answers(trials: Iterable[Result]) -> set[str]:
    return {text_digest(whole_characters(trial.answer.text)) for trial in trials if trial.answer is not None}


def _earlier_answer(pair: Pair, trials: Sequence[Result]) -> str | None:
    texts = {whole_characters(trial.answer.text) for trial in trials if trial.answer is not None}
    return None if pair.entry.answer in texts else pair.entry.answer


def _contexts(trials: Sequence[Result]) -> list[Context]:
    answer = trials[0].answer
    return [] if answer is None else sorted(answer.contexts, key=lambda context: context.rank)


def _context_changes(
    before: Sequence[KeptContext], now: Sequence[Context], texts: Mapping[str, str]
) -> tuple[ContextChange, ...]:
    """By text: those that came, then those that went or moved, each in the order of its ranks."""
    ranks_before = _first_ranks(context.sha256 for context in before)
    digests = [context_digest(context) for context in now]
    ranks_now = _first_ranks(digests)
    came = [
        ContextChange(label=_label(context, context.text), rank=rank, text=context.text)
        for rank, (digest, context) in enumerate(zip(digests, now, strict=True), start=1)
        if digest not in ranks_before and ranks_now[digest] == rank
    ]
    left_or_moved = [
        ContextChange(
            label=_label(context, texts.get(context.sha256)),
            baseline_rank=rank,
            rank=ranks_now.get(context.sha256),
            text=texts.get(context.sha256),
        )
        for rank, context in enumerate(before, start=1)
        if ranks_before[context.sha256] == rank and ranks_now.get(context.sha256) != rank
    ]
    return (*came, *left_or_moved)


def _first_ranks(digests: Iterable[str]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for rank, digest in enumerate(digests, start=1):
        ranks.setdefault(digest, rank)
    return ranks


def _label(context: Context | KeptContext, text: str | None) -> str:
    if context.source is not None and context.start is not None:
        return f"{context.source}:{context.start}-{context.end}"
    return context.source or _start(text or "") or "a context without a source"


def _start(text: str) -> str:
    """The first words of ``text``."""
    line = " ".join(text[: 2 * LABEL_CHARACTERS].split())
    if len(line) <= LABEL_CHARACTERS:
        return line
    head = line[:LABEL_CHARACTERS]
    return f"{head.rpartition(' ')[0] or head}…"


def _gold_changes(pair: Pair, trial: Result) -> tuple[GoldChange, ...]:
    now = group_ranks(trial)
    if len(now) != len(pair.entry.gold):
        return ()
    return tuple(
        GoldChange(label=passage_label(passage), baseline_rank=kept.rank, rank=rank)
        for kept, (passage, rank) in zip(pair.entry.gold, now, strict=True)
        if kept.rank != rank
    )
