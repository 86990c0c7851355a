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
    limit: int = 0
    cached: int = 0
    retries: int = 0
    cost: float = 0.0
    """US dollars."""
    unpriced: int = 0

    @classmethod
    def sum_of(cls, states: Iterable[ProgressState], *, total: int) -> Self:
        """All of several processes' together; ``total`` is their common one."""
        states = list(states)
        sums = {field.name: sum(getattr(state, field.name) for state in states) for field in fields(cls)}
        limit = max((state.limit for state in states), default=0)  # one for all processes
        return cls(**sums | {"total": total, "limit": limit, "asks_models": any(state.asks_models for state in states)})


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
    """``ragcheck: 12/40 questions, 5 s, about 12 s left, 8 calls in flight (limit 16), 3 retries, $0.01, 30 answers``.

    With ``width`` columns a bar stands before it, and what does not fit is left out from the end.
    """
    parts = [f"{state.questions:,}/{state.total:,} questions", _whole(seconds)]
    if left is not None:
        parts.append(f"about {_whole(max(1.0, left))} left")
    if state.asks_models:
        parts.append(f"{figures.plural(state.in_flight, 'call')} in flight (limit {state.limit:,})")
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
