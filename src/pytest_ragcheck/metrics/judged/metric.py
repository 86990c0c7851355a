"""A judged metric: deepeval's own arithmetic over our judge, one deepeval object for each question."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.call_context import observe_calls
from pytest_ragcheck.errors import MeasurementError, NotRunError
from pytest_ragcheck.metrics.judged import library
from pytest_ragcheck.metrics.judged.judge import Judge, deepeval_model
from pytest_ragcheck.metrics.judged.measuring import as_our_errors, measured, test_case_of
from pytest_ragcheck.metrics.judged.planning import planned_requests
from pytest_ragcheck.metrics.judged.scores import Judged, Scores
from pytest_ragcheck.metrics.judged.settings import JudgeSettings
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_ragcheck.gateway.requests import Completer, ModelRequest
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.judged.kinds import Kind
    from pytest_ragcheck.model import Question, Score
    from pytest_ragcheck.store import Store

__all__ = ["JudgedMetric", "Judging"]

SETTINGS_DIGITS = 12


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
    schema_of: Callable[[Any], Mapping[str, Any]] | None = None
    """As :attr:`Judge.schema_of`."""
    library: library.Library = field(default_factory=library.Library)

    def wants_reason(self, metric: str, value: float, question: Question) -> bool:
        """Whether the judge's words on a score will be read."""
        least = question.thresholds.get(metric, self.thresholds.get(metric))
        close = least is not None and value < least + self.settings.near
        return self.every_reason or close

    def score(self, judged: Judged, metric: str) -> Score:
        """What was judged as a score; MeasurementError where it is vacuous and must not be."""
        if self.strict_evidence and judged.vacuous is not None:
            raise MeasurementError(f"the score is vacuous: {judged.vacuous}", kind="vacuous", value=judged.value)
        return judged.score(metric)

    def judge(self, purpose: str) -> Judge:
        """The judge for one metric."""
        return Judge(
            gateway=self.gateway,
            model=self.model,
            max_tokens=self.settings.max_tokens,
            parameters=self.settings.parameters,
            purpose=purpose,
            schema_of=self.schema_of,
        )


class JudgedMetric:
    """One of deepeval's metrics; see :class:`~pytest_ragcheck.metrics.base.Metric`."""

    def __init__(self, kind: Kind, judging: Judging) -> None:
        self.kind = kind
        self.judging = judging
        self._chosen = kind.chosen(judging.settings)
        self._scores = Scores(judging.store, since=judging.since)

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self.kind.name

    @property
    def needs_answer(self) -> bool:
        """Whether it must wait for the answer."""
        return self.kind.needs_answer

    @property
    def calls_in_a_row(self) -> int:
        """How many of its calls wait for one another."""
        gives_reason = self.judging.every_reason and self.kind.reason_from is not None
        return self.kind.calls_in_a_row + gives_reason

    @property
    def measured_with(self) -> str:
        """What a score depends on beside the case: judge, library and settings."""
        said = json.dumps([dict(self.judging.settings.parameters), dict(self._chosen)], sort_keys=True, default=repr)
        settings = digest(said).hex()[:SETTINGS_DIGITS]
        return f"{self.judging.model}, deepeval {library.version()}, settings {settings}"

    def planned(self, case: Case) -> list[ModelRequest]:
        """About what measuring would ask for; nothing where the score is there. There may be no answer yet."""
        is_known = case.answer is not None or not self.needs_answer
        if is_known and (self.kind.is_settled(case) or self._scores.get(self._key(case))):
            return []
        return planned_requests(self.kind, self._chosen, self.judging.judge(self.name), case)

    async def measure(self, case: Case) -> Score:
        """The kept score, or a new one; a reason is asked for only where it will be read.

        Raises :class:`~pytest_ragcheck.errors.MeasurementError` where the judge gave no score.
        """
        settled = self.kind.settled(case)
        if settled is not None:
            return settled
        key = self._key(case)
        kept = self._scores.get(key)
        if kept is not None and not self._lacks_reason(kept, case.question):
            return self.judging.score(kept, self.name)
        try:
            judged = await self._judged(case)
        except (MeasurementError, NotRunError):
            if kept is None:
                raise
            return self.judging.score(kept, self.name)  # only its reason is missing
        self._scores.put(key, judged)
        return self.judging.score(judged, self.name)

    def _key(self, case: Case) -> bytes:
        judging = self.judging
        return self._scores.key(
            metric=self.name,
            deepeval=library.version(),
            endpoint=judging.endpoint,
            model=judging.model,
            parameters=judging.settings.parameters,
            chosen=self._chosen,
            case=self.kind.looks_at(case),
        )

    def _lacks_reason(self, judged: Judged, question: Question) -> bool:
        if judged.reason is not None or self.kind.reason_from is None:
            return False
        return self.judging.wants_reason(self.name, judged.value, question)

    async def _judged(self, case: Case) -> Judged:
        await self.judging.library.ready()
        with as_our_errors(), observe_calls() as calls:
            judged = await self._judged_by_deepeval(case)
        return replace(judged, judge=", ".join(sorted({call.model for call in calls})) or None)

    async def _judged_by_deepeval(self, case: Case) -> Judged:
        metric, test_case = self._new_metric(), test_case_of(case)
        value = await measured(metric, test_case)
        evidence = self.kind.evidence(metric, case)
        own_reason = metric.reason if self.kind.reason_from is None else None
        judged = Judged.of(value, evidence, reason=own_reason)
        if not self._lacks_reason(judged, case.question):
            return judged
        return judged.with_reason(await self._reason(metric, test_case))

    def _new_metric(self) -> Any:
        """One for each measurement, whose state deepeval keeps on the metric."""
        model = deepeval_model(self.judging.judge(self.name), calls_in_a_row=self.calls_in_a_row)
        return new_metric(self.kind, self._chosen, model)

    async def _reason(self, metric: Any, test_case: Any) -> str | None:
        """The last step of deepeval's metric, over the verdicts that it holds; without it the score still stands."""
        metric.include_reason = True
        arguments = {name: getattr(test_case, name) for name in self.kind.reason_from or ()}
        try:
            reason: str | None = await metric._a_generate_reason(**arguments)  # noqa: SLF001 (no public step)
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
