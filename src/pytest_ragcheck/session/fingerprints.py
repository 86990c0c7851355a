"""What makes two runs of a suite comparable, as digests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.comparability import DOCUMENT
from pytest_ragcheck.metrics.judged.kinds import judging_digest
from pytest_ragcheck.session import systems
from pytest_ragcheck.session.pipelines import PIPELINE
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.rag.claude import ClaudeGenerator
    from pytest_ragcheck.session.suites import Suite

__all__ = ["fingerprints"]


def fingerprints(suite: Suite) -> Mapping[str, str]:
    """A digest of each thing that makes two runs comparable."""
    questions = (replace(question, dataset=suite.local_name) for question in suite.questions)
    prints = {"questions": digest(*map(repr, questions)).hex(), **_of_the_system(suite)}
    if suite.corpus is not None:
        prints["documents"] = suite.corpus.fingerprint
        prints |= {f"{DOCUMENT}{source}": text for source, text in suite.corpus.digests.items()}
        prints["chunking"] = f"{suite.settings.chunk_size} words, overlap {suite.settings.chunk_overlap}"
    if suite.is_set_up:
        prints["embedder"] = suite.embedder.fingerprint
    if suite.is_judged:
        prints["judge"] = f"{suite.settings.judge}"
        prints["judging"] = judging_digest(suite.settings.judging)
    return prints


def _of_the_system(suite: Suite) -> dict[str, str]:
    """What answers; what the configuration says of that counts only where the configured system was asked."""
    settings = suite.settings
    if settings.answers is not None:
        return {"generator": f"recorded answers {suite.recorded.fingerprint}"}
    if not suite.is_set_up and not suite.has_own_system:
        return {"generator": PIPELINE}
    prints = {"generator": systems.without_secrets(settings), "top_k": str(settings.top_k)}
    if systems.is_endpoint(settings):
        prints["generation"] = digest(settings.generator, repr(settings.endpoint)).hex()
    if suite.model_generator is not None:
        prints |= _asked_with(suite.model_generator)
    return prints


def _asked_with(generator: ClaudeGenerator) -> dict[str, str]:
    parameters = json.dumps(dict(generator.parameters), sort_keys=True, default=str)
    return {
        "prompt": digest(generator.template, repr(generator.system)).hex(),
        "generation": digest(str(generator.max_tokens), parameters).hex(),
    }
