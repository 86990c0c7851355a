"""Limits that the processes of a run keep together: what a client has in place of a limiter and a budget.

Each permit and each amount is one round trip to the :class:`~pytest_ragcheck.gateway.limit_server.LimitServer`.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ragcheck.errors import RagcheckError
from pytest_ragcheck.gateway.budget import Grant
from pytest_ragcheck.gateway.limiter import LimiterState, Outcome, Permit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from pytest_ragcheck.gateway.budget import CallCost
    from pytest_ragcheck.gateway.limiter import Admission, AttemptReport

__all__ = ["ASKED_AT_ONCE", "Channel", "RemoteBudget", "RemoteLimiter", "RemoteLimits"]

ASKED_AT_ONCE = 8
"""Permits of one lane that a process asks for at once. A process that is busy gets no more than these until it goes on.
It could not send the calls, and because none would be refused, the limiter would take them for accepted."""


class Channel(Protocol):
    """Leads to the methods of a LimitServer; arguments and results are plain JSON values."""

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Return what the method returns; raise what it raises, or MeasurementError where nobody answers."""

    def tell(self, method: str, *arguments: Any) -> None:
        """Call the method without waiting for it."""


class _Numbers:
    """Numbers that rise from call to call, also over the processes of a machine."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last + 1, time.time_ns())
        return self._last


class RemoteLimits:
    """Leads to the limiters and the budget of all processes.

    ``max_cost`` is the run's, in US dollars.
    """

    def __init__(self, channel: Channel, max_cost: float | None) -> None:
        self._channel = channel
        self._numbers = _Numbers()
        self.budget = None if max_cost is None else RemoteBudget(max_cost, channel, self._numbers)
        """The run's budget; None where it has none."""
        self.folders: dict[Path, Path] = {}
        """For a configuration's folder here its folder where the limits are kept: a limiter has one name everywhere."""

    def limiter(
        self,
        folder: Path,
        name: str,
        *,
        concurrency: int | None,
        requests_per_minute: float | None,
        tokens_per_minute: float | None = None,
    ) -> RemoteLimiter:
        """Return the one limiter of this name under the configuration of a folder."""
        caps = {
            "concurrency": concurrency,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
        }
        return RemoteLimiter(f"{self.folders.get(folder, folder)}|{name}", caps, self._channel, self._numbers)


class _Line:
    """Lets ``ASKED_AT_ONCE`` in at once, in the order of :meth:`~pytest_ragcheck.gateway.limiter.Admission.rank`."""

    def __init__(self) -> None:
        self._free = ASKED_AT_ONCE
        self._waiting: list[tuple[tuple[int, int, int], asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, admission: Admission) -> AsyncIterator[None]:
        """Wait for the call's turn, and take it."""
        if self._free:
            self._free -= 1
        else:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (admission.rank(ASKED_AT_ONCE), future))
            try:
                await future
            except asyncio.CancelledError:
                if not future.cancelled():
                    self._let_in_next()
                raise
        try:
            yield
        finally:
            self._let_in_next()

    def _let_in_next(self) -> None:
        while self._waiting:
            _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1


class RemoteLimiter:
    """A limiter that another process keeps; see :class:`~pytest_ragcheck.gateway.limiter.AdmissionControl`.

    ``caps`` are the arguments of :class:`~pytest_ragcheck.gateway.limiter.Limiter`, in all processes the same.
    """

    def __init__(self, name: str, caps: Mapping[str, float | None], channel: Channel, numbers: _Numbers) -> None:
        self._name = name
        self._caps = caps
        self._channel = channel
        self._numbers = numbers
        self._lines: dict[str, _Line] = {}
        """By lane: what waits for one model does not hold up the calls to another one."""
        self._in_flight = self._queued = self._refused = 0
        """Calls of this process."""
        self._shared = LimiterState()
        """The limiter at the last look."""
        self._look: asyncio.Task[None] | None = None

    def number(self) -> int:
        """Return the next number of the order of arrival."""
        return self._numbers()

    async def admit(self, admission: Admission) -> Permit:
        """Wait until the call may be sent, among the calls of all processes."""
        key = self._numbers()
        self._queued += 1
        line = self._lines.setdefault(admission.lane, _Line())
        try:
            # Whoever was asked to wait does so there, and takes no turn of the others meanwhile.
            async with nullcontext() if admission.delay > 0 else line.turn(admission):
                delayed = await self._ask(key, admission)
        finally:
            self._queued -= 1
        self._in_flight += 1
        now = asyncio.get_running_loop().time()
        return Permit(lane=admission.lane, sent=now, costs={}, delayed=delayed, key=key)

    async def _ask(self, key: int, admission: Admission) -> float:
        """Return how long the call waited because the server asked it to."""
        try:
            delayed: float = await self._channel.ask("admit", key, self._name, self._caps, asdict(admission))
        except BaseException:
            self._channel.tell("withdraw", key)
            raise
        return delayed

    def settle(self, permit: Permit, report: AttemptReport) -> None:
        """Return the permit, and pass on what became of the call."""
        self._in_flight -= 1
        self._refused += report.outcome is Outcome.REFUSED
        self._channel.tell("settle", permit.key, asdict(report))

    def withdraw(self, permit: Permit) -> None:
        """Return the permit of a call that was not sent."""
        self._in_flight -= 1
        self._channel.tell("withdraw", permit.key)

    def state(self) -> LimiterState:
        """Return the counts of this process, with what held calls back at the last look; look again."""
        if not self._queued:
            return LimiterState(in_flight=self._in_flight, refused=self._refused, found=self._shared.found)
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().create_task(self._look_again())
        return replace(self._shared, in_flight=self._in_flight, queued=self._queued, refused=self._refused)

    def close(self) -> None:
        """Look no more. What is held is returned with each call, or with the process."""
        if self._look is not None:
            self._look.cancel()

    async def _look_again(self) -> None:
        with suppress(RagcheckError):  # whoever waits for a permit says so
            state = await self._channel.ask("state", self._name)
            self._shared = LimiterState(**state)


class RemoteBudget:
    """The run's one budget, kept by another process; see :class:`~pytest_ragcheck.gateway.budget.BudgetControl`."""

    def __init__(self, limit: float, channel: Channel, numbers: _Numbers) -> None:
        self.limit: float | None = limit
        self._channel = channel
        self._numbers = numbers

    async def reserve(self, call: CallCost, *, order: int = 0) -> Grant:
        """Set money aside; see :meth:`~pytest_ragcheck.gateway.budget.Budget.reserve`."""
        key = self._numbers()
        try:
            amount = await self._channel.ask("reserve", key, asdict(call), order)
        except BaseException:
            self._channel.tell("spend", key, 0.0, None)
            raise
        return Grant(amount, call, key)

    def settle(self, grant: Grant, spent: float, used: float | None = None) -> None:
        """End a call: what was set aside is free, what it cost is spent."""
        self._channel.tell("spend", grant.key, spent, used)
