"""A baseline made from a run, or brought up to date by one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pytest_ragcheck.baseline.entries import Baseline, Dataset, Entry, Setup, entry_of, question_digest
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_ragcheck.model import Result, Run

__all__ = ["digest_in", "is_usable", "repeated", "setup_of", "updated"]

GENERATION = "generation"
NOT_PART_OF_THE_SYSTEM = "questions"
"""Each question has a digest of its own, which does not change with the documents."""
NAME_DIGITS = 8


def updated(baseline: Baseline | None, run: Run) -> Baseline:
    """``baseline`` with the questions of ``run`` as they were measured now; None: there is none yet.

    Questions that the run did not ask, or that have no usable result (:func:`is_usable`), keep their entry, with what
    that was measured with. Questions that are gone from the question file are dropped where the run is complete and
    asked the whole file. Raises ConfigurationError where the run holds a question twice.
    """
    if twice := repeated(run):
        raise ConfigurationError(f"this run cannot become a baseline: {twice}")
    datasets = {} if baseline is None else dict(baseline.datasets)
    for name in sorted({result.question.dataset for result in run.results}):
        datasets[name] = _updated_dataset(datasets.get(name), name, run)
    return Baseline(created=run.started_at, datasets=datasets)


def repeated(run: Run) -> str | None:
    """Says which question stands in the run twice under one variant, so that nothing tells the two apart."""
    counts = Counter((result.question.dataset, result.question.id, result.variant) for result in run.results)
    (dataset, name, _), count = (counts.most_common(1) or [(("", "", ""), 0)])[0]
    return f"question {name!r} of {dataset or 'the run'} has {count} results" if count > 1 else None


def is_usable(result: Result) -> bool:
    """Whether there is an answer, and no metric failed to measure it."""
    measured = all(score.error is None for score in result.scores.values())
    return result.answer is not None and measured and result.state not in {State.ERROR, State.NOT_RUN}


def digest_in(run: Run, result: Result) -> str:
    """The digest of the result's question: of what its file says, or where the run does not know, of what it holds."""
    known = run.datasets.get(result.question.dataset, {})
    return known.get(result.question.id) or question_digest(result.question)


def setup_of(run: Run, dataset: str) -> Setup:
    """What the run measured the dataset with."""
    fingerprint = dict(run.fingerprints.get(dataset, {}))
    fingerprint.pop(NOT_PART_OF_THE_SYSTEM, None)
    results = [result for result in run.results if result.question.dataset == dataset]
    return Setup(
        fingerprint=dict(sorted(fingerprint.items())),
        scoring=dict(sorted(run.scoring.get(dataset, {}).items())),
        models=_models(results),
        versions={name: version for name, version in sorted(run.versions.items()) if name != "pytest"},
    )


def _models(results: Iterable[Result]) -> dict[str, str]:
    named: dict[str, set[str]] = {}
    for result in results:
        for purpose, model in _models_of(result):
            named.setdefault(purpose, set()).add(model)
    return {purpose: ", ".join(sorted(models)) for purpose, models in sorted(named.items())}


def _models_of(result: Result) -> Iterator[tuple[str, str]]:
    for trial in (result, *result.trials):
        if trial.answer is not None and trial.answer.model:
            yield GENERATION, trial.answer.model
        for name, score in trial.scores.items():
            if isinstance(judge := score.details.get("judge"), str):
                yield name, judge
        yield from ((call.purpose, call.model) for call in trial.calls if call.purpose in trial.scores)


def _updated_dataset(old: Dataset | None, name: str, run: Run) -> Dataset:
    results = [result for result in run.results if result.question.dataset == name]
    before = {} if old is None else {entry.key: entry for entry in old.questions}
    measured = dict(_measured(results, run, before))
    kept = {key: entry for key, entry in before.items() if key not in measured}
    if run.complete and _asked(results) >= set(run.datasets.get(name, {"?": ""})):
        kept = {key: entry for key, entry in kept.items() if entry.id in run.datasets[name]}
    now = setup_of(run, name)
    earlier: dict[str, Setup] = {}
    if old is not None:
        kept = {key: _with_setup(entry, old.setup_of(entry), now, earlier) for key, entry in kept.items()}
    questions = sorted([*measured.values(), *kept.values()], key=lambda entry: entry.key)
    return Dataset(setup=now, earlier_setups=dict(sorted(earlier.items())), questions=tuple(questions))


def _measured(
    results: Iterable[Result], run: Run, before: dict[tuple[str, str], Entry]
) -> Iterator[tuple[tuple[str, str], Entry]]:
    for result in results:
        entry = entry_of(result, digest_in(run, result))
        if entry is not None and entry.scores and (is_usable(result) or entry.key not in before):
            yield entry.key, entry


def _asked(results: Iterable[Result]) -> set[str]:
    return {result.question.id for result in results}


def _with_setup(entry: Entry, setup: Setup, now: Setup, earlier: dict[str, Setup]) -> Entry:
    """The entry, which refers to its setup by name where that is not the dataset's; ``earlier`` takes the setup in."""
    if setup == now:
        return replace(entry, setup=None)
    content = json.dumps(asdict(setup), sort_keys=True)
    name = hashlib.sha256(content.encode("ascii")).hexdigest()[:NAME_DIGITS]
    earlier[name] = setup
    return replace(entry, setup=name)
