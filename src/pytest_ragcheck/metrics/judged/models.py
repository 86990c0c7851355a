"""The models that deepeval metrics hold: which were chosen by the user, and how ours takes the place of the others."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["is_unchosen", "metrics_in", "models_in", "replace_models", "stand_in"]


@lru_cache(maxsize=1)
def stand_in() -> Any:
    """A model that says "the configured judge" and answers nothing; deepeval must have been imported."""
    from deepeval.models import DeepEvalBaseLLM

    class ConfiguredJudge(DeepEvalBaseLLM):  # type: ignore[misc]  # deepeval has no types
        """The judge of the configuration, until a measurement begins."""

        def load_model(self) -> Any:
            """Nothing to load."""
            return self

        def get_model_name(self) -> str:
            """No model's name."""
            return "the configured judge"

        def generate(self, *_: Any, **__: Any) -> Any:
            """Never."""
            raise MeasurementError("the judge answers only while a question is measured", kind="judging")

        async def a_generate(self, *_: Any, **__: Any) -> Any:
            """Never."""
            return self.generate()

    return ConfiguredJudge()


def is_unchosen(model: Any) -> bool:
    """Whether a metric has the model because none was given to it: ours instead, or what deepeval takes then."""
    if model is stand_in():
        return True
    default = _default_model()
    return type(model) is type(default) and model.get_model_name() == default.get_model_name()


@lru_cache(maxsize=1)
def _default_model() -> Any:
    """What deepeval gives to a metric without a model; None where it has no key for it."""
    from deepeval.metrics.utils import initialize_model

    try:
        return initialize_model()[0]
    except Exception:  # noqa: BLE001 (each provider has errors of its own)
        return None


def models_in(root: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Each place of a model in a metric and in what it is made of: the holder, attribute or key, and the model."""
    from deepeval.models import DeepEvalBaseLLM

    for holder in _holders(root):
        yield from ((holder, place, part) for place, part in _parts(holder) if isinstance(part, DeepEvalBaseLLM))


def metrics_in(root: Any) -> Iterator[Any]:
    """The metrics that a metric is made of, and itself."""
    from deepeval.metrics import BaseMetric

    return (holder for holder in _holders(root) if isinstance(holder, BaseMetric))


def _holders(root: Any) -> Iterator[Any]:
    """Everything that a metric is made of, except the models."""
    from deepeval.models import DeepEvalBaseLLM

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        holder = waiting.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        yield holder
        waiting += [part for _, part in _parts(holder) if not isinstance(part, DeepEvalBaseLLM)]


def replace_models(root: Any, model_for: Callable[[Any], Any]) -> None:
    """Put ``model_for(model)`` in each model's place."""
    for holder, place, model in list(models_in(root)):
        ours = model_for(model)
        if isinstance(holder, list | dict):
            holder[place] = ours
            continue
        if isinstance(holder, tuple):
            raise MeasurementError("a model in a tuple cannot be replaced by the judge; use a list", kind="judging")
        setattr(holder, place, ours)
        if hasattr(holder, "using_native_model"):
            holder.using_native_model = False  # deepeval expects a price beside each reply of its own models
            holder.evaluation_model = ours.get_model_name()


def _parts(holder: Any) -> list[tuple[Any, Any]]:
    from deepeval.metrics import BaseMetric

    if isinstance(holder, dict):
        return list(holder.items())
    if isinstance(holder, list | tuple):
        return list(enumerate(holder))
    if isinstance(holder, BaseMetric) or type(holder).__module__.partition(".")[0] == "deepeval":
        return list(getattr(holder, "__dict__", {}).items())
    return []
