"""Judging stored answers of the baseline anew, to tell a judge that moved from a system that did."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.errors import MeasurementError, NotRunError, RagcheckError
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.report.calls import dollars
from pytest_ragcheck.report.figures import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pytest_ragcheck.baseline.datasets import QuestionFile
    from pytest_ragcheck.baseline.drift import Drift, Rejudged, StoredAnswer
    from pytest_ragcheck.baseline.file import Baseline
    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.model import Run
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog

__all__ = ["judged_changes", "rejudge"]

_MOVED = frozenset({Verdict.REGRESSED, Verdict.BETTER})


def judged_changes(comparison: Comparison) -> list[str]:
    """Metrics under which the run moved, or a question broke, and that a judge measures."""
    from pytest_ragcheck.metrics.registry import metric_names, required_inputs

    moved = [name for name, change in comparison.metrics.items() if change.verdict in _MOVED]
    moved += [name for change in comparison.broken for name in change.broke]
    known = set(metric_names())
    return [name for name in dict.fromkeys(moved) if name in known and "judge" in required_inputs(name)]


def rejudge(
    run: Run, baseline: Baseline, names: Sequence[str], *, options: Options, files: Mapping[str, QuestionFile]
) -> tuple[Drift | None, str]:
    """What today's judge says of some answers of the baseline, and a line about it.

    None where no stored answer is at hand with its contexts, or none could be judged. Asks the judge past the store,
    which keeps what it has, within what is left of ``--ragcheck-max-cost``. ``files``: the question file of each
    dataset.
    """
    from pytest_ragcheck.baseline.changes import context_texts
    from pytest_ragcheck.baseline.drift import Drift, stored_answers

    stored = stored_answers(baseline, run, metrics=names, texts=context_texts(run.results))
    if not stored:
        return None, "whether the judge moved is not known: of no stored answer are all contexts at hand"
    scores: list[Rejudged] = []
    spent = 0.0
    for dataset, answers in _by_dataset(stored).items():
        if dataset in files:
            found, cost = _judged_anew(files[dataset], answers, names, _afresh(options, run, spent))
            scores += found
            spent += cost
    if not scores:
        return None, "whether the judge moved is not known: no stored answer could be judged again"
    judged = plural(len({score.key for score in scores}), "stored answer")
    told = f"judged again, to tell whether the judge moved: {judged} of the baseline"
    return Drift(scores=tuple(scores)), told + (f", for {dollars(spent)}" if spent else "")


def _afresh(options: Options, run: Run, spent: float) -> Options:
    """Past the store, and with what is left of the budget."""
    before = run.model_calls.cost if run.model_calls is not None else 0.0
    left = None if options.max_cost is None else max(0.0, options.max_cost - before - spent)
    return replace(options, cache="off", max_cost=left, trials=1, verbose=False, metrics=None)


def _by_dataset(stored: Collection[StoredAnswer]) -> dict[str, list[StoredAnswer]]:
    found: dict[str, list[StoredAnswer]] = {}
    for answer in stored:
        found.setdefault(answer.key[0], []).append(answer)
    return found


def _judged_anew(
    file: QuestionFile, answers: Sequence[StoredAnswer], names: Sequence[str], options: Options
) -> tuple[list[Rejudged], float]:
    """The scores, and what they cost in US dollars."""
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog

    catalog = SuiteCatalog(options, file.configured_in)
    try:
        folder, questions = file.configured_in, file.questions
        suite = catalog.suite(folder, questions=questions, metrics=dict.fromkeys(names), configured_in=folder)
        # With a loop factory the Runner leaves the thread's current event loop alone.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            scores = runner.run(_all_scores(catalog, suite.metrics, answers))
        return scores, sum(snapshot.cost for snapshot in catalog.gateways.snapshots())
    except RagcheckError:
        return [], 0.0
    finally:
        catalog.close()


async def _all_scores(
    catalog: SuiteCatalog, metrics: Sequence[Metric], answers: Sequence[StoredAnswer]
) -> list[Rejudged]:
    wanted = [(metric, answer) for answer in answers for metric in metrics if metric.name in answer.scores]
    try:
        scores = await asyncio.gather(*(_score(metric, answer) for metric, answer in wanted))
    finally:
        await catalog.gateways.close()
    return [score for score in scores if score is not None]


async def _score(metric: Metric, stored: StoredAnswer) -> Rejudged | None:
    from pytest_ragcheck.baseline.drift import Rejudged

    case = Case(question=stored.question, contexts=stored.answer.contexts, answer=stored.answer)
    try:
        score = await metric.measure(case)
    except (MeasurementError, NotRunError):
        return None
    if score.value is None:
        return None
    return Rejudged(key=stored.key, metric=metric.name, baseline=stored.scores[metric.name], value=score.value)
