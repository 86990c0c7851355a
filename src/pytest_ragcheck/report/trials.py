"""Trials as text: those of one question, and of all questions of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.table import aligned
from pytest_ragcheck.report.textual import fold, shorten
from pytest_ragcheck.trials import tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_ragcheck.model import Result, Score
    from pytest_ragcheck.trials import Tally

__all__ = ["trial_lines", "trials_summary", "trials_title"]

_NAME_COLUMNS = 24
_MESSAGE_COLUMNS = 300
_SHOWN_TROUBLES = 3
_INDENT = 2
"""Of a table's lines."""


def trials_title(result: Result) -> str:
    """``trials (3)``, ``trials (2 of 5)``."""
    left_out = f" of {result.planned_trials:,}" if result.planned_trials > len(result.trials) else ""
    return f"trials ({len(result.trials):,}{left_out})"


def _came_out(counted: Tally) -> str:
    unjudged = counted.asked - counted.passed - counted.failed
    parts = [f"{counted.passed:,} passed", f"{counted.failed:,} failed"]
    if unjudged:
        parts.append(f"{unjudged:,} could not be measured")
    if counted.planned > counted.asked:
        parts.append(f"{counted.planned - counted.asked:,} left out, as they could not change the verdict")
    return ", ".join(parts)


def _pass_at(counted: Tally) -> str:
    words = {True: "yes", False: "no", None: "not known"}
    return f"pass@{counted.planned} {words[counted.any_passed]}, pass^{counted.planned} {words[counted.all_passed]}"


def trial_lines(result: Result, width: int) -> list[str]:
    """How the trials came out, what each metric gave in them, and why some have no answer or were not run.

    Of each metric the mean, the sample standard deviation, how many trials reach the threshold, and each trial's value.
    No line is wider than ``width``.
    """
    counted = tally(result)
    verdict = [] if counted is None else fold(f"{_came_out(counted)}; {_pass_at(counted)}", width)
    rows = [_row(score, result.trials) for score in result.scores.values() if _is_of_use(score)]
    headings = ("metric", "mean", "sd", "passed", "each trial")
    table = aligned([headings, *rows], width + _INDENT, text_columns={0, 4}) if rows else []
    return [*verdict, *(line[_INDENT:] for line in table), *_troubles(result.trials, width)]


def _is_of_use(score: Score) -> bool:
    return score.value is not None or score.error is not None


def _row(score: Score, trials: Sequence[Result]) -> tuple[str, ...]:
    own = [trial.scores.get(score.metric) for trial in trials]
    measured = [one for one in own if one is not None and one.value is not None]
    passed = sum(not one.below_threshold for one in measured)
    spread = score.details.get("spread")
    return (
        shorten(score.metric, _NAME_COLUMNS),
        "-" if score.value is None else figures.value(score.value),
        figures.value(spread) if isinstance(spread, int | float) else "-",
        "-" if score.threshold is None or not measured else f"{passed:,} of {len(measured):,}",
        " ".join(map(_cell, own)),
    )


def _cell(score: Score | None) -> str:
    if score is None or score.error is not None:
        return "error"
    return "n/a" if score.value is None else figures.value(score.value)


def _troubles(trials: Sequence[Result], width: int) -> Iterator[str]:
    told = [
        (number, f"no answer: {trial.error.message}" if trial.error is not None else f"not run: {trial.not_run}")
        for number, trial in enumerate(trials, start=1)
        if trial.error is not None or trial.not_run is not None
    ]
    for number, message in told[:_SHOWN_TROUBLES]:
        first, *others = fold(f"trial {number}: {shorten(message, _MESSAGE_COLUMNS)}", width - 2, lines=2)
        yield from (first, *(f"  {line}" for line in others))
    if len(told) > _SHOWN_TROUBLES:
        yield f"and {len(told) - _SHOWN_TROUBLES:,} more without an answer"


def trials_summary(results: Iterable[Result], width: int) -> list[str]:
    """How all trials of a run came out, and of how many questions any and all passed; nothing without trials."""
    repeated = [result for result in results if result.trials]
    if not repeated:
        return []
    asked, planned = sum(len(result.trials) for result in repeated), sum(result.planned_trials for result in repeated)
    told = f"{figures.plural(asked, 'trial')} of {figures.plural(len(repeated), 'question')}"
    if asked < planned:
        told = f"{asked:,} of {planned:,} trials (the others could change no verdict)"
    counted = [one for result in repeated if (one := tally(result)) is not None]
    passed, failed = sum(one.passed for one in counted), sum(one.failed for one in counted)
    if passed + failed:
        told += f": {passed:,} of {passed + failed:,} passed"
    lines = fold(told, width)
    for number in sorted({one.planned for one in counted}):
        of_this_number = [one for one in counted if one.planned == number]
        any_passed = _share([one.any_passed for one in of_this_number], "any trial")
        all_passed = _share([one.all_passed for one in of_this_number], "all trials")
        lines += [*fold(f"pass@{number} {any_passed}", width), *fold(f"pass^{number} {all_passed}", width)]
    return lines


def _share(verdicts: Sequence[bool | None], among: str) -> str:
    known = [verdict for verdict in verdicts if verdict is not None]
    if not known:
        return "not known"
    share, passed = figures.value(sum(known) / len(known)), sum(known)
    unknown = f"; {len(verdicts) - len(known):,} not known" if len(known) < len(verdicts) else ""
    return f"{share} ({passed:,} of {figures.plural(len(known), 'question')} passed in {among}{unknown})"
