"""The nouns: what a question, an answer, a score and a run are.

Frozen values without behaviour beyond what follows from their own fields. They hold only
strings, numbers, booleans, tuples and mappings, so that every one of them is plain JSON.
Times are seconds, money is US dollars, offsets are Python string indices into a document's text.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic resolves the annotations at run time)
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "NOT_RUN",
    "Answer",
    "Call",
    "Chunk",
    "Context",
    "Document",
    "Failure",
    "GoldGroup",
    "ModelCalls",
    "Passage",
    "Planned",
    "Question",
    "Result",
    "Run",
    "Score",
    "State",
    "Timing",
    "Turn",
    "Usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document's extracted text; ``source`` is its path relative to the configuration."""

    source: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A relevant place: a whole document, a span ``[start, end)`` of one, or a quoted ``text``.

    A quote is resolved to a span when the documents are at hand; without documents (somebody
    else's pipeline) it is looked for in the text of the contexts.
    """

    source: str | None = None
    start: int | None = None
    end: int | None = None
    text: str | None = None


NOT_RUN = "not-run"
"""Kind of a failure that is a call which was not made on purpose: the budget is spent, or the cache mode forbids it."""

GoldGroup = tuple[Passage, ...]
"""Passages of which any one satisfies the question (the same fact told on two pages)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side said earlier in a conversation."""

    role: str
    """``user`` or ``assistant``."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One row of a dataset."""

    id: str
    question: str
    dataset: str = ""
    """The question file, relative to pytest's root folder, and in brackets the configuration, where that is not the
    nearest one above the file; ids are unique within it."""
    reference: str | None = None
    """The expected answer."""
    gold: tuple[GoldGroup, ...] = ()
    """What retrieval must find: every group, and of each group any one passage."""
    must_contain: tuple[tuple[str, ...], ...] = ()
    """Facts that an answer must state, each as its accepted spellings."""
    tags: tuple[str, ...] = ()
    answerable: bool = True
    """False where the documents do not hold the answer, and a refusal is right."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """This question's own least values, over those of the configuration."""
    line: int | None = None
    """Where the row starts in its file, counted from 1."""
    history: tuple[Turn, ...] = ()
    """What was said before the question, oldest first: user and assistant in turn, the assistant last."""

    @property
    def transcript(self) -> str:
        """The question as one text with what was said before, a line for each turn; without earlier turns itself."""
        if not self.history:
            return self.question
        turns = (*self.history, Turn(role="user", text=self.question))
        return "\n".join(f"{turn.role}: {turn.text}" for turn in turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document: ``document.text[start:end] == text``."""

    id: str
    text: str
    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A text that was retrieved for a question; ``rank`` counts from 1, higher scores are nearer."""

    text: str
    rank: int
    score: float | None = None
    source: str | None = None
    start: int | None = None
    end: int | None = None
    chunk_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one or more model calls; total input is the three input fields added."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One model call as the gateway saw it, from asking for it to the reply."""

    purpose: str
    """``generation`` or ``judging``, or a metric's name."""
    model: str
    started: float
    """Seconds after the start of the run at which the call was asked for."""
    queued: float = 0.0
    """Waiting for a free place under the limits."""
    backoff: float = 0.0
    """Waiting between attempts."""
    wire: float = 0.0
    """The successful attempt alone: the server's latency."""
    attempts: int = 0
    cached: bool = False
    usage: Usage = Usage()
    cost: float | None = None
    """US dollars; None where the model's price is unknown."""
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalls:
    """What all model calls of a run came to."""

    asked: int = 0
    """Calls that were asked for, cached ones included."""
    cached: int = 0
    """Calls that were answered without asking the server."""
    failed: int = 0
    retries: int = 0
    refused: int = 0
    """Requests that the server refused with 429."""
    cost: float = 0.0
    """US dollars, of calls whose price is known."""
    unpriced: int = 0
    """Paid calls whose price is unknown; where it is not 0, ``cost`` is not all."""
    usage: Usage = Usage()
    """Tokens of paid calls."""
    saved: float = 0.0
    """US dollars that cached replies would have cost."""

    def __add__(self, other: ModelCalls) -> ModelCalls:
        return ModelCalls(
            asked=self.asked + other.asked,
            cached=self.cached + other.cached,
            failed=self.failed + other.failed,
            retries=self.retries + other.retries,
            refused=self.refused + other.refused,
            cost=self.cost + other.cost,
            unpriced=self.unpriced + other.unpriced,
            usage=self.usage + other.usage,
            saved=self.saved + other.saved,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a run would call, estimated without calling; pairs are (least, most)."""

    calls: int
    cached: int
    """Calls whose reply is in the store, or that another call of the run makes."""
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    cost: tuple[float, float] | None
    """US dollars; None where a price is unknown."""
    unpriced_models: tuple[str, ...]
    minutes: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a pipeline said to a question, and the contexts it said it from."""

    text: str
    contexts: tuple[Context, ...] = ()
    refused: bool | None = None
    """Whether the pipeline declined to answer; None where it did not say and the text must tell."""
    model: str | None = None
    latency: float | None = None
    """Seconds that the generation took, at its server or in the user's system, without queueing and back-off."""
    cached: bool = False
    usage: Usage | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    contexts_known: bool = True
    """False where the pipeline did not tell its contexts: then what looks at them cannot be measured."""
    generated: bool = True
    """False where only retrieval is under test: then there is no text, and nothing can be said about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an answer or a score could not be obtained: a measurement's error, never a low score."""

    message: str
    kind: str = "error"
    details: Mapping[str, str | int | float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A metric's value for one answer.

    Exactly one holds: ``value`` is a number (measured), ``error`` is set (could not be measured),
    or neither (the metric does not apply to this question; ``reason`` says why).
    """

    metric: str
    value: float | None = None
    threshold: float | None = None
    """The least value that passes; None where the metric is only reported."""
    reason: str = ""
    error: Failure | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the value rests on, for reports: unsupported sentences, rejected claims."""

    @property
    def measured(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def below_threshold(self) -> bool:
        """Whether the value was measured and misses its threshold."""
        return self.value is not None and self.threshold is not None and self.value < self.threshold


class State(StrEnum):
    """The state of an item."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds that one question spent in each phase."""

    retrieval: float = 0.0
    generation: float = 0.0
    evaluation: float = 0.0
    started: float = 0.0
    """Seconds after the start of the run."""
    finished: float = 0.0
    retrieval_span: tuple[float, float] | None = None
    """When the phase began and ended, in seconds after the start of the run; None where it was not noted.

    Questions that were searched in one batch all carry the batch's span, and each its share of the seconds.
    """
    generation_span: tuple[float, float] | None = None
    evaluation_span: tuple[float, float] | None = None

    @property
    def total(self) -> float:
        """Seconds from start to end, waiting included."""
        return self.finished - self.started

    @property
    def begun(self) -> float:
        """When its first phase began: ``started``, or earlier, with the questions that were searched in one batch."""
        return self.started if self.retrieval_span is None else min(self.started, self.retrieval_span[0])


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that was measured for one question."""

    question: Question
    answer: Answer | None = None
    error: Failure | None = None
    """Why there is no answer."""
    not_run: str | None = None
    """Why the question was not asked."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    timing: Timing = Timing()
    calls: tuple[Call, ...] = ()
    variant: str = ""
    """Tells results of one question in one run apart: which pipeline and which suite; the same in every run."""
    trials: tuple[Result, ...] = ()
    """Each repetition by itself where the question was asked more than once; then ``scores`` holds their means."""
    expected_failure: bool = False
    """Its test says that it is known not to pass (pytest's xfail), and it did not."""
    planned_trials: int = 1
    """How many repetitions were wanted; more than there are ``trials`` where the verdict was settled earlier."""
    looks: int = 1
    """How many rounds of trials a test over the suite may have ended; more than 1 where it was asked round by round."""
    confirmations: tuple[Result, ...] = ()
    """Further repetitions, as it had fallen below what it reached in the baseline: they tell a break from a flip.
    Neither ``scores`` nor the state rest on them."""

    @property
    def failed_scores(self) -> tuple[Score, ...]:
        """Scores that were measured and are below their threshold."""
        return tuple(score for score in self.scores.values() if score.below_threshold)

    @property
    def unmeasured_scores(self) -> tuple[Score, ...]:
        """Scores with a threshold that could not be measured."""
        return tuple(score for score in self.scores.values() if score.error is not None and score.threshold is not None)

    @property
    def state(self) -> State:
        """A measured miss outweighs an unmeasured metric; without an answer it is an error.

        Where nothing but calls that were not made on purpose is missing, it is not run.
        """
        if self.not_run is not None:
            return State.NOT_RUN
        if self.error is not None or self.answer is None:
            return State.ERROR
        if self.failed_scores:
            return State.FAILED
        if self.unmeasured_scores:
            return State.ERROR if self.why_not_run is None else State.NOT_RUN
        return State.PASSED

    @property
    def why_not_run(self) -> str | None:
        """Why the question was not asked, or not measured, where that was on purpose; else None."""
        if self.not_run is not None:
            return self.not_run
        failures = [score.error for score in self.unmeasured_scores if score.error is not None]
        on_purpose = bool(failures) and all(failure.kind == NOT_RUN for failure in failures)
        return f"{self.unmeasured_scores[0].metric}: {failures[0].message}" if on_purpose else None


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that one pytest session measured."""

    schema_version: int = 2
    started_at: str
    """ISO 8601, UTC."""
    mode: str
    """``concurrent`` or ``sequential``."""
    fingerprints: Mapping[str, Mapping[str, str]]
    """For each dataset what makes runs comparable: a digest of the questions, documents, chunking, embedder, ..."""
    setup: float
    """Seconds for reading documents and building or loading the index."""
    wall: float
    """Seconds from the first question's start to the last one's end."""
    versions: Mapping[str, str]
    results: tuple[Result, ...]
    model_calls: ModelCalls | None = None
    """None where no model was asked."""
    cached_phases: tuple[str, ...] = ()
    """``setup`` where the index was loaded rather than built, ``retrieval`` where vectors came from the store."""
    complete: bool = True
    """False where the session was interrupted or stopped early."""
    datasets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each dataset all questions, asked or not: id to a digest of what the question file says of it."""
    selected: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """By dataset and variant the ids of the questions that should have a result."""
    scoring: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By dataset and metric what a value depends on beside question, contexts and answer: judge, embedder, formula."""
