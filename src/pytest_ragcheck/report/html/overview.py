"""The run at a glance: states, faults, metrics, groups of questions, and what the run was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.aggregate import by_question_file, metric_summaries
from pytest_ragcheck.report.calls import calls_lines
from pytest_ragcheck.report.html.charts import histogram
from pytest_ragcheck.report.html.entries import fault_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_ragcheck.comparison import Comparison, MetricChange
    from pytest_ragcheck.model import Result, Run
    from pytest_ragcheck.report.aggregate import MetricSummary
    from pytest_ragcheck.report.html.charts import Bar

__all__ = ["Card", "Group", "Overview", "overview"]

_CHARACTERS_A_LINE = 10_000
"""More than any line has: the page breaks lines by itself."""
_TONES = {
    Verdict.BETTER: "good",
    Verdict.SAME: "good",
    Verdict.REGRESSED: "bad",
    Verdict.INCONCLUSIVE: "unsure",
    Verdict.JUDGE_DRIFTED: "unsure",
    Verdict.NOT_COMPARABLE: "unsure",
    Verdict.INVALID: "bad",
}
_FAULTS = {
    "retriever": "gold was not retrieved, or too low",
    "generator": "the answer is not what its contexts say",
    "retriever or generator": "the answer misses the reference, and no gold tells whose fault it is",
    "judge": "a metric could not be judged",
    "measurement": "a metric could not be measured",
}


class Group(NamedTuple):
    """Questions that have something in common, and what became of them."""

    name: str
    counts: Counter[State]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One metric."""

    summary: MetricSummary
    bars: list[Bar]
    threshold: float | None
    """None where there is none, or not one for all questions."""
    difference: float | None
    """Of the mean against the baseline."""
    change: MetricChange | None
    """The same with its verdict, where there is one for this question file alone."""

    @property
    def tone(self) -> str:
        """How the change is to be taken."""
        return "" if self.change is None else _TONES[self.change.verdict]

    @property
    def distribution(self) -> str:
        """The histogram in words."""
        shown = [f"{bar.count:,} from {bar.low:.1f} to {bar.high:.1f}" for bar in self.bars if bar.count]
        return f"Distribution of {figures.plural(self.summary.measured, 'value')}: {', '.join(shown) or 'none'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the first page shows."""

    headline: str
    tone: str
    states: list[tuple[State, int]]
    expected: int
    """Questions that failed as expected (xfail); they count among ``states`` too."""
    faults: list[tuple[str, str, int]]
    """Where the fault lies, what that means, and of how many questions."""
    metrics: dict[str, list[Card]]
    """Cards by question file."""
    groupings: list[tuple[str, str, list[Group]]]
    """A heading, the filter that selects a group, and the groups."""
    causes: list[tuple[str, int]]
    """Why answers and scores could not be had, the most frequent first."""
    facts: list[tuple[str, str]]


def overview(run: Run, comparison: Comparison | None) -> Overview:
    """The view of ``run``, and of its ``comparison`` with a baseline."""
    headline, tone = _headline(run, comparison)
    counts = Counter(result.state for result in run.results)
    return Overview(
        headline=headline,
        tone=tone,
        states=[(state, counts[state]) for state in State],
        expected=sum(result.expected_failure for result in run.results),
        faults=_faults(run.results),
        metrics=_cards(run.results, comparison),
        groupings=_groupings(run.results),
        causes=_causes(run.results),
        facts=_facts(run),
    )


def _headline(run: Run, comparison: Comparison | None) -> tuple[str, str]:
    if comparison is not None:
        return comparison.verdict.value.capitalize(), _TONES[comparison.verdict]
    counts = Counter(result.state for result in run.results if not result.expected_failure)
    count = len(run.results)
    total = figures.plural(count, "question")
    bad = [f"{counts[state]:,} {word}" for state, word in _BAD if counts[state]]
    if bad:
        return f"{' and '.join(bad)} of {total}", "bad" if counts[State.FAILED] else "unsure"
    if counts[State.NOT_RUN]:
        return f"{counts[State.NOT_RUN]:,} of {total} not run", "unsure"
    if not count:
        return "No question was asked", "unsure"
    if counts.total() < count:
        return f"{counts[State.PASSED]:,} of {total} passed, the others failed as expected", "good"
    return f"All {total} passed" if count > 1 else "The one question passed", "good"


_BAD = ((State.FAILED, "failed"), (State.ERROR, "could not be measured"))


def _faults(results: Iterable[Result]) -> list[tuple[str, str, int]]:
    counts = Counter(fault_place(result) for result in results)
    return [(name, meaning, counts[name]) for name, meaning in _FAULTS.items() if counts[name]]


def _cards(results: Sequence[Result], comparison: Comparison | None) -> dict[str, list[Card]]:
    """By question file; the gate's verdict on a metric is about all files together, and stands at the only one."""
    files = by_question_file(results)
    changes = {} if comparison is None or len(files) > 1 else comparison.metrics
    return {
        name: [
            _card(
                summary,
                own,
                None if comparison is None else comparison.difference_in(name, summary.metric),
                changes.get(summary.metric),
            )
            for summary in metric_summaries(own)
        ]
        for name, own in files.items()
    }


def _card(
    summary: MetricSummary, results: Iterable[Result], difference: float | None, change: MetricChange | None
) -> Card:
    scores = [result.scores[summary.metric] for result in results if summary.metric in result.scores]
    thresholds = {score.threshold for score in scores if score.measured}
    return Card(
        summary=summary,
        bars=histogram(scores),
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        difference=difference if change is None else change.difference,
        change=change,
    )


def _groupings(results: Sequence[Result]) -> list[tuple[str, str, list[Group]]]:
    """By what results differ; what is the same for all of them tells nothing."""
    made = [
        ("Tag", "tag", _grouped(results, lambda result: result.question.tags)),
        ("Question file", "dataset", _grouped(results, lambda result: (result.question.dataset,))),
        ("Variant", "variant", _grouped(results, lambda result: (result.variant,))),
    ]
    return [(heading, name, groups) for heading, name, groups in made if len(groups) > 1 or (groups and name == "tag")]


def _grouped(results: Iterable[Result], names_of: Callable[[Result], Iterable[str]]) -> list[Group]:
    counts: dict[str, Counter[State]] = {}
    for result in results:
        for name in names_of(result):
            counts.setdefault(name, Counter())[result.state] += 1
    groups = [Group(name, states, states.total()) for name, states in counts.items()]
    return sorted(groups, key=lambda group: (group.counts[State.PASSED] / group.total, -group.total, group.name))


def _causes(results: Iterable[Result]) -> list[tuple[str, int]]:
    failures = [
        failure
        for result in results
        for failure in (result.error, *(score.error for score in result.scores.values()))
        if failure is not None
    ]
    return Counter(failure.kind for failure in failures).most_common()


def _facts(run: Run) -> list[tuple[str, str]]:
    facts = [
        ("Mode", run.mode),
        ("Time", f"{figures.seconds(run.wall)}, and {figures.seconds(run.setup)} to set up"),
    ]
    if run.model_calls is not None:
        lines = calls_lines(run.model_calls, width=_CHARACTERS_A_LINE).splitlines()
        facts += [
            ("Model calls", lines[0]),
            *((line.partition(": ")[0].capitalize(), line.partition(": ")[2]) for line in lines[1:]),
        ]
    models = dict.fromkeys(call.model for result in run.results for call in result.calls)
    if models:
        facts.append(("Models", ", ".join(models)))
    return facts
