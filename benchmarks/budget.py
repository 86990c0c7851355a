"""What a budget does to a run, in virtual time: whether it is kept, whether it is used, how much longer the run takes.

``python benchmarks/budget.py [--seeds 5]``; each question makes three calls, one after the other, of a judge whose
replies may have 4096 tokens. "seconds" are those until 90 % of what the budget pays for is spent, with it and without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from support import print_table
from weather_virtual import run_in_virtual_time

from pytest_ragcheck.call_context import question_scope
from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway import Gateway, ModelRequest, PriceList
from pytest_ragcheck.gateway.transport import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MODEL = "claude-haiku-5-5"
DOLLARS = 5e-6
"""For a token of the reply; what is sent costs nothing, so that the limit can be compared with the replies alone."""
MOST_TOKENS = 4096
CALLS_OF_A_QUESTION = 3
CONCURRENCY = 64


def _some_dear(share: float, draw: random.Random) -> int:
    return MOST_TOKENS if draw.random() < share else draw.randint(140, 260)


SHAPES: Mapping[str, Callable[[random.Random], int]] = {
    "alike: 140 to 260 tokens": lambda draw: draw.randint(140, 260),
    "long tail: 60 to 2,000": lambda draw: min(2000, 60 + int(draw.paretovariate(1.3) * 80)),
    "2 % cost the worst case": partial(_some_dear, 0.02),
    "10 % cost the worst case": partial(_some_dear, 0.1),
    "any length": lambda draw: draw.randint(1, MOST_TOKENS),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a run."""

    spent: float
    seconds: float
    """Until the share of the money was spent that :func:`run` was asked for."""
    whole: int
    """Questions whose calls were all made."""
    begun: int
    """Questions of which any call was made."""
    cut: int
    """Replies that were cut short and asked for once more."""
    peak: float
    """The most that the calls so far and those in flight could have come to."""


class Judge:
    """A server whose replies have a length that depends on the question alone, and take two seconds and more."""

    def __init__(self, length: Callable[[random.Random], int], seed: int) -> None:
        self._length, self._seed = length, seed
        self.spent = self.in_flight = self.peak = 0.0
        self.cut = 0
        self.history: list[tuple[float, float]] = []

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def send(self, body: Mapping[str, Any], *, seconds: float) -> Response:  # noqa: ARG002 (of Transport)
        """Reply with as many tokens as the call may have."""
        text = body["messages"][0]["content"]
        draw = random.Random(f"{self._seed} {text}")
        wanted, allowed = self._length(draw), body["max_tokens"]
        self.in_flight += allowed * DOLLARS
        self.peak = max(self.peak, self.spent + self.in_flight)
        await asyncio.sleep(2.0 + draw.random())
        tokens = min(wanted, allowed)
        self.in_flight -= allowed * DOLLARS
        self.spent += tokens * DOLLARS
        self.cut += tokens < wanted
        self.history.append((asyncio.get_running_loop().time(), self.spent))
        message = {
            "type": "message",
            "model": body["model"],
            "content": [{"type": "text", "text": "a reply"}],
            "stop_reason": "max_tokens" if tokens < wanted else "end_turn",
            "usage": {"input_tokens": 0, "output_tokens": tokens},
        }
        headers = {"content-type": "application/json"}
        return Response(status=200, headers=headers, body=json.dumps(message).encode())


def run(
    length: Callable[[random.Random], int], limit: float | None, *, questions: int, seed: int, money: float
) -> Outcome:
    """Ask as many questions; the seconds are those until ``money`` was spent."""
    judge = Judge(length, seed)
    made: dict[int, int] = {}

    async def question(gateway: Gateway, number: int) -> None:
        with question_scope(number):
            for call in range(CALLS_OF_A_QUESTION):
                message = {"role": "user", "content": f"question {number}, call {call}"}
                try:
                    await gateway.complete(ModelRequest(model=MODEL, messages=[message], max_tokens=MOST_TOKENS))
                except NotRunError:
                    return
                made[number] = made.get(number, 0) + 1

    async def main() -> None:
        prices = PriceList({MODEL: {"input": 0.0, "output": DOLLARS * 1e6}})
        async with Gateway(transport=judge, prices=prices, max_cost=limit, concurrency=CONCURRENCY) as gateway:
            await asyncio.gather(*(question(gateway, number) for number in range(questions)))

    run_in_virtual_time(main)
    return Outcome(
        spent=judge.spent,
        seconds=next((at for at, spent in judge.history if spent >= money), float("inf")),
        whole=sum(calls == CALLS_OF_A_QUESTION for calls in made.values()),
        begun=len(made),
        cut=judge.cut,
        peak=judge.peak,
    )


def compare(length: Callable[[random.Random], int], limit: float, *, seed: int) -> tuple[Outcome, Outcome]:
    """The same questions, several times as many as the limit pays for, with it and without."""
    draw = random.Random(seed)
    mean = sum(length(draw) for _ in range(2000)) / 2000 * DOLLARS
    questions = 10 + int(2.5 * limit / mean / CALLS_OF_A_QUESTION)
    kept, free = (run(length, each, questions=questions, seed=seed, money=0.9 * limit) for each in (limit, None))
    return kept, free


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    rows = []
    for name, length in SHAPES.items():
        for limit in (0.03, 0.3, 3.0):
            pairs = [compare(length, limit, seed=seed) for seed in seeds]
            kept = [one for one, _ in pairs]
            rows.append(
                (
                    name,
                    f"${limit:g}",
                    f"{max(one.spent for one in kept) / limit:.1%}",
                    f"{max(one.peak for one in kept) / limit:.1%}",
                    f"{sum(one.spent for one in kept) / limit / len(kept):.1%}",
                    f"{sum(one.whole for one in kept)} of {sum(one.begun for one in kept)}",
                    f"{sum(one.cut for one in kept)}",
                    " ".join(
                        f"{sum(one.seconds for one in each) / len(kept):.0f}" for each in (kept, [b for _, b in pairs])
                    ),
                )
            )
    headings = (
        "replies",
        "limit",
        "most spent",
        "most possible",
        "mean spent",
        "whole",
        "cut",
        "seconds: with, without",
    )
    print_table(headings, rows)


if __name__ == "__main__":
    main()
