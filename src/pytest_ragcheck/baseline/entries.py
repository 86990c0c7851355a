"""What a baseline keeps of a run: for each question its scores, and enough of the rest to tell what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping  # noqa: TC003 (pydantic resolves the annotations at run time)
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from pytest_ragcheck.report.gold import group_ranks
from pytest_ragcheck.run_file import whole_characters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_ragcheck.model import Context, Passage, Question, Result

__all__ = [
    "SCHEMA_VERSION",
    "Baseline",
    "Dataset",
    "Entry",
    "KeptContext",
    "KeptGold",
    "Setup",
    "answered_trials",
    "context_digest",
    "entry_of",
    "question_digest",
    "text_digest",
]

SCHEMA_VERSION = 1
QUESTION_DIGITS = 16
"""Hexadecimal digits of a question's digest: enough to tell questions of one file from their earlier form."""
LABEL_CHARACTERS = 80


class KeptContext(NamedTuple):
    """Where a context stood, and the SHA-256 of its text."""

    source: str | None
    start: int | None
    end: int | None
    sha256: str


class KeptGold(NamedTuple):
    """A gold group by its first passage, and the rank at which it was retrieved; None: it was not."""

    label: str
    rank: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One question under one variant. ``scores`` and ``answers`` hold a value for each trial that has an answer."""

    id: str
    variant: str = ""
    question: str
    """Digest of what the question file says: question, earlier turns, reference, gold, facts, answerable."""
    scores: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """By metric; None where that trial's score could not be measured."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    gold: tuple[KeptGold, ...] = ()
    contexts: tuple[KeptContext, ...] = ()
    """Of the first trial, best first."""
    answers: tuple[str, ...] = ()
    """SHA-256 of each trial's answer."""
    answer: str = ""
    """The text of the first trial's answer."""
    setup: str | None = None
    """The name of the earlier setup that it was measured with; None: the dataset's."""

    def mean(self, metric: str) -> float | None:
        """The metric's mean over the trials; None where none was measured."""
        measured = [value for value in self.scores.get(metric, ()) if value is not None]
        return fmean(measured) if measured else None

    @property
    def key(self) -> tuple[str, str]:
        """Tells it from the other entries of its dataset; entries stand in this order."""
        return self.id, self.variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What scores were measured with."""

    fingerprint: Mapping[str, str] = field(default_factory=dict)
    """The system under test: documents, chunking, embedder, generator, prompt, ..."""
    scoring: Mapping[str, str] = field(default_factory=dict)
    """The measure: by metric what its values depend on beside question, contexts and answer."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The models' names as the servers told them: of ``generation``, and of each judged metric."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One question file's part."""

    setup: Setup
    """Of the last run that updated it."""
    earlier_setups: Mapping[str, Setup] = field(default_factory=dict)
    """By name, those of questions that the last run did not update."""
    questions: tuple[Entry, ...] = ()

    def setup_of(self, entry: Entry) -> Setup:
        """What the entry was measured with."""
        return self.setup if entry.setup is None else self.earlier_setups[entry.setup]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Scores to compare later runs with, by dataset."""

    schema_version: int = SCHEMA_VERSION
    created: str
    """ISO 8601, UTC: when the run started that it was last updated from."""
    datasets: Mapping[str, Dataset] = field(default_factory=dict)


def question_digest(question: Question) -> str:
    """A digest of what decides how an answer is measured; not of tags, thresholds and the place in the file."""
    groups = [sorted(map(_passage_parts, group), key=repr) for group in question.gold]
    facts = [list(fact) for fact in question.must_contain]
    turns = [[turn.role, turn.text] for turn in question.history]
    parts = [question.question, turns, question.reference, groups, facts, question.answerable]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:QUESTION_DIGITS]


def _passage_parts(passage: Passage) -> list[str | int | None]:
    text = None if passage.text is None else " ".join(passage.text.split())
    return [passage.source, passage.start, passage.end, text]


def text_digest(text: str) -> str:
    """SHA-256 of a text of whole characters, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def context_digest(context: Context) -> str:
    """SHA-256 of the context's text, in hexadecimal."""
    return text_digest(whole_characters(context.text))


def answered_trials(result: Result) -> tuple[Result, ...]:
    """The repetitions that have an answer; of a question asked once the result itself."""
    return tuple(trial for trial in result.trials or (result,) if trial.answer is not None)


def entry_of(result: Result, digest: str) -> Entry | None:
    """What is kept of a result; None where there is no answer. ``digest`` is the question's."""
    trials = answered_trials(result)
    if not trials:
        return None
    answers = [whole_characters(trial.answer.text) for trial in trials if trial.answer is not None]
    return Entry(
        id=result.question.id,
        variant=result.variant,
        question=digest,
        scores=_scores(trials),
        thresholds={
            name: score.threshold for name, score in sorted(result.scores.items()) if score.threshold is not None
        },
        gold=tuple(KeptGold(passage_label(passage), rank) for passage, rank in group_ranks(trials[0])),
        contexts=_contexts(trials[0]),
        answers=tuple(map(text_digest, answers)),
        answer=answers[0],
    )


def _scores(trials: Iterable[Result]) -> dict[str, tuple[float | None, ...]]:
    names = sorted({name for trial in trials for name, score in trial.scores.items() if score.measured})
    return {
        name: tuple(trial.scores[name].value if name in trial.scores else None for trial in trials) for name in names
    }


def _contexts(trial: Result) -> tuple[KeptContext, ...]:
    found = () if trial.answer is None else sorted(trial.answer.contexts, key=lambda context: context.rank)
    return tuple(KeptContext(context.source, context.start, context.end, context_digest(context)) for context in found)


def passage_label(passage: Passage) -> str:
    """Where a gold passage stands, and the start of its text."""
    text = " ".join((passage.text or "").split())
    if passage.start is None and passage.source is not None:  # the whole document, whatever it says
        return passage.source
    shown = text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"
    return ": ".join(part for part in (passage.source, shown) if part)
