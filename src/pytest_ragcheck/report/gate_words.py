"""What the gate's reports say, without layout; ids, labels and names in it are as they came, not yet safe to show."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.report import figures

if TYPE_CHECKING:
    from pytest_ragcheck.comparison import Comparison, GoldChange, MetricChange, QuestionChange, ScoreChange

__all__ = [
    "breaks_of",
    "compared_questions",
    "counts_of",
    "dropped_most",
    "fall_of",
    "gold_change",
    "gold_ranks",
    "headline",
    "known_failures",
    "measured_share",
    "part_changes",
    "question_name",
    "remedies",
    "verdict_of",
    "visible_drop",
]

SHOWN_DROPS = 3
DIGEST_DIGITS = 12
_DIGEST = re.compile(r"[0-9a-f]{32,}")
_ACCEPT = "run with --ragcheck-update-baseline and commit the file"
_REMEDIES = {
    Verdict.BETTER: f"to keep what was gained, {_ACCEPT}",
    Verdict.REGRESSED: f"mend what made it worse; or, where the drop is meant, {_ACCEPT}",
    Verdict.JUDGE_DRIFTED: f"the judge moved: on the branch to compare with, {_ACCEPT}; then compare again",
    Verdict.NOT_COMPARABLE: f"undo what changed measure or questions; or, to start from what is there now, {_ACCEPT}",
    Verdict.INVALID: "mend what kept scores from being measured, and run again; what was paid for is in the cache",
}


def headline(comparison: Comparison) -> str:
    """The verdict and the weightiest reason."""
    reason = f": {comparison.reasons[0]}" if comparison.reasons else ""
    return f"gate: {comparison.verdict.value}{reason}"


def counts_of(comparison: Comparison) -> str:
    """What was compared with what."""
    against = f"{comparison.baseline_name} of {comparison.baseline_created}"
    return f"{compared_questions(comparison)} with {against}{measured_share(comparison)}"


def compared_questions(comparison: Comparison) -> str:
    """``48 questions compared``."""
    return f"{figures.plural(len(comparison.questions), 'question')} compared"


def measured_share(comparison: Comparison) -> str:
    """``, 97.2% of the scores measured``; nothing where all were."""
    return "" if comparison.coverage == 1 else f", {comparison.coverage:.1%} of the scores measured"


def verdict_of(change: MetricChange, comparison: Comparison) -> str:
    """The metric's verdict; ``2 broke`` where that is all it rests on, since the mean may have risen meanwhile."""
    broken = sum(change.metric in one.broke for one in comparison.questions)
    if change.verdict is Verdict.REGRESSED and broken and not change.mean_fell:
        return f"{broken:,} broke"
    return change.verdict.value


def question_name(change: QuestionChange) -> str:
    """The question's name, or where it has none its id, with its variant."""
    return change.name or (f"{change.id} ({change.variant})" if change.variant else change.id)


def breaks_of(change: QuestionChange) -> str:
    """``faithfulness 0.90 -> 0.31, needs 0.70`` for each score that broke."""
    return "; ".join(f"{name} {fall_of(score)}" for name, score in change.scores.items() if score.broke)


def fall_of(score: ScoreChange) -> str:
    """``0.90 -> 0.31, needs 0.70``."""
    needs = "" if score.threshold is None else f", needs {figures.value(score.threshold)}"
    return figures.move(score.baseline, score.value, score.confirmations) + needs


def gold_change(change: GoldChange) -> str:
    """A gold passage's old and new rank."""
    return f"{gold_ranks(change)}: {change.label}"


def gold_ranks(change: GoldChange) -> str:
    """``gold rank 2 -> not retrieved``."""
    return f"gold {_rank(change.baseline_rank)} -> {_rank(change.rank)}"


def _rank(rank: int | None) -> str:
    return "not retrieved" if rank is None else f"rank {rank}"


def dropped_most(comparison: Comparison) -> dict[str, list[QuestionChange]]:
    """For each metric that regressed or drifted the questions that fell most, but for those that broke."""
    found = {}
    for metric, change in comparison.metrics.items():
        if change.verdict not in {Verdict.REGRESSED, Verdict.JUDGE_DRIFTED}:
            continue
        drops = sorted(
            ((_drop(one, metric), one) for one in comparison.questions if not one.broke), key=lambda entry: -entry[0]
        )
        fell = [one for drop, one in drops[:SHOWN_DROPS] if drop > 0]
        if fell:
            found[metric] = fell
    return found


def _drop(change: QuestionChange, metric: str) -> float:
    score = change.scores.get(metric)
    if score is None or score.baseline is None or score.value is None:
        return 0.0
    return score.baseline - score.value


def known_failures(comparison: Comparison) -> str | None:
    """How many questions were below a threshold before and are no worse; None: none."""
    known = sum(any(score.known for score in one.scores.values()) for one in comparison.questions)
    if not known:
        return None
    return f"{figures.plural(known, 'known failure')}: below a threshold in the baseline already, and no worse"


def part_changes(comparison: Comparison) -> list[str]:
    """What differs in what was measured; a digest says no more than that."""
    return [f"{part}: {_part(before)} -> {_part(now)}" for part, (before, now) in comparison.changed.items()]


def _part(value: str | None) -> str:
    if value is None:
        return "none"
    return _DIGEST.sub(lambda digest: digest[0][:DIGEST_DIGITS], value)


def visible_drop(change: MetricChange) -> str:
    """The least drop of the mean that would be found; ``none`` where not even the largest would."""
    visible = change.smallest_visible_drop
    if visible is None:
        return "-"
    return figures.value(visible) if visible <= 1 else "none"


def _uncertainty(change: MetricChange) -> float:
    return math.inf if change.smallest_visible_drop is None else change.smallest_visible_drop


def remedies(comparison: Comparison) -> list[str]:
    """What to do, one sentence each, in words of ours alone; nothing where all is well."""
    if comparison.verdict is Verdict.INCONCLUSIVE:
        unsure = [change for change in comparison.metrics.values() if change.verdict is Verdict.INCONCLUSIVE]
        # What settles the least certain metric settles the others.
        return [change.remedy for change in sorted(unsure, key=_uncertainty, reverse=True) if change.remedy][:1]
    known = _REMEDIES.get(comparison.verdict)
    return [] if known is None else [known]
