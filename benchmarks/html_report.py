"""The HTML report of large runs: how long it takes to write, how large it is, and how soon a reader can use it.

``python benchmarks/html_report.py [--sizes 10 1000 10000]``

The runs are made up: five contexts of 900 characters for each question out of a corpus of twice as many chunks as
there are questions, an answer, six metrics with reasons, four model calls. The file is opened in the system's Chromium
through Playwright. *Interactive* is the time from the navigation to a list that takes input, *ratio* how many times
that of the smallest run it is, *processor* what of it the page's own thread spent; *filter* is the time from a change
of the filters to the next frame, *question* that from a click to the question's page on the screen.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from support import print_table

from pytest_ragcheck.model import Answer, Call, Context, Passage, Question, Result, Run, Score, Timing, Usage
from pytest_ragcheck.report.html import html_report

PROGRAM = "/usr/bin/chromium"
CONTEXTS = 5
THRESHOLD = 0.2
NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000], help="numbers of questions")
    parser.add_argument("--chromium", default=PROGRAM)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows = [measured(Path(place), size, options.chromium) for size in options.sizes]
    heads = ("questions", "to write", "file", "interactive", "ratio", "processor", "filter", "question")
    print_table(heads, [shown(row, rows[0]) for row in rows])


def measured(place, size, program):
    run = made_run(size)
    started = time.perf_counter()
    text = html_report(run)
    written = time.perf_counter() - started
    path = place / f"{size}.html"
    path.write_text(text, encoding="utf-8")
    return {"size": size, "written": written, "bytes": path.stat().st_size} | in_browser(path, program)


def shown(row, first):
    return (
        row["size"],
        f"{row['written']:.1f} s",
        f"{row['bytes'] / 1e6:.1f} MB",
        f"{row['interactive']:.2f} s",
        f"x {row['interactive'] / first['interactive']:.1f}",
        f"{row['processor']:.2f} s",
        f"{row['filter']:.2f} s",
        f"{row['question']:.2f} s",
    )


def in_browser(path, program):
    """Seconds: until the page is interactive, its thread's processor time till then, a filter, a question's page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        inspector = page.context.new_cdp_session(page)
        inspector.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(f"{path.as_uri()}#/questions")
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        metrics = {one["name"]: one["value"] for one in inspector.send("Performance.getMetrics")["metrics"]}
        times = {
            "interactive": page.evaluate("performance.getEntriesByName('ready')[0].startTime") / 1000,
            "processor": metrics["TaskDuration"],
            "filter": page.evaluate(timed("location.hash = '#/questions?state=failed&q=et'")) / 1000,
            "question": page.evaluate(timed("document.querySelector('.list tbody a').click()")) / 1000,
        }
        browser.close()
    return times


def timed(action):
    """A function for the page: milliseconds until what ``action`` causes is on the screen."""
    return f"""async () => {{
        const start = performance.now();
        {action};
        await {NEXT_FRAME};
        return performance.now() - start;
    }}"""


class Draw(random.Random):
    """Chance, and texts of 8,000 words, which a compressor finds about as hard as English."""

    def __init__(self, seed):
        super().__init__(seed)
        letters = "etaoinshrdlucmfwypvbgk"
        self._words = ["".join(self.choices(letters, k=self.randint(2, 10))) for _ in range(8_000)]

    def text(self, length):
        """Sentences, cut off at ``length`` characters."""
        sentences = []
        while sum(map(len, sentences)) < length:
            sentences.append(" ".join(self.choices(self._words, k=12)).capitalize() + ".")
        return " ".join(sentences)[:length]


def made_run(size):
    draw = Draw(size)
    chunks = [draw.text(900) for _ in range(2 * size)]
    results = tuple(made_result(draw, number, chunks) for number in range(size))
    return Run(
        started_at="2026-01-01T00:00:00+00:00",
        mode="concurrent",
        fingerprints={},
        setup=1.0,
        wall=size / 10,
        versions={},
        results=results,
    )


def made_result(draw, number, chunks):
    picked = draw.sample(range(len(chunks)), CONTEXTS)
    contexts = tuple(
        Context(
            text=chunks[chunk],
            rank=rank,
            score=1 / rank,
            source=f"docs/{chunk // 20}.md",
            start=0,
            end=len(chunks[chunk]),
        )
        for rank, chunk in enumerate(picked, start=1)
    )
    gold = Passage(source=contexts[1].source, start=100, end=200)
    question = Question(
        id=f"question-{number}",
        question=draw.text(80),
        reference=draw.text(120),
        gold=((gold,),),
        tags=(f"tag-{number % 12}",),
        dataset="questions.yaml",
        line=number,
    )
    started = number / 10
    scores = {
        name: made_score(draw, name)
        for name in ("hit_rate", "groundedness", "faithfulness", "answer_relevancy", "recall", "refusal")
    }
    calls = tuple(
        Call(
            purpose=purpose,
            model="a-model",
            started=started + 1.0,
            queued=draw.random(),
            wire=draw.random(),
            attempts=1,
            usage=Usage(input_tokens=900),
            cost=0.001,
            request_id=f"req_{draw.getrandbits(96):x}",
        )
        for purpose in ("generation", "faithfulness", "faithfulness", "answer_relevancy")
    )
    timing = Timing(
        generation=1.0,
        evaluation=2.0,
        started=started,
        finished=started + 4,
        generation_span=(started, started + 1),
        evaluation_span=(started + 1, started + 4),
    )
    return Result(
        question=question,
        answer=Answer(text=draw.text(400), contexts=contexts, model="a-model"),
        scores=scores,
        timing=timing,
        calls=calls,
    )


def made_score(draw, name):
    value = draw.random()
    rejected = [{"claim": draw.text(60), "reason": draw.text(80)}] if value < THRESHOLD else []
    return Score(metric=name, value=value, threshold=THRESHOLD, reason=draw.text(120), details={"rejected": rejected})


if __name__ == "__main__":
    main()
