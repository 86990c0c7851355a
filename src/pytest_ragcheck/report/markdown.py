"""A run as Markdown: for a pull request's comment, or a step's summary in CI."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.aggregate import NO_QUESTION_FILE, summaries_by_file
from pytest_ragcheck.report.calls import calls_lines
from pytest_ragcheck.report.markdown_text import code, collapsed, fenced, table
from pytest_ragcheck.report.question import first_line, question_report
from pytest_ragcheck.report.rerun import rerun_command
from pytest_ragcheck.report.timing import timing_table
from pytest_ragcheck.report.trials import trials_summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.model import Result, Run
    from pytest_ragcheck.report.aggregate import MetricSummary

__all__ = ["MOST_CHARACTERS", "markdown_report"]

MOST_CHARACTERS = 65_000
"""GitHub takes comments of 65,536 characters and a step's summary of 1 MiB; some is left for words around it."""

_WIDTH = 100
_NAME_COLUMNS, _ID_COLUMNS, _SUMMARY_COLUMNS = 40, 60, 160
_SHOWN_METRICS, _SHOWN_KNOWN = 60, 100


def markdown_report(run: Run, comparison: Comparison | None = None, *, limit: int = MOST_CHARACTERS) -> str:
    """The verdict, the metrics, and every question that did not pass, folded away under its first line.

    With ``comparison`` the gate's verdict too. Where the text would have more than ``limit``
    characters, questions are left out, those that broke against the baseline last; a note counts them.
    """
    head = [_title(run), *_gate(comparison, limit), _states(run.results), *_trials(run), *_metrics(run)]
    tail = [*_known(run), _figures(run), _footer(run)]
    room = limit - sum(len(part) + 2 for part in (*head, *tail))
    return "\n\n".join([*head, *_questions(_broken_first(run, comparison), room), *tail]) + "\n"


def _title(run: Run) -> str:
    bad, expected = len(_missed(run, expected=False)), len(_missed(run, expected=True))
    asked = figures.plural(len(run.results), "question")
    known = f"{expected:,} known not to pass" if expected else ""
    if bad:
        outcome = f"{bad:,} of {asked} did not pass" + (f", beside {known}" if known else "")
    elif left := sum(result.state is State.NOT_RUN for result in run.results):
        outcome = f"{left:,} of {asked} not run" + (f", {known}" if known else "")
    else:
        outcome = f"{asked}, none failed" + (f" but {known}" if known else "")
    return f"## RAG: {outcome}" + ("" if run.complete else " (stopped early)")


def _missed(run: Run, *, expected: bool) -> list[Result]:
    """What did not pass, as expected or not."""
    missed = [result for result in run.results if result.state in {State.FAILED, State.ERROR}]
    return [result for result in missed if result.expected_failure is expected]


def _gate(comparison: Comparison | None, limit: int) -> list[str]:
    """The gate's verdict; its first line alone where the rest would take more than half of what there is."""
    if comparison is None:
        return []
    from pytest_ragcheck.report.gate_markdown import gate_markdown

    text = gate_markdown(comparison).strip()
    return [text if len(text) <= limit // 2 else text.partition("\n")[0]]


def _states(results: Iterable[Result]) -> str:
    counts = Counter(result.state for result in results)
    return ", ".join(f"{counts[state]:,} {state.value}" for state in State if counts[state] or state is State.PASSED)


def _trials(run: Run) -> list[str]:
    lines = trials_summary(run.results, _WIDTH)
    return [", ".join(lines)] if lines else []


def _metrics(run: Run) -> list[str]:
    """A table; of several question files each has rows of its own."""
    files = summaries_by_file(run.results)
    rows = [
        [*([code(name or NO_QUESTION_FILE, _ID_COLUMNS)] if len(files) > 1 else []), *_row(one)]
        for name, summaries in files.items()
        for one in summaries
    ]
    if not rows:
        return []
    headings = ["metric", "mean", "95 %", "least", "passed", "n/a", "errors", "least in"]
    if len(files) > 1:
        headings.insert(0, "question file")
    more = len(rows) - _SHOWN_METRICS
    rest = figures.plural(more, "more row" if len(files) > 1 else "more metric")
    shown = table([headings, *rows[:_SHOWN_METRICS]], text_columns=2 if len(files) > 1 else 1)
    return [shown, *([f"and {rest}"] if more > 0 else [])]


def _row(summary: MetricSummary) -> list[str]:
    passed = f"{summary.passed:,} of {summary.judged:,}" if summary.judged else "-"
    return [
        code(summary.metric, _NAME_COLUMNS),
        "-" if summary.mean is None else figures.value(summary.mean),
        figures.interval(summary.interval),
        "-" if summary.least is None else figures.value(summary.least),
        passed if summary.passed == summary.judged else f"**{passed}**",
        f"{summary.not_applicable:,}",
        f"**{summary.errors:,}**" if summary.errors else "0",
        "-" if summary.least_id is None else code(summary.least_id, _ID_COLUMNS),
    ]


def _broken_first(run: Run, comparison: Comparison | None) -> list[Result]:
    """What did not pass; what broke against the baseline before what was known."""
    broken = set() if comparison is None else {(one.dataset, one.id, one.variant) for one in comparison.broken}
    bad = _missed(run, expected=False)
    return sorted(bad, key=lambda result: (result.question.dataset, result.question.id, result.variant) not in broken)


def _questions(results: Sequence[Result], room: int) -> list[str]:
    """As many questions as there is room for, and a note that counts the others."""
    if not results:
        return []
    blocks = ["### Questions that did not pass"]
    note = f"{len(results):,} more did not pass; they are left out to keep this within GitHub's limit."
    room -= len(blocks[0]) + len(note) + 4
    for shown, result in enumerate(results):
        block = _question(result)
        room -= len(block) + 2
        if room < 0:
            return [*blocks, note.replace(f"{len(results):,}", f"{len(results) - shown:,}", 1)]
        blocks.append(block)
    return blocks


def _question(result: Result) -> str:
    report = question_report(result, width=_WIDTH, rerun=rerun_command(result))
    return collapsed(code(first_line(result), _SUMMARY_COLUMNS), fenced(report))


def _known(run: Run) -> list[str]:
    """The ids of the questions that failed as expected."""
    known = _missed(run, expected=True)
    if not known:
        return []
    lines = [f"- {code(first_line(result), _SUMMARY_COLUMNS)}" for result in known[:_SHOWN_KNOWN]]
    more = [f"- and {len(known) - _SHOWN_KNOWN:,} more"] if len(known) > _SHOWN_KNOWN else []
    return [collapsed("Known not to pass (xfail)", "\n".join([*lines, *more]))]


def _figures(run: Run) -> str:
    texts = [timing_table(run, width=_WIDTH)]
    if run.model_calls is not None:
        texts.insert(0, calls_lines(run.model_calls, width=_WIDTH))
    return collapsed("Cost and timing", fenced("\n\n".join(texts)))


def _footer(run: Run) -> str:
    version = run.versions.get("pytest-ragcheck", "")
    return f"<sub>pytest-ragcheck {code(version, _NAME_COLUMNS)}, run of {code(run.started_at, _NAME_COLUMNS)}</sub>"
