"""Questions that are not independent of each other, because they ask about the same document."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from pytest_ragcheck.model import Question

__all__ = ["clusters_of"]


def clusters_of(questions: Mapping[tuple[str, str, str], Question]) -> dict[tuple[str, str, str], int]:
    """A number for each question, the same for those that share a source of gold, directly or by way of others.

    Keys are (dataset, id, variant): variants of one question belong together in any case. A question without gold
    stands alone.
    """
    groups = _DisjointSets()
    for key, question in questions.items():
        name = ("question", *key[:2])
        groups.join(name, name)
        for source in _sources(question):
            groups.join(name, ("source", source))
    numbers: dict[Hashable, int] = {}
    return {key: numbers.setdefault(groups.root(("question", *key[:2])), len(numbers)) for key in questions}


def _sources(question: Question) -> Iterator[str]:
    passages: Iterable[str | None] = (passage.source for group in question.gold for passage in group)
    return (source for source in passages if source is not None)


class _DisjointSets:
    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def root(self, member: Hashable) -> Hashable:
        parents = self._parents
        parents.setdefault(member, member)
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def join(self, one: Hashable, other: Hashable) -> None:
        self._parents[self.root(other)] = self.root(one)
