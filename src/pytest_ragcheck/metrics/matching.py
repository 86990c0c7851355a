"""Which contexts hold which gold passages."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.lexical import SizedCache, fold
from pytest_ragcheck.lexical.passages import is_end, overlap, path_parts, same_source, same_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.model import Context, GoldGroup, Passage

__all__ = ["Hits", "KnownDocuments", "judge", "matches"]

Hits = tuple[frozenset[int], ...]
"""Of each context, best first, the gold groups that it matches."""

_FOLDED = 16_000_000
"""Characters of documents that are held folded."""


class KnownDocuments:
    """The documents that gold was resolved against: which of them a context's source means, and which hold its text."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = documents
        self._folded = SizedCache(fold, _FOLDED)
        self._sources: dict[str, str | None] = {}

    def source(self, written: str | None) -> str | None:
        """The one document whose path ends in ``written`` or is its end, as in gold; None where there is not one."""
        if written is None:
            return None
        if written not in self._sources:
            self._sources[written] = written if written in self._documents else self._ending(written)
        return self._sources[written]

    def _ending(self, written: str) -> str | None:
        parts = path_parts(written)
        if not parts:
            return None
        found = [source for source in self._by_name.get(parts[-1], ()) if is_end(parts, path_parts(source))]
        # docs/leave.md and leave.md are both ends of /srv/docs/leave.md: the longer one is meant.
        within = [source for source in found if len(path_parts(source)) <= len(parts)]
        if within:
            return max(within, key=lambda source: len(path_parts(source)))
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[str]]:
        names: defaultdict[str, list[str]] = defaultdict(list)
        for source in self._documents:
            names[PurePosixPath(source).name].append(source)
        return names

    def holds_alone(self, source: str | None, quote: str) -> bool:
        """Whether no other document than ``source`` holds ``quote``."""
        wanted = fold(quote)
        return not any(other != source and wanted in self._folded(text) for other, text in self._documents.items())


def judge(contexts: Sequence[Context], gold: Sequence[GoldGroup], documents: KnownDocuments | None = None) -> Hits:
    """Of each context the gold groups it matches.

    Raises:
        MeasurementError: a context and a passage cannot be compared (kind ``unmatchable-gold``): the one
            has no offsets or source where the other has nothing else.

    """
    return _judge(tuple(contexts), tuple(gold), documents)


@lru_cache(maxsize=64)  # every measure of retrieval asks for the same
def _judge(contexts: tuple[Context, ...], gold: tuple[GoldGroup, ...], documents: KnownDocuments | None) -> Hits:
    return tuple(
        frozenset(index for index, group in enumerate(gold) if _matches_any(context, group, documents))
        for context in contexts
    )


def _matches_any(context: Context, group: GoldGroup, documents: KnownDocuments | None) -> bool:
    verdicts = [matches(context, passage, documents) for passage in group]
    if any(verdicts):
        return True
    if None in verdicts:
        passage = group[verdicts.index(None)]
        place = passage.source or "the gold"
        message = (
            f"the context at rank {context.rank} cannot be compared with {place}: "
            "the pipeline must return contexts with source and offsets, or the gold must quote its text"
        )
        raise MeasurementError(message, kind="unmatchable-gold", rank=context.rank)
    return False


def matches(context: Context, passage: Passage, documents: KnownDocuments | None = None) -> bool | None:
    """Whether a context holds a gold passage; None where they have nothing in common to compare.

    - Of different sources: no, by a context with offsets, and by one whose source is a configured document. A source
      means the document whose path ends in it, where only one does (``leave.md``, ``docs/leave.md``).
    - A whole document: every context from it. A context without a known source is from it where its text stands in it
      and in no other document.
    - Both with offsets: the spans share at least half of the shorter one.
    - Otherwise by text, white space and case folded: the shorter text stands in the longer one and has five
      words or more, or both are equal.
    """
    if documents is None:
        is_same = same_source(context, passage)
        is_known = is_same is not None and context.start is not None
    else:
        source = documents.source(context.source)
        is_same = None if source is None or passage.source is None else source == passage.source
        is_known = is_same is not None
    if is_same is False and is_known:
        return False
    if passage.start is not None and passage.end is not None:
        if is_same and context.start is not None:
            end = context.end if context.end is not None else context.start + len(context.text)
            return overlap(context.start, end, passage.start, passage.end)
    elif documents is not None and passage.source is not None:
        return is_same or _is_from(context, passage, documents)
    if passage.text:
        return same_text(context.text, passage.text)
    return is_same if passage.start is None or is_same is False else None


def _is_from(context: Context, whole: Passage, documents: KnownDocuments) -> bool | None:
    """Whether a context of unknown source is from a document; None where its text stands in others too."""
    if not same_text(context.text, whole.text or ""):
        return False
    return True if documents.holds_alone(whole.source, context.text) else None
