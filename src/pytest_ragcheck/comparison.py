"""The nouns of the gate: what changed between a baseline and a run, and what that means.

Frozen values that are plain JSON, made by ``baseline`` and read by reports. A difference is always
the run's value minus the baseline's: negative is worse.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (pydantic resolves the annotations at run time)
from dataclasses import dataclass, field
from enum import StrEnum
from math import fsum

__all__ = [
    "Cause",
    "Comparison",
    "ContextChange",
    "GoldChange",
    "MetricChange",
    "QuestionChange",
    "ScoreChange",
    "Verdict",
]


class Verdict(StrEnum):
    """What the gate decides, of one metric and of the run."""

    BETTER = "better"
    SAME = "same"
    """A drop of the mean by 0.05, or by the practical minimum where that is larger, is excluded."""
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"
    """Too little was measured to tell no change from such a drop."""
    JUDGE_DRIFTED = "judge drifted"
    """Stored answers of the baseline got other scores today: the judge moved, not the system."""
    NOT_COMPARABLE = "not comparable"
    INVALID = "invalid"
    """Too many questions could not be measured, or a result is missing."""


class Cause(StrEnum):
    """Where a question's change came from."""

    CONTEXTS = "contexts changed"
    ANSWER = "contexts same, answer changed"
    ANSWER_ALONE = "answer changed, contexts unknown"
    SCORE = "answer same, score moved"
    UNKNOWN = "no answer to compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """One metric over all questions that were measured in both, averaged over trials first."""

    metric: str
    verdict: Verdict
    questions: int
    """Questions measured in both."""
    clusters: int
    """Groups of questions about the same document, each counted as one in the test."""
    baseline: float
    """The baseline's mean over those questions."""
    value: float
    difference: float
    interval: tuple[float, float] | None
    """Two-sided 95 % confidence interval of the difference; None where too little was measured."""
    p_value: float | None
    """One-sided, of a drop as large as this by chance; adjusted over the metrics by Holm's method."""
    practical_minimum: float
    """A mean drop that is not larger counts as no regression."""
    smallest_visible_drop: float | None
    """The least mean drop that this run would have found with a probability of 80 %."""
    method: str = ""
    """The test, by name."""
    remedy: str = ""
    """For ``inconclusive``: how many questions or trials would settle it."""
    mean_fell: bool = False
    """Whether the mean dropped beyond chance; where it did not, ``regressed`` rests on questions that broke alone."""
    run_spread: float | None = None
    """Standard deviation of a run's mean beyond its questions' noise, as earlier runs show it; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChange:
    """One metric of one question; None: not measured."""

    metric: str
    baseline: float | None
    value: float | None
    threshold: float | None = None
    noise: float = 0.0
    """A fall within this can be the question's own noise; at 1 any can."""
    chance: float | None = None
    """Of a score that fell: how likely a question of this suite that did not change looks as bad."""
    broke: bool = False
    """It passed in the baseline, is now below its threshold by more than chance explains, and was so each time that it
    was asked again."""
    flipped: bool = False
    """It fell like one that broke, and passed when it was asked again."""
    confirmations: tuple[float, ...] = ()
    """What it got when it was asked again because it had fallen; ``value`` does not rest on them."""
    known: bool = False
    """It was below its threshold in the baseline already, and is no worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextChange:
    """A context that came or went; ranks count from 1, None: not among the contexts."""

    label: str
    """Its source and place, or the start of its text."""
    baseline_rank: int | None = None
    rank: int | None = None
    text: str | None = None
    """None where the text is not at hand any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldChange:
    """A gold passage whose rank changed; None: not retrieved."""

    label: str
    baseline_rank: int | None
    rank: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionChange:
    """One question that is in the baseline and in the run."""

    id: str
    dataset: str
    variant: str = ""
    name: str = ""
    """The id, with variant and dataset where the id is not enough."""
    scores: Mapping[str, ScoreChange] = field(default_factory=dict)
    cause: Cause | None = None
    """None where nothing changed."""
    contexts: tuple[ContextChange, ...] = ()
    """Those that came, went or moved."""
    gold: tuple[GoldChange, ...] = ()
    baseline_answer: str | None = None
    """The text, where it is not the run's."""

    @property
    def broke(self) -> tuple[str, ...]:
        """Metrics that passed in the baseline and broke."""
        return tuple(name for name, change in self.scores.items() if change.broke)

    @property
    def flipped(self) -> tuple[str, ...]:
        """Metrics that seemed to have broken, until the question was asked again."""
        return tuple(name for name, change in self.scores.items() if change.flipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run against a baseline, and the gate's verdict."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Each one line: what the verdict rests on, the weightiest first."""
    baseline_name: str
    """The baseline's file as the user knows it."""
    baseline_created: str
    """ISO 8601, UTC."""
    metrics: Mapping[str, MetricChange] = field(default_factory=dict)
    questions: tuple[QuestionChange, ...] = ()
    new: tuple[str, ...] = ()
    """Questions of the run that the baseline does not know."""
    gone: tuple[str, ...] = ()
    """Questions of the baseline that the dataset no longer has."""
    reworded: tuple[str, ...] = ()
    """Questions whose text, reference, gold or facts are not what they were: not compared."""
    missing: tuple[str, ...] = ()
    """Questions of the baseline that were selected and have no result: the verdict is ``invalid``."""
    unmeasured: tuple[str, ...] = ()
    """Questions of the run without an answer, or with a score that could not be measured."""
    changed: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Parts of the fingerprint that differ: (baseline, run)."""
    notes: tuple[str, ...] = ()
    """Each one line: what else a reader should know, such as metrics that only one of the two has."""
    coverage: float = 1.0
    """Share of the scores that could be measured, of those that were wanted."""

    def difference_in(self, dataset: str, metric: str) -> float | None:
        """Mean difference under a metric over one question file's questions; None where none was measured in both."""
        scores = [one.scores[metric] for one in self.questions if one.dataset == dataset and metric in one.scores]
        differences = [
            score.value - score.baseline for score in scores if score.value is not None and score.baseline is not None
        ]
        return fsum(differences) / len(differences) if differences else None

    @property
    def broken(self) -> tuple[QuestionChange, ...]:
        """Questions that passed in the baseline and broke."""
        return tuple(change for change in self.questions if change.broke)
