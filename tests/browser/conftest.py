"""A browser for the HTML report, and runs to report: a rich one, and a hostile one.

The tests need what tests/requirements-browser.txt names and a Chromium of the system (``chromium``, ``chromium-browser`` or
``google-chrome`` on the path, or RAGCHECK_CHROMIUM). They are skipped where one is missing; under
RAGCHECK_REQUIRE_BROWSER=1 they fail instead.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from pytest_ragcheck.comparison import (
    Cause,
    Comparison,
    ContextChange,
    GoldChange,
    MetricChange,
    QuestionChange,
    ScoreChange,
    Verdict,
)
from pytest_ragcheck.model import (
    Answer,
    Call,
    Context,
    Failure,
    ModelCalls,
    Passage,
    Question,
    Result,
    Run,
    Score,
    Timing,
    Turn,
    Usage,
)
from pytest_ragcheck.report.html import html_report

REQUIRED = os.environ.get("RAGCHECK_REQUIRE_BROWSER") == "1"
MILLISECONDS = 120_000
"""Against hangs alone."""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def missing(what):
    if REQUIRED:
        pytest.fail(f"{what}, and RAGCHECK_REQUIRE_BROWSER=1 asks for the browser tests")
    pytest.skip(f"{what}: no browser tests")


@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium; while Playwright is there, no other test of the process can run an event loop."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright is not installed")
    program = os.environ.get("RAGCHECK_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        missing("there is no Chromium")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if is_root else [], timeout=MILLISECONDS
        )
        yield browser
        browser.close()


class Visit:
    """A page of its own, and all that must not happen on it: messages, dialogs, requests but for the file itself."""

    def __init__(self, context, path):
        self.url = path.as_uri()
        self.page = context.new_page()
        self.page.set_default_timeout(MILLISECONDS)
        self.troubles = []
        self.requests = []
        self.refused = []
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("popup", lambda popup: self.troubles.append(f"popup: {popup.url}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.refused.append((request.url, request.failure)))

    def open(self, address=""):
        """At an address of the page, as by a link from elsewhere."""
        self.page.goto("about:blank")
        self.page.goto(self.url + address)
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def check(self):
        """Nothing was said, asked for or loaded."""
        assert not self.troubles
        outside = [url for url in self.requests if url.partition("#")[0] not in {self.url, "about:blank"}]
        assert not [url for url in outside if not url.startswith("data:")]


@pytest.fixture
def expect(chromium):
    """Playwright's assertions, which wait until they hold."""
    from playwright.sync_api import expect

    expect.set_options(timeout=MILLISECONDS)
    return expect


@pytest.fixture(scope="module")
def axe(chromium):
    """Deque's checks of accessibility."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        missing("axe-playwright-python is not installed")
    return Axe()


@pytest.fixture
def visit(chromium):
    """Opens files; ends with the check that nothing happened that must not."""
    contexts, visits = [], []

    def start(path, **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        contexts.append(context)
        visits.append(Visit(context, path))
        return visits[-1]

    yield start
    for one in visits:
        one.check()
    for context in contexts:
        context.close()


# ---- Runs ------------------------------------------------------------------------------------

LEAVE = "Staff have 25 days of annual leave a year. Leave is booked in the calendar and approved by the line manager."
CARRY = "Up to five days of leave can be carried over into the next year. They expire on 31 March."
SECONDS = 3.0


def calls(start, *, trouble=0.0):
    generation = Call(
        purpose="generation", model="claude-haiku-5-5", started=start, queued=0.2, backoff=trouble, wire=0.6, attempts=1,
        usage=Usage(input_tokens=900, output_tokens=60), cost=0.0012, request_id="req_generation",
    )  # fmt: skip
    judging = replace(
        generation, purpose="faithfulness", model="claude-sonnet-5-5", started=start + 0.9 + trouble, cost=None
    )
    return generation, judging


def timing(start, end):
    return Timing(
        retrieval=0.01, generation=0.8, evaluation=end - start - 0.8, started=start, finished=end,
        retrieval_span=(start, start + 0.01), generation_span=(start + 0.01, start + 0.8), evaluation_span=(start + 0.8, end),
    )  # fmt: skip


def carry_over(**changes):
    """Gold at rank 2, one sentence unsupported, one claim rejected."""
    text = "You can carry over five days of leave into the next year. They expire on 1 April. Ask Bob."
    contexts = (
        Context(text=LEAVE, rank=1, score=0.81, source="docs/leave.md", start=0, end=len(LEAVE)),
        Context(text=CARRY, rank=2, score=0.79, source="docs/leave.md", start=120, end=120 + len(CARRY)),
        Context(text="Meals are paid up to 40 euros a day.", rank=3, source="docs/expenses.md"),
    )
    unsupported = [
        {"sentence": "They expire on 1 April.", "words": ["1 April"]},
        {"sentence": "Ask Bob.", "words": ["Bob"]},
    ]
    scores = (
        Score(metric="hit_rate", value=1.0, threshold=1.0, reason="1 of 1 gold passages", details={"gold_ranks": [2], "missed": []}),
        Score(metric="groundedness", value=0.6, threshold=0.8, reason="not in the contexts: '1 April'", details={"unsupported": unsupported}),
        Score(metric="faithfulness", value=0.5, threshold=0.7, reason="The date is wrong.", details={"rejected": [{"claim": "They expire on 1 April", "reason": "the contexts say 31 March"}]}),
        Score(metric="must_contain", value=0.0, reason="not stated: '31 March'", details={"missing": [["31 March", "31.03."]]}),
        Score(metric="refusal", reason="not asked"),
    )  # fmt: skip
    question = Question(
        id="carry-over", question="How many days of leave can I carry over?", reference="Five days, until 31 March.",
        gold=((Passage(source="docs/leave.md", start=120, end=120 + 64, text=CARRY[:64]),),), tags=("leave", "lookup"),
        dataset="evals/questions.yaml", line=12, must_contain=(("31 March", "31.03."),),
        history=(Turn(role="user", text="I have a question about leave."), Turn(role="assistant", text="Go on.")),
    )  # fmt: skip
    values = {
        "question": question, "answer": Answer(text=text, contexts=contexts, model="claude-haiku-5-5", latency=0.6),
        "scores": {score.metric: score for score in scores}, "timing": timing(1.0, 3.4), "calls": calls(1.0, trouble=0.5),
    }  # fmt: skip
    return Result(**values | changes)


def trials():
    whole = carry_over()
    flaky = replace(whole.scores["groundedness"], value=1.0, details={})
    good = replace(whole, scores={"groundedness": flaky}, trials=())
    bad = replace(whole, scores={"groundedness": whole.scores["groundedness"]})
    question = replace(whole.question, id="flaky", question="Is this asked three times?", line=40, history=())
    return replace(whole, question=question, trials=(good, bad, good))


def plain(number):
    passes = number % 3 != 0
    question = Question(
        id=f"plain-{number:03}", question=f"Which crates does ship number {number} carry?", tags=("ships", f"fleet-{number % 4}"),
        dataset="evals/questions.yaml", line=100 + number, reference=f"Ship {number} carries {number} crates of salt.",
    )  # fmt: skip
    scores = (
        Score(metric="hit_rate", value=1.0 if passes else 0.0, threshold=1.0, reason="1 of 1 gold passages"),
        Score(metric="groundedness", value=(number % 10) / 10 if not passes else 0.9, threshold=0.1, reason="words"),
    )
    return Result(
        question=question, answer=Answer(text=f"{number} crates of salt.", contexts=(Context(text=CARRY, rank=1),)),
        scores={score.metric: score for score in scores}, timing=timing(1 + number / 50, 2.5 + number / 40), calls=calls(1 + number / 50),
    )  # fmt: skip


def rich_run():
    failed_call = Failure(
        message="server error 500 after 4 attempts", kind="api-error", details={"status": 500, "log": "one\ntwo"}
    )
    unmeasured = Score(
        metric="faithfulness", threshold=0.7, error=Failure(message="malformed judge output", kind="malformed")
    )
    results = [
        carry_over(),
        trials(),
        Result(question=Question(id="no-answer", question="What if the server fails?", tags=("leave",)), error=failed_call, timing=timing(1, 2)),
        replace(plain(1), question=Question(id="no-judge", question="What if the judge fails?"), scores={"faithfulness": unmeasured}),
        Result(question=Question(id="no-money", question="What if the budget is spent?"), not_run="the budget of $1.00 is spent"),
        *map(plain, range(130)),
    ]  # fmt: skip
    return Run(
        started_at="2026-11-22T15:18:47+00:00", mode="concurrent", setup=1.0, wall=SECONDS, results=tuple(results),
        fingerprints={"evals/questions.yaml": {"documents": "62f9fadd" * 8, "top_k": "3"}}, versions={"pytest-ragcheck": "0.1.0"},
        model_calls=ModelCalls(asked=270, retries=3, cost=1.25, unpriced=2, usage=Usage(input_tokens=9000)),
    )  # fmt: skip


def comparison_of(run):
    change = QuestionChange(
        id="carry-over", dataset="evals/questions.yaml", cause=Cause.CONTEXTS,
        scores={
            "groundedness": ScoreChange(
                metric="groundedness", baseline=1.0, value=0.6, threshold=0.8, noise=0.05, broke=True,
                confirmations=(0.6, 0.5),
            ),
            "hit_rate": ScoreChange(metric="hit_rate", baseline=1.0, value=1.0, threshold=1.0),
        },
        contexts=(
            ContextChange(label="docs/leave.md [120:210]", baseline_rank=1, rank=2),
            ContextChange(label="docs/leave.md [0:108]", rank=1, text=LEAVE),
            ContextChange(label="docs/leave.md [0:100]", baseline_rank=2, text=LEAVE.replace("25 days", "24 days")),
        ),
        gold=(GoldChange(label="docs/leave.md [120:184]", baseline_rank=1, rank=2),),
        baseline_answer="You can carry over five days of leave into the next year. They expire on 31 March.",
    )  # fmt: skip
    known = QuestionChange(
        id="plain-000",
        dataset="evals/questions.yaml",
        scores={"hit_rate": ScoreChange(metric="hit_rate", baseline=0.0, value=0.0, threshold=1.0, known=True)},
    )
    metric = MetricChange(
        metric="groundedness", verdict=Verdict.REGRESSED, questions=132, clusters=2, baseline=0.83, value=0.71, difference=-0.12,
        interval=(-0.2, -0.04), p_value=0.01, practical_minimum=0.02, smallest_visible_drop=0.06,
    )  # fmt: skip
    return Comparison(
        verdict=Verdict.REGRESSED, reasons=("groundedness fell by 0.12 (-0.20 to -0.04)", "1 question broke"),
        baseline_name="ragcheck-baseline.json", baseline_created="2026-11-20T10:00:00+00:00",
        metrics={"groundedness": metric}, questions=(change, known), new=("no-money",), gone=("retired",),
        changed={"top_k": ("5", "3")},
    )  # fmt: skip


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """A run with everything, against a baseline, beside a sequential one."""
    run = rich_run()
    slow = replace(run, mode="sequential", wall=60.0)
    path = tmp_path_factory.mktemp("report") / "a report, 100 % #1.html"
    path.write_text(html_report(run, comparison_of(run), sequential=slow), encoding="utf-8")
    return path


OUTSIDE = "https://attacker.invalid/x"
ATTACKS = (
    "<script>document.title = 'ran'</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "--><img src=x onerror=alert(1)>",
    f"<img src={OUTSIDE}.png><link rel=stylesheet href={OUTSIDE}.css><iframe src={OUTSIDE}></iframe>",
    "\"' onmouseover=alert(1) x='",
    "javascript:alert(1)",
    "</style><style>body { display: none }</style>",
    "{{ 7 * 7 }}{% include 'x' %}${alert(1)}",
    "</textarea></title></noscript><svg onload=alert(1)>",
    "&lt;b&gt; &amp; &#60;script&#62;",
    "\x1b[31mred\x1b]8;;http://attacker.invalid\x07link\x1b]8;;\x07\x9b2J",
    "abc\u202edcba\u2066x\u2069\u200b\ufeff\u2028\u2029end",
    "nul \x00 and half \ud83d characters \udc00",
    "e" + "\u0301" * 2000,
    "x" * 5000,
    "__proto__",
    "constructor",
    "مرحبا بالعالم (1)",
)


def hostile_result(number, attack):
    """The attack in every text that a run holds."""
    question = Question(
        id=attack, question=attack, dataset=attack, reference=attack, tags=(attack, "tag"), gold=((Passage(source=attack, text=attack),),),
        must_contain=((attack,),), line=number, history=(Turn(role=attack, text=attack), Turn(role="assistant", text=attack)),
    )  # fmt: skip
    failure = Failure(message=attack, kind=attack, details={attack: attack, "log": f"{attack}\n{attack}"})
    details = {
        "unsupported": [{"sentence": attack, "words": [attack]}], "rejected": [{"claim": attack, "reason": attack}],
        "missing": [[attack]], "missed": [{"source": attack, "text": attack, "rank": 7}], "gold_ranks": [1],
    }  # fmt: skip
    scores = (
        Score(metric="groundedness", value=0.1, threshold=0.5, reason=attack, details=details),
        Score(metric=attack, value=0.2, threshold=0.5, reason=attack, details=details),
        Score(metric=f"error {attack}", threshold=0.5, error=failure),
        Score(metric=f"not applicable {attack}", reason=attack),
    )
    whole = Result(
        question=question,
        answer=Answer(text=f"{attack} and {attack}", model=attack, contexts=(Context(text=attack, rank=1, source=attack), Context(text=attack * 2, rank=2))),
        scores={score.metric: score for score in scores}, variant=attack, timing=timing(1, 2),
        calls=(Call(purpose=attack, model=attack, started=1.0, wire=0.5, request_id=attack, attempts=1),),
    )  # fmt: skip
    return replace(whole, trials=(whole, Result(question=question, error=failure)))


def hostile_change(result):
    attack = result.question.id
    return QuestionChange(
        id=attack, dataset=attack, variant=attack, cause=Cause.CONTEXTS, baseline_answer=attack[::-1],
        scores={attack: ScoreChange(metric=attack, baseline=0.9, value=0.2, threshold=0.5, broke=True)},
        contexts=(ContextChange(label=attack, rank=1, text=attack), ContextChange(label=attack, baseline_rank=1, text=f"{attack} x")),
        gold=(GoldChange(label=attack, baseline_rank=1, rank=None),),
    )  # fmt: skip


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory):
    results = [hostile_result(number, attack) for number, attack in enumerate(ATTACKS)]
    long = replace(
        results[0],
        question=Question(id="long", question="Is it long?"),
        answer=Answer(text="<b>All work</b> and no play. " * 36_000),
    )
    results += [
        long,
        Result(question=Question(id="error", question="?"), error=Failure(message=ATTACKS[1])),
        Result(question=Question(id="not-run", question="?"), not_run=ATTACKS[2]),
    ]
    everything = " ".join(ATTACKS)
    run = Run(
        started_at=ATTACKS[1], mode=ATTACKS[0], setup=0.1, wall=1.0, results=tuple(results), complete=False,
        fingerprints={everything: {everything: everything}}, versions={everything: everything},
    )  # fmt: skip
    metric = MetricChange(
        metric=ATTACKS[0],
        verdict=Verdict.SAME,
        questions=2,
        clusters=2,
        baseline=0.5,
        value=0.5,
        difference=0.0,
        interval=None,
        p_value=None,
        practical_minimum=0.02,
        smallest_visible_drop=None,
        remedy=everything,
    )
    comparison = Comparison(
        verdict=Verdict.INCONCLUSIVE, reasons=ATTACKS, baseline_name=everything, baseline_created=everything, metrics={ATTACKS[0]: metric, everything: metric},
        questions=tuple(map(hostile_change, results[: len(ATTACKS)])), new=ATTACKS, gone=ATTACKS, changed={everything: (everything, None)},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("hostile") / "hostile.html"
    path.write_text(html_report(run, comparison, sequential=run), encoding="utf-8")
    return path
