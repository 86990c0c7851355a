"""What a metric's values depend on beside question, contexts and answer, as one text: equal texts, equal measures."""

from __future__ import annotations

__all__ = ["by_formula", "is_formula", "looks_at_contexts_alone"]

FORMULA = "formula "
CONTEXTS_ALONE = ", of the contexts alone"


def by_formula(version: int, *, contexts_alone: bool = False, embedder: str | None = None) -> str:
    """A metric that this package computes: the same case has the same value again."""
    return f"{FORMULA}{version}{CONTEXTS_ALONE if contexts_alone else ''}{f', {embedder}' if embedder else ''}"


def is_formula(measure: str) -> bool:
    """Whether it is :func:`by_formula`'s."""
    return measure.startswith(FORMULA)


def looks_at_contexts_alone(measure: str) -> bool:
    """Whether the metric is computed, and the answer plays no part in it."""
    return is_formula(measure) and CONTEXTS_ALONE in measure
