"""What a mock model API saw in each second: calls that arrived, were accepted, refused and answered, and in flight."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_ragcheck.testing.stats import Exchange

__all__ = ["Second", "count_by_second"]

REFUSED = frozenset({429, 503, 529})
"""Statuses of a server that does not begin with a call."""


@dataclass(slots=True, kw_only=True)
class Second:
    """Counts of one second after the arrival of the first call."""

    second: int
    arrived: int = 0
    accepted: int = 0
    """Of those that arrived, those that the server began to work on."""
    refused: int = 0
    """Of those that arrived, those that were answered with 429, 503 or 529."""
    answered: int = 0
    """Messages that were sent whole in this second."""
    in_flight: int = 0
    """Most accepted calls at once."""


def count_by_second(calls: Sequence[Exchange], *, now: float) -> list[Second]:
    """Count calls by second, without gaps, from the first call's arrival to ``now`` or the last call's end."""
    if not calls:
        return []
    first = min(call.arrival for call in calls)
    end = now if any(call.finish is None for call in calls) else max(call.finish or now for call in calls)
    seconds = [Second(second=number) for number in range(int(end - first) + 1)]
    for call in calls:
        arrived = seconds[int(call.arrival - first)]
        arrived.arrived += 1
        if call.status in REFUSED:
            arrived.refused += 1
        elif call.attempt:  # neither invalid nor without the right key
            arrived.accepted += 1
        if call.outcome == "reply" and call.finish is not None:
            seconds[int(call.finish - first)].answered += 1
    _count_in_flight(seconds, list(_changes(calls, first)))
    return seconds


def _changes(calls: Sequence[Exchange], first: float) -> Iterator[tuple[float, int]]:
    """Yield when accepted calls began (+1) and ended (-1)."""
    for call in calls:
        if call.attempt and call.status not in REFUSED:
            yield call.arrival - first, 1
            if call.finish is not None:
                yield call.finish - first, -1


def _count_in_flight(seconds: Sequence[Second], changes: Sequence[tuple[float, int]]) -> None:
    starts = [(float(second.second), 0) for second in seconds]  # who is in flight as a second begins counts in it
    in_flight = 0
    for at, change in sorted(chain(changes, starts)):  # of one moment, ends come before starts
        in_flight += change
        here = seconds[int(at)]
        here.in_flight = max(here.in_flight, in_flight)
