"""deepeval's eval mode: in every mode but "llm" another vendor's model decides, which no gateway sees."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics.judged import models

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_eval_mode", "decision_models_in", "llm_mode", "pin_eval_mode"]


@contextmanager
def llm_mode() -> Iterator[None]:
    """Let metrics that the code within makes take the mode "llm", whatever ``DEEPEVAL_EVAL_MODE`` says.

    For code that does not wait for anything, as deepeval's settings are the whole process's.
    """
    from deepeval.config.settings import get_settings

    settings = get_settings()
    before = settings.DEEPEVAL_EVAL_MODE
    # Not by the environment: a change there makes deepeval read all its settings again.
    settings.DEEPEVAL_EVAL_MODE = "llm"
    try:
        yield
    finally:
        settings.DEEPEVAL_EVAL_MODE = before


def pin_eval_mode(root: Any) -> None:
    """Set the mode "llm" on a metric, and on all metrics that it is made of."""
    from deepeval.config.eval_mode import EvalMode

    for metric in models.metrics_in(root):
        # On all of them: a class that knows of no mode would take the environment's while it measures.
        metric.eval_mode, metric.system_one_model = EvalMode.LLM, None


def check_eval_mode(root: Any, name: str) -> None:
    """Raise ConfigurationError for a metric that would ask a model which cannot be replaced by the judge."""
    from deepeval.config.eval_mode import EvalMode, normalize_eval_mode, resolve_eval_mode

    of_environment = resolve_eval_mode()
    for metric in models.metrics_in(root):
        mode = normalize_eval_mode(metric.eval_mode) or EvalMode.LLM
        if mode.uses_system_one and mode is not of_environment:
            raise ConfigurationError(
                f"metric {name!r}: eval_mode must be 'llm', got {mode.value!r} on {type(metric).__name__}; remove it: "
                "calls of a decision model are neither stored nor counted"
            )
        if metric.system_one_model is not None and not _is_default(metric.system_one_model):
            raise ConfigurationError(
                f"metric {name!r}: system_one_model of {type(metric).__name__} cannot be used, as calls of a decision "
                'model are neither stored nor counted; remove it, or set eval_mode="llm"'
            )
        if mode is EvalMode.SYSTEM_ONE and getattr(metric, "model", None) is None:
            raise ConfigurationError(
                f"metric {name!r}: DEEPEVAL_EVAL_MODE=system_one left {type(metric).__name__} without its model; unset "
                'it, set eval_mode="llm" on the metric, or give a function that makes it'
            )
        if type(metric).__module__.startswith("deepeval.") and isinstance(getattr(metric, "model", None), str):
            raise ConfigurationError(
                f"metric {name!r}: {type(metric).__name__} asks {metric.model!r} itself, and its calls are neither "
                "stored nor counted; use a metric that takes a DeepEvalBaseLLM"
            )


def decision_models_in(root: Any) -> list[Any]:
    """The decision models that a metric holds: they need not be copied, as none of them is asked."""
    held = (metric.system_one_model for metric in models.metrics_in(root))
    return [model for model in held if model is not None]


def _is_default(model: Any) -> bool:
    """Whether deepeval takes this model where none is given."""
    from deepeval.config.eval_mode import EvalMode
    from deepeval.metrics.utils import initialize_system_one_model

    try:
        default = initialize_system_one_model(None, EvalMode.HYBRID)
    except Exception:  # noqa: BLE001 (it has no key or no SDK)
        return False
    return type(model) is type(default) and model.name == default.name
