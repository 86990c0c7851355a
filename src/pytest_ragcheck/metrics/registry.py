"""Which metrics there are, what each needs, and how they are made.

A metric joins by a :class:`MetricSpec`: the families of this package are listed in ``_BUILT_IN``,
metrics of users come in through :func:`register`. Nothing else has to know them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError, did_you_mean
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.matching import KnownDocuments
from pytest_ragcheck.metrics.retrieval import RETRIEVAL_MEASURES, RetrievalMetric
from pytest_ragcheck.metrics.text import AnswerSimilarity, Groundedness, MustContain, ReferenceCoverage, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_ragcheck.metrics.base import Embed, Metric
    from pytest_ragcheck.metrics.judged.kinds import Kind
    from pytest_ragcheck.metrics.judged.metric import Judging

__all__ = [
    "MetricParts",
    "MetricSpec",
    "create_metrics",
    "judging_of",
    "metric_names",
    "metric_version",
    "own_specs",
    "register",
    "replace_metric",
    "required_inputs",
    "unregister",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricParts:
    """What metrics are made from."""

    top_k: int
    documents: KnownDocuments | None = None
    """Those that gold was resolved against; None where none are configured."""
    embed: Embed | None = None
    judging: Judging | None = None
    judging_by: Callable[[Any], Judging] | None = None
    """What judges with a model that the user chose for one metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A metric that can be named in the configuration.

    ``needs`` holds what the question must have for the metric to apply (``gold``, ``reference``,
    ``must_contain``), what the pipeline must give (``answer``, ``contexts``) and what the run must provide
    (``embedder``, ``judge``).
    """

    name: str
    make: Callable[[MetricParts], Metric]
    needs: frozenset[str] = frozenset()
    threshold: float | None = None
    """Its own least value, for where nothing else sets one."""
    version: int = 1
    """Raised when it gives another score for the same case, so that the scores are not compared with older ones."""


def _retrieval_spec(name: str) -> MetricSpec:
    def make(parts: MetricParts) -> Metric:
        return RetrievalMetric(name, parts.top_k, documents=parts.documents)

    return MetricSpec(name=name, make=make, needs=frozenset({"gold", "contexts"}), version=2)


def _answer_similarity(parts: MetricParts) -> Metric:
    if parts.embed is None:
        raise ConfigurationError("metric 'answer_similarity' needs an embedder: configure one, or leave the metric out")
    return AnswerSimilarity(parts.embed)


def _judged_spec(kind: Kind) -> MetricSpec:
    def make(parts: MetricParts) -> Metric:
        from pytest_ragcheck.metrics.judged.metric import JudgedMetric

        return JudgedMetric(kind, judging_of(parts, kind.name))

    return MetricSpec(name=kind.name, make=make, needs=kind.needs | {"judge"})


def judging_of(parts: MetricParts, name: str) -> Judging:
    """What judged metrics are made from; ConfigurationError where there is no judge."""
    if parts.judging is None:
        raise ConfigurationError(f'metric {name!r} needs a judge: set `judge = "anthropic:MODEL"`')
    return parts.judging


_BUILT_IN: tuple[MetricSpec, ...] = (
    *(_retrieval_spec(name) for name in RETRIEVAL_MEASURES),
    MetricSpec(name="groundedness", make=lambda _: Groundedness(), needs=frozenset({"answer", "contexts"}), version=2),
    MetricSpec(name="answer_similarity", make=_answer_similarity, needs=frozenset({"answer", "reference", "embedder"})),
    MetricSpec(
        name="reference_coverage",
        make=lambda _: ReferenceCoverage(),
        needs=frozenset({"answer", "reference"}),
        version=2,
    ),
    MetricSpec(
        name="must_contain", make=lambda _: MustContain(), needs=frozenset({"answer", "must_contain"}), version=2
    ),
    MetricSpec(name="refusal", make=lambda _: Refusal(), needs=frozenset({"answer"})),
    *(_judged_spec(kind) for kind in KINDS.values()),
)
_specs: dict[str, MetricSpec] = {spec.name: spec for spec in _BUILT_IN}


def register(spec: MetricSpec) -> None:
    """Add a metric; raises ConfigurationError where its name is taken."""
    if spec.name in _specs:
        raise ConfigurationError(f"a metric named {spec.name!r} exists already; choose another name")
    _specs[spec.name] = spec


def replace_metric(spec: MetricSpec) -> None:
    """Add a metric that an import path names, in the place of what the same path named before."""
    _specs[spec.name] = spec


def unregister(name: str) -> None:
    """Take back what :func:`register` added; built-in metrics stay."""
    if name not in {spec.name for spec in _BUILT_IN}:
        _specs.pop(name, None)


def own_specs() -> tuple[MetricSpec, ...]:
    """The metrics that are not built in."""
    return tuple(spec for spec in _specs.values() if spec not in _BUILT_IN)


def metric_names() -> tuple[str, ...]:
    """The names of all metrics, built-in ones first."""
    return tuple(_specs)


def required_inputs(name: str) -> frozenset[str]:
    """What the metric needs, as in :attr:`MetricSpec.needs`.

    Raises:
        ConfigurationError: there is no metric of this name.

    """
    return _spec(name).needs


def metric_version(name: str) -> int:
    """See :attr:`MetricSpec.version`; raises as :func:`required_inputs` does."""
    return _spec(name).version


def create_metrics(
    names: Iterable[str],
    *,
    top_k: int,
    embed: Embed | None,
    documents: Mapping[str, str] | None = None,
    judging: Judging | None = None,
    judging_by: Callable[[Any], Judging] | None = None,
) -> tuple[Metric, ...]:
    """One metric object for each different name, in the order given.

    ``documents`` are the texts, by source, that the questions' gold was resolved against.

    Raises:
        ConfigurationError: an unknown name, or a metric that needs an embedder or a judge where there is none.

    """
    known = None if documents is None else KnownDocuments(documents)
    parts = MetricParts(top_k=top_k, documents=known, embed=embed, judging=judging, judging_by=judging_by)
    return tuple(spec.make(parts) for spec in [_spec(name) for name in dict.fromkeys(names)])


def _spec(name: str) -> MetricSpec:
    if name not in _specs:
        raise ConfigurationError(f"unknown metric {name!r}{did_you_mean(name, _specs)}")
    return _specs[name]
