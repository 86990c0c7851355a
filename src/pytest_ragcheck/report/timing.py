"""Where a run's time went, and how a sequential run compares with a concurrent one.

Two different things are called a phase's time where questions run side by side: its *work*, the seconds
that each question spent in it added up; and the time *elapsed* while at least one question was in it,
which is what a clock on the wall would show. One by one the two are the same.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.table import aligned
from pytest_ragcheck.report.textual import fold, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_ragcheck.model import Result, Run

__all__ = [
    "comparison_rows",
    "first_comparable",
    "last_comparable",
    "obstacle",
    "phase_rows",
    "timing_comparison",
    "timing_table",
]

_LEAST_WIDTH = 40
_ID_COLUMNS = 60
_SHOWN_SLOWEST = 3
_PHASES = ("retrieval", "generation", "evaluation")
_LEAST_REMAINDER = 0.000_5
"""Seconds: less than half a millisecond between the phases is not worth a line."""

_REFRESH_SEQUENTIAL = ("pytest --ragcheck --ragcheck-sequential --ragcheck-cache refresh",)
_REFRESH_BOTH = ("pytest --ragcheck --ragcheck-cache refresh", *_REFRESH_SEQUENTIAL)


def timing_table(run: Run, *, width: int = 80) -> str:
    """The seconds of each phase, added over the questions, and the wall time; then what the answers took.

    No line is wider than ``width`` columns (at least 40).
    """
    width = max(width, _LEAST_WIDTH)
    asked = _asked(run)
    side_by_side = run.mode != "sequential"
    title = fold(f"timing ({run.mode}, {_questions_asked(run, asked)})", width)
    table = aligned(phase_rows(run), width, text_columns={0, 5})
    notes = [line for note in _notes(run, asked, side_by_side=side_by_side) for line in _note(note, width)]
    return "\n".join([*title, *table, *notes])


def _questions_asked(run: Run, asked: Sequence[Result]) -> str:
    if len(asked) == len(run.results):
        return figures.plural(len(asked), "question")
    return f"{len(asked):,} of {figures.plural(len(run.results), 'question')} asked"


def _asked(run: Run) -> list[Result]:
    return [result for result in run.results if result.not_run is None]


def phase_rows(run: Run) -> list[tuple[str, ...]]:
    """The table's headings, and a row for each phase: work, elapsed, per question, the slowest and its question."""
    asked = _asked(run)
    setup = figures.seconds(run.setup)
    work = sum(_spent_in(phase)(result) for phase in _PHASES for result in asked)
    rows: list[tuple[str, ...]] = [
        ("phase", "work", "elapsed", "per question", "slowest", "question"),
        (_phase_name(run, "setup"), setup, setup, "", "", ""),
        *(_phase_row(run, asked, phase) for phase in _PHASES),
    ]
    if run.mode == "sequential" and run.wall - work >= _LEAST_REMAINDER:
        rows.append(("in between", "", figures.seconds(run.wall - work), "", "", ""))
    return [*rows, ("total", figures.seconds(run.setup + work), figures.seconds(run.setup + run.wall), "", "", "")]


def _phase_row(run: Run, asked: Sequence[Result], phase: str) -> tuple[str, ...]:
    spent, elapsed = _spent_in(phase), _elapsed(run, phase)
    work = sum(map(spent, asked))
    shown = (_phase_name(run, phase), figures.seconds(work), "-" if elapsed is None else figures.seconds(elapsed))
    if not asked:
        return *shown, "", "", ""
    slowest = max(asked, key=spent)
    return *shown, figures.seconds(work / len(asked)), figures.seconds(spent(slowest)), _id_of(slowest)


def _phase_name(run: Run, phase: str) -> str:
    return f"{phase} (cached)" if phase in run.cached_phases else phase


def _spent_in(phase: str) -> Callable[[Result], float]:
    return attrgetter(f"timing.{phase}")


def _id_of(result: Result) -> str:
    return shorten(result.question.id, _ID_COLUMNS)


def _elapsed(run: Run, phase: str) -> float | None:
    """Seconds in which at least one question was in ``phase``; None where that was not noted."""
    asked = _asked(run)
    if run.mode == "sequential":
        return sum(map(_spent_in(phase), asked))
    spans = []
    for result in asked:
        span: tuple[float, float] | None = getattr(result.timing, f"{phase}_span")
        if span is not None:
            spans.append(span)
        elif _spent_in(phase)(result):
            return None
    return _covered(spans)


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return covered


def _note(text: str, width: int) -> list[str]:
    first, *others = fold(text, width - 4)
    return ["  " + first, *("    " + line for line in others)]


def _notes(run: Run, asked: Sequence[Result], *, side_by_side: bool) -> list[str]:
    notes = []
    if side_by_side and len(asked) > 1:
        notes.append("phases overlap: elapsed is by the clock, work adds up each question's time")
    notes += _answer_notes(_each_trial(asked))
    if asked:
        slowest = sorted(asked, key=attrgetter("timing.total"), reverse=True)[:_SHOWN_SLOWEST]
        named = "; ".join(f"{_id_of(result)}, {figures.seconds(result.timing.total)}" for result in slowest)
        notes.append(f"slowest {'question' if len(slowest) == 1 else 'questions'}: {named}")
    notes += _call_notes(asked)
    if not run.complete:
        notes.append("the run was stopped early: these are the times until then")
    return notes


def _each_trial(asked: Iterable[Result]) -> list[Result]:
    return [trial for result in asked for trial in result.trials or (result,)]


def _answer_notes(asked: Sequence[Result]) -> list[str]:
    answers = [result.answer for result in asked if result.answer is not None]
    if answers and not any(answer.generated for answer in answers):
        return []
    generated = [result for result in asked if result.answer is not None and not result.answer.cached]
    cached = len(answers) - len(generated)
    characters = sum(len(answer.text) for answer in answers)
    whole = f"{len(answers):,} of {len(asked):,}, {figures.plural(characters, 'character')} in all"
    notes = [f"answers: {whole}, {cached:,} from the cache"]
    if generated:
        average = sum(map(_answering, generated)) / len(generated)
        left_out = ", those from the cache left out" if cached else ""
        notes.append(f"average per answer: {figures.seconds(average)}{left_out}")
    return notes


def _answering(result: Result) -> float:
    """Without what the question waited for a place, where that is known."""
    latency = None if result.answer is None else result.answer.latency
    return result.timing.generation if latency is None else latency


def _call_notes(asked: Sequence[Result]) -> list[str]:
    calls = [call for result in asked for call in result.calls]
    if not calls:
        return []
    queued, backoff = sum(call.queued for call in calls), sum(call.backoff for call in calls)
    waits = f"waited {figures.seconds(queued)} for a place, {figures.seconds(backoff)} to retry"
    return [f"model calls: {len(calls):,}, {sum(call.cached for call in calls):,} from the cache; {waits}"]


def first_comparable(run: Run, others: Iterable[Run]) -> Run | None:
    """The first of ``others``, runs in the other mode, whose times can be compared with those of ``run``."""
    return next((other for other in others if obstacle(run, other) is None), None)


def last_comparable(sequential: Run, concurrent: Iterable[Run]) -> Run | None:
    """Of concurrent runs, newest first, the first that can be compared; else the newest, to say what is in the way."""
    runs = iter(concurrent)
    newest = next(runs, None)
    return None if newest is None else first_comparable(sequential, chain([newest], runs)) or newest


def timing_comparison(sequential: Run, concurrent: Run | None, *, width: int = 80) -> str:
    """What each phase took one by one and side by side, and how much faster that is; only what both runs measured.

    Where the two cannot be compared fairly (an answer or a judgement came from the cache, the questions
    differ, there is no concurrent run), the reason instead, and the command that makes it possible.
    No line is wider than ``width`` columns (at least 40).
    """
    width = max(width, _LEAST_WIDTH)
    if concurrent is None:
        return _no_comparison("there is no concurrent run", _REFRESH_BOTH, width)
    in_the_way = obstacle(sequential, concurrent)
    if in_the_way is not None:
        return _no_comparison(*in_the_way, width)
    title = f"timing, sequential against concurrent (run of {shorten(concurrent.started_at, 40)})"
    rows = comparison_rows(sequential, concurrent)
    return "\n".join([*fold(title, width), *aligned(rows, width, text_columns={0, 3})])


def comparison_rows(sequential: Run, concurrent: Run) -> list[tuple[str, ...]]:
    """The table's headings, and for each phase what it took in either run and how much faster that is."""
    return [
        ("phase", "sequential", "concurrent", ""),
        _compared("setup", sequential.setup, concurrent.setup, cached=_any_cached(sequential, concurrent, "setup")),
        *(_compared_phase(sequential, concurrent, phase) for phase in _PHASES),
        _compared("all questions", sequential.wall, concurrent.wall),
    ]


def _compared_phase(sequential: Run, concurrent: Run, phase: str) -> tuple[str, ...]:
    before, after = _elapsed(sequential, phase), _elapsed(concurrent, phase)
    return _compared(phase, before, after, cached=_any_cached(sequential, concurrent, phase))


def _any_cached(one: Run, other: Run, phase: str) -> bool:
    return phase in one.cached_phases or phase in other.cached_phases


def _compared(phase: str, before: float | None, after: float | None, *, cached: bool = False) -> tuple[str, ...]:
    shown = ["-" if duration is None else figures.seconds(duration) for duration in (before, after)]
    if cached:
        return phase, *shown, "from the cache"
    if before is None or after is None:
        return phase, *shown, "not noted"
    return phase, *shown, figures.ratio(before, after)


def _no_comparison(reason: str, commands: Iterable[str], width: int) -> str:
    lines = fold(f"no comparison of sequential with concurrent timing: {reason}; to get one:", width)
    return "\n".join([*lines, *(line for command in commands for line in _note(command, width))])


def obstacle(sequential: Run, concurrent: Run) -> tuple[str, tuple[str, ...]] | None:
    """Why the runs' times cannot be compared, and the commands that make it possible."""
    problem = _difference(sequential, concurrent)
    if problem is not None:
        return problem, _REFRESH_BOTH
    for run, command in ((concurrent, _REFRESH_BOTH), (sequential, _REFRESH_SEQUENTIAL)):
        problem = _unfit(run)
        if problem is not None:
            return f"in the {run.mode} run {problem}", command
    return None


def _difference(one: Run, other: Run) -> str | None:
    questions, others = _asked_questions(one), _asked_questions(other)
    if questions != others:
        common = (questions & others).total()
        return (
            f"the runs asked different questions ({questions.total():,} and {others.total():,}, {common:,} in common)"
        )
    if _metrics(one) != _metrics(other):
        return "the runs measured different metrics"
    if len(_each_trial(_asked(one))) != len(_each_trial(_asked(other))):
        return "the runs did not repeat the questions equally often"
    differing = {
        name
        for dataset in one.fingerprints.keys() & other.fingerprints.keys()
        for name, digest in one.fingerprints[dataset].items()
        if other.fingerprints[dataset].get(name, digest) != digest
    }
    return f"the runs differ in {shorten(', '.join(sorted(differing)), 40)}" if differing else None


def _asked_questions(run: Run) -> Counter[tuple[str, str]]:
    return Counter((result.question.dataset, result.question.id) for result in run.results if result.not_run is None)


def _metrics(run: Run) -> set[str]:
    return {name for result in run.results for name in result.scores}


def _unfit(run: Run) -> str | None:
    if not run.complete:
        return "not all questions were asked: it was stopped early"
    asked = _each_trial(_asked(run))
    if not asked:
        return "no question was asked"
    failed = sum(result.answer is None for result in asked)
    if failed:
        return f"{figures.plural(failed, 'question')} got no answer"
    cached = sum(result.answer is not None and result.answer.cached for result in asked)
    if cached:
        return f"{cached:,} of {figures.plural(len(asked), 'answer')} came from the cache"
    calls = [call for result in asked for call in result.calls]
    cached = sum(call.cached for call in calls)
    return f"{cached:,} of {figures.plural(len(calls), 'model call')} came from the cache" if cached else None
