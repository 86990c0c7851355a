"""The calls of judged questions, what waits for what, and the least time that they can take."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.model import Result


@dataclass(eq=False)
class Node:
    """One call, with the calls that cannot begin before its end."""

    seconds: float
    pool: str
    """Whose places it takes."""
    before: Sequence[Node] = ()
    after: list[Node] = field(default_factory=list)
    missing: int = 0
    """Calls before it that have not ended."""

    def __post_init__(self) -> None:
        self.missing = len(self.before)
        for node in self.before:
            node.after.append(self)

    @property
    def chain(self) -> float:
        """Seconds from its start to the end of the longest chain of calls that begins with it."""
        return self.seconds + max((node.chain for node in self.after), default=0.0)


def nodes_of(result: Result, latency: Mapping[str, float], *, apart: bool) -> list[Node]:
    """Return the calls of a question, and what waits for what; ``apart``: answers take places of their own.

    A pipeline whose own call gave the answer names that call in the answer's metadata; its contexts come with the
    answer.
    """
    assert result.answer is not None
    of: dict[str, list[float]] = {}
    for call in sorted(result.calls, key=lambda call: call.started):
        of.setdefault(call.purpose, []).append(latency[call.request_id or ""])
    own = result.answer.metadata.get("request_id")
    answer = Node(latency[str(own)] if own else of["generation"][0], "answers" if apart else "gateway")
    contexts = [answer] if own else []
    truths = Node(of["faithfulness"][0], "gateway", contexts)
    claims = Node(of["faithfulness"][1], "gateway", [answer])
    statements = Node(of["answer_relevancy"][0], "gateway", [answer])
    rest = [Node(seconds, "gateway", [truths, claims]) for seconds in of["faithfulness"][2:]]
    rest += [Node(seconds, "gateway", [statements]) for seconds in of["answer_relevancy"][1:]]
    rest += [Node(of[name][0], "gateway", contexts) for name in ("contextual_precision", "contextual_recall")]
    return [answer, truths, claims, statements, *rest]


def schedule(nodes: Sequence[Node], places: Mapping[str, int]) -> float:
    """Return the seconds that list scheduling takes which knows how long each call takes: longest chain first."""
    order = itertools.count()
    ready: dict[str, list[tuple[float, int, Node]]] = {pool: [] for pool in places}
    running: list[tuple[float, int, Node]] = []
    free, now = dict(places), 0.0

    def enqueue(node: Node) -> None:
        heapq.heappush(ready[node.pool], (-node.chain, next(order), node))

    for node in nodes:
        if not node.missing:
            enqueue(node)
    while True:
        for pool, waiting in ready.items():
            while waiting and free[pool]:
                node = heapq.heappop(waiting)[2]
                free[pool] -= 1
                heapq.heappush(running, (now + node.seconds, next(order), node))
        if not running:
            return now
        now, _, node = heapq.heappop(running)
        free[node.pool] += 1
        for later in node.after:
            later.missing -= 1
            if not later.missing:
                enqueue(later)


def find_bound(nodes: Sequence[Node], places: Mapping[str, float]) -> float:
    """Return the seconds of the longest chain, or those of all calls of a pool over its places."""
    work = [sum(node.seconds for node in nodes if node.pool == pool) / places[pool] for pool in places]
    return max(*work, *(node.chain for node in nodes))
