"""The judged metrics by name: which of deepeval's metrics each is, what it looks at, and what it can do without."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.metrics.judged import evidence
from pytest_ragcheck.metrics.judged.settings import DEFAULT_CRITERIA, JudgeSettings
from pytest_ragcheck.metrics.text import refused
from pytest_ragcheck.model import Score
from pytest_ragcheck.store import digest
from pytest_ragcheck.trials import ANSWER_DEPENDENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_ragcheck.metrics.base import Case

__all__ = ["KINDS", "Kind", "judging_digest"]

NO_CONTEXTS = "there are no contexts"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One judged metric."""

    name: str
    metric: str
    """The name of deepeval's class."""
    doc: str
    needs: frozenset[str]
    """Of ``answer``, ``reference`` and ``contexts``."""
    evidence: Callable[[Any, Case], evidence.Evidence]
    calls: int | None = 1
    """Calls for one question, without a reason; None: one for each context."""
    calls_in_a_row: int = 1
    """Of these, those that wait for one another."""
    chosen: Callable[[JudgeSettings], Mapping[str, Any]] = lambda _: {}
    """Keyword arguments of deepeval's class, from the settings: all of them change the score."""
    ahead: str | None = None
    """deepeval's step that needs the contexts alone, of a metric that must wait for the answer otherwise."""
    reason_from: tuple[str, ...] | None = ()
    """Arguments of deepeval's step that gives the reason; None where the score comes with its reason."""

    @property
    def needs_answer(self) -> bool:
        """Whether it must wait for the answer."""
        return "answer" in self.needs

    def looks_at(self, case: Case) -> Mapping[str, Any]:
        """All of the case that can change the score."""
        seen: dict[str, Any] = {"question": case.question.transcript}
        if "answer" in self.needs:
            seen["answer"] = case.answer.text if case.answer is not None else None
        if "reference" in self.needs:
            seen["reference"] = case.question.reference
        if "contexts" in self.needs:
            seen["contexts"] = [context.text for context in case.contexts]
        return seen

    def settled(self, case: Case) -> Score | None:
        """The score where there is nothing to judge; None where the judge must be asked.

        Raises :class:`~pytest_ragcheck.errors.MeasurementError` for an empty answer.
        """
        if ("reference" in self.needs or not self.needs_answer) and not case.question.answerable:
            return Score(metric=self.name, reason="unanswerable question")
        if "reference" in self.needs and not (case.question.reference or "").strip():
            return Score(metric=self.name, reason="no reference")
        if self.needs_answer and (case.answer is None or not case.answer.text.strip()):
            raise MeasurementError("the answer is empty", kind="empty-answer")
        if "contexts" in self.needs and not any(context.text.strip() for context in case.contexts):
            return self._without_contexts(case)
        return None

    def is_settled(self, case: Case) -> bool:
        """Whether the judge need not be asked."""
        try:
            return self.settled(case) is not None
        except MeasurementError:
            return True

    def _without_contexts(self, case: Case) -> Score:
        if case.answer is not None and refused(case.answer):
            reason = f"{NO_CONTEXTS}, and the answer is a refusal: it claims nothing"
            return Score(metric=self.name, reason=reason, details={ANSWER_DEPENDENT: True})
        return Score(metric=self.name, value=0.0, reason=NO_CONTEXTS)


def _faithfulness(settings: JudgeSettings) -> Mapping[str, Any]:
    return {
        "penalize_ambiguous_claims": settings.penalize_ambiguous_claims,
        "truths_extraction_limit": settings.truths_extraction_limit,
    }


def _correctness(settings: JudgeSettings) -> Mapping[str, Any]:
    if settings.evaluation_steps:
        return {"name": "correctness", "evaluation_steps": list(settings.evaluation_steps)}
    return {"name": "correctness", "criteria": settings.criteria or DEFAULT_CRITERIA}


_ALL = (
    Kind(
        name="faithfulness",
        metric="FaithfulnessMetric",
        doc="The share of the answer's claims that the contexts do not contradict. The judge takes the claims out of "
        "the answer and the facts out of the contexts, then gives a verdict on each claim.",
        needs=frozenset({"answer", "contexts"}),
        evidence=evidence.of_items("claim", "claims"),
        calls=3,
        calls_in_a_row=2,
        chosen=_faithfulness,
        ahead="_a_generate_truths",
        reason_from=("multimodal",),
    ),
    Kind(
        name="answer_relevancy",
        metric="AnswerRelevancyMetric",
        doc="The share of the answer's statements that bear on the question.",
        needs=frozenset({"answer"}),
        evidence=evidence.of_items("statement", "statements"),
        calls=2,
        calls_in_a_row=2,
        reason_from=("input", "multimodal"),
    ),
    Kind(
        name="contextual_precision",
        metric="ContextualPrecisionMetric",
        doc="Whether contexts that help towards the reference stand before those that do not: the mean of the "
        "precision at each helpful rank.",
        needs=frozenset({"contexts", "reference"}),
        evidence=evidence.of_contexts_judged,
        reason_from=("input", "multimodal"),
    ),
    Kind(
        name="contextual_recall",
        metric="ContextualRecallMetric",
        doc="The share of the reference's sentences that the contexts bear out.",
        needs=frozenset({"contexts", "reference"}),
        evidence=evidence.of_recall,
        reason_from=("expected_output", "multimodal"),
    ),
    Kind(
        name="contextual_relevancy",
        metric="ContextualRelevancyMetric",
        doc="The share of the statements in the contexts that bear on the question. One call for each context.",
        needs=frozenset({"contexts"}),
        evidence=evidence.of_statements_in_contexts,
        calls=None,
        reason_from=("input", "multimodal"),
    ),
    Kind(
        name="hallucination",
        metric="HallucinationMetric",
        doc="The share of the contexts that the answer does not contradict; 1 is good.",
        needs=frozenset({"answer", "contexts"}),
        evidence=evidence.of_contexts_judged,
        reason_from=(),
    ),
    Kind(
        name="correctness",
        metric="GEval",
        doc="Whether the answer says what the reference says, on a scale of 0 to 10 divided by ten (G-Eval: Y. Liu et "
        'al., "G-Eval", EMNLP 2023). `judging.criteria` or `judging.evaluation_steps` say what counts.',
        needs=frozenset({"answer", "reference"}),
        evidence=evidence.of_words_alone,
        chosen=_correctness,
        reason_from=None,
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def judging_digest(settings: JudgeSettings) -> str:
    """A digest of all settings that can change a score."""
    chosen = [dict(kind.chosen(settings)) for kind in KINDS.values()]
    return digest(json.dumps([dict(settings.parameters), chosen], sort_keys=True, default=str)).hex()
