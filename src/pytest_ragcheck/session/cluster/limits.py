"""Limits of the whole cluster: the driver's limiters and budget, as actors see them.

Each place in flight and each dollar is asked for at the driver. So at any moment every actor has as much of a limit as
it has use for, all together never have more than there is, and what an actor leaves goes to the others at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.budget import Budget
from pytest_ragcheck.gateway.limiter import Limiter, Outcome, Ticket

if TYPE_CHECKING:
    import itertools
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from pytest_ragcheck.gateway.rates import Told
    from pytest_ragcheck.session.cluster.relay import Request

__all__ = ["Caps", "LimitClerk", "RemoteBudget", "RemoteLimiter"]


MOST_ACTORS = 1 << 32
"""More than a run ever starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What a limiter is made from; see :class:`~pytest_ragcheck.gateway.limiter.Limiter`."""

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def limiter(self) -> Limiter:
        """A new one."""
        return Limiter(
            concurrency=self.concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )


class LimitClerk:
    """Keeps the limiters by name, and the one budget of the run.

    What an actor takes has a number of its own, so that what is asked twice is given once. A lost actor's places are
    free again; what it had set aside of the budget counts as spent, since its calls may have been billed.
    """

    def __init__(self, max_cost: float | None) -> None:
        self._limiters: dict[str, Limiter] = {}
        self._budget = Budget(max_cost)
        self._asked: dict[tuple[int, int], asyncio.Task[Any]] = {}
        self._tickets: dict[tuple[int, int], tuple[Limiter, Ticket]] = {}
        self._reserved: dict[tuple[int, int], float] = {}
        self._gone: set[int] = set()

    @property
    def places(self) -> int:
        """Requests that may be in flight, by all limiters together."""
        return sum(limiter.places for limiter in list(self._limiters.values()))

    def answered(self, request: Request) -> Any:
        """Dispatch; an asyncio.Task where it has to be waited for."""
        if request.caller in self._gone:
            raise NotRunError("another actor took this one's place")
        action: Any = {
            "admit": self._admit,
            "settle": self._settle,
            "withdraw": self._withdraw,
            "reserve": self._reserve,
            "spend": self._spend,
        }[request.method]
        return action((request.caller, request.arguments[0]), *request.arguments[1:], **request.keywords)

    def forget(self, caller: int) -> None:
        """Free the places of an actor."""
        self._gone.add(caller)
        for key in [key for key in self._asked if key[0] == caller]:
            self._asked.pop(key).cancel()
        for key in [key for key in self._tickets if key[0] == caller]:
            limiter, ticket = self._tickets.pop(key)
            limiter.settle(ticket, Outcome.NEUTRAL)
        for key in [key for key in self._reserved if key[0] == caller]:
            amount = self._reserved.pop(key)
            self._budget.settle(amount, amount)

    def _admit(self, key: tuple[int, int], name: str, caps: Caps, *, number: int, **wanted: Any) -> asyncio.Task[int]:
        if name not in self._limiters:
            self._limiters[name] = caps.limiter()
        limiter = self._limiters[name]

        async def admitted() -> int:
            # Actors count for themselves, and no two calls may have the same number.
            self._tickets[key] = limiter, await limiter.admit(number=number * MOST_ACTORS + key[0], **wanted)
            return limiter.places

        return self._once(key, admitted())

    def _settle(self, key: tuple[int, int], outcome: Outcome, **told: Any) -> None:
        self._asked.pop(key, None)
        if key in self._tickets:
            limiter, ticket = self._tickets.pop(key)
            limiter.settle(ticket, outcome, **told)

    def _withdraw(self, key: tuple[int, int]) -> None:
        asked = self._asked.pop(key, None)
        if key in self._tickets:
            limiter, ticket = self._tickets.pop(key)
            limiter.withdraw(ticket)
        elif asked is not None:
            asked.cancel()

    def _reserve(self, key: tuple[int, int], amount: float) -> asyncio.Task[None]:
        async def reserved() -> None:
            await self._budget.reserve(amount)
            self._reserved[key] = amount

        return self._once(key, reserved())

    def _spend(self, key: tuple[int, int], spent: float) -> None:
        asked = self._asked.pop(key, None)
        if key in self._reserved:
            self._budget.settle(self._reserved.pop(key), spent)
        elif asked is not None:
            asked.cancel()

    def _once(self, key: tuple[int, int], work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        if key in self._asked:
            work.close()
        else:
            self._asked[key] = asyncio.get_running_loop().create_task(work)
        return self._asked[key]


@dataclass(slots=True, kw_only=True)
class _NumberedTicket(Ticket):
    key: int


class RemoteLimiter:
    """One of the driver's limiters, as an actor sees it: a place in flight is one round trip.

    ``ask`` and ``tell`` take a method of :class:`LimitClerk` and its arguments; ``numbers`` are the actor's own.
    """

    def __init__(
        self,
        name: str,
        caps: Caps,
        *,
        ask: Callable[..., Awaitable[Any]],
        tell: Callable[..., None],
        numbers: itertools.count[int],
    ) -> None:
        self._name = name
        self._caps = caps
        self._ask = ask
        self._tell = tell
        self._numbers = numbers
        self.in_flight = 0
        self.queued = 0
        self.refusals = 0

    @property
    def places(self) -> int:
        """0: the driver tells those of all."""
        return 0

    def number(self) -> int:
        """See :meth:`~pytest_ragcheck.gateway.limiter.Limiter.number`."""
        return next(self._numbers)

    async def admit(
        self, *, priority: int = 0, number: int | None = None, input_tokens: float = 0.0, output_tokens: float = 0.0
    ) -> Ticket:
        """Wait for a place, among the calls of all actors."""
        clock = asyncio.get_running_loop().time
        key, asked = next(self._numbers), clock()
        wanted = {"priority": priority, "input_tokens": input_tokens, "output_tokens": output_tokens}
        number = self.number() if number is None else number
        self.queued += 1
        try:
            await self._ask("admit", key, self._name, self._caps, number=number, **wanted)
        except BaseException:
            self._tell("withdraw", key)
            raise
        finally:
            self.queued -= 1
        self.in_flight += 1
        return _NumberedTicket(key=key, sent=clock(), costs={}, queued=clock() - asked)

    def settle(
        self,
        ticket: Ticket,
        outcome: Outcome,
        *,
        wait: float | None = None,
        levels: Mapping[str, Told] | None = None,
        tokens: float | None = None,
    ) -> None:
        """Give the place back, and tell what was learned."""
        assert isinstance(ticket, _NumberedTicket)  # noqa: S101 (admit made it)
        self.in_flight -= 1
        self.refusals += outcome is Outcome.REFUSED
        self._tell("settle", ticket.key, outcome, wait=wait, levels=levels, tokens=tokens)

    def withdraw(self, ticket: Ticket) -> None:
        """The place was not used: nothing was sent."""
        assert isinstance(ticket, _NumberedTicket)  # noqa: S101 (admit made it)
        self.in_flight -= 1
        self._tell("withdraw", ticket.key)

    def close(self) -> None:
        """Nothing: what is held is freed with each call, or with the actor."""


class RemoteBudget:
    """The run's one budget, as an actor sees it."""

    def __init__(
        self,
        limit: float,
        *,
        ask: Callable[..., Awaitable[Any]],
        tell: Callable[..., None],
        numbers: itertools.count[int],
    ) -> None:
        self.limit: float | None = limit
        self._ask = ask
        self._tell = tell
        self._numbers = numbers
        self._reserved: dict[float, list[int]] = {}

    async def reserve(self, amount: float) -> None:
        """See :meth:`~pytest_ragcheck.gateway.budget.Budget.reserve`."""
        key = next(self._numbers)
        try:
            await self._ask("reserve", key, amount)
        except BaseException:
            self._tell("spend", key, 0.0)
            raise
        self._reserved.setdefault(amount, []).append(key)

    def settle(self, reserved: float, spent: float) -> None:
        """See :meth:`~pytest_ragcheck.gateway.budget.Budget.settle`."""
        self._tell("spend", self._reserved[reserved].pop(), spent)
