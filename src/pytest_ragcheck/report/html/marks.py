"""Which places of an answer and of its contexts a reader should look at."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.report.findings import FindingKind, findings
from pytest_ragcheck.report.textual import keywords
from pytest_ragcheck.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_ragcheck.model import Context, GoldGroup, Passage, Result
    from pytest_ragcheck.report.html.texts import Span

__all__ = ["Doubt", "doubts", "gold_spans", "said_spans"]

_LEAST_COMMON_SHARE = 0.6
"""Of a sentence's telling words, how many the answer must say for it to be what the answer was taken from."""
_LEAST_COMMON_WORDS = 3
_LONGEST_QUOTE = 2000
"""Characters of a quote that are looked for."""


class Doubt(NamedTuple):
    """A place of the answer that its contexts do not support or the judge rejected; ``remark`` says why."""

    span: Span
    kind: FindingKind
    remark: str
    metric: str


def doubts(result: Result) -> list[Doubt]:
    """What a metric holds against the answer, where it stands in the answer word for word, in the text's order."""
    if result.answer is None:
        return []
    text, found = result.answer.text, []
    for score in result.scores.values():
        position = 0
        for finding in findings(score):
            if finding.kind is FindingKind.MISSING or not finding.text.strip():
                continue
            start = text.find(finding.text, position)
            start = start if start >= 0 else text.find(finding.text)
            if start >= 0:
                position = start + len(finding.text)
                found.append(Doubt((start, position), finding.kind, finding.remark, score.metric))
    return sorted(found, key=lambda doubt: doubt.span)


def gold_spans(context: Context, gold: Sequence[GoldGroup]) -> list[Span]:
    """Where gold passages stand in the context's text, in their order; a whole document that is gold has no place."""
    passages = (passage for group in gold for passage in group)
    return sorted({span for passage in passages if (span := _place(context, passage)) is not None})


def _place(context: Context, passage: Passage) -> Span | None:
    if passage.source is not None and context.source is not None and passage.source != context.source:
        return None
    return _by_offsets(context, passage) or _by_quote(context.text, passage.text)


def _by_offsets(context: Context, passage: Passage) -> Span | None:
    if context.start is None or passage.start is None or passage.end is None or passage.source != context.source:
        return None
    if context.end is not None and context.end - context.start != len(context.text):
        return None  # the text is not what stands there
    start = max(passage.start - context.start, 0)
    end = min(passage.end - context.start, len(context.text))
    return (start, end) if start < end else None


def _by_quote(text: str, quote: str | None) -> Span | None:
    words = (quote or "")[:_LONGEST_QUOTE].split()
    if not words:
        return None
    found = re.search(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE)
    return found.span() if found else None


def said_spans(text: str, said: frozenset[str]) -> list[Span]:
    """The sentences of a context of which the answer says most words; ``said`` are the answer's ``keywords``."""
    return [span for span, words in _sentences(text) if _is_said(words, said)]


def _is_said(words: frozenset[str], said: frozenset[str]) -> bool:
    common = len(words & said)
    return common >= _LEAST_COMMON_WORDS and common >= _LEAST_COMMON_SHARE * len(words)


@lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[tuple[Span, frozenset[str]], ...]:
    return tuple(_worded(text))


def _worded(text: str) -> Iterator[tuple[Span, frozenset[str]]]:
    for start, end in sentence_spans(text):
        words = keywords(text[start:end])
        if len(words) >= _LEAST_COMMON_WORDS:
            yield (start, end), words
