"""Documents embedded side by side by the actors, for the driver's store and index."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.session.cluster.member import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_ragcheck.rag.embedding import Embedder
    from pytest_ragcheck.session.cluster.crew import Crew
    from pytest_ragcheck.session.cluster.member import Member
    from pytest_ragcheck.session.cluster.messages import EmbedderBrief, Greeting

__all__ = ["ClusterEmbedder"]

LOSSES_ALLOWED = 3
"""Actors that may end over a group of texts."""


class ClusterEmbedder:
    """An :class:`~pytest_ragcheck.rag.embedding.GroupEmbedder` whose work the actors do.

    Each group of texts goes to one actor whole, as it would go to the embedder here: so its vectors are the same,
    whatever the number of actors.
    """

    def __init__(self, here: Embedder, *, crew: Crew, brief: EmbedderBrief, greeting: Greeting) -> None:
        self.fingerprint = here.fingerprint
        self._crew = crew
        self._brief = brief
        self._greeting = greeting

    def load(self) -> None:
        """Have one actor load the model."""
        self.embed([])

    def embed(self, texts: Sequence[str]) -> Any:
        """One row of unit length for each text."""
        return next(self.embed_groups([texts]))

    def embed_groups(self, groups: Sequence[Sequence[str]]) -> Iterator[Any]:
        """For each group, in order, its rows."""
        work = _Work(self._crew, groups, self._brief, self._greeting)
        for number in range(len(groups)):
            while number not in work.done:
                work.go_on()
            yield work.done.pop(number)


class _Work:
    """Groups that wait, those that actors are at, and those that are done; an actor is given one at a time."""

    def __init__(self, crew: Crew, groups: Sequence[Sequence[str]], brief: EmbedderBrief, greeting: Greeting) -> None:
        self.done: dict[int, Any] = {}
        self._crew = crew
        self._groups = groups
        self._brief = brief
        self._greeting = greeting
        self._waiting = deque(range(len(groups)))
        self._losses: Counter[int] = Counter()
        self._under_way: dict[Any, tuple[int, Member, int | None]] = {}
        """By reference: seat, actor and group; None where it is only looked whether the actor has started."""
        for seat in range(min(crew.size, len(groups))):
            self._look(seat)

    def go_on(self) -> None:
        """Wait until an actor has something, and give it more."""
        ray = self._crew.ray
        ready, _ = ray.wait(list(self._under_way), num_returns=1, timeout=self._crew.patience)
        if not ready:
            raise self._crew.no_room()
        seat, member, number = self._under_way.pop(ready[0])
        try:
            found = ray.get(ready[0])
        except ray.exceptions.RayTaskError as problem:
            raise getattr(problem, "cause", problem) from None
        except ray.exceptions.RayError as problem:
            self._lost(seat, member, number, problem)
            return
        self._crew.has_started()
        if number is not None:
            self.done[number] = found
        if self._waiting:
            self._give(seat, member, self._waiting.popleft())

    def _look(self, seat: int) -> None:
        member = self._crew.seated(seat)
        self._under_way[member.actor.ping.remote()] = seat, member, None

    def _give(self, seat: int, member: Member, number: int) -> None:
        reference = member.actor.embed.remote(self._brief, self._greeting, list(self._groups[number]))
        self._under_way[reference] = seat, member, number

    def _lost(self, seat: int, member: Member, number: int | None, problem: Exception) -> None:
        self._crew.dismiss(seat, member)
        if number is not None:
            self._waiting.appendleft(number)
        lost = -1 if number is None else number
        self._losses[lost] += 1
        if self._losses[lost] >= LOSSES_ALLOWED:
            raise ConfigurationError(f"the Ray cluster cannot embed the documents: {cause_of(problem)}")
        self._look(seat)
