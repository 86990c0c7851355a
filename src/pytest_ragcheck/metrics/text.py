"""Metrics of the answer's text that need no model call.

They compare words (:mod:`pytest_ragcheck.lexical`) and embeddings. Word order and negation are not
seen: a groundedness of 1 says that the answer uses the contexts' words, numbers and names, and a low
one that it does not; only a judge can tell whether it draws the right conclusion from them.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.lexical import (
    SizedCache,
    Word,
    WordKind,
    content_keys,
    is_refusal,
    states,
    style_of,
    word_readings,
)
from pytest_ragcheck.model import Score
from pytest_ragcheck.sentences import sentence_spans
from pytest_ragcheck.trials import ANSWER_DEPENDENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_ragcheck.metrics.base import Case, Embed
    from pytest_ragcheck.model import Answer

__all__ = ["AnswerSimilarity", "Groundedness", "MustContain", "ReferenceCoverage", "Refusal", "refused"]

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


# ---- Long texts ------------------------------------------------------------------------------

_LONGEST_IN_LOOP = 20_000
"""Characters that are compared in some hundredths of a second; more would hold up the event loop."""
_MOST_CHARACTERS = 1_000_000
"""Characters of an answer, and of a question's contexts, that are compared: what takes seconds."""


async def _run(function: Callable[..., Score], *arguments: Any, size: int) -> Score:
    """``function`` of the arguments, in a thread where texts of ``size`` characters would hold up the event loop."""
    if size <= _LONGEST_IN_LOOP:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def _capped(texts: Sequence[str]) -> tuple[list[str], int]:
    """The first ``_MOST_CHARACTERS`` characters of some texts, and how many characters were left out."""
    room, unread, capped = _MOST_CHARACTERS, 0, []
    for text in texts:
        capped.append(text[:room])
        unread += max(0, len(text) - room)
        room = max(0, room - len(text))
    return capped, unread


def _unread_note(what: str, unread: int) -> str:
    return (
        f"; {unread:,} characters of the {what} were not read, which is limited to {_MOST_CHARACTERS:,}"
        if unread
        else ""
    )


# ---- Groundedness ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Groundedness:
    """What share of the answer its contexts support, by words, numbers and names.

    The mean over the answer's sentences, weighted by their content words, of a sentence's support:
    the share of its content words that stand in any context (names count twice), times the share of its
    numbers that stand in a *sentence* of the contexts next to another of the sentence's words. So a
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
        texts = [context.text for context in case.contexts]
        return await _run(self._score, answer.text, texts, size=len(answer.text) + sum(map(len, texts)))

    def _score(self, text: str, contexts: Sequence[str]) -> Score:
        [text], unread_answer = _capped([text])
        texts, unread = _capped(contexts)
        supports = _supports(text, texts)
        if not supports:
            return Score(metric=self.name, reason="the answer has no content words", details={ANSWER_DEPENDENT: True})
        total = sum(support.weight for support in supports)
        value = sum(support.weight * support.value for support in supports) / total
        details: dict[str, Any] = {
            "sentences": len(supports),
            "unsupported": [support.shown() for support in supports if support.is_unsupported],
        }
        if unread + unread_answer:
            details["unread_characters"] = unread + unread_answer
        reason = _groundedness_reason(supports, contexts)
        return Score(
            metric=self.name,
            value=min(value, 1.0),
            reason=reason + _unread_note("contexts", unread) + _unread_note("answer", unread_answer),
            details=details,
        )


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


def _keys_of_sentences(text: str) -> tuple[frozenset[str], ...]:
    style = style_of(text)
    return tuple(keys for sentence in _sentences(text) if (keys := content_keys(sentence, style)))


_keys_of_context = SizedCache(_keys_of_sentences, 4_000_000)  # about 40 MB


class _Evidence:
    """The words of the contexts, and the sentences in which each number stands."""

    def __init__(self, texts: Iterable[str]) -> None:
        sentences = [keys for text in texts for keys in _keys_of_context(text)]
        self.keys: frozenset[str] = frozenset().union(*sentences)
        self._with_number: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
        for keys in sentences:
            for key in keys:
                if key.lstrip("-")[0].isdecimal():
                    self._with_number[key].append(keys)

    def locates(self, number: str, others: frozenset[str]) -> bool:
        """Whether a sentence holds the number and, if there are any, one of the other words."""
        sentences = self._with_number.get(number, ())
        return bool(sentences) and (not others or any(not others.isdisjoint(keys) for keys in sentences))


def _supports(text: str, contexts: Iterable[str]) -> list[_Support]:
    """The support of each sentence that has content words, in the reading that the contexts support best."""
    evidence, style = _Evidence(contexts), style_of(text)
    supports = []
    for sentence in _sentences(text):
        readings = word_readings(_NOT_CLAIMED.sub(" ", sentence), style)
        rated = [_support(sentence, words, evidence) for words in readings if words]
        if rated:
            supports.append(max(rated, key=lambda support: support.value))
    return supports


def _support(sentence: str, words: Sequence[Word], evidence: _Evidence) -> _Support:
    numbers = [word.key for word in words if word.kind is WordKind.NUMBER]
    others = frozenset(word.key for word in words if word.kind is not WordKind.NUMBER)
    wrong_numbers = {key for key in set(numbers) if not evidence.locates(key, others)}
    absent = [word for word in words if word.key not in evidence.keys]
    weight = _weight(words)
    value = 1 - _weight(absent) / weight
    if numbers:
        value *= 1 - sum(key in wrong_numbers for key in numbers) / len(numbers)
    missing = dict.fromkeys(
        word.text
        for word in words
        if word.key not in evidence.keys or (word.kind is WordKind.NUMBER and word.key in wrong_numbers)
    )
    return _Support(sentence, value, weight, tuple(missing), misses_number=bool(wrong_numbers))


def _weight(words: Sequence[Word]) -> int:
    return sum(_NAME_WEIGHT if word.kind is WordKind.NAME else 1 for word in words)


def _groundedness_reason(supports: Sequence[_Support], contexts: Sequence[str]) -> str:
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
        reference = case.question.reference or ""
        return await _run(self._score, reference, answer.text, size=len(reference) + len(answer.text))

    def _score(self, reference: str, text: str) -> Score:
        [text], unread = _capped([text])
        wanted, said = word_readings(reference), word_readings(text)
        if not wanted[0]:
            return Score(metric=self.name, reason="the reference has no content words")
        left_over = [(_left_over(words, said), len(words)) for words in wanted]
        missing, count = min(left_over, key=lambda one: len(one[0]) / one[1])
        reason = f"missing: {_listed(missing)}" if missing else "every content word of the reference is said"
        return Score(
            metric=self.name,
            value=1 - len(missing) / count,
            reason=reason + _unread_note("answer", unread),
            details={"missing": list(dict.fromkeys(missing))},
        )


def _left_over(wanted: Sequence[Word], readings: Sequence[Sequence[Word]]) -> list[str]:
    """The wanted words that are not said; of a number in each reading that is said most often."""
    counts: Counter[str] = Counter()
    for words in readings:
        counts |= Counter(word.key for word in words)
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
    (:func:`~pytest_ragcheck.lexical.states`). Does not apply without facts. ``details``: ``missing``, the spellings of
    each fact not stated.
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
        return await _run(self._score, facts, answer.text, size=len(answer.text))

    def _score(self, facts: Sequence[Sequence[str]], text: str) -> Score:
        [text], unread = _capped([text])
        missing = [fact for fact in facts if not any(states(text, spelling) for spelling in fact)]
        reason = f"not stated: {_listed([fact[0] for fact in missing])}" if missing else "every fact is stated"
        return Score(
            metric=self.name,
            value=1 - len(missing) / len(facts),
            reason=reason + _unread_note("answer", unread),
            details={"missing": [list(fact) for fact in missing]},
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
