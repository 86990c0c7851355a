"""What a judged score rests on: counts in words, claims that the judge rejected, and whether there is evidence at all.

deepeval gives 1.0 where the judge found nothing to judge or judged less than there was. The number stays as it is; that
it is *vacuous*, and why, is said beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_ragcheck.metrics.base import Case

__all__ = ["Evidence", "of_contexts_judged", "of_items", "of_recall", "of_statements_in_contexts", "of_words_alone"]

_YES, _BORDERLINE = "yes", "borderline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Beside a score; ``vacuous`` tells why the number says nothing, None where it does."""

    summary: str = ""
    vacuous: str | None = None
    rejected: tuple[dict[str, str], ...] = ()


def of_items(noun: str, items: str) -> Callable[[Any, Case], Evidence]:
    """For metrics that take items (claims, statements) out of the answer and judge each."""

    def evidence(metric: Any, case: Case) -> Evidence:  # noqa: ARG001 (one signature for all kinds)
        found, verdicts = getattr(metric, items), metric.verdicts
        passing = {_YES} if getattr(metric, "penalize_ambiguous_claims", False) else {_YES, _BORDERLINE}
        return Evidence(
            summary=_share(verdicts, passing, noun),
            vacuous=_no_items(found, noun) or _uneven(verdicts, found, noun) or _no_truths(metric),
            rejected=_rejected(verdicts, found, passing),
        )

    return evidence


def of_contexts_judged(metric: Any, case: Case) -> Evidence:
    """For metrics that give one verdict for each context."""
    contexts = [context.text for context in case.contexts]
    names = [f"context {rank}" for rank in range(1, len(contexts) + 1)]
    return Evidence(
        summary=_share(metric.verdicts, {_YES}, "context"),
        vacuous=_uneven(metric.verdicts, contexts, "context"),
        rejected=_rejected(metric.verdicts, names, {_YES}),
    )


def of_recall(metric: Any, case: Case) -> Evidence:
    """For contextual recall: one verdict for each sentence of the reference, as the judge told sentences apart."""
    reference = case.question.reference or ""
    sentences = [reference[start:end].strip() for start, end in sentence_spans(reference)]
    told_alike = len(sentences) == len(metric.verdicts)
    names = sentences if told_alike else [f"statement {n} of the reference" for n in range(1, len(metric.verdicts) + 1)]
    return Evidence(
        summary=_share(metric.verdicts, {_YES}, "reference statement"),
        vacuous=None if metric.verdicts else "the judge gave no verdict on the reference",
        rejected=_rejected(metric.verdicts, names, {_YES}),
    )


def of_statements_in_contexts(metric: Any, case: Case) -> Evidence:  # noqa: ARG001 (one signature for all kinds)
    """For contextual relevancy: the judge finds statements in each context and judges them."""
    by_context = [list(judged.verdicts) for judged in metric.verdicts_list]
    verdicts = [verdict for some in by_context for verdict in some]
    empty = [str(rank) for rank, some in enumerate(by_context, 1) if not some]
    nothing_in = f"the judge found no statement in context {', '.join(empty)}" if empty else None
    return Evidence(
        summary=_share(verdicts, {_YES}, "statement"),
        vacuous=nothing_in,
        rejected=_rejected(verdicts, [verdict.statement for verdict in verdicts], {_YES}),
    )


def of_words_alone(metric: Any, case: Case) -> Evidence:  # noqa: ARG001 (one signature for all kinds)
    """For G-Eval, and metrics that are not known here: the judge's own words are all there is."""
    return Evidence()


def _share(verdicts: Sequence[Any], passing: set[str], noun: str) -> str:
    passed = sum(str(verdict.verdict) in passing for verdict in verdicts)
    return f"the judge accepts {passed} of {_plural(len(verdicts), noun)}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _no_items(found: Sequence[Any], noun: str) -> str | None:
    return None if found else f"the judge found no {noun} in the answer"


def _uneven(verdicts: Sequence[Any], judged: Sequence[Any], noun: str) -> str | None:
    if len(verdicts) == len(judged):
        return None
    return f"the judge gave {_plural(len(verdicts), 'verdict')} for {_plural(len(judged), noun)}"


def _no_truths(metric: Any) -> str | None:
    truths = getattr(metric, "truths", None)
    return "the judge found nothing stated in the contexts" if truths is not None and not truths else None


def _rejected(verdicts: Sequence[Any], names: Sequence[str], passing: set[str]) -> tuple[dict[str, str], ...]:
    """Where numbers differ, what has no name is told by its reason alone."""
    return tuple(
        {"claim": str(names[n]) if n < len(names) else f"verdict {n + 1}", "reason": verdict.reason or ""}
        for n, verdict in enumerate(verdicts)
        if str(verdict.verdict) not in passing
    )
