"""How often questions of an unchanged suite look broken by chance, judged by how often its questions pass and fail.

A hierarchical beta-binomial model: a question always passes, or always fails, or is flaky and passes with a probability
of its own, drawn from a beta distribution. The shares of the three kinds are estimated from the suite by
expectation-maximisation, for each of a grid of beta distributions, and the result is averaged over the grid by how well
each explains the suite (D. A. Williams, Biometrics 31 (1975) 949-952; B. Efron, "Large-Scale Inference" (2010),
chapter 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections import Counter

__all__ = ["Flakiness", "Record"]

MEANS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99)
CONCENTRATIONS = (1.0, 2.0, 5.0, 20.0, 100.0)
"""The grid: beta distributions by their mean and the sum of their parameters."""
ASSUMED = 0.25
"""So many questions of each kind are assumed beyond those seen."""
STEPS = 60


class Record(NamedTuple):
    """How many of a question's samples pass, in the baseline and in the run."""

    passed_before: int
    samples_before: int
    passed_now: int
    samples_now: int

    @property
    def totals(self) -> tuple[int, int]:
        """How many of all samples pass, and their number: all that counts where nothing changed."""
        return self.passed_before + self.passed_now, self.samples_before + self.samples_now

    def failing(self, samples: int) -> Record:
        """The same baseline with a run of so many samples of which none passes."""
        return self._replace(passed_now=0, samples_now=samples)

    @property
    def fell_completely(self) -> bool:
        """Whether it passed each time in the baseline, and never in the run."""
        return self.passed_before == self.samples_before and not self.passed_now


@dataclass(frozen=True)
class Flakiness:
    """Fitted to the records of questions that are not suspected of having changed."""

    counts: tuple[tuple[tuple[int, int], int], ...]
    """How many questions have each of these :attr:`Record.totals`."""

    @classmethod
    def fit(cls, counts: Counter[tuple[int, int]]) -> Flakiness:
        """Fit to so many records with these totals."""
        return cls(tuple(sorted(counts.items())))

    def chance(self, record: Record) -> float:
        """Return how likely a question with this record in the baseline passes as rarely in the run, or more rarely."""
        before = self._likelihood(record.passed_before, record.samples_before)
        _, samples = record.totals
        both = sum(
            math.comb(record.samples_now, now) * self._likelihood(record.passed_before + now, samples)
            for now in range(record.passed_now + 1)
        )
        return min(1.0, both / before)

    def _likelihood(self, passed: int, samples: int) -> float:
        """Of so many passes in one order."""
        weights, shares = self._fitted
        kinds = shares[0] * (passed == samples) + shares[1] * (passed == 0) + shares[2] * _flaky(passed, samples)
        return float(weights @ kinds)

    @cached_property
    def _fitted(self) -> tuple[Any, Any]:
        """The weight of each beta distribution of the grid, and with it the shares of the three kinds of questions."""
        import numpy as np

        counts = np.array([count for _, count in self.counts], dtype=float)
        likelihoods = np.zeros((len(counts), 3, len(_prior())))
        for row, ((passed, samples), _) in enumerate(self.counts):
            likelihoods[row] = np.broadcast_arrays(passed == samples, passed == 0, _flaky(passed, samples))
        shares = np.full((3, likelihoods.shape[2]), 1 / 3)
        for _ in range(STEPS):
            joint = likelihoods * shares
            expected = np.einsum("r,rkg->kg", counts, joint / joint.sum(axis=1, keepdims=True)) + ASSUMED
            shares = expected / expected.sum(axis=0)
        evidence = counts @ np.log((likelihoods * shares).sum(axis=1)) + np.log(_prior())
        weights = np.exp(evidence - evidence.max())
        return weights / weights.sum(), shares


@cache
def _grid() -> tuple[Any, Any]:
    """The parameters of the beta distributions."""
    import numpy as np

    parameters = np.array([(mean * total, (1 - mean) * total) for mean, total in product(MEANS, CONCENTRATIONS)])
    return parameters[:, 0], parameters[:, 1]


def _prior() -> Any:
    """Questions are written to pass: a beta distribution is the likelier, the more often its questions pass."""
    a, b = _grid()
    return a / (a + b)


@cache
def _flaky(passed: int, samples: int) -> Any:
    """Of so many passes in one order, for a flaky question of each beta distribution."""
    import numpy as np

    a, b = _grid()
    failed = samples - passed
    ones, zeros, both = (np.arange(count)[:, None] for count in (passed, failed, samples))
    log = np.log(a + ones).sum(axis=0) + np.log(b + zeros).sum(axis=0) - np.log(a + b + both).sum(axis=0)
    return np.exp(log)
