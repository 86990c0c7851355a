from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pytest_ragcheck.comparison import Comparison, MetricChange, QuestionChange, ScoreChange, Verdict
from pytest_ragcheck.model import Answer, Context, Failure, ModelCalls, Passage, Question, Result, Run, Score
from pytest_ragcheck.report.markdown import MOST_CHARACTERS, markdown_report
from pytest_ragcheck.report.markdown_text import code, fenced

HOSTILE = (
    "| a | b |\n|--|--|\n</code></summary></details><img src=x onerror=alert(1)> `tick` ``two`` ```\nfence ````````\n"
    "~~~\n@octocat #1 GH-1 [link](http://evil.example) ![i](http://evil.example/i.png) www.evil.example "
    "https://evil.example a@evil.example <http://evil.example> &lt;b&gt; &#60;script&#62; $x$ :bomb: *b* _i_ ~~s~~ \\| "
    "\x1b[31m\x00\u202e \ud800 <!-- --> # h\n\n# heading\n- list\n    code\n[1]: http://evil.example"
)


def run(*results: Result, **changes) -> Run:
    values = {"started_at": "2026-10-06T12:00:00Z", "mode": "concurrent", "fingerprints": {}, "setup": 0.1, "wall": 1.0}
    return Run(**values | {"versions": {"pytest-ragcheck": "0.1.0"}, "results": results} | changes)


def result(name: str, value: float | None = 0.41, **changes) -> Result:
    score = Score(metric="faithfulness", value=value, threshold=0.7, reason="unsupported")
    values = {"answer": Answer(text="60 days."), "scores": {"faithfulness": score}}
    return Result(question=Question(id=name, question="How long?"), **values | changes)


def comparison(*broken: str) -> Comparison:
    change = MetricChange(
        metric="faithfulness",
        verdict=Verdict.REGRESSED,
        questions=3,
        clusters=3,
        baseline=0.9,
        value=0.7,
        difference=-0.2,
        interval=None,
        p_value=None,
        practical_minimum=0.02,
        smallest_visible_drop=None,
    )
    score = ScoreChange(metric="faithfulness", baseline=0.9, value=0.4, broke=True)
    return Comparison(
        verdict=Verdict.REGRESSED,
        reasons=("faithfulness fell by 0.20 | @octocat",),
        baseline_name="ragcheck-baseline.json",
        baseline_created="2026-10-01T00:00:00Z",
        metrics={"faithfulness": change},
        questions=tuple(QuestionChange(id=name, dataset="", scores={"faithfulness": score}) for name in broken),
    )


class Shown(HTMLParser):
    """The tags of a page, and its text outside of code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.code: list[str] = []
        self.text: list[str] = []
        self.details = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs} - {"class", "style"}
        self.open.append(tag)
        self.details += tag == "details"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_comment(self, data):
        self.tags.add("<!--")

    def handle_data(self, data):
        (self.code if {"code", "pre"} & set(self.open) else self.text).append(data)


def shown(text: str) -> Shown:
    markdown_it = pytest.importorskip("markdown_it")
    return Shown(markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def test_the_report_of_a_run():
    text = markdown_report(
        run(
            result("holidays", 0.9),
            result("sick-leave"),
            result("notice", answer=None, error=Failure(message="503"), scores={}),
            result("parking", answer=None, not_run="budget spent", scores={}),
            model_calls=ModelCalls(asked=12, cached=2, cost=0.42),
        )
    )

    lines = text.splitlines()
    assert lines[0] == "## RAG: 2 of 4 questions did not pass"
    assert "1 passed, 1 failed, 1 error, 1 not run" in lines
    assert "| metric | mean | 95 % | least | passed | n/a | errors | least in |" in lines
    assert (
        "| <code>faithfulness</code> | 0.66 | 0.00-1.00 | 0.41 | **1 of 2** | 0 | 0 | <code>sick-leave</code> |"
        in lines
    )
    assert "<details><summary><code>faithfulness 0.41 &#60; 0.70 &#91;sick-leave&#93;</code></summary>" in lines
    assert "cost: $0.42" in text
    page = shown(text)
    assert page.details == 3
    assert page.tags == {"h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "code", "details",
                         "summary", "pre", "sub"}  # fmt: skip
    assert "faithfulness 0.41 < 0.70 [sick-leave]" in page.code
    assert any(text.startswith("no answer: 503 [notice]\n\ncause\n") for text in page.code)


def test_a_run_without_faults():
    text = markdown_report(run(result("holidays", 0.9)))
    assert text.startswith("## RAG: 1 question, none failed\n")
    assert "did not pass" not in text
    assert "(stopped early)" in markdown_report(run(complete=False)).splitlines()[0]


def test_a_run_that_asked_too_little_is_not_headed_as_without_faults():
    left = Result(question=Question(id="q", question="?"), not_run="no stored reply")
    text = markdown_report(run(left, left, left))

    assert text.startswith("## RAG: 3 of 3 questions not run\n")
    assert markdown_report(run(left, result("good", 0.9))).startswith("## RAG: 1 of 2 questions not run\n")
    assert markdown_report(run(left, result("bad"))).startswith("## RAG: 1 of 2 questions did not pass\n")


def test_what_is_known_not_to_pass_is_named_apart():
    text = markdown_report(run(result("new"), result("known", expected_failure=True), result("good", 0.9)))

    assert text.startswith("## RAG: 1 of 3 questions did not pass, beside 1 known not to pass\n")
    assert text.count("```text") == 2, "the question that is not known, and the figures"
    assert (
        "<summary>Known not to pass (xfail)</summary>\n\n- <code>faithfulness 0.41 &#60; 0.70 &#91;known&#93;" in text
    )
    many = run(*(result(f"q{number}", expected_failure=True) for number in range(5000)))
    assert markdown_report(many).startswith("## RAG: 5,000 questions, none failed but 5,000 known not to pass\n")
    assert len(markdown_report(many)) < MOST_CHARACTERS
    assert "- and 4,900 more" in markdown_report(many)


def test_against_a_baseline_verdict_and_changes_come_first_and_what_broke_before_the_known():
    text = markdown_report(run(result("known"), result("broken")), comparison("broken"))

    assert "regressed" in text.partition("| metric")[0]
    assert "| -0.20 |" in text
    assert text.index("&#91;broken&#93;") < text.index("&#91;known&#93;")
    assert "@octocat" not in "".join(shown(text).text)


def everywhere(text: str) -> Result:
    context = Context(text=text, rank=1, score=0.5, source=text)
    details = {"unsupported": [{"sentence": text}], "missed": [{"source": text, "text": text}]}
    scores = [
        Score(metric=text, value=0.1, threshold=0.5, reason=text, details=details),
        Score(metric=text + "2", threshold=0.5, error=Failure(message=text, details={text: text})),
    ]
    return Result(
        question=Question(id=text, question=text, reference=text, gold=((Passage(source=text),),)),
        answer=Answer(text=text, contexts=(context,), model=text),
        scores={score.metric: score for score in scores},
    )


@pytest.mark.parametrize("text", [HOSTILE, "`" * 70, "\n```\n</details>\n@all", "~" * 9, "a|b", ""])
def test_hostile_text_stays_in_its_code(text):
    failing = everywhere(text)
    hostile = run(
        failing,
        replace(failing, answer=None, error=Failure(message=text, details={"traceback": text + "\n" + text})),
        started_at=text,
        versions={"pytest-ragcheck": text},
    )
    made = markdown_report(hostile, replace(comparison(), reasons=(text,), baseline_name=text, baseline_created=text))

    made.encode()
    page = shown(made)
    assert page.open == []
    assert page.tags <= {"h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "code", "details",
                         "summary", "pre", "sub", "ul", "li"}  # fmt: skip
    assert page.attributes == set()
    assert page.details == 3
    words = "".join(page.text)
    assert not set(words) & set("@#[]`\x1b\x00\u202e")
    assert "evil" not in words


@pytest.mark.parametrize("text", ["a`b", "```", "", "x\n````\ny", "\\", "a\r\n```\rb"])
def test_a_fence_is_longer_than_any_in_it(text):
    block = fenced(text)
    page = shown(block + "\n\nafter")
    assert page.tags == {"pre", "code", "p"}
    assert "".join(page.code).rstrip("\n") == text.replace("\r\n", "\n").replace("\r", "\n")


def test_code_reads_as_the_text():
    text = r"""a|b `c` <d> & @e #f [g](h) *i* _j_ \k ~l~ $m$ :n: www.o.example "p" 'q' {r} ^s^ !t (u) 1.2 < 3"""
    page = shown(code(text))
    assert "".join(page.code) == text
    assert code("www.x") == "<code>www&#46;x</code>"
    assert code("x" * 50, 10) == "<code>xxxxxxx...</code>"


def test_a_long_run_keeps_within_githubs_limit_and_counts_what_is_left_out():
    results = [result(f"q{number}", answer=Answer(text="Sale items. " * 300)) for number in range(500)]
    text = markdown_report(run(*results), comparison("q499"))

    assert len(text) <= MOST_CHARACTERS < 65_536
    assert len(text) > MOST_CHARACTERS - 3_000
    shown_questions = text.count("<details>") - 1
    assert f"\n{500 - shown_questions} more did not pass; they are left out" in text
    assert "&#91;q499&#93;" in text
    assert "Cost and timing" in text
    assert shown(text).open == []
    assert len(markdown_report(run(*results), limit=3_000)) <= 3_000


def test_megabytes_stay_small_and_cost_linear_work(grows_no_faster):
    def work(length: int) -> None:
        text = (HOSTILE + " Sale items may be returned. ") * (length // len(HOSTILE))
        assert len(markdown_report(run(everywhere(text)))) < 20_000

    assert grows_no_faster(work, 60_000, 480_000)
