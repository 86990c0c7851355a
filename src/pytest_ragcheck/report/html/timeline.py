"""Where a run's time went, over the whole run: charts on one axis of time, and tables."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.html.charts import area, occupancy
from pytest_ragcheck.report.timing import comparison_rows, obstacle, phase_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.model import Call, Result, Run

__all__ = ["HEIGHT", "WIDTH", "Chart", "Lane", "Timeline", "timeline"]

WIDTH, HEIGHT = 800, 64
"""Of a lane's drawing, in its own units."""
_STEPS = 240
_MOST_TICKS = 6
_PHASES = ("retrieval", "generation", "evaluation")

_Spans = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Lane:
    """How many of something were under way over time; several kinds of it stand on each other."""

    title: str
    areas: tuple[tuple[str, str], ...]
    """Of each kind its name and the path that draws it."""
    highest: float

    @property
    def told(self) -> str:
        """The lane in words."""
        return f"{self.title}: at most {self.highest:,.0f} at once"


class Chart(NamedTuple):
    """One run's lanes."""

    title: str
    lanes: list[Lane]


class Spent(NamedTuple):
    """What the calls of one purpose came to."""

    purpose: str
    calls: int
    cached: int
    attempts: int
    queued: str
    backoff: str
    wire: str
    slowest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What the page of times shows."""

    summary: str
    charts: list[Chart]
    ticks: list[tuple[float, str]]
    """Place on the axis, as a share of its length, and the time there."""
    phases: list[tuple[str, ...]]
    """Rows; the first one holds the headings."""
    compared: list[tuple[str, ...]]
    """Rows of the sequential beside the concurrent run; empty where there are not two runs that can be compared."""
    obstacle: str | None
    """Why they cannot."""
    purposes: list[Spent]


def timeline(run: Run, sequential: Run | None) -> Timeline:
    """The view of ``run``, and beside it of ``sequential``, a run of the same questions one after another."""
    runs = [run] if sequential is None else [run, sequential]
    length = max(end - start for start, end in map(_extent, runs))
    in_the_way = None if sequential is None else obstacle(sequential, run)
    return Timeline(
        summary=_summary(run),
        charts=[Chart(_title(one), _lanes(one, length)) for one in runs],
        ticks=_ticks(length),
        phases=phase_rows(run),
        compared=[] if sequential is None or in_the_way is not None else comparison_rows(sequential, run),
        obstacle=None if in_the_way is None else in_the_way[0],
        purposes=_purposes(run.results),
    )


def _title(run: Run) -> str:
    return f"{run.mode.capitalize()}, {figures.seconds(run.wall)}"


def _extent(run: Run) -> tuple[float, float]:
    """When the first question started and the last one was done; before that the run was set up."""
    timings = [result.timing for result in run.results if result.timing.finished]
    starts, ends = (timing.begun for timing in timings), (timing.finished for timing in timings)
    return min(starts, default=0.0), max(ends, default=run.wall)


def _calls(run: Run) -> list[Call]:
    return [call for result in run.results for call in result.calls]


def _summary(run: Run) -> str:
    calls = _calls(run)
    queued, backoff, wire = (sum(getattr(call, name) for call in calls) for name in ("queued", "backoff", "wire"))
    whole = queued + backoff + wire
    elapsed = f"{figures.seconds(run.wall)} from the first question's start to the last one's end"
    if not whole:
        return f"{elapsed}."
    shares = (
        f"{wire / whole:.0%} on the wire, {queued / whole:.0%} waiting for a free place under the limits, "
        f"{backoff / whole:.0%} waiting between attempts"
    )
    took = f"{figures.seconds(whole)} that {figures.plural(len(calls), 'model call')} took"
    return f"{elapsed}. Of the {took}, {shares}."


def _lanes(run: Run, length: float) -> list[Lane]:
    begin, _ = _extent(run)
    asked = [result for result in run.results if result.not_run is None]
    calls = [call for call in _calls(run) if not call.cached]
    if not calls:
        return [_lane("Questions, by phase", [(phase, _phase_spans(asked, phase)) for phase in _PHASES], begin, length)]
    waits = [("queued", [_queued(call) for call in calls]), ("backoff", [_backoff(call) for call in calls])]
    return [
        _lane(
            "Questions under way",
            [("question", [(one.timing.started, one.timing.finished) for one in asked])],
            begin,
            length,
        ),
        _lane("Calls on the wire", [("wire", [_wire(call) for call in calls])], begin, length),
        _lane("Calls waiting", waits, begin, length),
    ]


def _phase_spans(results: Iterable[Result], phase: str) -> _Spans:
    spans = (getattr(result.timing, f"{phase}_span") for result in results)
    return [span for span in spans if span is not None]


def _queued(call: Call) -> tuple[float, float]:
    return call.started, call.started + call.queued


def _backoff(call: Call) -> tuple[float, float]:
    start = call.started + call.queued
    return start, start + call.backoff


def _wire(call: Call) -> tuple[float, float]:
    start = call.started + call.queued + call.backoff
    return start, start + call.wire


def _lane(title: str, kinds: Sequence[tuple[str, _Spans]], begin: float, length: float) -> Lane:
    levels = [[0.0] * _STEPS]
    for _, spans in kinds:
        moved = [(start - begin, end - begin) for start, end in spans]
        levels.append([below + more for below, more in zip(levels[-1], occupancy(moved, length, _STEPS), strict=True)])
    highest = max(levels[-1])
    areas = [
        (name, area(below, above, highest, WIDTH, HEIGHT))
        for (name, spans), below, above in zip(kinds, levels, levels[1:], strict=False)
        if spans
    ]
    return Lane(title, tuple(areas), highest)


def _ticks(end: float) -> list[tuple[float, str]]:
    """Round times, at most seven of them."""
    if end <= 0:
        return []
    power = 10.0 ** math.floor(math.log10(end / _MOST_TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if end / (power * factor) <= _MOST_TICKS)
    times = [index * step for index in range(int(end / step) + 1)]
    return [(time / end, figures.seconds(time) if time else "0") for time in times]


def _purposes(results: Iterable[Result]) -> list[Spent]:
    by_purpose: defaultdict[str, list[Call]] = defaultdict(list)
    for result in results:
        for call in result.calls:
            by_purpose[call.purpose].append(call)
    return [_spent(purpose, calls) for purpose, calls in by_purpose.items()]


def _spent(purpose: str, calls: Sequence[Call]) -> Spent:
    return Spent(
        purpose=purpose,
        calls=len(calls),
        cached=sum(call.cached for call in calls),
        attempts=sum(call.attempts for call in calls),
        queued=figures.seconds(sum(call.queued for call in calls)),
        backoff=figures.seconds(sum(call.backoff for call in calls)),
        wire=figures.seconds(sum(call.wire for call in calls)),
        slowest=figures.seconds(max(call.wire for call in calls)),
    )
