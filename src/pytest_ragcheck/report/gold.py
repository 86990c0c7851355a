"""Which contexts hold a question's gold, and which gold was missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_ragcheck.model import Context, Result

__all__ = ["Missed", "gold_ranks", "group_ranks", "missed_gold"]


@dataclass(frozen=True, slots=True)
class Missed:
    """Gold that was not among the contexts, and the rank at which it was found below them, where that is known."""

    passage: Passage
    rank: int | None = None
    searched: int | None = None
    """How many were looked at to find it; None: nobody looked."""


def gold_ranks(result: Result) -> frozenset[int]:
    """The ranks of the contexts that hold gold: as the retrieval metrics matched them, else by source and span."""
    for ranks in _lists_in_details(result, "gold_ranks"):
        return frozenset(rank for rank in ranks if isinstance(rank, int))
    passages = [passage for group in result.question.gold for passage in group]
    return frozenset(
        context.rank for context in _contexts(result) if any(_holds(context, passage) for passage in passages)
    )


def group_ranks(result: Result) -> tuple[tuple[Passage, int | None], ...]:
    """Of each gold group its first passage, and the rank of the first context that holds any of it; None: none does.

    Empty where the contexts are not known.
    """
    groups = [group for group in result.question.gold if group]
    for ranks in _lists_in_details(result, "group_ranks"):
        if len(ranks) == len(groups):
            return tuple((group[0], _typed(rank, int)) for group, rank in zip(groups, ranks, strict=True))
    if not _are_known(result):
        return ()
    contexts = sorted(_contexts(result), key=lambda context: context.rank)
    return tuple(
        (
            group[0],
            next((context.rank for context in contexts if any(_holds(context, passage) for passage in group)), None),
        )
        for group in groups
    )


def missed_gold(result: Result) -> tuple[Missed, ...]:
    """The gold that no context holds; of a group of equals its first passage. Empty if the contexts are not known."""
    for entries in _lists_in_details(result, "missed"):
        return tuple(_missed(entry) for entry in entries if isinstance(entry, dict))
    if not _are_known(result):
        return ()
    return tuple(
        Missed(group[0])
        for group in result.question.gold
        if group and all(_holds(context, passage) is False for context in _contexts(result) for passage in group)
    )


def _are_known(result: Result) -> bool:
    return result.answer is not None and result.answer.contexts_known


def _contexts(result: Result) -> tuple[Context, ...]:
    return result.answer.contexts if result.answer is not None else ()


def _lists_in_details(result: Result, key: str) -> Iterator[list[Any]]:
    for score in result.scores.values():
        found = score.details.get(key)
        if isinstance(found, (list, tuple)):
            yield list(found)


def _missed(entry: Mapping[str, Any]) -> Missed:
    passage = Passage(
        source=_typed(entry.get("source"), str),
        start=_typed(entry.get("start"), int),
        end=_typed(entry.get("end"), int),
        text=_typed(entry.get("text"), str),
    )
    return Missed(passage, _typed(entry.get("rank"), int), _typed(entry.get("searched"), int))


def _typed(value: Any, kind: type[Any]) -> Any:
    return value if isinstance(value, kind) else None


def _holds(context: Context, passage: Passage) -> bool | None:
    """Whether a context holds a passage; None where there is nothing to tell it by.

    As the retrieval metrics would: of one source by half of the shorter span, else by the text, quotation marks and
    spaces folded, else (a whole document) by the source alone. A quote in a context may be as short as it likes.
    """
    from pytest_ragcheck.lexical import fold
    from pytest_ragcheck.lexical.passages import overlap, same_source, same_text

    is_same = same_source(context, passage)
    if is_same is False:
        return False
    if is_same and passage.start is not None and passage.end is not None and context.start is not None:
        end = context.end if context.end is not None else context.start + len(context.text)
        return overlap(context.start, end, passage.start, passage.end)
    if passage.text:
        return same_text(context.text, passage.text) or fold(passage.text) in fold(context.text)
    return True if is_same and passage.start is None else None
