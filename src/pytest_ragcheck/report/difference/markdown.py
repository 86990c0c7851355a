"""Two runs side by side, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.difference.words import figure_rows, run_facts, score_change, state_change, tally
from pytest_ragcheck.report.markdown_text import code, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_ragcheck.report.difference.runs import QuestionDifference, RunDifference

__all__ = ["difference_markdown"]

_NAME_COLUMNS, _ID_COLUMNS = 24, 60
_SHOWN_METRICS, _SHOWN_QUESTIONS, _SHOWN_SCORES, _SHOWN_NAMES = 60, 40, 5, 30


def difference_markdown(difference: RunDifference, names: tuple[str, str]) -> str:
    """The same as :func:`~pytest_ragcheck.report.difference.text.difference_text`, for a comment or a step's summary.

    Texts are cut, and of many questions the weightiest are shown, so that it fits a comment on GitHub.
    """
    runs = [["run", "file", "started", "mode", "states"]]
    for which, run, name in (("first", difference.first, names[0]), ("second", difference.second, names[1])):
        runs.append([which, *(code(fact, _ID_COLUMNS) for fact in (name, *run_facts(run)))])
    blocks = [
        "## RAG: two runs",
        table(runs, text_columns=len(runs[0])),
        *_metrics(difference),
        table(figure_rows(difference)),
        *_setups(difference),
        f"### {tally(difference)}",
        *_questions(difference),
        *_alone("Only in the first", difference.gone),
        *_alone("Only in the second", difference.new),
    ]
    return "\n\n".join(blocks) + "\n"


def _metrics(difference: RunDifference) -> list[str]:
    if not difference.metrics:
        return []
    rows = [["metric", "first", "second", "change", "questions"]]
    for metric in difference.metrics[:_SHOWN_METRICS]:
        means = figures.value(metric.first), figures.value(metric.second)
        rows.append(
            [code(metric.metric, _NAME_COLUMNS), *means, figures.change(metric.change), f"{metric.questions:,}"]
        )
    return [table(rows)]


def _setups(difference: RunDifference) -> list[str]:
    if not difference.setups:
        return []
    return [f"The runs differ in: {', '.join(code(name, _NAME_COLUMNS) for name in difference.setups[:_SHOWN_NAMES])}"]


def _questions(difference: RunDifference) -> list[str]:
    if not difference.changed:
        return []
    rows = [["question", "state", "scores"], *(_row(question) for question in difference.changed[:_SHOWN_QUESTIONS])]
    more = len(difference.changed) - _SHOWN_QUESTIONS
    return [table(rows, text_columns=3), *([f"and {figures.plural(more, 'more question')}"] if more > 0 else [])]


def _row(question: QuestionDifference) -> list[str]:
    scores = [
        f"{code(metric, _NAME_COLUMNS)} {' '.join(score_change(*pair))}".rstrip().replace(" -> ", " → ")
        for metric, pair in list(question.scores.items())[:_SHOWN_SCORES]
    ]
    more = len(question.scores) - _SHOWN_SCORES
    states = state_change(question).replace(" -> ", " → ")
    return [
        code(question.id, _ID_COLUMNS),
        f"**{states}**" if question.is_worse else states,
        "<br>".join([*scores, *([f"and {more:,} more"] if more > 0 else [])]),
    ]


def _alone(title: str, ids: Iterable[str]) -> list[str]:
    ids = list(ids)
    if not ids:
        return []
    named = ", ".join(code(name, _ID_COLUMNS) for name in ids[:_SHOWN_NAMES])
    return [f"{title}: {named}" + (f" and {len(ids) - _SHOWN_NAMES:,} more" if len(ids) > _SHOWN_NAMES else "")]
