"""What changed of one question against the baseline, as plain data for the page's scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.report.html.differences import word_difference
from pytest_ragcheck.report.html.entries import place
from pytest_ragcheck.report.textual import keywords

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_ragcheck.comparison import ContextChange, QuestionChange
    from pytest_ragcheck.model import Context, Result
    from pytest_ragcheck.report.html.differences import Piece

__all__ = ["change_entry"]

_LEAST_ALIKE = 0.4
"""Share of common words from which a context that went and one that came are shown as one whose text changed."""


def change_entry(result: Result, change: QuestionChange) -> dict[str, Any]:
    """The cause, both answers word by word, and both rankings of contexts side by side."""
    answer = result.answer
    before = change.baseline_answer
    return {
        "cause": None if change.cause is None else change.cause.value,
        "broke": list(change.broke),
        "answer": None if before is None or answer is None else word_difference(before, answer.text),
        "baselineAnswer": before if answer is None else None,
        "contexts": _rankings(answer.contexts if answer is not None else (), change.contexts),
        "gold": [[gold.label, gold.baseline_rank, gold.rank] for gold in change.gold],
    }


def _rankings(contexts: Iterable[Context], changes: tuple[ContextChange, ...]) -> list[dict[str, Any]]:
    """For each rank what stood there in the baseline and what does now; empty where nothing changed."""
    if not changes:
        return []
    now = {context.rank: context for context in contexts}
    came = {change.rank: change for change in changes if change.rank is not None}
    before = {change.baseline_rank: change for change in changes if change.baseline_rank is not None}
    edits = _edited(changes)
    rows = []
    for rank in sorted(now.keys() | before.keys() | came.keys()):
        kept = _kept(now[rank]) if rank in now and rank not in came else None
        row = {"rank": rank, "before": kept, "now": kept, "edit": edits.get(rank)}
        if rank in before:
            row["before"] = _changed(before[rank], before[rank].rank, "went", "to")
        if rank in came:
            row["now"] = _changed(came[rank], came[rank].baseline_rank, "came", "from")
        rows.append(row)
    return rows


def _kept(context: Context) -> dict[str, Any]:
    return {"label": place(context.source, context.start, context.end), "how": "same", "told": "", "text": None}


def _changed(change: ContextChange, other: int | None, lone: str, direction: str) -> dict[str, Any]:
    """``other`` is its rank on the other side; None: it is only on this one, it came or went."""
    if other is None:
        return {"label": change.label, "how": lone, "told": lone, "text": change.text}
    return {"label": change.label, "how": "moved", "told": f"{direction} rank {other}", "text": None}


def _edited(changes: Iterable[ContextChange]) -> dict[int, list[Piece]]:
    """Of contexts that came, by rank, the words that changed against the most similar one that went."""
    went = [change for change in changes if change.rank is None and change.text]
    edits = {}
    for change in changes:
        if change.rank is None or change.baseline_rank is not None or not change.text or not went:
            continue
        alike, earlier = max(((_alike(one.text, change.text), one) for one in went), key=lambda pair: pair[0])
        if alike >= _LEAST_ALIKE:
            went.remove(earlier)
            edits[change.rank] = word_difference(earlier.text or "", change.text)
    return edits


def _alike(one: str | None, other: str | None) -> float:
    left, right = keywords(one), keywords(other)
    return len(left & right) / max(len(left | right), 1)
