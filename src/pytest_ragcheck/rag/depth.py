"""Where gold stands that was not among the contexts: a search of the same index, further down."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from pytest_ragcheck.rag.adapters.messages import search_text

if TYPE_CHECKING:
    from pytest_ragcheck.model import Context, Question
    from pytest_ragcheck.rag.index import Index

__all__ = ["DEPTH", "DeeperSearch"]

DEPTH = 50
"""How far down to look; what stands lower is lost whatever ``top_k`` is."""
_KEPT = 64
"""Questions whose search is kept, for their other metrics."""


class DeeperSearch:
    """Gives a question's nearest :data:`DEPTH` chunks, to say where missed gold stands; one search at a time."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._found: OrderedDict[str, tuple[Context, ...]] = OrderedDict()
        self._turn = asyncio.Lock()

    async def __call__(self, question: Question) -> tuple[Context, ...]:
        """The chunks, best first; none where the search fails, which is no reason for a score to fail."""
        text = search_text(question)
        async with self._turn:
            if text not in self._found:
                try:
                    self._found[text] = await asyncio.to_thread(self._index.search_deeper, text, DEPTH)
                except Exception:  # noqa: BLE001 (a damaged index, a model that is gone: the contexts came from the store)
                    return ()
                while len(self._found) > _KEPT:
                    self._found.popitem(last=False)
            return self._found[text]
