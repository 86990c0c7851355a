"""Gold passages tied to the documents: every one a document or a span of it, with its text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pytest_ragcheck.dataset.values import Place, shown
from pytest_ragcheck.errors import DatasetError
from pytest_ragcheck.model import Passage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_ragcheck.model import GoldGroup, Question

__all__ = ["GoldFault", "resolve_gold", "resolve_sound_gold"]

_MOST_OCCURRENCES = 1000
_LEAST_WORDS_NEAR = 3
_NAMED = 3
_AROUND = 40
_LONGEST_PATH = 300
_SPACED_HELD = 256


def resolve_gold(questions: Sequence[Question], documents: Mapping[str, str]) -> tuple[Question, ...]:
    """The questions with every gold passage tied to ``documents``, a mapping of source to text.

    A source may be the end of a path in ``documents``, where only one path ends so. A quote is found as it is or,
    where it is nowhere as it is, with any white space between its words; if it stands in several places, every
    place is an alternative of its group. Passages of whole documents keep ``start`` and ``end`` None.

    Raises:
        DatasetError: a document is not there, offsets are outside of it, or a quote is not in it.

    """
    corpus = _Corpus(documents, questions)
    return tuple(replace(question, gold=_resolved(question, corpus)) for question in questions)


@dataclass(frozen=True, slots=True)
class GoldFault:
    """A gold passage that cannot be tied to the documents, and why."""

    question: Question
    passage: Passage
    error: DatasetError


def resolve_sound_gold(
    questions: Sequence[Question], documents: Mapping[str, str]
) -> tuple[tuple[Question, ...], tuple[GoldFault, ...]]:
    """As :func:`resolve_gold`, but what cannot be tied to the documents is left out, and told for each passage."""
    corpus = _Corpus(documents, questions)
    faults: list[GoldFault] = []
    resolved = [replace(question, gold=_resolved(question, corpus, faults)) for question in questions]
    return tuple(resolved), tuple(faults)


def _resolved(question: Question, corpus: _Corpus, faults: list[GoldFault] | None = None) -> tuple[GoldGroup, ...]:
    """The groups with their places; with ``faults`` those go there, and groups without a place are left out."""
    place = Place(question.dataset, question.line)
    groups = []
    for position, group in enumerate(question.gold, start=1):
        label = f"gold {position} of {question.id!r}"
        found: list[Passage] = []
        for passage in group:
            try:
                found += _places(passage, corpus, place, label)
            except DatasetError as error:
                if faults is None:
                    raise
                faults.append(GoldFault(question, passage, error))
        if found:
            groups.append(tuple(dict.fromkeys(found)))
    return tuple(groups)


def _places(passage: Passage, corpus: _Corpus, place: Place, label: str) -> Iterable[Passage]:
    source = None if passage.source is None else corpus.key(passage.source, place, label)
    if source is not None:
        content = corpus.documents[source]
        if passage.start is not None and passage.end is not None:
            return [_span(passage, source, content, place, label)]
        if passage.text is None or passage.text == content:
            return [corpus.whole(source)]
    return _quoted(passage.text or "", source, corpus, place, label)


def _span(passage: Passage, source: str, content: str, place: Place, label: str) -> Passage:
    start, end = passage.start or 0, passage.end or 0
    if not 0 <= start < end <= len(content):
        problem = f"{start}:{end} is not within {shown(source)}, which has {len(content):,} characters"
        raise place.error(f"{problem}; correct the offsets", label)
    found = content[start:end]
    if passage.text is not None and passage.text.split() != found.split():
        spans = _occurrences(passage.text, content)
        first = next(spans, None)
        where = f"the quote is at {first[0]}:{first[1]}" if first else "the quote is nowhere in the document"
        problem = f"offsets and quote disagree: {start}:{end} of {shown(source)} is {shown(found)}, {where}"
        raise place.error(f"{problem}; correct one, or leave the offsets out", label)
    return Passage(source=source, start=start, end=end, text=found)


def _quoted(quote: str, source: str | None, corpus: _Corpus, place: Place, label: str) -> list[Passage]:
    found = []
    for candidate in corpus.holding(quote, source):
        content = corpus.documents[candidate]
        for start, end in _occurrences(quote, content):
            found.append(Passage(source=candidate, start=start, end=end, text=content[start:end]))
            if len(found) > _MOST_OCCURRENCES:
                problem = f"the quote {shown(quote)} occurs more than {_MOST_OCCURRENCES:,} times; quote more words"
                raise place.error(problem, label)
    if not found:
        sources = list(corpus.documents) if source is None else [source]
        raise corpus.missing_quote(quote, sources, place, label)
    return found


def _occurrences(quote: str, content: str) -> Iterator[tuple[int, int]]:
    """Where the quote stands as it is; where it does not, where its words stand with other white space between."""
    start = content.find(quote)
    if start < 0:
        spaced = r"\s++".join(re.escape(word) for word in quote.split())
        yield from (match.span() for match in re.finditer(spaced, content))
    while start >= 0:
        end = start + len(quote)
        yield start, end
        start = content.find(quote, end)


class _Corpus:
    """The documents with what is computed from them once: which hold what is quoted, their paths' ends.

    Asking ``documents`` for a text may be reading it from disk, so that each is asked for once for all quotes that may
    stand in any of them.
    """

    def __init__(self, documents: Mapping[str, str], questions: Iterable[Question]) -> None:
        self.documents = documents
        self._words = lru_cache(maxsize=_SPACED_HELD)(self._with_single_spaces)
        self._keys: dict[str, str] = {}
        self._whole: dict[str, Passage] = {}
        passages = (passage for question in questions for group in question.gold for passage in group)
        quotes = dict.fromkeys(passage.text or "" for passage in passages if passage.source is None)
        self._holding_anywhere = self._found(quotes)

    def key(self, source: str, place: Place, label: str) -> str:
        """The path in the documents that ``source`` means."""
        if source not in self._keys:
            self._keys[source] = source if source in self.documents else self._key_ending_with(source, place, label)
        return self._keys[source]

    def _key_ending_with(self, source: str, place: Place, label: str) -> str:
        wanted = PurePosixPath(source).as_posix()
        keys = [key for key in self.documents if key == wanted or key.endswith(f"/{wanted}")]
        if len(keys) == 1:
            return keys[0]
        if keys:
            problem = f"{shown(source)} may be {_listed(keys)}; write more of the path"
            raise place.error(problem, label)
        raise place.error(f"no document {shown(source)}{self._nearest(source)}", label)

    def _nearest(self, source: str) -> str:
        if not self.documents:
            return "; there are no documents, check the setting 'documents'"
        source = source[:_LONGEST_PATH]
        by_name = {PurePosixPath(key).name: key for key in self.documents}
        near = get_close_matches(source, self.documents, n=1)
        near = near or [by_name[name] for name in get_close_matches(PurePosixPath(source).name, by_name, n=1)]
        return f"; did you mean {near[0]!r}?" if near else f"; there are {_listed(list(self.documents))}"

    def whole(self, source: str) -> Passage:
        """A whole document as a passage, one and the same for all that ask for it."""
        if source not in self._whole:
            self._whole[source] = Passage(source=source, text=self.documents[source])
        return self._whole[source]

    def holding(self, quote: str, source: str | None) -> Sequence[str]:
        """The sources whose text holds the quote: as it is, or where none does, with other white space."""
        if source is None:
            return self._holding_anywhere[quote]
        found = quote in self.documents[source] or " ".join(quote.split()) in self._words(source)
        return [source] if found else []

    def _found(self, quotes: Iterable[str]) -> Mapping[str, Sequence[str]]:
        """Like :meth:`holding` for each of the quotes, among all documents."""
        found: dict[str, list[str]] = {quote: [] for quote in quotes}
        for source, text in self.documents.items() if found else ():
            for quote, sources in found.items():
                if quote in text:
                    sources.append(source)
        spaced = {quote: " ".join(quote.split()) for quote, sources in found.items() if not sources}
        for source in self.documents if spaced else ():
            text = self._words(source)
            for quote, words in spaced.items():
                if words in text:
                    found[quote].append(source)
        return found

    def _with_single_spaces(self, source: str) -> str:
        return " ".join(self.documents[source].split())

    def missing_quote(self, quote: str, sources: Sequence[str], place: Place, label: str) -> DatasetError:
        """The error for a quote that is in none of the sources, with the place where most of its words stand."""
        words = quote.split()
        best, count = "", 0
        for source in sources:
            length = self._longest_start(words, source)
            if length > count:
                best, count = source, length
        where = shown(sources[0]) if len(sources) == 1 else "any document"
        problem = f"the quote {shown(quote)} is not in {where}"
        if count >= _LEAST_WORDS_NEAR:
            problem += f"; {shown(best)} {self._difference(words, count, best)}"
        return place.error(f"{problem}; quote the document word for word", label)

    def _longest_start(self, words: Sequence[str], source: str) -> int:
        """How many of the first words stand in the document, by bisection: if n words do, so do fewer."""
        content = self._words(source)
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            if " ".join(words[:middle]) in content:
                low = middle
            else:
                high = middle - 1
        return low

    def _difference(self, words: Sequence[str], count: int, source: str) -> str:
        content = self._words(source)
        start = " ".join(words[:count])
        after = content.find(start) + len(start)
        goes_on = content[after : after + _AROUND].strip()
        return f"has its first {count} words, then {shown(goes_on) if goes_on else 'ends'}"


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(shown(name) for name in names[:_NAMED])
    return listed if len(names) <= _NAMED else f"{listed} and {len(names) - _NAMED} more"
