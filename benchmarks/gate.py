"""How often the gate is wrong, and what it finds: the very function that the gate uses, on simulated scores.

    python benchmarks/gate.py [--repetitions 1000] [--seed 1] [--processes 2]

Scores lie between 0 and 1, the threshold is 0.7. Questions differ in quality (mean 0.8, standard deviation 0.15, cut
off at 0 and 1), and each trial adds noise, of these shapes:

- normal: standard deviation 0.15, cut off at 0 and 1
- skewed: most scores a little above the quality, some far below (exponential, standard deviation 0.15), cut off at 0, 1
- 5 points: as normal, rounded to 0, 0.25, 0.5, 0.75, 1: a judge's rating
- claims: the share of 1 to 6 claims that hold, each with the question's quality
- 0/1, fails 2 %, 5 %: each trial of each question scores 0 at this rate, and else 1
- 0/1, 5 coins: five questions score 0 every other time, the others always 1
- 0/1, 5 flaky: five questions score 1 with a rate of their own, uniform from 0 to 1, the others always
- 0/1, all flaky: so do all questions
- by document: as normal, but half of the noise's variance is common to the five questions of a document

An alarm is a verdict ``regressed`` of any metric, by its mean or by a question that broke. As in a session that the
gate decides about, a question that passed and now fails is asked again; "asked once" leaves it at what it was asked.
"""

from __future__ import annotations

import argparse
import io
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from itertools import repeat

import numpy as np
from support import print_table

from pytest_ragcheck.baseline.drift import Drift, Rejudged, movement, weighed
from pytest_ragcheck.baseline.history import shift_between
from pytest_ragcheck.baseline.statistics import MetricScores, PairedScores, decide, undecided
from pytest_ragcheck.comparison import Verdict
from pytest_ragcheck.trials import FIRST_CONFIRMATIONS, SAMPLES_OF_A_FALL

QUALITY, SPREAD, NOISE = 0.8, 0.15, 0.15
THRESHOLD = 0.7
SIZES = (10, 25, 50, 100)
TRIALS = (1, 3)
CLUSTER = 5


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


def five_points(rng, questions):
    draw = normal(rng, questions)
    return lambda drop, trials: np.round(draw(drop, trials) * 4) / 4


def claims(rng, questions):
    quality, counts = quality_of(rng, questions), rng.integers(1, 7, questions)[:, None]
    return lambda drop, trials: rng.binomial(counts, (quality - drop).clip(0, 1)[:, None], (questions, trials)) / counts


def passing(rates_of):
    """Scores of 1 at the questions' rates, which ``rates_of`` draws, and else 0."""

    def shape(rng, questions):
        rates = rates_of(rng, questions)
        return lambda drop, trials: (rng.random((questions, trials)) < (rates - drop)[:, None]).astype(float)

    return shape


def failing(rate):
    return passing(lambda _, questions: np.full(questions, 1 - rate))


def few(rates_of):
    """At most five questions with such rates; the others always pass. The first ones always do: they may break."""

    def rates(rng, questions):
        flaky = min(5, questions // 2)
        return np.concatenate([np.ones(questions - flaky), rates_of(rng, flaky)])

    return passing(rates)


def by_document(rng, questions):
    quality = quality_of(rng, questions)

    def draw(drop, trials):
        own = rng.normal(0, NOISE / 2**0.5, (questions, trials))
        common = rng.normal(0, NOISE / 2**0.5, (questions // CLUSTER, trials)).repeat(CLUSTER, axis=0)
        return ((quality - drop)[:, None] + own + common).clip(0, 1)

    return draw


SHAPES = {
    "normal": normal,
    "skewed": skewed,
    "5 points": five_points,
    "claims": claims,
    "0/1, fails 2 %": failing(0.02),
    "0/1, fails 5 %": failing(0.05),
    "0/1, 5 coins": few(lambda _, count: np.full(count, 0.5)),
    "0/1, 5 flaky": few(lambda rng, count: rng.uniform(0, 1, count)),
    "0/1, all flaky": passing(lambda rng, questions: rng.uniform(0, 1, questions)),
}


# ---- Comparisons -----------------------------------------------------------------------------


def no_drop(questions):
    return np.zeros(questions)


def drop_of_a_fifth(questions):
    return np.where(np.arange(questions) < questions // 5, 0.3, 0.0)


def compare(rng, *, shape, questions, trials, drop=no_drop, broken=False, confirmed=True, metrics=1, labelled=False):
    """The decisions of one comparison; with ``broken`` question 0 falls from 1 to 0 in every trial."""
    given = []
    further = max(0, SAMPLES_OF_A_FALL - 2 * trials) if confirmed else 0
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
    fell = (baseline.mean(axis=1) >= THRESHOLD) & (run[:, :trials].mean(axis=1) < THRESHOLD)
    return tuple(
        PairedScores(
            question=f"q{number}",
            baseline=tuple(before),
            run=tuple(now[:trials]),
            confirmations=asked_again(now[trials:]) if fell[number] else (),
            threshold=THRESHOLD,
            cluster=number // CLUSTER if labelled else None,
        )
        for number, (before, now) in enumerate(zip(baseline.tolist(), run.tolist(), strict=True))
    )


def asked_again(samples):
    """All of them, where the first do not show already that the question passes."""
    first = samples[:FIRST_CONFIRMATIONS]
    return tuple(samples if max(first, default=0.0) < THRESHOLD else first)


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


def by_size(repetitions, seed, value, **kind):
    """A figure of each number of questions."""
    return [value(Cell(repetitions, seed, questions=questions, **kind)) for questions in SIZES]


def show(title, headings, rows):
    print(f"\n{title}\n")
    print_table((*headings, *(f"N = {size}" for size in SIZES)), rows)


def show_false_alarms(repetitions, seed):
    kinds = {name: {"shape": shape} for name, shape in SHAPES.items()}
    kinds["by document, known"] = {"shape": by_document, "labelled": True}
    kinds["by document, not known"] = {"shape": by_document}
    kinds["3 metrics, normal"] = {"shape": normal, "metrics": 3}
    kinds["3 metrics, 0/1, 5 coins"] = {"shape": SHAPES["0/1, 5 coins"], "metrics": 3}
    kinds["asked once: 0/1, fails 2 %"] = {"shape": failing(0.02), "confirmed": False}
    rows = [
        (
            name,
            trials,
            *by_size(repetitions, seed, lambda cell: f"{cell.alarms} ({cell.by_question})", trials=trials, **kind),
        )
        for name, kind in kinds.items()
        for trials in TRIALS
    ]
    show("Nothing changed: alarms (those by a question)", ("noise", "trials"), rows)


def show_verdicts(repetitions, seed):
    def shares(cell):
        return f"{cell.verdict(Verdict.SAME)}, {cell.verdict(Verdict.INCONCLUSIVE)}"

    rows = [(trials, *by_size(repetitions, seed, shares, shape=normal, trials=trials)) for trials in TRIALS]
    show("Nothing changed, normal noise: same, inconclusive", ("trials",), rows)


class Shifted:
    """Draws runs of one suite; all scores of a run lie higher or lower together, by another amount in each run.

    Half of the variance of a trial's noise is the answer's, and half the judge's.
    """

    def __init__(self, rng, questions, *, shift, noise=0.1):
        self.rng, self.shift, self.noise = rng, shift, noise / 2**0.5
        self.quality = quality_of(rng, questions)

    def answers(self, drop, trials):
        """How good each answer is."""
        quality = (self.quality - drop)[:, None]
        return quality + self.rng.normal(0, self.noise, (quality.size, trials))

    def mood(self):
        """How much higher or lower all scores of a run are."""
        return self.rng.normal(0, self.shift)

    def judged(self, answers, mood):
        """The scores of answers in a run."""
        return (answers + mood + self.rng.normal(0, self.noise, answers.shape)).clip(0, 1)


def compare_shifted(rng, *, questions, trials, drop=no_drop, shift=0.03, earlier=0, rejudged=0):
    """One metric's verdict where each run has a shift of its own.

    ``earlier``: runs of the unchanged system that are known. ``rejudged``: stored answers that the run's judge sees
    again; the shift is the judge's then.
    """
    suite = Shifted(rng, questions, shift=shift)
    unchanged = no_drop(questions)
    runs = [scores_of(suite.judged(suite.answers(unchanged, trials), suite.mood())) for _ in range(earlier)]
    stored, then, now = suite.answers(unchanged, trials), suite.mood(), suite.mood()
    baseline, run = suite.judged(stored, then), suite.judged(suite.answers(drop(questions), trials), now)
    pairs = tuple(replace(pair, threshold=None) for pair in pairs_of(baseline, run, labelled=False))
    (decision,) = decide([MetricScores(metric="m", pairs=pairs, shift=shift_between([runs]))])
    if not rejudged or decision.change.verdict is not Verdict.REGRESSED:
        return decision.change.verdict
    again = suite.judged(stored[:rejudged, 0], now).tolist()
    scores = map(rejudged_score, range(rejudged), baseline[:rejudged, 0].tolist(), again)
    moved = movement("m", Drift(scores=tuple(scores)))
    return weighed(decision.change, decision.scores, decision.found, moved)[0].verdict


def scores_of(run):
    return {(f"q{number}",): tuple(values) for number, values in enumerate(run.tolist())}


def rejudged_score(number, before, after):
    return Rejudged(key=(f"q{number}",), metric="m", baseline=before, value=after)


def show_shifts(repetitions, seed):
    kinds = {
        "no shift": {"shift": 0.0},
        "no shift, 10 earlier runs": {"shift": 0.0, "earlier": 10},
        "no shift, 50 judged again": {"shift": 0.0, "rejudged": 50},
        "shift": {},
        "shift, 3 earlier runs": {"earlier": 3},
        "shift, 5 earlier runs": {"earlier": 5},
        "shift, 10 earlier runs": {"earlier": 10},
        "shift of the judge, 20 judged again": {"rejudged": 20},
        "shift of the judge, 50 judged again": {"rejudged": 50},
    }

    def found(**kind):
        rng = np.random.default_rng(seed)
        verdicts = [compare_shifted(rng, questions=50, **kind) for _ in range(repetitions)]
        return f"{100 * verdicts.count(Verdict.REGRESSED) / repetitions:.1f} %"

    rows = [
        (name, trials, found(trials=trials, **kind), found(trials=trials, drop=drop_of_a_fifth, **kind))
        for name, kind in kinds.items()
        for trials in TRIALS
    ]
    print("\nAll scores of a run shift together (standard deviation 0.03, noise 0.1), 50 questions: alarms\n")
    print_table(("what is known", "trials", "nothing changed", "a fifth drops by 0.3"), rows)


def in_rounds(rng, *, shape, questions, drop, rounds=5, metrics=1):
    """Whether a regression is called, and after how many trials of each question, where each round may be the last."""
    sides = [sessions(rng, shape, questions, drop, rounds) for _ in range(metrics)]
    asked, chosen = [0] * questions, set(map(str, range(questions)))
    for _ in range(rounds):
        asked = [count + (str(number) in chosen) for number, count in enumerate(asked)]
        scores = [unjudged(name, *both, asked, looks=rounds) for name, both in enumerate(sides)]
        if not (chosen := undecided(scores)):
            break
    return any(one.change.mean_fell for one in decide(scores)), np.mean(asked)


def all_at_once(rng, *, shape, questions, drop, trials=3, metrics=1):
    sides = [sessions(rng, shape, questions, drop, trials) for _ in range(metrics)]
    scores = [unjudged(name, *both, [trials] * questions) for name, both in enumerate(sides)]
    return any(one.change.mean_fell for one in decide(scores)), trials


def sessions(rng, shape, questions, drop, trials):
    """The scores of a baseline and of a run of so many trials each."""
    draw = shape(rng, questions)
    return draw(no_drop(questions), trials).tolist(), draw(drop(questions), trials).tolist()


def unjudged(name, baseline, run, asked, *, looks=1):
    """Without a threshold, so that the mean alone decides."""
    pairs = tuple(
        PairedScores(question=str(number), baseline=tuple(before), run=tuple(now[:trials]))
        for number, (before, now, trials) in enumerate(zip(baseline, run, asked, strict=True))
    )
    return MetricScores(metric=f"m{name}", pairs=pairs, looks=looks)


def show_rounds(repetitions, seed):
    def found(way, **kind):
        rng = np.random.default_rng(seed)
        outcomes = [way(rng, questions=50, **kind) for _ in range(repetitions)]
        share, trials = np.mean(outcomes, axis=0)
        return f"{100 * share:.1f} %", f"{trials:.2f} ({100 * trials / 3:.0f} %)"

    kinds = {name: {"shape": shape} for name, shape in SHAPES.items()}
    kinds["3 metrics, normal"] = {"shape": normal, "metrics": 3}
    rows = []
    for name, kind in kinds.items():
        row = [name]
        for drop in (no_drop, drop_of_a_fifth):
            fixed, _ = found(all_at_once, drop=drop, **kind)
            row += [fixed, ", ".join(found(in_rounds, drop=drop, **kind))]
        rows.append(row)
    print("\nThree trials, or rounds of up to five: mean fell, and trials of each question; 50 questions\n")
    unchanged, dropped = "nothing changed", "a fifth drops by 0.3"
    print_table(("noise", f"{unchanged}: 3", "rounds", f"{dropped}: 3", "rounds"), rows)


def show_drops(repetitions, seed):
    rows = [
        (
            name,
            trials,
            *by_size(repetitions, seed, lambda cell: cell.alarms, shape=shape, trials=trials, drop=drop_of_a_fifth),
        )
        for name, shape in SHAPES.items()
        for trials in TRIALS
    ]
    show("A fifth of the questions drops by 0.3: found", ("noise", "trials"), rows)


def show_breaks(repetitions, seed):
    rows = [
        (name, trials, *by_size(repetitions, seed, lambda cell: cell.named, shape=shape, trials=trials, broken=True))
        for name, shape in {"none": failing(0), **SHAPES}.items()
        for trials in TRIALS
    ]
    show("One question falls from 1 to 0, nothing else changes: named", ("noise", "trials"), rows)


def show_visible_drops(repetitions, seed):
    rows = []
    for trials in TRIALS:
        kind = {"trials": trials}
        for questions in SIZES:
            visible = Cell(repetitions, seed, shape=normal, questions=questions, **kind).visible_drop
            cell = Cell(repetitions, seed, shape=lowered_by(visible), questions=questions, **kind)
            rows.append((trials, questions, f"{visible:.3f}", cell.alarms))
    print("\nEvery question drops by what is told to be the smallest visible drop, normal noise: found\n")
    print_table(("trials", "questions", "visible drop", "found"), rows)


TABLES = (show_false_alarms, show_breaks, show_drops, show_shifts, show_rounds, show_verdicts, show_visible_drops)


def printed_by(table, repetitions, seed):
    with redirect_stdout(io.StringIO()) as text:
        table(repetitions, seed)
    return text.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000, help="of a cell (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="tables at once (default: %(default)s)")
    parser.add_argument("--only", choices=[table.__name__.removeprefix("show_") for table in TABLES])
    options = parser.parse_args()
    started = time.perf_counter()
    wanted = [table for table in TABLES if options.only in {None, table.__name__.removeprefix("show_")}]
    with ProcessPoolExecutor(options.processes) as processes:
        for text in processes.map(printed_by, wanted, repeat(options.repetitions), repeat(options.seed)):
            print(text, end="", flush=True)
    error = 100 * (0.05 * 0.95 / options.repetitions) ** 0.5
    print(
        f"\n{options.repetitions} comparisons a cell: a share of 5 % has a standard error of {error:.1f} %, "
        f"seed {options.seed}, {time.perf_counter() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
