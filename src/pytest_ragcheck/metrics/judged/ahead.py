"""Judged metrics that ask before there is an answer what they can ask without it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.metrics.judged.measuring import test_case_of
from pytest_ragcheck.metrics.judged.metric import JudgedMetric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_ragcheck.metrics.base import Case, Metric

__all__ = ["asking_ahead"]


def asking_ahead(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """``metrics``, of them those that can begin without an answer with a method for it."""
    return tuple(
        _AheadMetric(metric.kind, metric.judging)
        if isinstance(metric, JudgedMetric) and metric.kind.ahead is not None
        else metric
        for metric in metrics
    )


class _AheadMetric(JudgedMetric):
    """See :class:`~pytest_ragcheck.metrics.base.BeginsEarly`."""

    def begin(self, case: Case) -> _Begun | None:
        """Ask what needs the contexts alone; None where there are none."""
        if not any(context.text.strip() for context in case.contexts):
            return None
        return _Begun(self, case)


class _Begun(JudgedMetric):
    """Measures one case, for which the first step of deepeval's metric was asked before."""

    def __init__(self, metric: JudgedMetric, case: Case) -> None:
        super().__init__(metric.kind, metric.judging)
        self._step = metric.kind.ahead or ""
        self._asked = asyncio.create_task(self._ask(case))
        self._asked.add_done_callback(_notice)

    async def close(self) -> None:
        """Cancel what nobody waits for any more."""
        self._asked.cancel()
        await asyncio.gather(self._asked, return_exceptions=True)

    async def _ask(self, case: Case) -> tuple[tuple[Any, ...], Any]:
        """The step's arguments, and what came of it."""
        await self.judging.library.ready()
        test_case = test_case_of(case)
        arguments = test_case.retrieval_context, test_case.multimodal
        return arguments, await getattr(super()._new_metric(), self._step)(*arguments)

    def _new_metric(self) -> Any:
        metric = super()._new_metric()
        ask_now = getattr(metric, self._step)

        async def ask_unless_asked(*arguments: Any) -> Any:
            asked_with, reply = await self._asked
            return reply if arguments == asked_with else await ask_now(*arguments)

        setattr(metric, self._step, ask_unless_asked)
        return metric


def _notice(asked: asyncio.Task[Any]) -> None:
    """Whoever measures gets the exception; where the answer failed, nobody does."""
    if not asked.cancelled():
        asked.exception()
