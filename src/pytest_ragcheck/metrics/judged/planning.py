"""About what a judged metric would ask, for an estimate of its price: deepeval need not be imported for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.gateway.requests import ModelRequest
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.judged.judge import Judge
    from pytest_ragcheck.metrics.judged.kinds import Kind

__all__ = ["planned_requests"]

PROMPT = "x" * 2500
"""As long as deepeval's longest prompt and its schema, without what it is filled with."""
ANSWER = "x" * 800
"""In place of an answer that nobody has given yet."""


def planned_requests(kind: Kind, chosen: Mapping[str, Any], judge: Judge, case: Case) -> list[ModelRequest]:
    """One request for each call without reasons, about as long as the real ones."""
    texts = [context.text for context in case.contexts]
    if kind.calls is None:
        return [judge.request(_prompt(kind, case, number, [text])) for number, text in enumerate(texts)]
    shown = texts if "contexts" in kind.needs else []
    requests = [judge.request(_prompt(kind, case, number, shown)) for number in range(kind.calls)]
    if kind.ahead is not None:  # of contexts alone, so that the same ones are asked about once
        requests[0] = judge.request("\n".join([kind.name, PROMPT, *shown]))
    if "criteria" in chosen:  # the steps that follow from them are asked for once, for all questions
        requests.append(judge.request(f"{PROMPT}{chosen['criteria']}"))
    return requests


def _prompt(kind: Kind, case: Case, number: int, contexts: list[str]) -> str:
    parts = [f"{kind.name} {number} of {case.question.id}", PROMPT, case.question.transcript, *contexts]
    if kind.needs_answer:
        parts.append(ANSWER if case.answer is None else case.answer.text)
    if "reference" in kind.needs:
        parts.append(case.question.reference or "")
    return "\n".join(parts)
