"""Trials of many questions round by round, as a test over all of them chooses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ragcheck.engine.engine import Engine, combined_in_rounds
from pytest_ragcheck.trials import confirmations_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from pytest_ragcheck.engine.job import Job
    from pytest_ragcheck.engine.slots import Slots
    from pytest_ragcheck.model import Result

__all__ = ["Rounds", "RoundsEngine", "rounds_of"]


class Rounds:
    """The state of jobs that are all asked once, then those that :attr:`Job.choose` names after each round.

    When it names none, those that fell are asked again. A job that sits one round out may be chosen after the next one.
    It asks nothing itself: any engine of any process may run the jobs that are :attr:`open`. The next round depends
    only on the results, so processes that take the same results open the same jobs.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.round = 0
        """Number of the round that is open; it rises once more where questions are asked again."""
        self.finished: dict[Hashable, Result] = {}
        """The results of questions that need no further job, by their keys."""
        self._open = {job.key: replace(job, trial=0) for job in jobs}
        self._taken: dict[Hashable, Result] = {}
        self._trials: dict[Hashable, list[Result]] = {job.key: [] for job in jobs}

    @property
    def open(self) -> Sequence[Job]:
        """The jobs of this round that lack a result; none where all questions are finished."""
        return [job for key, job in self._open.items() if self.is_open(key)]

    def is_open(self, key: Hashable) -> bool:
        """Whether the question's job of this round lacks a result."""
        return key in self._open and key not in self._taken

    def take(self, key: Hashable, result: Result) -> None:
        """Take the result of an open job; the last one of a round opens the next."""
        self._taken[key] = result
        if len(self._taken) == len(self._open):
            self._end_round()

    def _end_round(self) -> None:
        results, self._taken = self._taken, {}
        was_last = all(job.trial is None for job in self._open.values())
        self.round += 1
        if was_last:
            self._open = {}
            self.finished |= results
            return
        for key, result in results.items():
            self._trials[key].append(result)
        further = self._further(results.values())
        self._open = further or dict(self._confirmations())

    def _further(self, results: Iterable[Result]) -> dict[Hashable, Job]:
        """The jobs of the next round of trials; none where the trials end."""
        choose = self.jobs[0].choose
        nothing_answers = all(result.answer is None for result in results)
        if choose is None or nothing_answers or self.round >= self.jobs[0].trials:
            return {}
        chosen = set(choose(self._trials))
        return {job.key: replace(job, trial=len(self._trials[job.key])) for job in self.jobs if job.key in chosen}

    def _confirmations(self) -> Iterable[tuple[Hashable, Job]]:
        """Finish what need not be asked again, and return the rest."""
        for job in self.jobs:
            asked = replace(job, done=tuple(self._trials[job.key]))
            result = combined_in_rounds(asked)
            if confirmations_wanted(result, job.least_before):
                yield job.key, asked
            else:
                self.finished[job.key] = result


class RoundsEngine(Engine):
    """An :class:`~pytest_ragcheck.engine.Engine` that gives each round of ``rounds`` to an engine of its own."""

    def __init__(
        self,
        rounds: Rounds,
        *,
        new_engine: Callable[..., Engine],
        slots: Slots,
        on_result: Callable[[Hashable, Result], None],
        keep: Callable[[Result], Result],
    ) -> None:
        super().__init__(rounds.jobs, slots=slots, on_result=on_result, keep=keep)
        self._rounds = rounds
        self._new_engine = new_engine

    async def _run(self) -> None:
        rounds = self._rounds
        handed_out: set[Hashable] = set()
        while jobs := rounds.open:
            for key, result in await self._results_of(jobs):
                rounds.take(key, result)
            for key in rounds.finished.keys() - handed_out:
                self._hand_out(key, rounds.finished[key])
            handed_out |= rounds.finished.keys()

    async def _results_of(self, jobs: Sequence[Job]) -> list[tuple[Hashable, Result]]:
        engine = self._new_engine(jobs, slots=self._slots)
        engine.start()
        try:
            await engine.settled()
            return [(job.key, await engine.result(job.key)) for job in jobs]
        finally:
            await engine.close()


def rounds_of(jobs: Iterable[Job]) -> list[Rounds]:
    """The rounds of those jobs whose trials are chosen by a test over all of them."""
    groups: dict[int, list[Job]] = {}
    for job in jobs:
        if job.choose is not None:
            groups.setdefault(id(job.choose), []).append(job)
    return [Rounds(group) for group in groups.values()]
