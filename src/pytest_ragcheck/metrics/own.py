"""Metrics of users: any function or class that looks at an answer, and any metric of deepeval's."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pytest_ragcheck.errors import ConfigurationError, MeasurementError, did_you_mean
from pytest_ragcheck.metrics import registry
from pytest_ragcheck.model import Score

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ragcheck.metrics.base import Case, Metric
    from pytest_ragcheck.metrics.judged.given import Given
    from pytest_ragcheck.metrics.judged.judge import Judge
    from pytest_ragcheck.metrics.registry import MetricParts

__all__ = ["metric", "spec_of"]

T = TypeVar("T", bound="Callable[..., Any]")
PARAMETERS = ("question", "answer", "contexts", "reference", "case", "judge")

_origins: dict[str, tuple[str, int]] = {}
"""File and line of each metric that was added here, by name."""


@overload
def metric(candidate: T, /) -> T: ...
@overload
def metric(*, name: str | None = None) -> Callable[[T], T]: ...
def metric(candidate: Any = None, /, *, name: str | None = None) -> Any:
    """Make a function, sync or async, or a class with a method ``measure`` a metric that the configuration can name.

    Its name is the function's, or the class's attribute ``name``, or the keyword. Parameters are given by name:
    ``question``, ``answer``, ``contexts``, ``reference`` (the metric does not apply to questions without one),
    ``judge`` (an object with ``await judge.ask(prompt, schema=...)``) and ``case``, which holds the first three.
    It returns a number from 0 to 1, higher is better, a bool, or a :class:`~pytest_ragcheck.model.Score`. A class is
    made once for a run, without arguments. Sync functions run in threads.

    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` where the name is taken or a parameter is not known.
    """
    if candidate is None:
        return lambda decorated: _register(decorated, name)
    return _register(candidate, None)


def spec_of(candidate: Any, *, name: str | None = None) -> registry.MetricSpec:
    """What stands at an import path or came from a fixture, ready to be made.

    It is a function or class as for :func:`metric`; or a metric object or class of deepeval's, or a function that makes
    such an object and takes nothing, or ``model``: the judge. ``name`` wins over its own.
    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` where it is none of these.
    """
    from pytest_ragcheck.metrics.judged import given

    if given.is_deepevals(candidate) or given.makes_metric(candidate):
        return _deepeval_spec(given.as_given(candidate, name))
    return _spec(candidate, name or _own_name(candidate), _origin(candidate))


def _deepeval_spec(found: Given) -> registry.MetricSpec:
    def make(parts: MetricParts) -> Metric:
        from pytest_ragcheck.metrics.judged.given import GivenMetric

        judging = registry.judging_of(parts, found.name) if found.asks_judge else parts.judging
        return GivenMetric(found, judging=judging, judging_by=parts.judging_by)

    return registry.MetricSpec(name=found.name, make=make, needs=found.needs, threshold=found.threshold)


def _spec(candidate: Any, name: str, origin: tuple[str, int]) -> registry.MetricSpec:
    parameters = _parameters(candidate, name, origin)
    needs = frozenset(parameters) & {"answer", "judge", "reference", "contexts"}
    return registry.MetricSpec(name=name, make=lambda parts: _made(candidate, name, parameters, parts), needs=needs)


def _register(candidate: T, name: str | None) -> T:
    """Register one metric; returns it as it is."""
    from pytest_ragcheck.metrics.judged.given import is_deepevals

    origin = _origin(candidate)
    chosen = name or _own_name(candidate)
    if is_deepevals(candidate):  # making one is left until it is asked for
        raise ConfigurationError(
            f"{_at(origin)}metric {chosen!r} is deepeval's; name it in [metrics] by its import path "
            f'("module:{chosen}" = 0.7), or return it from the fixture ragcheck_metrics'
        )
    spec = _spec(candidate, chosen, origin)
    if _origins.get(chosen) == origin:  # its module is imported again
        registry.unregister(chosen)
    try:
        registry.register(spec)
    except ConfigurationError as problem:
        raise ConfigurationError(f"{_at(origin)}{problem}") from None
    _origins[chosen] = origin
    return candidate


def _own_name(candidate: Any) -> str:
    return str(getattr(candidate, "name", None) or getattr(candidate, "__name__", repr(candidate)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _OwnMetric:
    """A user's metric as the engine wants it."""

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]
    judge: Judge | None

    @property
    def needs_answer(self) -> bool:
        """Whether it looks at the answer."""
        return bool({"answer", "case"} & set(self.parameters))

    @property
    def measured_with(self) -> str:
        """The judge, where it asks one; nobody can tell when the user's code would give other scores."""
        return "" if self.judge is None else self.judge.model

    async def measure(self, case: Case) -> Score:
        """The user's score; what the function raises is the engine's to report."""
        if "reference" in self.parameters and not (case.question.reference or "").strip():
            return Score(metric=self.name, reason="no reference")
        return _score(self.name, await self._call(case))

    async def _call(self, case: Case) -> Any:
        offered = {
            "question": case.question,
            "answer": case.answer,
            "contexts": case.contexts,
            "reference": case.question.reference,
            "case": case,
            "judge": self.judge,
        }
        arguments = {parameter: offered[parameter] for parameter in self.parameters}
        if inspect.iscoroutinefunction(self.function):
            return await self.function(**arguments)
        returned = await asyncio.to_thread(self.function, **arguments)
        return await returned if inspect.isawaitable(returned) else returned


def _made(candidate: Any, name: str, parameters: tuple[str, ...], parts: MetricParts) -> _OwnMetric:
    judge = None
    if "judge" in parameters:
        judge = registry.judging_of(parts, name).judge(name)
    function = candidate
    if inspect.isclass(candidate):
        try:
            made: Any = candidate()
            function = made.measure
        except Exception as problem:
            told = f"{type(problem).__name__}: {problem}".partition("\n")[0]
            raise ConfigurationError(f"metric {name!r} cannot be made: {told}") from problem
    return _OwnMetric(name=name, function=function, parameters=parameters, judge=judge)


def _score(name: str, returned: Any) -> Score:
    if isinstance(returned, Score):
        return returned
    if isinstance(returned, Real):  # bool is one
        return Score(metric=name, value=float(returned))
    raise MeasurementError(
        f"the metric returned {type(returned).__name__}, not a number, a bool or a Score", kind="wrong-return"
    )


def _parameters(candidate: Any, name: str, origin: tuple[str, int]) -> tuple[str, ...]:
    if not callable(candidate) or (inspect.isclass(candidate) and not callable(getattr(candidate, "measure", None))):
        raise ConfigurationError(f"{_at(origin)}metric {name!r} must be a function, or a class with a method `measure`")
    function: Any = getattr(candidate, "measure") if inspect.isclass(candidate) else candidate  # noqa: B009
    taken = list(inspect.signature(function).parameters.values())
    if inspect.isclass(candidate):
        taken = taken[1:]  # self
    for parameter in taken:
        if parameter.name not in PARAMETERS and parameter.default is parameter.empty:
            told = did_you_mean(parameter.name, PARAMETERS)
            raise ConfigurationError(f"{_at(origin)}metric {name!r}: unknown parameter {parameter.name!r}{told}")
    return tuple(parameter.name for parameter in taken if parameter.name in PARAMETERS)


def _origin(candidate: Any) -> tuple[str, int]:
    try:
        return inspect.getsourcefile(candidate) or "?", inspect.getsourcelines(candidate)[1]
    except (OSError, TypeError):
        return str(getattr(candidate, "__module__", "?")), 0


def _at(origin: tuple[str, int]) -> str:
    """The beginning of a message; empty for what was written nowhere."""
    file, line = origin
    return f"{file}:{line}: " if line else ""
