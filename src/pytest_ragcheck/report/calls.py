"""Model calls and money as text: what a run came to, and what one would come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.report.figures import plural
from pytest_ragcheck.report.textual import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.model import ModelCalls, Planned

__all__ = ["calls_lines", "dollars", "plan_lines"]

CENT = 0.01


def dollars(amount: float) -> str:
    """``$12.35``, ``$0.0042``: two places, four below a cent."""
    return f"${amount:,.2f}" if amount >= CENT or amount == 0 else f"${amount:.4f}"


def calls_lines(calls: ModelCalls, *, width: int = 80) -> str:
    """Calls, tokens and money of a run; an unknown price is said to be unknown."""
    asked = [f"{plural(calls.asked, 'model call')}, {calls.cached:,} from the cache"]
    asked += [f"{plural(count, noun, many)}" for count, noun, many in _troubles(calls) if count]
    usage = calls.usage
    tokens = f"tokens: {usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens:,} in"
    if usage.cache_read_tokens or usage.cache_write_tokens:
        prompt_cache = f"{usage.cache_read_tokens:,} read from and {usage.cache_write_tokens:,} written to"
        tokens += f" ({prompt_cache} the prompt cache)"
    lines = [", ".join(asked), f"{tokens}, {usage.output_tokens:,} out", f"cost: {_cost(calls)}"]
    return "\n".join(folded for line in lines for folded in fold(line, width))


def plan_lines(plans: Sequence[Planned], *, unforeseen: int = 0, width: int = 80) -> str:
    """What runs would call and cost; ``unforeseen`` counts the questions that a pipeline of the user's own answers."""
    lines: list[str] = []
    for plan in plans:
        if unforeseen and not plan.calls and not plan.cached:
            continue  # it would look like a plan to call nothing
        lines.append(f"{plural(plan.calls, 'model call')} to make, {plan.cached:,} from the cache")
        if plan.calls:
            lines += [
                f"tokens: {_range(plan.input_tokens)} in, {_range(plan.output_tokens)} out",
                f"cost: {_planned_cost(plan)}",
                f"minutes: {plan.minutes[0]:.1f} to {plan.minutes[1]:.1f}",
            ]
    if unforeseen:
        lines.append(f"{plural(unforeseen, 'question')} for a pipeline of your own, whose calls cannot be foreseen")
    if not lines:
        lines.append("no model is configured, so a run calls none")
    indented = [f"  {folded}" for line in lines for folded in fold(line, width - 2)]
    return "\n".join(["plan: nothing was called", *indented])


def _troubles(calls: ModelCalls) -> list[tuple[int, str, str]]:
    return [
        (calls.retries, "retry", "retries"),
        (calls.refused, "request refused with 429", "requests refused with 429"),
        (calls.failed, "without a usable reply", "without a usable reply"),
    ]


def _cost(calls: ModelCalls) -> str:
    known = dollars(calls.cost)
    if calls.unpriced:
        unknown = f"unknown for {plural(calls.unpriced, 'call')} (no price for the model; set it under [prices])"
        known = f"{known} and {unknown}" if calls.cost else unknown
    return f"{known}; the cache saved {dollars(calls.saved)}" if calls.saved else known


def _planned_cost(plan: Planned) -> str:
    if plan.cost is None:
        return f"unknown (no price for {', '.join(plan.unpriced_models)}; set it under [prices])"
    return f"{dollars(plan.cost[0])} to {dollars(plan.cost[1])}"


def _range(bounds: tuple[int, int]) -> str:
    return f"{bounds[0]:,} to {bounds[1]:,}"
