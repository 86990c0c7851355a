"""How far a judge agrees with people: Cohen's kappa at a threshold, Spearman's correlation, and their intervals."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Agreement", "agreement"]

CONFIDENCE = 0.95
Z = 1.959963984540054
"""The normal quantile of a two-sided interval of 95 %."""
FEWEST_ANSWERS = 30
FEWEST_OF_A_KIND = 5
"""Answers that people pass, and answers that they fail."""
WIDEST = 0.2
"""Half of an interval of kappa that settles something."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One metric's judge against people; intervals are two-sided, of 95 %."""

    threshold: float
    """The least score that passes, for people and judge alike."""
    both_pass: int
    judge_fails: int
    """Answers that people pass and the judge fails."""
    judge_passes: int
    """Answers that people fail and the judge passes."""
    both_fail: int
    kappa: float | None
    """Cohen's; None where people and judge give every answer the same verdict, which leaves nothing to agree on."""
    kappa_interval: Interval | None
    rho: float | None
    """Spearman's, of the scores as they are; None where all of one side are the same."""
    rho_interval: Interval | None
    """None for fewer than four answers, and where the order is the same, or the reverse, throughout."""

    @property
    def answers(self) -> int:
        """Answers that were scored by both."""
        return self.both_pass + self.judge_fails + self.judge_passes + self.both_fail

    @property
    def caution(self) -> str | None:
        """Why the figures tell little; None where they do not."""
        people_pass, people_fail = self.both_pass + self.judge_fails, self.judge_passes + self.both_fail
        if min(people_pass, people_fail) < FEWEST_OF_A_KIND:
            kinds = f"people pass {people_pass} and fail {people_fail}"
            return f"{kinds}; score at least {FEWEST_OF_A_KIND} answers of each kind, better {FEWEST_ANSWERS // 2}"
        if self.answers < FEWEST_ANSWERS:
            return f"{self.answers} answers are few; score at least {FEWEST_ANSWERS}"
        return self._wide()

    def _wide(self) -> str | None:
        if self.kappa_interval is None:
            return None
        half = (self.kappa_interval[1] - self.kappa_interval[0]) / 2
        if half <= WIDEST:
            return None
        wanted = math.ceil(self.answers * (half / WIDEST) ** 2)
        return f"the interval of kappa is wide; about {wanted} answers would bring it down to ±{WIDEST:g}"


def agreement(people: Sequence[float], judge: Sequence[float], *, threshold: float) -> Agreement:
    """Compare two lists of scores of the same answers, at least one."""
    verdicts = [(human >= threshold, judged >= threshold) for human, judged in zip(people, judge, strict=True)]
    counts = [verdicts.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
    kappa = _kappa(counts)
    rho = _rho(people, judge)
    return Agreement(
        threshold=threshold,
        both_pass=counts[0],
        judge_fails=counts[1],
        judge_passes=counts[2],
        both_fail=counts[3],
        kappa=kappa,
        kappa_interval=None if kappa is None else _kappa_interval(counts, kappa),
        rho=rho,
        rho_interval=None if rho is None else _rho_interval(rho, len(people)),
    )


def _shares(counts: Sequence[int]) -> tuple[list[list[float]], list[float], list[float], float, float]:
    """The table's shares, its row and column sums, and the agreement that is observed and that chance would give."""
    total = sum(counts)
    table = [[counts[0] / total, counts[1] / total], [counts[2] / total, counts[3] / total]]
    rows = [sum(row) for row in table]
    columns = [table[0][column] + table[1][column] for column in (0, 1)]
    observed = (counts[0] + counts[3]) / total
    return table, rows, columns, observed, sum(row * column for row, column in zip(rows, columns, strict=True))


def _kappa(counts: Sequence[int]) -> float | None:
    """J. Cohen, "A Coefficient of Agreement for Nominal Scales", Educ. and Psychological Measurement 20 (1960)."""
    _, _, _, observed, by_chance = _shares(counts)
    return None if by_chance == 1.0 else (observed - by_chance) / (1 - by_chance)


def _kappa_interval(counts: Sequence[int], kappa: float) -> Interval:
    """From the large-sample variance of J. L. Fleiss, J. Cohen, B. S. Everitt, Psychological Bulletin 72 (1969).

    It is 0 where all agree, whatever their number; then the lower end follows from the exact one of the observed
    agreement (C. J. Clopper, E. S. Pearson, Biometrika 26 (1934)).
    """
    table, rows, columns, observed, by_chance = _shares(counts)
    total = sum(counts)
    if observed == 1.0:
        least = ((1 - CONFIDENCE) / 2) ** (1 / total)
        return (least - by_chance) / (1 - by_chance), 1.0
    rest = 1 - kappa
    agreeing = sum(table[i][i] * (1 - (rows[i] + columns[i]) * rest) ** 2 for i in (0, 1))
    differing = rest**2 * sum(table[i][j] * (columns[i] + rows[j]) ** 2 for i, j in ((0, 1), (1, 0)))
    variance = (agreeing + differing - (kappa - by_chance * rest) ** 2) / (total * (1 - by_chance) ** 2)
    half = Z * math.sqrt(max(0.0, variance))
    return max(-1.0, kappa - half), min(1.0, kappa + half)


def _rho(people: Sequence[float], judge: Sequence[float]) -> float | None:
    if len(set(people)) < 2 or len(set(judge)) < 2:  # noqa: PLR2004 (an order)
        return None
    from statistics import correlation

    return correlation(_ranks(people), _ranks(judge))


def _ranks(scores: Sequence[float]) -> list[float]:
    """Return each score's rank, equal ones with the mean of theirs."""
    ordered = sorted(scores)
    return [(bisect_left(ordered, score) + bisect_right(ordered, score)) / 2 for score in scores]


def _rho_interval(rho: float, total: int) -> Interval | None:
    """D. G. Bonett, T. A. Wright, "Sample size requirements for ... correlations", Psychometrika 65 (2000)."""
    if total <= 3 or abs(rho) > 1 - 1e-12:  # noqa: PLR2004 (degrees of freedom)
        return None
    half = Z * math.sqrt((1 + rho**2 / 2) / (total - 3))
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)
