"""Limits that the processes of a run keep together: the process that has the limiters and the budget.

Every other process is a client and asks for each permit and each amount, see
:mod:`~pytest_ragcheck.gateway.limit_client`. So each has at any moment as much of a limit as it has use for, and all
together never have more than there is. How messages travel is for others to know.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.budget import Budget, CallCost, Grant
from pytest_ragcheck.gateway.limiter import Admission, AttemptReport, Limiter, LimiterState, Outcome, Permit
from pytest_ragcheck.gateway.rate_limits import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

__all__ = ["LimitServer"]

SHORTEST_LOST_CALL, LOST_CALL_LATENCIES = 1.0, 2.0
"""Seconds since a client was lost, and usual latencies since it sent a call: for the longer of the two, the call counts
as in flight. A server learns of a closed connection later than we do, and many work on regardless."""

_Key = tuple[int, int]
"""The client, and its number for what it asks: what is asked twice is given once."""


class LimitServer:
    """Keeps the limiters by name, and the one budget of the run; one event loop.

    Arguments and results are plain JSON values. The permits of a lost client are free when the server should be done
    with its calls; what it had set aside of the budget counts as spent, because its calls may have been billed.
    """

    def __init__(self, max_cost: float | None) -> None:
        self._limiters: dict[str, Limiter] = {}
        self._budget = Budget(max_cost)
        self._asked: dict[_Key, asyncio.Task[Any]] = {}
        self._permits: dict[_Key, tuple[Limiter, Permit]] = {}
        self._reserved: dict[_Key, Grant] = {}
        self._gone: set[int] = set()
        self._lost_calls: set[asyncio.TimerHandle] = set()
        self._methods: dict[str, Callable[..., Any]] = {
            "admit": self._admit,
            "settle": self._settle,
            "withdraw": self._withdraw,
            "reserve": self._reserve,
            "spend": self._spend,
        }

    def handle(self, caller: int, method: str, *arguments: Any, **_: Any) -> Any:
        """Return what a client's request comes to; an asyncio.Task where that takes time."""
        if caller in self._gone:
            raise NotRunError("another process has taken over from this one")
        if method == "state":
            return self._state(*arguments)
        number, *rest = arguments
        return self._methods[method]((caller, number), *rest)

    def forget(self, caller: int) -> None:
        """Take back what a lost client has; it gets nothing more."""
        self._gone.add(caller)
        for key in [key for key in self._asked if key[0] == caller]:
            self._asked.pop(key).cancel()
        for key in [key for key in self._permits if key[0] == caller]:
            self._settle_when_over(*self._permits.pop(key))
        for key in [key for key in self._reserved if key[0] == caller]:
            grant = self._reserved.pop(key)
            self._budget.settle(grant, grant.amount)

    def close(self) -> None:
        """Cancel timers, and what is waited for."""
        for task in self._asked.values():
            task.cancel()
        for timer in self._lost_calls:
            timer.cancel()
        for limiter in self._limiters.values():
            limiter.close()

    def _settle_when_over(self, limiter: Limiter, permit: Permit) -> None:
        """Return the permit of a lost call when the server should be done with it."""

        def settle() -> None:
            self._lost_calls.discard(timer)
            limiter.settle(permit, AttemptReport(outcome=Outcome.NEUTRAL))

        loop = asyncio.get_running_loop()
        usual = LOST_CALL_LATENCIES * limiter.latency(permit.lane)
        timer = loop.call_at(max(loop.time() + SHORTEST_LOST_CALL, permit.sent + usual), settle)
        self._lost_calls.add(timer)

    def _state(self, name: str) -> dict[str, Any]:
        return asdict(self._limiters[name].state() if name in self._limiters else LimiterState())

    def _admit(
        self, key: _Key, name: str, caps: Mapping[str, Any], admission: Mapping[str, Any]
    ) -> asyncio.Task[float]:
        if name not in self._limiters:
            self._limiters[name] = Limiter(**caps)
        limiter = self._limiters[name]

        async def admit() -> float:
            permit = await limiter.admit(Admission(**admission))
            self._permits[key] = limiter, permit
            return permit.delayed

        return self._once(key, admit())

    def _settle(self, key: _Key, report: Mapping[str, Any]) -> None:
        self._asked.pop(key, None)
        if key in self._permits:
            limiter, permit = self._permits.pop(key)
            limits = {family: RateLimit(**limit) for family, limit in report["limits"].items()}
            plain = {**report, "outcome": Outcome(report["outcome"]), "limits": limits}
            limiter.settle(permit, AttemptReport(**plain))

    def _withdraw(self, key: _Key) -> None:
        asked = self._asked.pop(key, None)
        if key in self._permits:
            limiter, permit = self._permits.pop(key)
            limiter.withdraw(permit)
        elif asked is not None:
            asked.cancel()

    def _reserve(self, key: _Key, call: Mapping[str, Any], order: int) -> asyncio.Task[float]:
        async def reserve() -> float:
            grant = self._reserved[key] = await self._budget.reserve(CallCost(**call), order=order)
            return grant.amount

        return self._once(key, reserve())

    def _spend(self, key: _Key, spent: float, used: float | None) -> None:
        asked = self._asked.pop(key, None)
        if key in self._reserved:
            self._budget.settle(self._reserved.pop(key), spent, used)
        elif asked is not None:
            asked.cancel()

    def _once(self, key: _Key, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        if key in self._asked:
            work.close()
        else:
            self._asked[key] = asyncio.get_running_loop().create_task(work)
        return self._asked[key]
