"""Answers of a user's system, kept in the store."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pytest_ragcheck.call_context import current_trial
from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.model import Answer
from pytest_ragcheck.rag.pipeline import close_pipeline
from pytest_ragcheck.run_file import dump, load, normalised
from pytest_ragcheck.store import StoredKind, digest
from pytest_ragcheck.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.model import Context, Question
    from pytest_ragcheck.rag.pipeline import Pipeline
    from pytest_ragcheck.store import Store

__all__ = ["KIND", "KeptAnswers"]

KIND = "answer"
VERSION = "1"
_ANSWERS = StoredKind(KIND, lambda data: load(Answer, parse_json(data)))
_ONLY = "the answer is not in the store, and --ragcheck-cache only forbids to ask for it"


class KeptAnswers:
    """A pipeline that asks another one only what the store does not hold.

    ``version`` tells what could change an answer beside the question and its trial: which system, and which version
    of it. ``dataset`` names the question file, the same in every session; None: as the questions do. ``since`` (Unix
    time): older answers count for nothing. ``only``: what is not there is not run.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: Store,
        *,
        version: str,
        dataset: str | None = None,
        since: float | None = None,
        only: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self._store = store
        self._version = version
        self._dataset = dataset
        self._since = since
        self._only = only

    async def prepare(self, questions: Sequence[Question]) -> None:
        """Let the pipeline prepare what it will be asked."""
        missing = [question for question in questions if self._kept(question) is None]
        if missing and not self._only:
            await self.pipeline.prepare(missing)

    async def retrieve(self, question: Question) -> tuple[Context, ...] | None:
        """The contexts, where they come before an answer."""
        kept = self._kept(question)
        if kept is not None:
            return None if kept.generated else kept.contexts
        if self._only:
            raise NotRunError(_ONLY)
        return await self.pipeline.retrieve(question)

    async def generate(self, question: Question, contexts: tuple[Context, ...] | None) -> Answer:
        """The answer, which is durable on return."""
        kept = self._kept(question)
        if kept is not None:
            return kept
        if self._only:
            raise NotRunError(_ONLY)
        answer = await self.pipeline.generate(question, contexts)
        if isinstance(answer, Answer):  # else the engine tells what is wrong
            answer = normalised(answer, "the pipeline's answer cannot be kept")
            _ANSWERS.put(self._store, self._key(question), json.dumps(dump(answer)).encode())
        return answer

    async def close(self) -> None:
        """Close the pipeline, where it has something to close."""
        await close_pipeline(self.pipeline)

    def _kept(self, question: Question) -> Answer | None:
        stored = _ANSWERS.get(self._store, self._key(question), since=self._since)
        return None if stored is None else replace(stored, cached=True)

    def _key(self, question: Question) -> bytes:
        """All that a system can see of a question, and which of its trials this is."""
        turns = [asdict(turn) for turn in question.history]
        dataset = question.dataset if self._dataset is None else self._dataset
        seen = [question.id, question.question, dataset, turns, list(question.tags), current_trial()]
        return digest(VERSION, self._version, json.dumps(seen))
