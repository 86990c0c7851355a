"""Retrieval metrics that tell how far below the contexts the missed gold stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ragcheck.metrics.retrieval import RetrievalMetric
from pytest_ragcheck.rag.depth import DEPTH, DeeperSearch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.rag.index import Index

__all__ = ["looking_deeper"]


def looking_deeper(metrics: Iterable[Metric], index: Index) -> tuple[Metric, ...]:
    """``metrics`` for contexts that came from ``index``: those of retrieval look further down where gold was missed."""
    deeper = DeeperSearch(index)
    return tuple(
        replace(metric, deeper=deeper) if isinstance(metric, RetrievalMetric) and metric.top_k < DEPTH else metric
        for metric in metrics
    )
