"""How far a batch is, as one line."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.calls import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Pace", "ProgressState", "progress_line"]

_BAR = 20
_MINUTE = 60
_NOT_SUMMED = {"total", "asks_models", "limit", "held_by", "held_seconds"}
_PACE_SECONDS = 30.0
"""How far back the pace looks: what came from the cache at the start must not promise too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressState:
    """What was done up to a moment, in one process or in all."""

    questions: int
    """Questions that have their result."""
    total: int
    answers: int = 0
    scores: int = 0
    asks_models: bool = False
    """Whether a gateway is open; without one all that follows is 0."""
    in_flight: int = 0
    limit: int | None = None
    """Calls that may be in flight, where that is what holds calls back."""
    held_by: str = ""
    """What holds calls back, as :class:`~pytest_ragcheck.gateway.limiter.LimiterState` names it."""
    held_seconds: float = 0.0
    cached: int = 0
    retries: int = 0
    cost: float = 0.0
    """US dollars."""
    unpriced: int = 0

    @classmethod
    def sum_of(cls, states: Iterable[ProgressState], *, total: int) -> Self:
        """All of several processes' together; ``total`` is their common one."""
        states = list(states)
        summed = {field.name for field in fields(cls)} - _NOT_SUMMED
        sums = {name: sum(getattr(state, name) for state in states) for name in summed}
        held = max(states, key=lambda one: (one.held_by not in {"", "limit"}, one.held_seconds), default=None)
        limits = [state.limit for state in states if state.limit is not None]
        return cls(
            **sums,
            total=total,
            asks_models=any(state.asks_models for state in states),
            limit=max(limits, default=None),  # one for all processes
            held_by=held.held_by if held is not None else "",
            held_seconds=held.held_seconds if held is not None else 0.0,
        )


class Pace:
    """Tells how much longer it will take, from what was done lately."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def left(self, now: float, done: int, total: int) -> float | None:
        """Seconds until all is done; None where nothing was done lately, or nothing is left. ``now`` never falls."""
        self._looks.append((now, done))
        while len(self._looks) > 1 and now - self._looks[1][0] >= _PACE_SECONDS:
            self._looks.popleft()
        then, before = self._looks[0]
        if done == before or done >= total or now <= then:
            return None
        return (total - done) * (now - then) / (done - before)


def progress_line(state: ProgressState, *, seconds: float, left: float | None = None, width: int | None = None) -> str:
    """``ragcheck: 12/40 questions, 5 s, about 12 s left, 8 of 16 calls in flight, 3 retries, $0.01, 30 answers``.

    With ``width`` columns a bar stands before it, and what does not fit is left out from the end.
    """
    parts = [f"{state.questions:,}/{state.total:,} questions", _whole(seconds)]
    if left is not None:
        parts.append(f"about {_whole(max(1.0, left))} left")
    if state.asks_models:
        parts.append(_calls(state))
    if state.retries:
        parts.append(figures.plural(state.retries, "retry", "retries"))
    if state.cost or state.unpriced:
        parts.append(dollars(state.cost) + (" and calls of unknown price" if state.unpriced else ""))
    if state.answers:
        parts.append(figures.plural(state.answers, "answer"))
    if state.scores:
        parts.append(figures.plural(state.scores, "score"))
    if state.cached:
        parts.append(f"{state.cached:,} from the cache")
    if width is None:
        return f"ragcheck: {', '.join(parts)}"
    return _fitting(f"ragcheck {_bar(state)} ", parts, width)


def _calls(state: ProgressState) -> str:
    """The calls in flight, and what keeps more from being sent."""
    flying = f"{figures.plural(state.in_flight, 'call')} in flight"
    soon = f"{max(state.held_seconds, 0.1):.0f} s" if state.held_seconds >= 1 else "a moment"
    if state.held_by == "limit" and state.limit is not None:
        return f"{state.in_flight:,} of {figures.plural(state.limit, 'call')} in flight"
    reasons = {
        "rate": "at the rate limit",
        "retry-after": f"the server asks to wait {soon}",
        "refusals": f"refused by the server, next try in {soon}",
        "overload": f"the server is overloaded, next try in {soon}",
        "pace": f"paced by 429s: {_pace(state.held_seconds)}",
    }
    return f"{flying}, {reasons[state.held_by]}" if state.held_by in reasons else flying


def _pace(interval: float) -> str:
    return f"{1 / interval:.0f} a second" if 0 < interval < 1 else f"{_MINUTE / max(interval, 1.0):.0f} a minute"


def _whole(seconds: float) -> str:
    return f"{seconds:.0f} s" if round(seconds) < _MINUTE else figures.seconds(seconds)


def _bar(state: ProgressState) -> str:
    filled = _BAR * state.questions // max(state.total, 1)
    head = ">" if filled < _BAR else ""
    return f"[{'=' * filled}{head}{' ' * (_BAR - filled - len(head))}]"


def _fitting(start: str, parts: list[str], width: int) -> str:
    line = start + parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) > width:
            break
        line += f", {part}"
    return line[:width]
