"""Two runs side by side, as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.colour import Styled, plain
from pytest_ragcheck.report.difference.words import figure_rows, run_facts, score_change, state_change, tally
from pytest_ragcheck.report.table import aligned
from pytest_ragcheck.report.textual import fold, shorten, shorten_left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.model import Run
    from pytest_ragcheck.report.colour import Paint, Style
    from pytest_ragcheck.report.difference.runs import QuestionDifference, RunDifference

__all__ = ["difference_text"]

_LEAST_WIDTH = 40
_NAME_COLUMNS, _ID_COLUMNS = 24, 80
_SHOWN_QUESTIONS, _SHOWN_SCORES, _SHOWN_NAMES = 30, 8, 20


def difference_text(difference: RunDifference, names: tuple[str, str], *, width: int = 80, paint: Paint = plain) -> str:
    """The runs, called by ``names``; each metric's means, money and time, and the questions that changed.

    No line is wider than ``width`` (at least 40).
    """
    width = max(width, _LEAST_WIDTH)
    blocks = [
        [*_run("first", difference.first, names[0], width), *_run("second", difference.second, names[1], width)],
        *_metrics(difference, width, paint),
        aligned(figure_rows(difference), width),
        *_setups(difference, width),
        _questions(difference, width, paint),
        *_alone("only in the first", difference.gone, width),
        *_alone("only in the second", difference.new, width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks)


def _run(which: str, run: Run, name: str, width: int) -> list[str]:
    facts = [f"  {line}" for line in fold("; ".join(run_facts(run)), width - 2)]
    return [f"{which}: {shorten_left(name, width - len(which) - 2)}", *facts]


def _metrics(difference: RunDifference, width: int, paint: Paint) -> list[list[str]]:
    if not difference.metrics:
        return []
    rows: list[Sequence[str]] = [("metric", "first", "second", "change", "questions")]
    for metric in difference.metrics:
        means = figures.value(metric.first), figures.value(metric.second)
        change = _styled(figures.change(metric.change), metric.change)
        rows.append((shorten(metric.metric, _NAME_COLUMNS), *means, change, f"{metric.questions:,}"))
    return [aligned(rows, width, paint=paint)]


def _styled(text: str, change: float) -> str:
    return Styled.of(text, "bad" if change < 0 else "good") if round(change, 9) else text


def _setups(difference: RunDifference, width: int) -> list[list[str]]:
    if not difference.setups:
        return []
    return [fold(f"the runs differ in: {', '.join(difference.setups)}", width)]


def _questions(difference: RunDifference, width: int, paint: Paint) -> list[str]:
    lines = fold(tally(difference), width)
    for question in difference.changed[:_SHOWN_QUESTIONS]:
        lines += _question(question, width, paint)
    more = len(difference.changed) - _SHOWN_QUESTIONS
    return [*lines, f"  and {figures.plural(more, 'more question')}"] if more > 0 else lines


def _question(question: QuestionDifference, width: int, paint: Paint) -> list[str]:
    style: Style | None = "bad" if question.is_worse else "good" if question.is_better else None
    states = state_change(question)
    name = shorten(question.id, min(_ID_COLUMNS, width - len(states) - 4))
    head = f"  {name}  {paint(states, style) if style else states}"
    shown = list(question.scores.items())[:_SHOWN_SCORES]
    rows = [(shorten(metric, _NAME_COLUMNS), *score_change(*pair)) for metric, pair in shown]
    lines = [f"  {line}" for line in aligned(rows, width - 2)] if rows else []
    more = len(question.scores) - _SHOWN_SCORES
    return [head, *lines, *([f"    and {figures.plural(more, 'more score')}"] if more > 0 else [])]


def _alone(title: str, ids: Iterable[str], width: int) -> list[list[str]]:
    ids = list(ids)
    if not ids:
        return []
    named = ", ".join(shorten(name, _ID_COLUMNS) for name in ids[:_SHOWN_NAMES])
    more = f" and {len(ids) - _SHOWN_NAMES:,} more" if len(ids) > _SHOWN_NAMES else ""
    return [fold(f"{title}: {named}{more}", width)]
