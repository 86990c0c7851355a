"""One actor of the crew, as the driver sees it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.session.cluster.messages import Report
from pytest_ragcheck.session.cluster.references import arriving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.session.cluster.messages import Greeting, Order
    from pytest_ragcheck.session.suites import Suite

__all__ = ["Batch", "Member", "MemberLostError"]

LOOK_EVERY = 5.0
"""Seconds between two looks whether an actor's event loop turns."""
LOOKS_IN_VAIN = 12
"""Looks in vain after which it counts as lost: it stands still, or the network to it is gone."""


class MemberLostError(Exception):
    """An actor has ended, or its node has, or what it returned is lost, or it stands still."""


class Batch:
    """The brief of a batch, as it is sent to each actor."""

    def __init__(self, number: int, brief: Any, suites: Sequence[Suite]) -> None:
        self.number = number
        self.brief = brief
        """The pickled brief in the cluster's object store."""
        self.suites = suites


class Member:
    """One actor; ``lost`` is raised where it has ended, ``broken``, one kind of it, where its method has raised."""

    def __init__(self, number: int, actor: Any, lost: type[Exception], broken: type[Exception]) -> None:
        self.number = number
        self.actor = actor
        self._lost = lost
        self._broken = broken
        self._opened: dict[int, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self.report = Report()
        """The last that it told."""

    async def opened(self, batch: Batch, greeting: Greeting) -> None:
        """Make a batch ready there, once; ConfigurationError where that cannot be."""
        if batch.number not in self._opened:
            self._opened[batch.number] = asyncio.create_task(self._open(batch, greeting))
        await asyncio.shield(self._opened[batch.number])

    async def exchange(self, batch: Batch, orders: Sequence[Order]) -> Report:
        """Give it questions, get results; MemberLostError where it has ended or stands still."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        exchanging = asyncio.ensure_future(self._told(self.actor.exchange.remote(batch.number, list(orders))))
        try:
            await asyncio.wait({exchanging, self._watching}, return_when=asyncio.FIRST_COMPLETED)
            if not exchanging.done():
                self._watching.result()
            report: Report = await exchanging
        finally:
            exchanging.cancel()
        return report

    async def _open(self, batch: Batch, greeting: Greeting) -> None:
        problem = await self._told(self.actor.open.remote(batch.number, batch.brief, greeting))
        if problem is not None:
            raise ConfigurationError(f"on a node of the Ray cluster: {problem}")

    async def _told(self, reference: Any) -> Any:
        try:
            return await arriving(reference)
        except self._broken:
            raise
        except self._lost as problem:
            raise MemberLostError(cause_of(problem)) from None

    async def _watch(self) -> None:
        """Raise MemberLostError when it has not answered for a minute.

        Looks are counted rather than time: the driver's own loop stands still while items run.
        """
        while True:
            asked = asyncio.ensure_future(self._told(self.actor.ping.remote()))
            try:
                for _ in range(LOOKS_IN_VAIN):
                    await asyncio.wait({asked}, timeout=LOOK_EVERY)
                    if asked.done():
                        break
                else:
                    raise MemberLostError(f"it has stood still for {LOOKS_IN_VAIN * LOOK_EVERY:g} s")
                await asked
            finally:
                asked.cancel()  # an actor that is dismissed meanwhile is of no interest
            await asyncio.sleep(LOOK_EVERY)

    def dismissed(self) -> None:
        """Wait for nothing of it any more."""
        tasks = [*self._opened.values(), *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
            if task.done() and not task.cancelled():
                with suppress(Exception):
                    task.exception()  # told already, or nobody waits


def cause_of(problem: Exception) -> str:
    """The last line of what Ray says."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {lines[-1] if lines else ''}"
