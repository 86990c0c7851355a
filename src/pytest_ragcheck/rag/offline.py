"""The extractive generator over one index, its answers kept in the store."""

from __future__ import annotations

import asyncio
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import Answer
from pytest_ragcheck.rag.adapters.messages import search_text
from pytest_ragcheck.rag.extractive import EXTRACTIVE_VERSION, ExtractiveGenerator
from pytest_ragcheck.store import Fields, StoredKind, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.model import Context, Question
    from pytest_ragcheck.rag.index import Index
    from pytest_ragcheck.store import Store

__all__ = ["OfflineGenerator"]

_STORE_KIND = "extract"
_LONGEST_IN_LOOP = 20_000
"""Characters that are read in some hundredths of a second; more would hold up the event loop."""


def _parse_extract(data: bytes) -> Mapping[str, Any]:
    fields = Fields.parse(data)
    return {"text": fields.text("text"), "refused": fields.optional_flag("refused")}


_EXTRACTS = StoredKind(_STORE_KIND, _parse_extract)


class OfflineGenerator:
    """Answers without a model, with the word statistics of the whole corpus.

    ``reads_store`` False answers anew (and keeps the new answers).
    """

    deterministic = True

    def __init__(self, index: Index, store: Store, *, reads_store: bool = True) -> None:
        self._index = index
        self._store = store
        self._reads_store = reads_store

    async def answer(self, question: Question, contexts: tuple[Context, ...]) -> Answer:
        """The best-supporting passages of the contexts, or a refusal."""
        asked = search_text(question)
        texts = (asked, *(context.text for context in contexts))
        key = digest(str(EXTRACTIVE_VERSION), self._index.fingerprint, *texts)
        stored = _EXTRACTS.get(self._store, key) if self._reads_store else None
        if stored is not None:
            return Answer(contexts=contexts, model=ExtractiveGenerator.name, cached=True, **stored)
        if sum(map(len, texts)) > _LONGEST_IN_LOOP:
            answer = await asyncio.to_thread(self._generator.answer, asked, contexts)
        else:
            answer = self._generator.answer(asked, contexts)
        _EXTRACTS.put(self._store, key, json.dumps({"text": answer.text, "refused": answer.refused}).encode())
        return answer

    def make_ready(self) -> None:
        """Count the words of the corpus, so that the first answer need not wait for it."""
        _ = self._generator

    @cached_property
    def _generator(self) -> ExtractiveGenerator:
        return ExtractiveGenerator(corpus_frequencies=self._index.frequencies, chunk_count=len(self._index.chunks))
