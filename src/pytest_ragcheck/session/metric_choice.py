"""Which metrics a suite measures, and whether it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError, DatasetError, did_you_mean
from pytest_ragcheck.metrics.registry import metric_names, required_inputs
from pytest_ragcheck.rag.importing import is_import_path
from pytest_ragcheck.session import systems
from pytest_ragcheck.session.user_metrics import register_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_ragcheck.errors import RagcheckError
    from pytest_ragcheck.model import Question
    from pytest_ragcheck.session.config import Settings

__all__ = ["MetricChoice", "check_threshold_names"]


@dataclass(frozen=True, slots=True)
class MetricChoice:
    """Chooses for the questions of one suite, ``name``; ``asked_for`` are the names of ``--ragcheck-metrics``."""

    settings: Settings
    name: str
    questions: Sequence[Question]
    asked_for: Sequence[str] | None

    def chosen(self, configured: Mapping[str, float | None]) -> dict[str, float | None]:
        """Metrics with their least values; None: only reported.

        Raises ConfigurationError for a metric that is unknown, or that lacks an input in every question.
        """
        self._register_named(configured)
        chosen = self._all(configured)
        for name in chosen:
            self._check(name)
        return chosen

    @property
    def generates_nothing(self) -> bool:
        """Whether there are no answers, only contexts."""
        return self.settings.answers is None and self.settings.generator == systems.NONE

    def _register_named(self, configured: Iterable[str]) -> None:
        try:
            register_named((*configured, *(self.asked_for or ())), self.settings.root)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{self.settings.origin}: {problem}") from None

    def _all(self, configured: Mapping[str, float | None]) -> dict[str, float | None]:
        measured: dict[str, float | None] = dict(configured)
        for question in self.questions:
            for name in question.thresholds:
                measured.setdefault(name, None)
        if not measured:
            measured = dict.fromkeys(name for name in self._free() if not self._missing_inputs(name))
        if self.asked_for is not None:
            measured = {name: measured.get(name) for name in self.asked_for}
        return measured

    def _free(self) -> list[str]:
        """The metrics that need no more than was asked for: no model to be loaded, and no judge to be paid."""
        unasked = {"embedder", "judge", *(["answer"] if self.generates_nothing else [])}
        return [name for name in metric_names() if not unasked & required_inputs(name) and not is_import_path(name)]

    def _check(self, name: str) -> None:
        if name not in metric_names():
            where = "--ragcheck-metrics" if name in (self.asked_for or ()) else self.settings.origin
            raise _unknown(
                name, ConfigurationError(f"{where}: unknown metric {name!r}{did_you_mean(name, metric_names())}")
            )
        missing = " and ".join(self._missing_inputs(name))
        if missing:
            raise ConfigurationError(
                f"{self.settings.origin}: metric {name!r} needs {missing}, and no question of {self.name} has any; "
                f"add {missing} to the questions or leave the metric out"
            )
        if "answer" in required_inputs(name) and self.generates_nothing:
            raise ConfigurationError(
                f'{self.settings.origin}: metric {name!r} needs an answer, and generator = "{systems.NONE}" gives '
                "none; leave the metric out, or name a generator"
            )

    def _missing_inputs(self, name: str) -> list[str]:
        has = {
            "gold": any(question.gold for question in self.questions),
            "reference": any(question.reference for question in self.questions),
            "must_contain": any(question.must_contain for question in self.questions),
        }
        return sorted(need for need in required_inputs(name) if not has.get(need, True))


def check_threshold_names(questions: Iterable[Question]) -> None:
    """DatasetError, with the place, for a question's threshold of a metric that there is not."""
    for question in questions:
        for name in question.thresholds:
            if name not in metric_names():
                problem = f"thresholds: unknown metric {name!r}{did_you_mean(name, metric_names())}"
                raise _unknown(name, DatasetError(question.dataset, question.line, problem))


def _unknown(name: str, error: RagcheckError) -> RagcheckError:
    error.unknown_metric = name
    return error
