"""Questions that ask the same: they count twice in every mean, and are paid for twice."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.lint.findings import Finding, place_of, warning_at
from pytest_ragcheck.lexical import WordKind, content_words, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_ragcheck.commands.lint.material import Material
    from pytest_ragcheck.model import Question

__all__ = ["check_duplicates_by_meaning", "check_duplicates_by_words"]

LEAST_WORDS = 0.8
"""Jaccard index of the questions' words."""
LEAST_COSINE = 0.9
_ASKING = re.compile(r"\b(?:who|whom|whose|when|where|why|which|how (?:many|much|long|often|far|old)|how|what)\b")
_NEGATION = re.compile(r"\b(?:not|no|never|without)\b|n't\b")


def check_duplicates_by_words(material: Material) -> Iterator[Finding]:
    """Near-duplicates by the words that they share.

    Two questions ask the same where their content words, without inflection, have a Jaccard index of at least 0.8, and
    they ask for the same kind of thing (who, when, how many, ...), with the same numbers and names.
    """
    words = [_words(question) for question in material.questions]
    for first, second in _sharing(words):
        share = len(words[first] & words[second]) / len(words[first] | words[second])
        if share >= LEAST_WORDS and _kind(material.questions[first]) == _kind(material.questions[second]):
            yield _finding(material, first, second, f"{share:.0%} of their words")


def check_duplicates_by_meaning(material: Material) -> Iterator[Finding]:
    """Near-duplicates by the cosine of their embeddings, which are kept in the store."""
    from pytest_ragcheck.rag.embedding import CachedEmbedder
    from pytest_ragcheck.session.embedders import configured_embedder
    from pytest_ragcheck.store import Store, state_folder

    with Store(state_folder(material.settings.root) / "cache.sqlite") as store:
        embedder = CachedEmbedder(configured_embedder(material.settings), store)
        vectors = embedder.embed([question.question for question in material.questions])
    for second in range(1, len(vectors)):
        cosines = vectors[:second] @ vectors[second]
        for first in (cosines >= LEAST_COSINE).nonzero()[0].tolist():
            if _kind(material.questions[first]) == _kind(material.questions[second]):
                yield _finding(material, first, second, f"cosine {float(cosines[first]):.2f}")


def _finding(material: Material, first: int, second: int, likeness: str) -> Finding:
    other = material.questions[first]
    told = f"asks the same as {other.id!r} in {place_of(other)} ({likeness})"
    return warning_at(material.questions[second], "duplicate", told, "take one out, or ask for something else")


def _words(question: Question) -> frozenset[str]:
    return frozenset(word.key for word in content_words(question.question)) or frozenset({fold(question.question)})


def _kind(question: Question) -> tuple[object, ...]:
    """What must be equal: what is asked for, numbers, names, negations, what was said before."""
    folded = fold(question.question)
    words = content_words(question.question)
    exact = frozenset(word.key for word in words if word.kind in (WordKind.NUMBER, WordKind.NAME))
    return frozenset(_ASKING.findall(folded)), exact, bool(_NEGATION.search(folded)), question.history


def _sharing(sets: Sequence[frozenset[str]]) -> Iterator[tuple[int, int]]:
    """Pairs of places that may reach the index: those that share one of the rarest words of the later one.

    Prefix filtering (S. Chaudhuri et al., "A primitive operator for similarity joins in data cleaning", ICDE 2006):
    sets with a Jaccard index of ``t`` share a word among the ``n - ceil(t n) + 1`` first ones of both, in one order of
    all words.
    """
    counts: defaultdict[str, int] = defaultdict(int)
    for words in sets:
        for word in words:
            counts[word] += 1
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for place, words in enumerate(sets):
        rare = _rarest(words, counts)
        yield from ((other, place) for other in sorted({other for word in rare for other in holders[word]}))
        for word in rare:
            holders[word].append(place)


def _rarest(words: Iterable[str], counts: dict[str, int]) -> list[str]:
    ordered = sorted(words, key=lambda word: (counts[word], word))
    needed = -int(-LEAST_WORDS * len(ordered) // 1)
    return ordered[: len(ordered) - needed + 1]
