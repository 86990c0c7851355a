"""Retrieval metrics: what of the gold is among the contexts, and how high.

The relevant items are the question's gold *groups*; a context may match none, one or several of them,
and several contexts may match the same group. The measures are those of trec_eval, carried over so
that they are equal to trec_eval's where each context matches at most one group and each group at most
one context, and stay within 0..1 otherwise:

- a group counts once, where it is found first;
- the n-th group found counts as found no higher than place n, even where one context holds several.

A *hit* is the set of the groups (their positions in the question's gold) that one context matches;
the functions take the hits in the order of the contexts' ranks, cut at k.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_ragcheck.metrics.matching import Hits, judge
from pytest_ragcheck.model import Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.matching import KnownDocuments
    from pytest_ragcheck.model import Context, GoldGroup, Passage, Question

__all__ = [
    "RETRIEVAL_MEASURES",
    "Deeper",
    "RetrievalMetric",
    "average_precision",
    "first_ranks",
    "hit_rate",
    "ndcg",
    "precision",
    "recall",
    "reciprocal_rank",
]

Deeper = Callable[["Question"], Awaitable["Sequence[Context]"]]
"""Gives of a question what a retriever ranks, further down than the contexts go."""

_SHOWN_TEXT = 200
"""Characters of a missed passage in the details."""


# ---- Measures over relevance judgements ------------------------------------------------------


def first_ranks(hits: Hits) -> dict[int, int]:
    """Of each group that was found the rank, from 1, of the first context that matches it."""
    ranks: dict[int, int] = {}
    for rank, groups in enumerate(hits, start=1):
        for group in groups:
            ranks.setdefault(group, rank)
    return ranks


def _places(hits: Hits) -> list[int]:
    """The places at which groups were found, rising: the n-th is at its context's rank, and not above n."""
    return [max(rank, order) for order, rank in enumerate(sorted(first_ranks(hits).values()), start=1)]


def hit_rate(hits: Hits, groups: int, k: int) -> float:  # noqa: ARG001 (one signature for all measures)
    """1 where any group was found, else 0 (trec_eval ``success_k``)."""
    return 1.0 if any(hits) else 0.0


def recall(hits: Hits, groups: int, k: int) -> float:  # noqa: ARG001
    """Groups found / groups (trec_eval ``recall_k``)."""
    return len(first_ranks(hits)) / groups


def precision(hits: Hits, groups: int, k: int) -> float:  # noqa: ARG001
    """Contexts that match any group / k, also where fewer than k were retrieved (trec_eval ``P_k``)."""
    return sum(bool(hit) for hit in hits) / k


def reciprocal_rank(hits: Hits, groups: int, k: int) -> float:  # noqa: ARG001
    """1 / rank of the first context that matches any group, 0 without one (trec_eval ``recip_rank``)."""
    return next((1 / rank for rank, hit in enumerate(hits, start=1) if hit), 0.0)


def ndcg(hits: Hits, groups: int, k: int) -> float:
    """Normalised discounted cumulative gain with binary gains (trec_eval ``ndcg_cut_k``).

    Each group found at place p <= k adds 1 / log2(p + 1); the sum is divided by that of the best ranking,
    whose first min(groups, k) places each find one. K. Järvelin and J. Kekäläinen, "Cumulated gain-based
    evaluation of IR techniques", ACM TOIS 20 (2002) 422-446.
    """
    found = [place for place in _places(hits) if place <= k]
    return _discounted(found) / _discounted(range(1, min(groups, k) + 1))


def _discounted(places: Iterable[int]) -> float:
    return math.fsum(1 / math.log2(place + 1) for place in places)


def average_precision(hits: Hits, groups: int, k: int) -> float:  # noqa: ARG001
    """Mean over all groups of n / p for the n-th one found, at place p, else 0 (trec_eval ``map_cut_k``)."""
    return math.fsum(order / place for order, place in enumerate(_places(hits), start=1)) / groups


RETRIEVAL_MEASURES: dict[str, Callable[[Hits, int, int], float]] = {
    "hit_rate": hit_rate,
    "recall": recall,
    "precision": precision,
    "mrr": reciprocal_rank,
    "ndcg": ndcg,
    "map": average_precision,
}
"""Name in the configuration to measure; each takes hits cut at k, the number of gold groups, and k."""


# ---- The metric ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetrievalMetric:
    """One of :data:`RETRIEVAL_MEASURES` over the first ``top_k`` contexts.

    Does not apply to questions without gold or without an answer in the documents. ``details``:
    ``gold_ranks`` (the ranks of the contexts that hold gold), ``group_ranks`` (of each gold group the rank at
    which it was found, or None), ``missed`` (of each group not found its first passage). Where ``deeper`` gives more
    of what the retriever ranks, best first, ``missed`` tells the ``rank`` of each, or None, and ``searched``, how many
    were looked at; no value depends on it.
    """

    name: str
    top_k: int
    needs_answer: bool = False
    deeper: Deeper | None = None
    documents: KnownDocuments | None = None
    """Those that the gold was resolved against."""
    deterministic: ClassVar[bool] = True

    async def measure(self, case: Case) -> Score:
        """Measure one case; raises MeasurementError where contexts and gold cannot be compared."""
        question = case.question
        if not question.answerable:
            return Score(metric=self.name, reason="unanswerable question: nothing is to be found")
        gold = tuple(group for group in question.gold if group)
        if not gold:
            return Score(metric=self.name, reason="no gold")
        contexts = sorted(case.contexts, key=lambda context: context.rank)[: self.top_k]
        hits = await self._judge(contexts, gold)
        value = RETRIEVAL_MEASURES[self.name](hits, len(gold), self.top_k)
        details = _details(contexts, hits, gold)
        if details["missed"] and self.deeper is not None:
            below = await self.deeper(question)
            if below:
                found_below = await self._judge(below, _missed_groups(hits, gold))
                details["missed"] = _with_ranks(details["missed"], found_below, below)
        return Score(metric=self.name, value=value, reason=_reason(hits, gold), details=details)

    async def _judge(self, contexts: Sequence[Context], gold: Sequence[GoldGroup]) -> Hits:
        known = self.documents
        if known is not None and any(known.source(context.source) is None for context in contexts):
            return await asyncio.to_thread(judge, contexts, gold, known)  # may read all documents
        return judge(contexts, gold, known)


def _reason(hits: Hits, gold: Sequence[GoldGroup]) -> str:
    found = first_ranks(hits)
    where = f", first at rank {min(found.values())}" if found else ""
    contexts = "1 context" if len(hits) == 1 else f"{len(hits)} contexts"
    return f"{len(found)} of {len(gold)} gold passages in {contexts}{where}"


def _details(contexts: Sequence[Context], hits: Hits, gold: Sequence[GoldGroup]) -> dict[str, Any]:
    found = first_ranks(hits)
    return {
        "gold_ranks": [context.rank for context, hit in zip(contexts, hits, strict=True) if hit],
        "group_ranks": [contexts[found[index] - 1].rank if index in found else None for index in range(len(gold))],
        "missed": [_shown(group[0]) for group in _missed_groups(hits, gold)],
    }


def _missed_groups(hits: Hits, gold: Sequence[GoldGroup]) -> list[GoldGroup]:
    found = first_ranks(hits)
    return [group for index, group in enumerate(gold) if index not in found]


def _with_ranks(missed: Sequence[dict[str, Any]], hits: Hits, below: Sequence[Context]) -> list[dict[str, Any]]:
    found = first_ranks(hits)
    ranks = [below[found[index] - 1].rank if index in found else None for index in range(len(missed))]
    return [{**entry, "rank": rank, "searched": len(below)} for entry, rank in zip(missed, ranks, strict=True)]


def _shown(passage: Passage) -> dict[str, Any]:
    text = " ".join((passage.text or "").split())
    return {
        "source": passage.source,
        "start": passage.start,
        "end": passage.end,
        "text": text if len(text) <= _SHOWN_TEXT else text[: _SHOWN_TEXT - 1] + "…",
    }
