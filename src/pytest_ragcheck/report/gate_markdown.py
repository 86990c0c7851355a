"""The gate's verdict as Markdown: for a pull request's comment, or a step's summary in CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.gate_words import (
    compared_questions,
    dropped_most,
    fall_of,
    gold_ranks,
    known_failures,
    measured_share,
    part_changes,
    question_name,
    remedies,
    verdict_of,
    visible_drop,
)
from pytest_ragcheck.report.markdown_text import code, collapsed, sentence, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.comparison import Comparison, MetricChange, QuestionChange

__all__ = ["gate_markdown"]

NAME_COLUMNS, ID_COLUMNS, LINE_COLUMNS = 40, 80, 300
SHOWN_REASONS, SHOWN_METRICS, SHOWN_QUESTIONS, SHOWN_GOLD, SHOWN_NAMES, SHOWN_PARTS = 8, 40, 20, 6, 30, 30

_MARKS = {
    Verdict.BETTER: "✅",
    Verdict.SAME: "✅",
    Verdict.INCONCLUSIVE: "⚠️",
}
_FAILS = "❌"


def gate_markdown(comparison: Comparison) -> str:
    """The verdict with the weightiest reason, the metrics, broken questions with their cause, and the remedy.

    Texts from outside stand as ``<code>``, where nothing in them is a link, a mention or a tag.
    """
    names = _names(comparison)
    blocks = [
        _title(comparison, names),
        _list(sentence(reason, names, LINE_COLUMNS) for reason in comparison.reasons[1:SHOWN_REASONS]),
        _counts(comparison),
        _metrics(comparison),
        _broken(comparison),
        _dropped(comparison),
        _rest(comparison, names),
        "\n".join(f"**To do:** {remedy}" for remedy in remedies(comparison)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _names(comparison: Comparison) -> set[str]:
    """What reasons and notes may name."""
    lists = (comparison.new, comparison.gone, comparison.reworded, comparison.missing, comparison.unmeasured)
    metrics = {name for change in comparison.questions for name in change.scores}
    questions = {change.id for change in comparison.questions}
    return {*comparison.metrics, *metrics, *questions, *(name for names in lists for name in names)}


def _title(comparison: Comparison, names: set[str]) -> str:
    verdict = comparison.verdict
    reason = f": {sentence(comparison.reasons[0], names, LINE_COLUMNS)}" if comparison.reasons else ""
    return f"### {_MARKS.get(verdict, _FAILS)} RAG gate: {verdict.value}{reason}"


def _counts(comparison: Comparison) -> str:
    against = f"{code(comparison.baseline_name, ID_COLUMNS)} of {code(comparison.baseline_created, NAME_COLUMNS)}"
    return f"{compared_questions(comparison)} with {against}{measured_share(comparison)}"


def _metrics(comparison: Comparison) -> str:
    if not comparison.metrics:
        return ""
    headings = ["metric", "verdict", "before", "now", "change", "95 %", "visible drop", "questions"]
    changes = list(comparison.metrics.values())
    rows = [headings, *(_metric_row(change, comparison) for change in changes[:SHOWN_METRICS])]
    more = len(changes) - SHOWN_METRICS
    return table(rows, text_columns=2) + (f"\n\nand {figures.plural(more, 'more metric')}" if more > 0 else "")


def _metric_row(change: MetricChange, comparison: Comparison) -> list[str]:
    interval = change.interval
    verdict = verdict_of(change, comparison)
    return [
        code(change.metric, NAME_COLUMNS),
        verdict if change.verdict in {Verdict.SAME, Verdict.INCONCLUSIVE} else f"**{verdict}**",
        figures.value(change.baseline),
        figures.value(change.value),
        figures.change(change.difference),
        "-" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}",
        visible_drop(change),
        f"{change.questions:,}",
    ]


def _broken(comparison: Comparison) -> str:
    broken = comparison.broken
    if not broken:
        return ""
    lines = [f"**{figures.plural(len(broken), 'question')} broke**", ""]
    for change in broken[:SHOWN_QUESTIONS]:
        lines += _question(change)
    if len(broken) > SHOWN_QUESTIONS:
        lines.append(f"- and {len(broken) - SHOWN_QUESTIONS:,} more")
    return "\n".join(lines)


def _question(change: QuestionChange) -> list[str]:
    cause = "" if change.cause is None else f" ({change.cause.value})"
    breaks = [
        f"{code(name, NAME_COLUMNS)} {_arrows(fall_of(score))}" for name, score in change.scores.items() if score.broke
    ]
    lines = [f"- {code(question_name(change), ID_COLUMNS)}: {'; '.join(breaks)}{cause}"]
    lines += [f"  - {_arrows(gold_ranks(gold))}: {code(gold.label, LINE_COLUMNS)}" for gold in change.gold[:SHOWN_GOLD]]
    return lines


def _arrows(text: str) -> str:
    return text.replace("->", "→")


def _dropped(comparison: Comparison) -> str:
    return _list(
        f"{code(metric, NAME_COLUMNS)} fell most in {_listed([question_name(one) for one in changes])}"
        for metric, changes in dropped_most(comparison).items()
    )


def _rest(comparison: Comparison, names: set[str]) -> str:
    known = known_failures(comparison)
    lists = (
        ("without a result", comparison.missing),
        ("could not be measured", comparison.unmeasured),
        ("reworded, not compared", comparison.reworded),
        ("new, not in the baseline", comparison.new),
        ("gone from the question file", comparison.gone),
    )
    lines = [known] if known else []
    lines += [f"{title}: {_listed(found)}" for title, found in lists if found]
    lines += [sentence(note, names, LINE_COLUMNS) for note in comparison.notes]
    parts = part_changes(comparison)
    lines += [f"changed: {code(part, LINE_COLUMNS)}" for part in parts[:SHOWN_PARTS]]
    if len(parts) > SHOWN_PARTS:
        lines.append(f"and {len(parts) - SHOWN_PARTS:,} more changed")
    return collapsed("What else is different", _list(lines)) if lines else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(code(name, ID_COLUMNS) for name in names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES:,} more"


def _list(entries: Iterable[str]) -> str:
    return "\n".join(f"- {entry}" for entry in entries)
