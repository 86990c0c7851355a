"""How judging is configured."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_CRITERIA", "JudgeSettings", "is_own_judge", "judge_model", "named_judge"]

ANTHROPIC = "anthropic"
_IMPORT_PATH = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
DEFAULT_CRITERIA = (
    "Determine whether the actual output answers the input with the same facts as the expected output. "
    "Contradicting the expected output, or leaving out a fact that it states and the input asks for, is a serious "
    "fault. Other wording, another order and further true detail are no faults."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """What the judge is told beside the case; see the configuration's table ``[judging]``."""

    max_tokens: int = 4096
    """Of one reply; a reply that is cut off is asked for once more with four times as many."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Passed on in the request's body; to what makes a judge of the user's, as keyword arguments."""
    near: float = 0.05
    """A score that passes by less than this gets the judge's reason, as one that fails does."""
    criteria: str | None = None
    """For ``correctness``; None: :data:`DEFAULT_CRITERIA`."""
    evaluation_steps: tuple[str, ...] = ()
    """For ``correctness``; with steps, none are asked of the judge and ``criteria`` is not used."""
    penalize_ambiguous_claims: bool = False
    """For ``faithfulness``: claims that the contexts neither bear out nor contradict count against it."""
    truths_extraction_limit: int | None = None
    """For ``faithfulness``: most facts taken from the contexts."""


def judge_model(said: str) -> str:
    """The model of ``"anthropic:MODEL"``, or ``"module:name"`` as it is; ConfigurationError for anything else."""
    provider, _, model = said.partition(":")
    if provider == ANTHROPIC and model.strip():
        return model.strip()
    if provider != ANTHROPIC and _IMPORT_PATH.fullmatch(said):
        return said
    raise ConfigurationError(
        f'judge = {said!r} is not known; use "{ANTHROPIC}:MODEL", or "module:name" for a DeepEvalBaseLLM of yours'
    )


def named_judge(judge: str) -> str:
    """What :func:`judge_model` gave as the configuration has it."""
    return judge if is_own_judge(judge) else f"{ANTHROPIC}:{judge}"


def is_own_judge(judge: str) -> bool:
    """Whether what :func:`judge_model` gave is the place of a model of the user's."""
    return ":" in judge
