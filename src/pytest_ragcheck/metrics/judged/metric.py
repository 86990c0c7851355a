"""A judged metric: deepeval's own arithmetic over our judge, one deepeval object for each question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError, NotRunError, RagcheckError
from pytest_ragcheck.metrics.judged import library
from pytest_ragcheck.metrics.judged.judge import Judge, deepeval_model
from pytest_ragcheck.metrics.judged.planning import planned_requests
from pytest_ragcheck.metrics.judged.scores import Judged, Scores
from pytest_ragcheck.metrics.judged.settings import JudgeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.gateway.requests import Completer, ModelRequest
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.judged.kinds import Kind
    from pytest_ragcheck.model import Question, Score
    from pytest_ragcheck.store import Store

__all__ = ["JudgedMetric", "Judging"]


@dataclass(frozen=True, kw_only=True)
class Judging:
    """What all judged metrics of a suite share."""

    gateway: Completer
    model: str
    store: Store
    endpoint: str = ""
    """Where the judge answers; scores of one place are not taken for those of another."""
    settings: JudgeSettings = field(default_factory=JudgeSettings)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Configured least values, by metric: they decide whether a score needs a reason."""
    every_reason: bool = False
    strict_evidence: bool = False
    """Whether a vacuous score is an error."""
    since: float | None = None
    """Unix time; scores kept before are not used."""
    library: library.Library = field(default_factory=library.Library)

    def judge(self, purpose: str) -> Judge:
        """The judge for one metric."""
        return Judge(
            gateway=self.gateway,
            model=self.model,
            max_tokens=self.settings.max_tokens,
            parameters=self.settings.parameters,
            purpose=purpose,
        )


class JudgedMetric:
    """One of deepeval's metrics; see :class:`~pytest_ragcheck.metrics.base.Metric`."""

    def __init__(self, kind: Kind, judging: Judging) -> None:
        self._kind = kind
        self._judging = judging
        self._chosen = kind.chosen(judging.settings)
        self._scores = Scores(judging.store, since=judging.since)

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self._kind.name

    @property
    def needs_answer(self) -> bool:
        """Whether it must wait for the answer."""
        return self._kind.needs_answer

    def planned(self, case: Case) -> list[ModelRequest]:
        """About what measuring would ask for, before there is an answer; nothing where the score is there."""
        if not self.needs_answer and (self._kind.settled(case) or self._scores.get(self._key(case))):
            return []
        return planned_requests(self._kind, self._chosen, self._judging.judge(self.name), case)

    async def measure(self, case: Case) -> Score:
        """The kept score, or a new one; a reason is asked for only where it will be read.

        Raises :class:`~pytest_ragcheck.errors.MeasurementError` where the judge gave no score.
        """
        settled = self._kind.settled(case)
        if settled is not None:
            return settled
        key = self._key(case)
        kept = self._scores.get(key)
        if kept is not None and not self._lacks_reason(kept, case.question):
            return self._score(kept)
        try:
            judged = await self._judged(case)
        except (MeasurementError, NotRunError):
            if kept is None:
                raise
            return self._score(kept)  # only its reason is missing
        self._scores.put(key, judged)
        return self._score(judged)

    def _score(self, judged: Judged) -> Score:
        if self._judging.strict_evidence and judged.vacuous is not None:
            raise MeasurementError(f"the score is vacuous: {judged.vacuous}", kind="vacuous", value=judged.value)
        return judged.score(self.name)

    def _key(self, case: Case) -> bytes:
        judging = self._judging
        return self._scores.key(
            metric=self.name,
            deepeval=library.version(),
            endpoint=judging.endpoint,
            model=judging.model,
            parameters=judging.settings.parameters,
            chosen=self._chosen,
            case=self._kind.looks_at(case),
        )

    def _lacks_reason(self, judged: Judged, question: Question) -> bool:
        if judged.reason is not None or self._kind.reason_from is None:
            return False
        least = question.thresholds.get(self.name, self._judging.thresholds.get(self.name))
        close = least is not None and judged.value < least + self._judging.settings.near
        return self._judging.every_reason or close

    async def _judged(self, case: Case) -> Judged:
        await self._judging.library.ready()
        try:
            return await self._judged_by_deepeval(case)
        except RagcheckError:
            raise
        except Exception as problem:
            if (ours := _wrapped(problem)) is not None:
                raise ours from None
            told = f"{type(problem).__name__}: {problem}".partition("\n")[0]
            raise MeasurementError(f"deepeval: {told}", kind="judging") from problem

    async def _judged_by_deepeval(self, case: Case) -> Judged:
        metric, test_case = self._new_metric(), _test_case(case)
        await metric.a_measure(test_case, _show_indicator=False)
        library.stay_quiet()
        evidence = self._kind.evidence(metric, case)
        own_reason = metric.reason if self._kind.reason_from is None else None
        judged = Judged.of(_within_scale(float(metric.score)), evidence, reason=own_reason)
        if not self._lacks_reason(judged, case.question):
            return judged
        return judged.with_reason(await self._reason(metric, test_case))

    def _new_metric(self) -> Any:
        """One for each measurement, whose state deepeval keeps on the metric."""
        return new_metric(self._kind, self._chosen, deepeval_model(self._judging.judge(self.name)))

    async def _reason(self, metric: Any, test_case: Any) -> str | None:
        """The last step of deepeval's metric, over the verdicts that it holds; without it the score still stands."""
        metric.include_reason = True
        arguments = {name: getattr(test_case, name) for name in self._kind.reason_from or ()}
        try:
            reason: str | None = await metric._a_generate_reason(**arguments)  # noqa: SLF001
        except (MeasurementError, NotRunError):
            return None
        return reason


def new_metric(kind: Kind, chosen: Mapping[str, Any], model: Any) -> Any:
    """An object of deepeval's class that asks for no reason; G-Eval's reason is a part of its verdict."""
    from deepeval.test_case import SingleTurnParams

    options: dict[str, Any] = {"model": model, "async_mode": True, "verbose_mode": False, **chosen}
    if kind.reason_from is None:
        options["evaluation_params"] = [
            SingleTurnParams.INPUT,
            SingleTurnParams.ACTUAL_OUTPUT,
            SingleTurnParams.EXPECTED_OUTPUT,
        ]
    else:
        options |= {"include_reason": False, "eval_mode": "llm"}
    with library.quietly():
        return library.metric_class(kind.metric)(**options)


def _within_scale(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise MeasurementError(f"the judge gave {value!r}, which is not from 0 to 1", kind="wrong-value")
    return value


def _test_case(case: Case) -> Any:
    from deepeval.test_case import LLMTestCase

    contexts = [context.text for context in case.contexts]
    return LLMTestCase(
        input=case.question.question,
        actual_output=case.answer.text if case.answer is not None else None,
        expected_output=case.question.reference,
        retrieval_context=contexts,
        context=contexts,
    )


def _wrapped(problem: BaseException) -> RagcheckError | None:
    """What the gateway or the judge said, where deepeval has wrapped it in an error of its own."""
    cause: BaseException | None = problem
    while cause is not None and not isinstance(cause, RagcheckError):
        cause = cause.__cause__ or cause.__context__
    return cause
