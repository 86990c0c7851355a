"""deepeval metrics that a user gives: an object, a class, or a function that makes one."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError
from pytest_ragcheck.gateway.deepeval_transport import fingerprint
from pytest_ragcheck.metrics.judged import evidence, library, models
from pytest_ragcheck.metrics.judged.eval_mode import check_eval_mode, decision_models_in, llm_mode, pin_eval_mode
from pytest_ragcheck.metrics.judged.judge import deepeval_model
from pytest_ragcheck.metrics.judged.kinds import KINDS, Kind
from pytest_ragcheck.metrics.judged.measuring import as_our_errors, measured, test_case_of
from pytest_ragcheck.metrics.judged.planning import planned_requests
from pytest_ragcheck.metrics.judged.scores import Judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_ragcheck.gateway.requests import ModelRequest
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.judged.metric import Judging
    from pytest_ragcheck.model import Score

__all__ = ["Given", "GivenMetric", "as_given", "is_deepevals", "makes_metric", "name_of"]

MODEL = "model"
"""The parameter by which deepeval's classes, and functions that make metrics, take the judge."""
_FIELDS = {
    "input": "question",
    "actual_output": "answer",
    "expected_output": "reference",
    "retrieval_context": "contexts",
    "context": "contexts",
}
"""What deepeval calls the parts of a case that a RAG system has."""
INVERTED = "1 minus the metric's own score, of which less is better"


@dataclass(frozen=True, kw_only=True)
class Given:
    """A deepeval metric as the user gave it."""

    name: str
    kind: Kind
    make: Callable[[], Any]
    """A metric object for one measurement, with the models that the user gave it."""
    asks_judge: bool
    """Whether it has no model of the user's choice, so that the configured judge is asked."""
    own_models: Mapping[str, Any]
    """Models that the user chose for it, by their fingerprints."""
    less_is_better: bool
    threshold: float | None
    """The metric's own; least value of the score as it is reported."""

    @property
    def needs(self) -> frozenset[str]:
        """As in :attr:`~pytest_ragcheck.metrics.registry.MetricSpec.needs`."""
        return self.kind.needs | ({"judge"} if self.asks_judge else frozenset())


def is_deepevals(thing: Any) -> bool:
    """Whether it is a metric object or class of deepeval's; imports nothing."""
    if "deepeval.metrics" not in sys.modules:
        return False
    return isinstance(thing, _bases()) or (inspect.isclass(thing) and issubclass(thing, _bases()))


def makes_metric(thing: Any) -> bool:
    """Whether it looks like a function that makes a metric: it takes ``model``, or nothing."""
    return callable(thing) and not inspect.isclass(thing) and set(inspect.signature(thing).parameters) <= {MODEL}


def name_of(metric: Any) -> str:
    """A name for a metric that was given without one: its own, as other names are written."""
    own = getattr(metric, "name", None) or metric.__name__
    return re.sub(r"\W+", "_", str(own).strip().lower()).strip("_")


def as_given(thing: Any, name: str | None = None) -> Given:
    """What the user gave, looked at; ConfigurationError where it is no metric that can be measured here."""
    library.Library().load()
    sample, make = _sample_and_maker(thing, name)
    chosen = name or name_of(sample)
    check_eval_mode(sample, chosen)
    declared = _declared(sample, chosen)
    found = [model for _, _, model in models.models_in(sample)]
    own = {fingerprint(model): model for model in found if not models.is_unchosen(model)}
    less = _less_is_better(sample)
    threshold = getattr(sample, "threshold", None)
    return Given(
        name=chosen,
        kind=_kind(chosen, sample, declared),
        make=make,
        asks_judge=any(models.is_unchosen(model) for model in found),
        own_models=own,
        less_is_better=less,
        threshold=None if threshold is None else float(1 - threshold if less else threshold),
    )


def _sample_and_maker(thing: Any, name: str | None) -> tuple[Any, Callable[[], Any]]:
    called = name or str(getattr(thing, "__name__", type(thing).__name__))
    if isinstance(thing, _bases()):
        _check_single_turn(thing, called)
        kept = [*(model for _, _, model in models.models_in(thing)), *decision_models_in(thing)]
        held = {id(model): model for model in kept}
        _copied(thing, held, called)
        return thing, lambda: _copied(thing, held, called)
    takes_model = MODEL in inspect.signature(thing).parameters

    def make() -> Any:
        with library.quietly(), llm_mode():
            return thing(**({MODEL: models.stand_in()} if takes_model else {}))

    sample = _made(make, called, remedy=_remedy(thing, takes_model=takes_model))
    _check_single_turn(sample, called)
    return sample, make


def _made(make: Callable[[], Any], name: str, *, remedy: str) -> Any:
    try:
        return make()
    except Exception as problem:
        told = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        raise ConfigurationError(f"metric {name!r} cannot be made: {told}{remedy}") from problem


def _remedy(thing: Any, *, takes_model: bool) -> str:
    if inspect.isclass(thing):
        return "; name a function that makes it, with all that it needs, in place of the class"
    return "" if takes_model else "; give the function a parameter `model`, which is the judge, and pass it on"


def _copied(metric: Any, held: Mapping[int, Any], name: str) -> Any:
    try:
        return copy.deepcopy(metric, dict(held))
    except Exception as problem:
        told = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        raise ConfigurationError(
            f"metric {name!r} cannot be copied for each question ({told}); give its class, or a function that makes it"
        ) from problem


def _bases() -> tuple[type, ...]:
    from deepeval.metrics import BaseConversationalMetric, BaseMetric

    return BaseMetric, BaseConversationalMetric


def _check_single_turn(sample: Any, name: str) -> None:
    from deepeval.metrics import BaseMetric

    if not isinstance(sample, BaseMetric):
        raise ConfigurationError(
            f"metric {name!r} is a {type(sample).__name__}, not a metric of deepeval's for single answers"
        )


def _declared(sample: Any, name: str) -> frozenset[str]:
    """The parts of the case that it says it needs, by our names."""
    from deepeval.test_case import SingleTurnParams

    if getattr(sample, "requires_trace", False):
        raise ConfigurationError(f"metric {name!r} looks at a trace, and there is none; give it evaluation_params")
    said = [getattr(sample, attribute, None) for attribute in ("_required_params", "evaluation_params")]
    wanted = [part for some in said if isinstance(some, list) for part in some if isinstance(part, SingleTurnParams)]
    missing = sorted({part.value for part in wanted} - set(_FIELDS))
    if missing:
        raise ConfigurationError(f"metric {name!r} needs {' and '.join(missing)}, which no answer here has")
    return frozenset(_FIELDS[part.value] for part in wanted) - {"question"}


def _kind(name: str, sample: Any, declared: frozenset[str]) -> Kind:
    """As one of the named metrics where it is of the same class."""
    kind = type(sample)
    # What a class of the user's looks at need not be what it says that it needs.
    is_theirs = kind.__module__.partition(".")[0] == "deepeval" and hasattr(kind, "_required_params")
    needs = declared if is_theirs and declared else declared | {"answer"}
    alike = next((one for one in KINDS.values() if one.metric == kind.__name__), None) if is_theirs else None
    if alike is not None:
        return replace(alike, name=name, needs=needs)
    return Kind(name=name, metric=kind.__name__, doc="", needs=needs, evidence=evidence.of_words_alone)


def _less_is_better(sample: Any) -> bool:
    """Whether it says of itself that a score of 0 succeeds and one of 1 does not."""
    probe = copy.copy(sample)
    probe.threshold, probe.error = 0.5, None

    def succeeds(score: float) -> bool:
        probe.score = score
        try:
            return bool(probe.is_successful())
        except Exception:  # noqa: BLE001 (it looks at what only a measurement gives: then it says nothing)
            return False

    return succeeds(0.0) and not succeeds(1.0)


class GivenMetric:
    """Measures with a deepeval metric that the user gave; see :class:`~pytest_ragcheck.metrics.base.Metric`.

    Scores are not kept, as nobody can tell when the user's code would give others; the judge's replies are.
    """

    calls_in_a_row = 2
    """As most of deepeval's metrics: one call extracts what another one judges."""

    def __init__(
        self, given: Given, *, judging: Judging | None, judging_by: Callable[[Any], Judging] | None = None
    ) -> None:
        if given.own_models and judging_by is None:
            raise ConfigurationError(f"metric {given.name!r} has a model of its own, which cannot be asked here")
        self._given = given
        self._own = {mark: judging_by(model) for mark, model in given.own_models.items()} if judging_by else {}
        self._judging = judging
        self._rules = judging or next(iter(self._own.values()), None)

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self._given.name

    @property
    def needs_answer(self) -> bool:
        """Whether it must wait for the answer."""
        return self._given.kind.needs_answer

    @property
    def measured_with(self) -> str:
        """What a score depends on beside the case, as far as it can be told: judges and library."""
        judges = [judging.model for judging in self._own.values()]
        judges += [self._judging.model] if self._judging is not None and self._given.asks_judge else []
        return ", ".join([*sorted(judges), f"deepeval {library.version()}"])

    def planned(self, case: Case) -> list[ModelRequest]:
        """About what measuring would ask of the configured judge."""
        is_known = case.answer is not None or not self.needs_answer
        if self._judging is None or (is_known and self._given.kind.is_settled(case)):
            return []
        return planned_requests(self._given.kind, {}, self._judging.judge(self.name), case)

    async def measure(self, case: Case) -> Score:
        """The metric's score, on a scale on which more is better.

        Raises :class:`~pytest_ragcheck.errors.MeasurementError` where it gave none.
        """
        settled = self._given.kind.settled(case)
        if settled is not None:
            return settled
        with as_our_errors():
            judged = await self._judged(case, with_reason=False)
            if judged.reason is None and self._wants_reason(judged, case):
                judged = await self._with_reason(judged, case)
        return self._score(judged)

    async def _judged(self, case: Case, *, with_reason: bool) -> Judged:
        metric = self._given.make()
        models.replace_models(metric, self._model_for)
        pin_eval_mode(metric)
        metric.async_mode, metric.verbose_mode = True, False
        if "include_reason" in vars(metric):
            metric.include_reason = with_reason
        value = await measured(metric, test_case_of(case))
        judged = Judged.of(value, self._given.kind.evidence(metric, case), reason=metric.reason or None)
        return replace(judged, value=1 - value) if self._given.less_is_better else judged

    async def _with_reason(self, judged: Judged, case: Case) -> Judged:
        """The judge's words; all it has replied before comes from the store, so that the reason alone is asked for."""
        try:
            return judged.with_reason((await self._judged(case, with_reason=True)).reason)
        except (MeasurementError, NotRunError):
            return judged

    def _wants_reason(self, judged: Judged, case: Case) -> bool:
        return self._rules is not None and self._rules.wants_reason(self.name, judged.value, case.question)

    def _model_for(self, model: Any) -> Any:
        judging = self._judging if models.is_unchosen(model) else self._own.get(fingerprint(model))
        if judging is None:
            raise MeasurementError("the metric has no judge", kind="judging")
        return deepeval_model(judging.judge(self.name), calls_in_a_row=self.calls_in_a_row)

    def _score(self, judged: Judged) -> Score:
        score = judged.score(self.name) if self._rules is None else self._rules.score(judged, self.name)
        if not self._given.less_is_better:
            return score
        return replace(score, reason="; ".join(filter(None, [score.reason, INVERTED])))
