"""What a calibration tells, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.report.figures import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.commands.calibrate.judging import Outcome
    from pytest_ragcheck.metrics.judged.agreement import Agreement

__all__ = ["calibration_text", "trouble_lines"]


def calibration_text(outcome: Outcome) -> Iterator[str]:
    """Line by line: the judge, then for each metric who passes what, and how far the two agree."""
    calibration = outcome.calibration
    yield f"judge {calibration.judge}, {plural(outcome.scored_answers, 'scored answer')} in {outcome.questions}"
    for name, agreement in calibration.metrics.items():
        yield ""
        yield f"{name}, {plural(agreement.answers, 'answer')}, passing from {agreement.threshold:.2f} on"
        yield from _table(agreement)
        yield f"  Cohen's kappa {_figure(agreement.kappa, agreement.kappa_interval)}{_no_kappa(agreement)}"
        yield f"  Spearman      {_figure(agreement.rho, agreement.rho_interval)}{_no_order(agreement)}"
        if agreement.caution is not None:
            yield f"  caution: {agreement.caution}"
    yield ""


def trouble_lines(outcome: Outcome) -> Iterator[str]:
    """What could not be judged, each with its place."""
    for trouble in outcome.troubles:
        yield f"{trouble.where}: {trouble.metric} has no score: {trouble.cause}"


def _table(agreement: Agreement) -> Iterator[str]:
    yield "                judge passes  judge fails"
    yield f"  people pass   {agreement.both_pass:>12}  {agreement.judge_fails:>11}"
    yield f"  people fail   {agreement.judge_passes:>12}  {agreement.both_fail:>11}"


def _figure(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.2f}" if interval is None else f"{value:.2f} (95 % {interval[0]:.2f} to {interval[1]:.2f})"


def _no_kappa(agreement: Agreement) -> str:
    return ": everything passes, or everything fails, for both" if agreement.kappa is None else ""


def _no_order(agreement: Agreement) -> str:
    return ": all scores of one side are the same" if agreement.rho is None else ""
