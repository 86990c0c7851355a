"""Which contexts hold a question's gold, and which gold was missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_ragcheck.model import Context, Result

__all__ = ["Missed", "gold_ranks", "missed_gold"]


@dataclass(frozen=True, slots=True)
class Missed:
    """Gold that was not among the contexts, and the rank at which it was found below them, where that is known."""

    passage: Passage
    rank: int | None = None


def gold_ranks(result: Result) -> frozenset[int]:
    """The ranks of the contexts that hold gold: as the retrieval metrics matched them, else by source and span."""
    for ranks in _lists_in_details(result, "gold_ranks"):
        return frozenset(rank for rank in ranks if isinstance(rank, int))
    passages = [passage for group in result.question.gold for passage in group]
    return frozenset(
        context.rank for context in _contexts(result) if any(_holds(context, passage) for passage in passages)
    )


def missed_gold(result: Result) -> tuple[Missed, ...]:
    """The gold that no context holds; of a group of equals its first passage. Empty where nothing was retrieved."""
    for entries in _lists_in_details(result, "missed"):
        return tuple(_missed(entry) for entry in entries if isinstance(entry, dict))
    if result.answer is None:
        return ()
    return tuple(
        Missed(group[0])
        for group in result.question.gold
        if group and not any(_holds(context, passage) for context in _contexts(result) for passage in group)
    )


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
    return Missed(passage, _typed(entry.get("rank"), int))


def _typed(value: Any, kind: type[Any]) -> Any:
    return value if isinstance(value, kind) else None


def _holds(context: Context, passage: Passage) -> bool:
    """Whether they are of one source and overlap; by text, or by source alone, where offsets are not known."""
    if passage.source is not None and context.source is not None and passage.source != context.source:
        return False
    same_source = passage.source is not None and passage.source == context.source
    if passage.start is not None and passage.end is not None and context.start is not None and context.end is not None:
        return same_source and context.start < passage.end and passage.start < context.end
    if passage.text:
        return _flat(passage.text) in _flat(context.text)
    return same_source


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()
