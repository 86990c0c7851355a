"""What a judged score rests on: counts in words, claims that the judge rejected, and whether there is evidence at all.

deepeval gives 1.0 where the judge found nothing to judge or judged less than there was. The number stays as it is; that
it is *vacuous*, and why, is said beside it. Verdicts carry neither a number nor the text that they are about, except
in contextual relevancy. So verdicts that were left out or are too many are known by counting, and verdicts in another
order by what their reasons quote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_ragcheck.metrics.base import Case

__all__ = ["Evidence", "of_contexts_judged", "of_items", "of_recall", "of_statements_in_contexts", "of_words_alone"]

_YES, _BORDERLINE = "yes", "borderline"
_QUOTED = re.compile(r"[\"“”]([^\"“”]{12,}?)[\"“”]|(?<!\w)['‘]([^'’]{12,}?)['’](?!\w)")
_MOST_REASON = 2_000
_FEWEST_WORDS = 3
"""In a text that tells one item from another."""
_FEWEST_MISPLACED = 2
_PARTS = re.compile(r"[.!?:;\n]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Beside a score; ``vacuous`` tells why the number says nothing, None where it does."""

    summary: str = ""
    vacuous: str | None = None
    rejected: tuple[dict[str, str], ...] = ()


def of_items(noun: str, items: str) -> Callable[[Any, Case], Evidence]:
    """For metrics that take items (claims, statements) out of the answer and judge each."""

    def evidence(metric: Any, case: Case) -> Evidence:
        found, verdicts = getattr(metric, items), metric.verdicts
        passing = {_YES} if getattr(metric, "penalize_ambiguous_claims", False) else {_YES, _BORDERLINE}
        return Evidence(
            summary=_share(verdicts, passing, noun),
            vacuous=_no_items(found, noun)
            or _uneven(verdicts, found, noun)
            or _no_truths(metric)
            or _reordered(verdicts, found, noun, case),
            rejected=_rejected(verdicts, found, passing),
        )

    return evidence


def of_contexts_judged(metric: Any, case: Case) -> Evidence:
    """For metrics that give one verdict for each context."""
    contexts = [context.text for context in case.contexts]
    names = [f"context {rank}" for rank in range(1, len(contexts) + 1)]
    return Evidence(
        summary=_share(metric.verdicts, {_YES}, "context"),
        vacuous=_uneven(metric.verdicts, contexts, "context") or _reordered(metric.verdicts, contexts, "context", case),
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
        vacuous=_uneven_sentences(metric.verdicts, sentences, reference),
        rejected=_rejected(metric.verdicts, names, {_YES}),
    )


def of_statements_in_contexts(metric: Any, case: Case) -> Evidence:
    """For contextual relevancy: the judge finds statements in each context and judges them."""
    by_context = [list(judged.verdicts) for judged in metric.verdicts_list]
    verdicts = [verdict for some in by_context for verdict in some]
    return Evidence(
        summary=_share(verdicts, {_YES}, "statement"),
        vacuous=_wrong_statements(by_context, [context.text for context in case.contexts]),
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


def _uneven_sentences(verdicts: Sequence[Any], sentences: Sequence[str], reference: str) -> str | None:
    """Too few verdicts for the sentences of the reference, or more than it has parts: a judge may see more borders."""
    if not verdicts:
        return "the judge gave no verdict on the reference"
    parts = [part for part in _PARTS.split(reference) if part.strip()]
    if len(sentences) <= len(verdicts) <= max(len(sentences), len(parts)):
        return None
    return _uneven(verdicts, sentences, "sentence") + " of the reference"  # type: ignore[operator]  # they differ


def _wrong_statements(by_context: Sequence[Sequence[Any]], contexts: Sequence[str]) -> str | None:
    """The statements are the judge's own, so what is wrong with them shows beside the contexts that they are from."""
    if len(by_context) != len(contexts):
        return _uneven(by_context, contexts, "context")
    texts = [_plain(context) for context in contexts]
    for rank, (verdicts, text) in enumerate(zip(by_context, contexts, strict=True), start=1):
        statements = [_plain(verdict.statement) for verdict in verdicts]
        if not statements:
            return f"the judge found no statement in context {rank}"
        if len({*statements}) < len(statements):
            return f"the judge judged a statement of context {rank} twice"
        sentences = len(list(sentence_spans(text)))
        if 2 * len(statements) < sentences:
            return (
                f"the judge judged {_plural(len(statements), 'statement')} of {sentences} sentences in context {rank}"
            )
        for statement in statements:
            elsewhere = [n for n, other in enumerate(texts, start=1) if n != rank and _tells_apart(statement, other)]
            if elsewhere and statement not in texts[rank - 1]:
                return f"the judge judged a statement of context {elsewhere[0]} as one of context {rank}"
    return None


def _reordered(verdicts: Sequence[Any], items: Sequence[str], noun: str, case: Case) -> str | None:
    """Whether the reasons of two verdicts or more speak of other items than those that they stand for.

    Two, since no order differs from another in one place alone. A reason may quote the question, the answer or the
    reference too, whose words may stand in any context.
    """
    given = (case.question.transcript, case.question.reference, case.answer.text if case.answer is not None else None)
    common = " ".join(_plain(text) for text in given if text) if noun == "context" else ""
    texts = [_plain(item) for item in items]
    misplaced = []
    for own, verdict in enumerate(verdicts[: len(texts)]):
        reason = (verdict.reason or "")[:_MOST_REASON]
        quotes = [_plain(one or other) for one, other in _QUOTED.findall(reason)]
        quotes = [quote for quote in quotes if quote not in common]
        spoken_of = {
            n
            for n, text in enumerate(texts)
            if (_tells_apart(text, _plain(reason)) and text not in common)
            or any(_tells_apart(quote, text) for quote in quotes)
        }
        if spoken_of and own not in spoken_of:
            misplaced.append(own + 1)
    if len(misplaced) < _FEWEST_MISPLACED:
        return None
    shown = ", ".join(map(str, misplaced))
    return f"the judge's reasons speak of other {noun}s than they stand for (verdict {shown}): the order is not certain"


def _tells_apart(part: str, text: str) -> bool:
    return len(part.split()) >= _FEWEST_WORDS and part in text


def _plain(text: str) -> str:
    """Words in lower case with single blanks; without the points and ellipses around them."""
    return " ".join(text.casefold().split()).strip(" .…,;:!?")


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
