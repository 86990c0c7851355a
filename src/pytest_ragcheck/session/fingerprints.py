"""What makes two runs of a suite comparable, as digests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.metrics.judged.kinds import judging_digest
from pytest_ragcheck.session import systems
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.rag.claude import ClaudeGenerator
    from pytest_ragcheck.session.suites import Suite

__all__ = ["fingerprints"]


def fingerprints(suite: Suite) -> Mapping[str, str]:
    """A digest of each thing that makes two runs comparable."""
    questions = digest(*(repr(question) for question in suite.questions)).hex()
    generator = systems.without_secrets(suite.settings)
    prints = {"questions": questions, "generator": generator, "top_k": str(suite.settings.top_k)}
    if suite.settings.answers is not None:
        prints["generator"] = f"recorded answers {suite.recorded.fingerprint}"
    if systems.is_endpoint(suite.settings):
        prints["generation"] = digest(suite.settings.generator, repr(suite.settings.endpoint)).hex()
    if suite.model_generator is not None:
        prints["generation"] = digest(*map(repr, _asked_with(suite.model_generator))).hex()
    if suite.corpus is not None:
        prints["documents"] = suite.corpus.fingerprint
        prints["chunking"] = f"{suite.settings.chunk_size} words, overlap {suite.settings.chunk_overlap}"
    if suite.is_set_up:
        prints["embedder"] = suite.embedder.fingerprint
    if suite.model_generator is not None:
        prints["prompt"] = digest(repr(suite.settings.generation)).hex()
    if suite.is_judged:
        prints["judge"] = f"{suite.settings.judge}"
        prints["judging"] = judging_digest(suite.settings.judging)
    return prints


def _asked_with(generator: ClaudeGenerator) -> tuple[Any, ...]:
    parameters = json.dumps(dict(generator.parameters), sort_keys=True, default=str)
    return generator.template, generator.system, generator.max_tokens, parameters
