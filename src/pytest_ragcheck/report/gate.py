"""The gate's verdict as text: what it is, what it rests on, which questions broke and why, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.colour import Styled, plain
from pytest_ragcheck.report.gate_words import (
    breaks_of,
    counts_of,
    dropped_most,
    gold_change,
    headline,
    known_failures,
    part_changes,
    question_name,
    remedies,
    verdict_of,
    visible_drop,
)
from pytest_ragcheck.report.table import aligned
from pytest_ragcheck.report.textual import fold, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.comparison import Comparison, MetricChange, QuestionChange
    from pytest_ragcheck.report.colour import Paint, Style

__all__ = ["gate_report"]

LEAST_WIDTH = 40
NAME_COLUMNS, ID_COLUMNS = 24, 80
SHOWN_QUESTIONS, SHOWN_GOLD, SHOWN_PARTS, SHOWN_NAMES = 10, 4, 12, 10
LABEL_LINES = 2

STYLES: dict[Verdict, Style] = {
    Verdict.BETTER: "good",
    Verdict.SAME: "good",
    Verdict.REGRESSED: "bad",
    Verdict.INCONCLUSIVE: "unsure",
    Verdict.JUDGE_DRIFTED: "bad",
    Verdict.NOT_COMPARABLE: "bad",
    Verdict.INVALID: "bad",
}
_HEADINGS = ("metric", "before", "now", "change", "95 %", "verdict", "visible")


def gate_report(comparison: Comparison, *, width: int = 80, paint: Paint = plain) -> str:
    """The verdict with the weightiest reason, the metrics, broken questions with their cause, and the remedy.

    ``visible`` is the least mean drop that these questions would show. No line is wider than ``width`` (at least 40).
    """
    width = max(width, LEAST_WIDTH)
    blocks = [
        _head(comparison, width, paint),
        _metrics(comparison, width, paint),
        _broken(comparison, width),
        _dropped(comparison, width),
        _rest(comparison, width),
        _titled("to do", remedies(comparison), width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(comparison: Comparison, width: int, paint: Paint) -> list[str]:
    first, *more = _hanging(headline(comparison), width)
    verdict = comparison.verdict.value
    lines = [first.replace(verdict, paint(verdict, STYLES[comparison.verdict]), 1), *more]
    for reason in comparison.reasons[1:]:
        lines += _indented(_hanging(reason, width - 2))
    return lines + _hanging(counts_of(comparison), width)


def _metrics(comparison: Comparison, width: int, paint: Paint) -> list[str]:
    if not comparison.metrics:
        return []
    rows = [_HEADINGS, *(_metric_row(change, comparison) for change in comparison.metrics.values())]
    lines = aligned(rows, width, text_columns={0, 5}, paint=paint)
    if any(change.smallest_visible_drop is not None for change in comparison.metrics.values()):
        lines += _indented(
            fold("visible: the least drop of the mean that would be found four times in five", width - 2)
        )
    return lines


def _metric_row(change: MetricChange, comparison: Comparison) -> tuple[str, ...]:
    return (
        shorten(change.metric, NAME_COLUMNS),
        figures.value(change.baseline),
        figures.value(change.value),
        figures.change(change.difference),
        "-" if change.interval is None else " ".join(f"{bound:+.2f}" for bound in change.interval),
        Styled.of(verdict_of(change, comparison), STYLES[change.verdict]),
        visible_drop(change),
    )


def _broken(comparison: Comparison, width: int) -> list[str]:
    broken = comparison.broken
    if not broken:
        return []
    lines = [f"{figures.plural(len(broken), 'question')} broke"]
    for change in broken[:SHOWN_QUESTIONS]:
        lines += _indented(_question(change, width - 2))
    return lines + _more(len(broken) - SHOWN_QUESTIONS, width)


def _question(change: QuestionChange, width: int) -> list[str]:
    lines = _hanging(f"{question_name(change)}: {breaks_of(change)}", width)
    if change.cause is not None:
        lines += _indented(_hanging(change.cause.value, width - 2))
    for gold in change.gold[:SHOWN_GOLD]:
        lines += _indented(fold(gold_change(gold), width - 2, lines=LABEL_LINES))
    return lines


def _dropped(comparison: Comparison, width: int) -> list[str]:
    lines: list[str] = []
    for metric, changes in dropped_most(comparison).items():
        lines.append(f"{shorten(metric, NAME_COLUMNS)} fell most in")
        for change in changes:
            score = change.scores[metric]
            moved = figures.move(score.baseline, score.value)
            cause = "" if change.cause is None else f", {change.cause.value}"
            lines += _indented(_hanging(f"{question_name(change)}: {moved}{cause}", width - 2))
    return lines


def _rest(comparison: Comparison, width: int) -> list[str]:
    lines: list[str] = []
    if known := known_failures(comparison):
        lines += _hanging(known, width)
    for title, names in (
        ("without a result", comparison.missing),
        ("could not be measured", comparison.unmeasured),
        ("reworded, not compared", comparison.reworded),
        ("new, not in the baseline", comparison.new),
        ("gone from the question file", comparison.gone),
    ):
        if names:
            lines += _hanging(f"{title}: {_listed(names)}", width)
    for note in comparison.notes:
        lines += _hanging(note, width)
    parts = part_changes(comparison)
    if parts:
        lines += _titled("changed since the baseline", parts[:SHOWN_PARTS], width)
        lines += _more(len(parts) - SHOWN_PARTS, width)
    return lines


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(shorten(name, ID_COLUMNS) for name in names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES:,} more"


def _titled(title: str, entries: Iterable[str], width: int) -> list[str]:
    lines = [line for entry in entries for line in _indented(_hanging(entry, width - 2))]
    return [title, *lines] if lines else []


def _more(count: int, width: int) -> list[str]:
    return _indented(fold(f"and {count:,} more", width - 2)) if count > 0 else []


def _hanging(text: str, width: int) -> list[str]:
    first, *others = fold(text, width - 2) or [""]
    return [first, *_indented(others)]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
