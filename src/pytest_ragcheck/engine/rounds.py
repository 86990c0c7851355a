"""Trials of many questions round by round."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from pytest_ragcheck.model import Result

__all__ = ["Rounds"]


class Rounds:
    """Lets questions go on to their next trial together, until ``is_decided`` says of all of them that none is needed.

    It is given each question's trials so far by its key, after each round. A question that cannot be asked leaves.
    """

    def __init__(
        self, keys: Iterable[Hashable], is_decided: Callable[[Mapping[Hashable, Sequence[Result]]], bool]
    ) -> None:
        self._members = set(keys)
        self._is_decided = is_decided
        self._done: dict[Hashable, Sequence[Result]] = {}
        self._arrived: set[Hashable] = set()
        self._next: asyncio.Future[bool] | None = None

    async def another(self, key: Hashable, done: Sequence[Result]) -> bool:
        """Wait for the others, and return whether there is a further round; ``done``: the question's trials so far."""
        self._done[key] = tuple(done)
        self._arrived.add(key)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        awaited = self._next
        self._end_if_complete()
        return await asyncio.shield(awaited)

    def leave(self, key: Hashable) -> None:
        """Wait for this question no more."""
        self._members.discard(key)
        self._end_if_complete()

    def _end_if_complete(self) -> None:
        if self._next is not None and self._arrived >= self._members:
            self._next.set_result(not self._is_decided(self._done))
            self._next, self._arrived = None, set()
