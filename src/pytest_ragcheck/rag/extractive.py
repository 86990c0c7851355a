"""The offline generator: answers with sentences of the contexts, or refuses.

No model, no network, no randomness: the same question and contexts give the same answer in
milliseconds. It is a baseline that a language model has to beat, and it makes a whole run possible
without a key.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.lexical import SizedCache, WordKind, content_keys, content_words, fold, stem, without_marks
from pytest_ragcheck.model import Answer
from pytest_ragcheck.sentences import BlockKind, block_sentences, text_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_ragcheck.model import Context

__all__ = ["EXTRACTIVE_VERSION", "REFUSAL_TEXT", "ExtractiveGenerator"]

EXTRACTIVE_VERSION = 2
"""Part of the key under which answers are stored: to be raised when the same input gives another answer."""
REFUSAL_TEXT = "The documents do not answer this question."
_NAME = "extractive"

_MOST_PASSAGES = 3
_LEAST_SIMILARITY = 0.45
_LEAST_COVERAGE = 0.4
"""Similarity of the best context, and share of the question that the best passage covers: an answer needs one of them.

Either evidence alone can fail an answerable question (other words for the same thing; a short question
to a long context), so a refusal needs both to be weak. With sentence embeddings the best context of a question
whose answer is in the corpus mostly lies above 0.45, that of another question of the field around or below it.
"""
_INHERITED = 0.5
"""What a question's word is worth that stands not in the passage but in its heading, lead-in or the sentence before."""
_NEARBY = 0.25
"""What it is worth elsewhere in the context."""
_CUE = 0.15
"""What the kind of thing that is asked for (a number, a time, a person) adds to a sentence that holds one."""
_PRIOR = 0.2
"""What the context's nearness adds, between the farthest and the best context."""
_NEAR_BEST = 0.75
"""Share of the best passage's relevance from which another one is worth saying too."""
_WORTH_ADDING = 0.15
"""Share of the question that a further passage must newly cover to be worth saying for that alone."""
_SAME = 0.8
"""Share of common words (of the shorter one) from which two passages say the same."""
_LONGEST_LIST = 90
"""Words of a list that are taken along with the sentence that leads it in."""


class ExtractiveGenerator:
    """Answers with one to three passages of the contexts.

    ``corpus_frequencies`` are document frequencies over the chunks of the corpus (keys as
    :func:`pytest_ragcheck.lexical.content_keys` gives them), ``chunk_count`` the number of chunks; without
    them rarity is counted over the passages of the contexts at hand.
    """

    name = _NAME

    def __init__(self, *, corpus_frequencies: Mapping[str, int] | None = None, chunk_count: int = 0) -> None:
        self._frequencies = corpus_frequencies
        self._chunk_count = chunk_count

    def answer(self, question: str, contexts: Sequence[Context]) -> Answer:
        """The passages that support an answer best, in the order of the contexts; or a refusal."""
        placed = [
            (position, passage)
            for position, context in enumerate(contexts)
            for passage in _passages_of_context(context.text)
        ]
        wanted, cue, priors = self._weights(_subject(question), placed), _cue(question), _priors(contexts)
        rated = [_rate(passage, position, wanted, cue, priors[position]) for position, passage in placed]
        if not _is_supported(rated, contexts):
            return Answer(text=REFUSAL_TEXT, contexts=tuple(contexts), refused=True, model=_NAME)
        chosen = sorted(_choose(rated), key=lambda choice: (choice.position, choice.passage.start))
        text = "\n".join(choice.passage.text for choice in chosen)
        return Answer(text=text, contexts=tuple(contexts), refused=False, model=_NAME)

    def _weights(self, subject: frozenset[str], placed: Sequence[tuple[int, _Passage]]) -> dict[str, float]:
        """Of each word of the question its share of what is asked: rare words tell more.

        The inverse document frequency of S. Robertson and H. Zaragoza, "The probabilistic relevance
        framework: BM25 and beyond" (2009), kept positive as in Lucene.
        """
        if self._frequencies is not None and self._chunk_count:
            frequencies, count = self._frequencies, self._chunk_count
        else:
            frequencies = Counter(key for _, passage in placed for key in passage.own)
            count = len(placed)
        rarity = {
            key: math.log(1 + (max(count - frequencies.get(key, 0), 0) + 0.5) / (frequencies.get(key, 0) + 0.5))
            for key in subject
        }
        total = sum(rarity.values())
        return {key: value / total for key, value in sorted(rarity.items())} if total else {}


# ---- The question ----------------------------------------------------------------------------


def _stems(words: str) -> frozenset[str]:
    return frozenset(map(stem, words.split()))


_ABOUT_ASKING = _stems(
    """happen someone somebody anyone get use need want give come go ask look mean tell know say make take
    long longest far soon fast quickly often big high ahead difference compare different normally usually possible
    question answer explain describe list name define thing kind sort type"""
)
"""Words of asking: they say what kind of answer is wanted, not what it is about."""

_AMOUNT = re.compile(
    r"\bhow (?:many|much|long|old|far|often|high|large|big|soon|quickly|fast|late|early)\b|"
    r"\bwhat (?:\w+ ){0,3}?(?:percentage|percent|share|rate|amount|number|maximum|minimum|limit|cost|price|fee|salary|"
    r"size|length)\b"
)
_TIME = re.compile(
    r"\b(?:when|until|by when|what (?:date|day|time|year|month)|deadline|how (?:long|soon|quickly|fast|far))\b"
)
_PERSON = re.compile(r"\b(?:who|whom|whose)\b")
_TIME_KEYS = _stems(
    """second minute hour day week month quarter year annual daily weekly monthly date deadline
    january february march april june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday immediately"""
)


def _subject(question: str) -> frozenset[str]:
    keys = content_keys(question)
    return keys - _ABOUT_ASKING or keys


def _cue(question: str) -> frozenset[str]:
    folded = fold(question)
    asks = {"amount": _AMOUNT, "time": _TIME, "person": _PERSON}
    return frozenset(kind for kind, pattern in asks.items() if pattern.search(folded))


# ---- The passages of a context ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Passage:
    text: str
    start: int
    """Offset in its context."""
    own: frozenset[str]
    inherited: frozenset[str]
    """Keys of the headings above it, of the sentence that leads its list in, and of the sentence before."""
    nearby: frozenset[str]
    """Keys of its context."""
    offers: frozenset[str]
    """Which kinds of thing a question may ask for are in it."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A sentence, list item, table row or heading of a context."""

    text: str
    start: int
    level: int = 0
    """Depth of a heading, from 1; a question that stands alone is the deepest heading of what follows."""
    in_list: bool = False


_QUESTION_LEVEL = 7
_ITEM = re.compile(r"[>\s]*(?:[-*+•‣◦]|\(?\w{1,3}[.)])\s")


def _passages(text: str) -> list[_Passage]:
    nearby = content_keys(text)
    return [
        _Passage(cleaned, start, own, inherited, nearby, _offers(cleaned))
        for start, piece, inherited in _pieces(list(_lines(text)))
        if (own := content_keys(cleaned := _cleaned(piece)))
    ]


_passages_of_context = SizedCache(_passages, 1_000_000)  # about 40 MB


def _lines(text: str) -> Iterator[_Line]:
    for block in text_blocks(text):
        if block.kind in (BlockKind.RULE, BlockKind.CODE):
            continue
        in_list = block.kind is BlockKind.TABLE_ROW or _ITEM.match(text, block.start, block.end) is not None
        sentences = block_sentences(text, block)
        for start, end in sentences:
            level = block.level
            if len(sentences) == 1 and not in_list and text[start:end].rstrip("*_ ").endswith("?"):
                level = level or _QUESTION_LEVEL
            yield _Line(" ".join(text[start:end].split()), start, level, in_list)


def _pieces(lines: Sequence[_Line]) -> Iterator[tuple[int, str, frozenset[str]]]:
    """Sentences and list items with the keys they inherit; a sentence that leads in a list also with the list."""
    headings: list[tuple[int, frozenset[str]]] = []
    lead: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    for index, line in enumerate(lines):
        if line.level:
            headings = [heading for heading in headings if heading[0] < line.level]
            headings.append((line.level, content_keys(line.text)))
            lead = before = frozenset()
            continue
        above = frozenset(key for _, keys in headings for key in keys)
        if line.in_list:
            yield line.start, line.text, above | lead
            continue
        above, before = above | before, content_keys(line.text)
        lead = before
        leads_in = line.text.rstrip("*_ ").endswith(":")
        if leads_in and (whole := _with_list(line, lines, index)):
            yield line.start, whole, above
        if not leads_in:
            yield line.start, line.text, above


def _with_list(line: _Line, lines: Sequence[_Line], index: int) -> str | None:
    """A lead-in with the whole list below it; None where there is none or it is long."""
    items: list[str] = []
    words = 0
    for position in range(index + 1, len(lines)):
        item = lines[position]
        if not item.in_list:
            break
        items.append(item.text)
        words += len(item.text.split())
        if words > _LONGEST_LIST:
            return None
    return "\n".join([line.text, *items]) if items else None


def _offers(text: str) -> frozenset[str]:
    words = content_words(text)
    offers = set()
    if any(word.kind is WordKind.NUMBER for word in words):
        offers.add("amount")
    if any(word.key in _TIME_KEYS for word in words):
        offers.add("time")
    if "@" in text or any(word.kind is WordKind.NAME for word in words):
        offers.add("person")
    return frozenset(offers)


_CELL_BORDER = re.compile(r" ?\| ?")


def _cleaned(text: str) -> str:
    """The text without Markdown marks, each list item on its own line."""
    lines = without_marks(text).splitlines()
    cells = (", ".join(filter(None, _CELL_BORDER.split(line))) if "|" in line else line for line in lines)
    return "\n".join(" ".join(line.split()) for line in cells if line.strip())


# ---- Rating and choosing ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rated:
    passage: _Passage
    position: int
    """Of its context among the contexts, from 0."""
    covered: Mapping[str, float]
    """What each word of the question that it covers is worth; all words of the question together are worth 1."""
    relevance: float

    @property
    def coverage(self) -> float:
        return sum(self.covered.values())


def _priors(contexts: Sequence[Context]) -> list[float]:
    """Of each context 1 for the nearest, falling to 0; by score where all have one, else by place."""
    scores = [context.score for context in contexts]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores) or len(set(known)) < 2:  # noqa: PLR2004 (a span needs two)
        return [1 / place for place in range(1, len(contexts) + 1)]
    low, high = min(known), max(known)
    return [(score - low) / (high - low) for score in known]


def _rate(passage: _Passage, position: int, wanted: Mapping[str, float], cue: frozenset[str], prior: float) -> _Rated:
    covered = {key: weight * worth for key, weight in wanted.items() if (worth := _worth(key, passage))}
    coverage = sum(covered.values())
    bonus = (_CUE if cue & passage.offers else 0.0) + _PRIOR * prior
    return _Rated(passage, position, covered, coverage + bonus)


def _worth(key: str, passage: _Passage) -> float:
    if key in passage.own:
        return 1.0
    if key in passage.inherited:
        return _INHERITED
    return _NEARBY if key in passage.nearby else 0.0


def _is_supported(rated: Sequence[_Rated], contexts: Sequence[Context]) -> bool:
    """Whether the contexts speak of what is asked, by meaning or by words."""
    similarity = max((context.score for context in contexts if context.score is not None), default=0.0)
    coverage = max((choice.coverage for choice in rated), default=0.0)
    return bool(rated) and (similarity >= _LEAST_SIMILARITY or coverage >= _LEAST_COVERAGE)


def _choose(rated: Sequence[_Rated]) -> list[_Rated]:
    """The best passage, and others that are nearly as good or tell of what the best ones leave open."""
    ranked = sorted(rated, key=lambda choice: (-choice.relevance, choice.position, choice.passage.start))
    chosen = ranked[:1]
    said = dict(chosen[0].covered)
    for choice in ranked[1:]:
        if len(chosen) == _MOST_PASSAGES:
            break
        if any(_says_the_same(choice.passage, other.passage) for other in chosen):
            continue
        news = sum(max(0.0, worth - said.get(key, 0.0)) for key, worth in choice.covered.items())
        if choice.relevance >= _NEAR_BEST * chosen[0].relevance or news >= _WORTH_ADDING:
            chosen.append(choice)
            said.update({key: max(worth, said.get(key, 0.0)) for key, worth in choice.covered.items()})
    return chosen


def _says_the_same(passage: _Passage, other: _Passage) -> bool:
    shorter = min(len(passage.own), len(other.own))
    return len(passage.own & other.own) >= _SAME * shorter
