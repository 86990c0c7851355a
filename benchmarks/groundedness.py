"""How well groundedness tells supported answers from unsupported ones, against labels that people gave.

    python benchmarks/groundedness.py items.jsonl

Each line of the file: ``{"answer": "...", "contexts": ["..."], "label": 1}``, label 1 where people found the answer
fully supported by the contexts, 0 where not. Prints the area under the ROC curve (0.5 is chance) with a 95 %
bootstrap interval, and what some thresholds would pass.

Answers to which the metric does not apply (refusals, no content words) are counted and left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from pathlib import Path
from typing import NamedTuple

from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.text import Groundedness
from pytest_ragcheck.model import Answer, Context, Question

RESAMPLES = 2000
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Rated(NamedTuple):
    """A measured value and what people said."""

    value: float
    supported: bool


async def rate(lines: list[str]) -> tuple[list[Rated], int]:
    """All items that could be measured, and the number of the others."""
    metric = Groundedness()
    rated, skipped = [], 0
    for line in lines:
        item = json.loads(line)
        contexts = tuple(Context(text=text, rank=rank) for rank, text in enumerate(item["contexts"], start=1))
        question = Question(id=str(item.get("id", "")), question=item.get("question", ""))
        score = await metric.measure(Case(question=question, contexts=contexts, answer=Answer(text=item["answer"])))
        if score.value is None:
            skipped += 1
        else:
            rated.append(Rated(score.value, bool(item["label"])))
    return rated, skipped


def auroc(rated: list[Rated]) -> float:
    """The chance that a supported answer is rated above an unsupported one, ties counting half (Mann-Whitney U)."""
    ranked = sorted(rated)
    rank_sum, position = 0.0, 0
    while position < len(ranked):
        end = position
        while end < len(ranked) and ranked[end].value == ranked[position].value:
            end += 1
        mean_rank = (position + 1 + end) / 2
        rank_sum += mean_rank * sum(item.supported for item in ranked[position:end])
        position = end
    positives = sum(item.supported for item in rated)
    negatives = len(rated) - positives
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def interval(rated: list[Rated]) -> tuple[float, float]:
    """95 % percentile bootstrap, resampling supported and unsupported items apart."""
    rng = random.Random(0)
    groups = [[item for item in rated if item.supported is supported] for supported in (True, False)]
    draws = sorted(
        auroc([item for group in groups for item in rng.choices(group, k=len(group))]) for _ in range(RESAMPLES)
    )
    return draws[int(0.025 * RESAMPLES)], draws[int(0.975 * RESAMPLES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    lines = parser.parse_args().path.read_text(encoding="utf-8").splitlines()
    rated, skipped = asyncio.run(rate(lines))
    supported = [item for item in rated if item.supported]
    unsupported = [item for item in rated if not item.supported]
    if not supported or not unsupported:
        parser.error("the file needs items of both labels")
    low, high = interval(rated)
    print(f"{len(rated)} items ({len(supported)} supported), {skipped} not applicable")
    print(f"AUROC {auroc(rated):.3f} (95 % {low:.3f} to {high:.3f})")
    print("threshold  supported that pass  unsupported that pass")
    for threshold in THRESHOLDS:
        passes = [sum(item.value >= threshold for item in group) / len(group) for group in (supported, unsupported)]
        print(f"{threshold:9.2f}  {passes[0]:19.1%}  {passes[1]:21.1%}")


if __name__ == "__main__":
    main()
