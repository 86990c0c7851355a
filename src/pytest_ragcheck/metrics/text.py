"""Metrics of the answer's text that need no model call.

They compare words (:mod:`pytest_ragcheck.lexical`) and embeddings. Word order and negation are not
seen: a groundedness of 1 says that the answer uses the contexts' words, numbers and names, and a low
one that it does not; only a judge can tell whether it draws the right conclusion from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.lexical import Word, WordKind, content_keys, content_words, fold, is_refusal
from pytest_ragcheck.model import Score
from pytest_ragcheck.sentences import sentence_spans
from pytest_ragcheck.trials import ANSWER_DEPENDENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.metrics.base import Case, Embed
    from pytest_ragcheck.model import Answer, Context

__all__ = ["AnswerSimilarity", "Groundedness", "MustContain", "ReferenceCoverage", "Refusal", "refused", "states"]

_NAME_WEIGHT = 2
"""An invented name weighs as two invented words."""
_SUPPORTED = 0.8
"""Support from which a sentence is not listed as unsupported: a paraphrase costs a word or two."""
_NOT_CLAIMED = re.compile(r"\A[\s>*+•-]*\(?\d{1,2}[.)]\s|\[\^?\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\]")
"""Numbers that say nothing of the subject: those of list items, and citations such as [1] and [2, 3]."""
_SHOWN_WORDS = 8
"""Words in a reason."""


def _answer_of(case: Case, metric: str) -> Answer:
    """The case's answer; raises MeasurementError (kind ``empty-answer``) where it has no text."""
    if case.answer is None:
        raise MeasurementError(f"{metric} needs an answer", kind="no-answer")
    if not case.answer.text.strip():
        raise MeasurementError("the answer is empty", kind="empty-answer")
    return case.answer


def refused(answer: Answer) -> bool:
    """Whether the pipeline declined: as it said itself, else as its text tells."""
    return answer.refused if answer.refused is not None else is_refusal(answer.text)


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(repr(word) for word in words[:_SHOWN_WORDS])
    return shown + (f" and {len(words) - _SHOWN_WORDS} more" if len(words) > _SHOWN_WORDS else "")


# ---- Groundedness ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Groundedness:
    """What share of the answer its contexts support, by words, numbers and names.

    The mean over the answer's sentences, weighted by their content words, of a sentence's support:
    the share of its content words that stand in any context (names count twice), times the share of its
    numbers that stand in a *sentence* of the contexts beside another of the sentence's words. So a
    sentence is worth no more than its numbers, and a number from an unrelated place supports nothing.

    Precision of tokens against the source is the usual lexical evidence of attribution (for example N. Dziri et
    al., "Evaluating attribution in dialogue systems: the BEGIN benchmark", TACL 10 (2022) 1066-1083).

    0 where there are no contexts. Does not apply to refusals and to answers without content words.
    ``details``: ``unsupported`` (sentence, support, words), ``sentences`` (how many have content words).
    """

    name: str = "groundedness"
    needs_answer: bool = True
    deterministic: ClassVar[bool] = True

    async def measure(self, case: Case) -> Score:
        """Measure one case; raises MeasurementError for an empty answer."""
        answer = _answer_of(case, self.name)
        if refused(answer):
            reason = "the answer is a refusal: it claims nothing"
            return Score(metric=self.name, reason=reason, details={ANSWER_DEPENDENT: True})
        evidence = _evidence(tuple(context.text for context in case.contexts))
        supports = [support for sentence in _sentences(answer.text) if (support := _support(sentence, evidence))]
        if not supports:
            return Score(metric=self.name, reason="the answer has no content words", details={ANSWER_DEPENDENT: True})
        total = sum(support.weight for support in supports)
        value = sum(support.weight * support.value for support in supports) / total
        return Score(
            metric=self.name,
            value=min(value, 1.0),
            reason=_groundedness_reason(supports, case.contexts),
            details={
                "sentences": len(supports),
                "unsupported": [support.shown() for support in supports if support.is_unsupported],
            },
        )


class _Evidence(NamedTuple):
    keys: frozenset[str]
    sentences: tuple[frozenset[str], ...]


class _Support(NamedTuple):
    sentence: str
    value: float
    weight: int
    missing: tuple[str, ...]
    """Words, names and numbers as the answer writes them that the contexts do not bear out."""
    misses_number: bool

    @property
    def is_unsupported(self) -> bool:
        return self.misses_number or self.value < _SUPPORTED

    def shown(self) -> dict[str, Any]:
        return {"sentence": self.sentence, "support": round(self.value, 4), "words": list(self.missing)}


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@lru_cache(maxsize=256)
def _evidence(texts: tuple[str, ...]) -> _Evidence:
    sentences = tuple(keys for text in texts for sentence in _sentences(text) if (keys := content_keys(sentence)))
    return _Evidence(frozenset().union(*(content_keys(text) for text in texts), *sentences), sentences)


def _support(sentence: str, evidence: _Evidence) -> _Support | None:
    words = content_words(_NOT_CLAIMED.sub(" ", sentence))
    if not words:
        return None
    numbers = [word for word in words if word.kind is WordKind.NUMBER]
    beside = frozenset(word.key for word in words if word.kind is not WordKind.NUMBER)
    wrong_numbers = [word for word in numbers if not _is_located(word.key, beside, evidence)]
    absent = [word for word in words if word.key not in evidence.keys]
    weight = _weight(words)
    value = 1 - _weight(absent) / weight
    if numbers:
        value *= 1 - len(wrong_numbers) / len(numbers)
    missing = dict.fromkeys(word.text for word in words if word in absent or word in wrong_numbers)
    return _Support(sentence, value, weight, tuple(missing), misses_number=bool(wrong_numbers))


def _weight(words: Sequence[Word]) -> int:
    return sum(_NAME_WEIGHT if word.kind is WordKind.NAME else 1 for word in words)


def _is_located(number: str, beside: frozenset[str], evidence: _Evidence) -> bool:
    return any(number in keys and (not beside or beside & keys) for keys in evidence.sentences)


def _groundedness_reason(supports: Sequence[_Support], contexts: Sequence[Context]) -> str:
    if not contexts:
        return "there are no contexts"
    missing = list(dict.fromkeys(word for support in supports for word in support.missing))
    return f"not in the contexts: {_listed(missing)}" if missing else "every content word is in the contexts"


# ---- Against the reference -------------------------------------------------------------------


def _without_reference(case: Case) -> str | None:
    """Why the answer has nothing to be compared with."""
    if not case.question.answerable:
        return "unanswerable question"
    if not (case.question.reference or "").strip():
        return "no reference"
    return None


@dataclass(frozen=True, slots=True)
class AnswerSimilarity:
    """Cosine of the embeddings of answer and reference, clipped to 0..1.

    N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019. Does not apply without a reference and to
    unanswerable questions. A refusal is measured like any answer: it is unlike the reference.
    """

    embed: Embed
    name: str = "answer_similarity"
    needs_answer: bool = True
    deterministic: ClassVar[bool] = True

    async def measure(self, case: Case) -> Score:
        """Measure one case; raises MeasurementError for an empty answer."""
        answer = _answer_of(case, self.name)
        if reason := _without_reference(case):
            return Score(metric=self.name, reason=reason)
        left, right = await self.embed([answer.text, case.question.reference or ""])
        cosine = float(sum(float(a) * float(b) for a, b in zip(left, right, strict=True)))
        return Score(metric=self.name, value=min(max(cosine, 0.0), 1.0), reason="cosine to the reference")


@dataclass(frozen=True, slots=True)
class ReferenceCoverage:
    """Share of the reference's content words that the answer says, repeated words counted as often as they stand.

    Token recall as in the evaluation of SQuAD (P. Rajpurkar et al., EMNLP 2016), over content words without
    inflection instead of all tokens. Does not apply without a reference and to unanswerable questions.
    ``details``: ``missing``, the reference's words that are not in the answer.
    """

    name: str = "reference_coverage"
    needs_answer: bool = True
    deterministic: ClassVar[bool] = True

    async def measure(self, case: Case) -> Score:
        """Measure one case; raises MeasurementError for an empty answer."""
        answer = _answer_of(case, self.name)
        if reason := _without_reference(case):
            return Score(metric=self.name, reason=reason)
        reference = content_words(case.question.reference or "")
        if not reference:
            return Score(metric=self.name, reason="the reference has no content words")
        missing = _left_over(reference, content_words(answer.text))
        return Score(
            metric=self.name,
            value=1 - len(missing) / len(reference),
            reason=f"missing: {_listed(missing)}" if missing else "every content word of the reference is said",
            details={"missing": list(dict.fromkeys(missing))},
        )


def _left_over(wanted: Sequence[Word], said: Sequence[Word]) -> list[str]:
    keys = [word.key for word in said]
    counts = {key: keys.count(key) for key in {word.key for word in wanted}}
    missing = []
    for word in wanted:
        if counts[word.key] > 0:
            counts[word.key] -= 1
        else:
            missing.append(word.text)
    return missing


@dataclass(frozen=True, slots=True)
class MustContain:
    """Share of the question's ``must_contain`` facts that the answer states in one of their spellings.

    Case, white space and typographic marks are folded; spellings are found on word borders
    (:func:`states`). Does not apply without facts. ``details``: ``missing``, the spellings of each fact not stated.
    """

    name: str = "must_contain"
    needs_answer: bool = True
    deterministic: ClassVar[bool] = True

    async def measure(self, case: Case) -> Score:
        """Measure one case; raises MeasurementError for an empty answer."""
        answer = _answer_of(case, self.name)
        facts = [fact for fact in case.question.must_contain if fact]
        if not facts:
            return Score(metric=self.name, reason="no must_contain")
        missing = [fact for fact in facts if not any(states(answer.text, spelling) for spelling in fact)]
        return Score(
            metric=self.name,
            value=1 - len(missing) / len(facts),
            reason=f"not stated: {_listed([fact[0] for fact in missing])}" if missing else "every fact is stated",
            details={"missing": [list(fact) for fact in missing]},
        )


def states(text: str, spelling: str) -> bool:
    """Whether ``spelling`` stands in ``text`` on word borders, folded; a number is not found within a longer one."""
    wanted, said = fold(spelling), fold(text)
    start = said.find(wanted) if wanted else -1
    while start >= 0:
        if _stands_alone(said, start, start + len(wanted)):
            return True
        start = said.find(wanted, start + 1)
    return False


# Compared by hand: to compile a pattern with these borders for each spelling takes milliseconds.
def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether neither a word nor a number goes on beyond the borders."""
    first, last = text[start], text[end - 1]
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if (first.isalnum() and _is_of_a_word(before[-1:])) or (last.isalnum() and _is_of_a_word(after[:1])):
        return False
    goes_on_before = first.isdigit() and before[-1:] in _IN_NUMBERS and before[:-1].isdecimal()
    goes_on_after = last.isdigit() and after[:1] in _IN_NUMBERS and after[1:].isdecimal()
    return not (goes_on_before or goes_on_after)


def _is_of_a_word(character: str) -> bool:
    """Whether it would go on with a word; not so beside the letters of scripts without spaces."""
    if character.isascii():
        return character.isalnum() or character == "_"
    return character.isalnum() and not any(first <= character <= last for first, last in _SPACELESS)


_IN_NUMBERS = frozenset(".,")
# Thai to Burmese, Khmer, Japanese and Chinese letters stand next to each other without a word ending.
_SPACELESS = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3005", "\u9fff"),
    ("\uf900", "\ufaff"),
)


# ---- Refusal ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """1 where an answerable question is answered or an unanswerable one refused, else 0."""

    name: str = "refusal"
    needs_answer: bool = True
    deterministic: ClassVar[bool] = True

    async def measure(self, case: Case) -> Score:
        """Measure one case; raises MeasurementError for an empty answer."""
        has_refused = refused(_answer_of(case, self.name))
        right = has_refused != case.question.answerable
        return Score(
            metric=self.name,
            value=float(right),
            reason=_refusal_reason(has_refused=has_refused, answerable=case.question.answerable),
            details={"refused": has_refused},
        )


def _refusal_reason(*, has_refused: bool, answerable: bool) -> str:
    if has_refused:
        return "refused an answerable question" if answerable else "refused a question that the documents cannot answer"
    return "answered" if answerable else "answered a question that the documents cannot answer"
