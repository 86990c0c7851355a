"""Trials of many questions round by round."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

    from pytest_ragcheck.model import Result

__all__ = ["Rounds"]


class Rounds:
    """Asks questions in at most ``most`` rounds: all in the first, then those that ``choose`` names after each round.

    It is given the trials so far of all questions by their keys, and names none where the rounds end. A question that
    sits one round out waits, as it may be chosen after the next one. One that cannot be asked leaves.
    """

    def __init__(
        self,
        keys: Iterable[Hashable],
        choose: Callable[[Mapping[Hashable, Sequence[Result]]], Collection[Hashable]],
        *,
        most: int,
    ) -> None:
        self._asked = set(keys)
        """Questions of this round that are not done with it."""
        self._choose = choose
        self._left = most - 1
        self._done: dict[Hashable, Sequence[Result]] = {}
        self._waiting: dict[Hashable, asyncio.Future[bool]] = {}

    async def another(self, key: Hashable, done: Sequence[Result]) -> bool:
        """Wait for the others, and return whether to ask this question again; ``done``: its trials so far."""
        self._done[key] = tuple(done)
        self._asked.discard(key)
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        self._end_round_if_complete()
        return await waiting

    def leave(self, key: Hashable) -> None:
        """Wait for this question no more."""
        self._asked.discard(key)
        self._end_round_if_complete()

    def _end_round_if_complete(self) -> None:
        if self._asked or not self._waiting:
            return
        self._asked = self._waiting.keys() & set(self._choose(self._done))
        self._left -= 1
        may_follow = self._asked and self._left
        for key in [key for key in self._waiting if key in self._asked or not may_follow]:
            waiting = self._waiting.pop(key)
            if not waiting.done():  # it is where its question was cancelled
                waiting.set_result(key in self._asked)
