"""How often the gate is wrong, and what it finds: the very function that the gate uses, on simulated scores.

    python benchmarks/gate.py [--repetitions 2000] [--seed 1]

Scores lie between 0 and 1, the threshold is 0.7. Each question has its own quality (mean 0.8, standard deviation 0.15,
cut off at 0 and 1), and each trial adds noise:

- normal: standard deviation 0.15, cut off at 0 and 1
- skewed: most scores a little above the quality, some far below (exponential, standard deviation 0.15), cut off at 0, 1
- bimodal: a score is 0 or 1, and 1 with the question's own probability, all from 0 to 1 equally likely

An alarm is a verdict ``regressed`` of any metric, by its mean or by a question that broke. As in a session that the
gate decides about, a question that passed and now fails is asked until it has three samples; "asked once" leaves it at
what it was asked.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from support import print_table

from pytest_ragcheck.baseline.statistics import MetricScores, PairedScores, decide
from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.trials import SAMPLES_OF_A_FALL

QUALITY, SPREAD, NOISE = 0.8, 0.15, 0.15
THRESHOLD = 0.7
SIZES = (10, 25, 50, 100)
TRIALS = (1, 3)
CLUSTER = 5
FLIP_RATES = (0.01, 0.05, 0.1)


# ---- Simulated scores ------------------------------------------------------------------------
# A shape draws its questions, and returns a function that draws one session's scores, (questions, trials), lowered.


def quality_of(rng, questions):
    return rng.normal(QUALITY, SPREAD, questions).clip(0, 1)


def normal(rng, questions):
    quality = quality_of(rng, questions)
    return lambda drop, trials: ((quality - drop)[:, None] + rng.normal(0, NOISE, (questions, trials))).clip(0, 1)


def lowered_by(drop):
    """As ``normal``, but a run's scores are this much lower after the cut: the means drop by just that."""

    def shape(rng, questions):
        draw = normal(rng, questions)
        sessions = iter((0.0, drop))
        return lambda unchanged, trials: draw(unchanged, trials) - next(sessions)

    return shape


def skewed(rng, questions):
    best = quality_of(rng, questions) + NOISE
    return lambda drop, trials: ((best - drop)[:, None] - rng.exponential(NOISE, (questions, trials))).clip(0, 1)


def bimodal(rng, questions):
    passes = rng.uniform(0, 1, questions)
    return lambda drop, trials: (rng.random((questions, trials)) < (passes - drop)[:, None]).astype(float)


def clustered(rng, questions):
    """As ``normal``, but half of the noise's variance is common to the questions of a cluster."""
    quality = quality_of(rng, questions)

    def draw(drop, trials):
        own = rng.normal(0, NOISE / 2**0.5, (questions, trials))
        common = rng.normal(0, NOISE / 2**0.5, (questions // CLUSTER, trials)).repeat(CLUSTER, axis=0)
        return ((quality - drop)[:, None] + own + common).clip(0, 1)

    return draw


def failing(rate):
    """Scores of 1, but each trial of each question fails at this rate."""

    def shape(rng, questions):
        return lambda drop, trials: (rng.random((questions, trials)) >= rate + drop[:, None]).astype(float)

    return shape


# ---- Comparisons -----------------------------------------------------------------------------


def no_drop(questions):
    return np.zeros(questions)


def drop_of_a_fifth(questions):
    return np.where(np.arange(questions) < questions // 5, 0.3, 0.0)


def compare(rng, *, shape, questions, trials, drop=no_drop, broken=False, confirmed=True, metrics=1, labelled=False):
    """The decisions of one comparison; with ``broken`` question 0 falls from 1 to 0 in every trial."""
    given = []
    further = max(0, SAMPLES_OF_A_FALL - trials) if confirmed else 0
    for number in range(metrics):
        draw = shape(rng, questions)
        baseline, run = draw(no_drop(questions), trials), draw(drop(questions), trials + further)
        if broken:
            baseline[0], run[0] = 1.0, 0.0
        given.append(MetricScores(metric=f"m{number}", pairs=pairs_of(baseline, run, labelled=labelled)))
    return decide(given)


def pairs_of(baseline, run, *, labelled):
    """With what a question that fell gets beyond as many samples as the baseline has."""
    trials = baseline.shape[1]
    return tuple(
        PairedScores(
            question=f"q{number}",
            baseline=tuple(before),
            run=tuple(now[:trials]),
            confirmations=tuple(now[trials:]) if np.mean(before) >= THRESHOLD > np.mean(now[:trials]) else (),
            threshold=THRESHOLD,
            cluster=number // CLUSTER if labelled else None,
        )
        for number, (before, now) in enumerate(zip(baseline.tolist(), run.tolist(), strict=True))
    )


class Cell:
    """The outcomes of many comparisons of one kind; each cell starts from the seed."""

    def __init__(self, repetitions, seed, **kind):
        rng = np.random.default_rng(seed)
        self.outcomes = [compare(rng, **kind) for _ in range(repetitions)]

    @property
    def alarms(self):
        """Share of comparisons with an alarm."""
        return self._share(lambda decisions: Verdict.REGRESSED in verdicts(decisions))

    @property
    def by_question(self):
        """Share of comparisons in which a question broke."""
        return self._share(broken_questions)

    @property
    def named(self):
        """Share of comparisons in which question 0 broke."""
        return self._share(lambda decisions: "q0" in broken_questions(decisions))

    def verdict(self, verdict):
        """Share of comparisons with a metric of this verdict."""
        return self._share(lambda decisions: verdict in verdicts(decisions))

    @property
    def visible_drop(self):
        """Mean of what the comparisons call their smallest visible drop."""
        return float(np.mean([one.change.smallest_visible_drop for decisions in self.outcomes for one in decisions]))

    def _share(self, holds):
        return f"{100 * sum(map(bool, map(holds, self.outcomes))) / len(self.outcomes):.1f} %"


def verdicts(decisions):
    return {one.change.verdict for one in decisions}


def broken_questions(decisions):
    return {name for one in decisions for name, score in one.scores.items() if score.broke}


# ---- Tables ----------------------------------------------------------------------------------


def show_false_alarms(repetitions, seed):
    print("No change: alarms, those by a question, and the verdicts\n")
    rows = []
    for shape in (normal, skewed, bimodal):
        for trials in TRIALS:
            for questions in SIZES:
                cell = Cell(repetitions, seed, shape=shape, questions=questions, trials=trials)
                others = [cell.verdict(verdict) for verdict in (Verdict.SAME, Verdict.INCONCLUSIVE, Verdict.BETTER)]
                rows.append((shape.__name__, trials, questions, cell.alarms, cell.by_question, *others))
    print_table(("noise", "trials", "questions", "alarms", "by question", "same", "inconclusive", "better"), rows)


def show_further_alarms(repetitions, seed):
    print("\nNo change: alarms, 50 questions, one trial\n")
    kinds = {
        "3 metrics, normal": {"shape": normal, "metrics": 3},
        "3 metrics, bimodal": {"shape": bimodal, "metrics": 3},
        f"clusters of {CLUSTER}, told": {"shape": clustered, "labelled": True},
        f"clusters of {CLUSTER}, not told": {"shape": clustered},
    }
    rows = [(name, Cell(repetitions, seed, questions=50, trials=1, **kind).alarms) for name, kind in kinds.items()]
    print_table(("", "alarms"), rows)


def show_drops(repetitions, seed):
    print("\n20 % of the questions drop by 0.3, normal noise: found, and by a question\n")
    rows = []
    for trials in TRIALS:
        for questions in SIZES:
            cell = Cell(repetitions, seed, shape=normal, questions=questions, trials=trials, drop=drop_of_a_fifth)
            rows.append((trials, questions, cell.alarms, cell.by_question))
    print_table(("trials", "questions", "found", "by question"), rows)


def show_visible_drops(repetitions, seed):
    print("\nEvery question drops by what is told to be the smallest visible drop, normal noise: found\n")
    rows = []
    for trials in TRIALS:
        for questions in SIZES:
            kind = {"questions": questions, "trials": trials}
            visible = Cell(repetitions, seed, shape=normal, **kind).visible_drop
            cell = Cell(repetitions, seed, shape=lowered_by(visible), **kind)
            rows.append((trials, questions, f"{visible:.3f}", cell.alarms))
    print_table(("trials", "questions", "visible drop", "found"), rows)


def show_breaks(repetitions, seed):
    print("\nOne question falls from 1 to 0, nothing else changes: named\n")
    rows = []
    for name, shape in (("none", failing(0)), ("normal", normal), ("skewed", skewed)):
        for trials in TRIALS:
            cells = [
                Cell(repetitions, seed, shape=shape, questions=questions, trials=trials, broken=True)
                for questions in SIZES
            ]
            rows.append((name, trials, *(cell.named for cell in cells)))
    print_table(("noise", "trials", *(f"N = {size}" for size in SIZES)), rows)


def show_rare_flips(repetitions, seed):
    print("\nNo change, but each trial of each question fails now and then: alarms\n")
    rows = []
    for rate in FLIP_RATES:
        for name, kind in (
            ("1, asked once", {"trials": 1, "confirmed": False}),
            ("1", {"trials": 1}),
            ("3", {"trials": 3}),
        ):
            cells = [Cell(repetitions, seed, shape=failing(rate), questions=questions, **kind) for questions in SIZES]
            rows.append((f"{100 * rate:.0f} %", name, *(cell.alarms for cell in cells)))
    print_table(("fails", "trials", *(f"N = {size}" for size in SIZES)), rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000, help="of a cell (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.perf_counter()
    some = max(1, options.repetitions // 4)
    show_false_alarms(options.repetitions, options.seed)
    show_further_alarms(options.repetitions, options.seed)
    show_drops(options.repetitions, options.seed)
    show_visible_drops(some, options.seed)
    show_breaks(some, options.seed)
    show_rare_flips(some, options.seed)
    print(
        f"\n{options.repetitions} repetitions of the first three tables, {some} of the others, seed {options.seed}, "
        f"{time.perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
