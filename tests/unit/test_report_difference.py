from __future__ import annotations

import re
from unicodedata import category, east_asian_width

import pytest

from pytest_ragcheck.model import Answer, Failure, ModelCalls, Question, Result, Run, Score, Usage
from pytest_ragcheck.report.colour import ansi
from pytest_ragcheck.report.difference import difference_markdown, difference_text, run_difference

NAMES = ("old.json", "new.json")


def run(*results: Result, **changes) -> Run:
    values = {"started_at": "2026-10-06T12:00:00Z", "mode": "concurrent", "fingerprints": {}, "setup": 0.1, "wall": 8.0}
    return Run(**values | {"versions": {}, "results": results} | changes)


def result(name: str, recall: float | None = 1.0, *, variant: str = "", **changes) -> Result:
    score = Score(metric="recall", value=recall, threshold=0.5)
    values = {"answer": Answer(text="x"), "scores": {"recall": score}}
    return Result(question=Question(id=name, question="?", dataset="q.yaml"), variant=variant, **values | changes)


FIRST = run(
    result("same"),
    result("fell", 0.9),
    result("broke", 1.0),
    result("healed", 0.0),
    result("lost", 1.0),
    result("gone", 1.0),
    fingerprints={"q.yaml": {"documents": "a", "prompt": "p", "top_k": "5"}},
    model_calls=ModelCalls(asked=6, cached=0, cost=0.42, usage=Usage(input_tokens=900, cache_read_tokens=100)),
)
SECOND = run(
    result("fell", 0.6),
    result("same"),
    result("broke", 0.25),
    result("healed", 0.75),
    result("lost", answer=None, error=Failure(message="503"), scores={}),
    result("new", 1.0),
    fingerprints={"q.yaml": {"documents": "b", "prompt": "p", "embedder": "e"}, "other.yaml": {"documents": "c"}},
    model_calls=ModelCalls(asked=6, cached=5, cost=0.07, unpriced=1, usage=Usage(output_tokens=7)),
    wall=2.0,
    complete=False,
)


def test_what_changed_the_weightiest_first():
    difference = run_difference(FIRST, SECOND)

    assert [(one.id, [state.value for state in one.states], one.scores) for one in difference.changed] == [
        ("broke", ["passed", "failed"], {"recall": (1.0, 0.25)}),
        ("healed", ["failed", "passed"], {"recall": (0.0, 0.75)}),
        ("lost", ["passed", "error"], {"recall": (1.0, None)}),
        ("fell", ["passed", "passed"], {"recall": (0.9, 0.6)}),
    ]
    assert [one.id for one in difference.changed if one.is_worse] == ["broke", "lost", "fell"]
    assert [one.id for one in difference.changed if one.is_better] == ["healed"]
    assert (difference.common, difference.gone, difference.new) == (5, ("gone",), ("new",))
    assert difference.setups == ("documents", "embedder", "top_k")
    (recall,) = difference.metrics
    assert (recall.questions, recall.first, recall.second) == (4, 0.725, 0.65)


def test_results_of_one_question_are_told_apart_by_dataset_and_variant():
    one, other = result("q", 1.0, variant="a"), result("q", 0.0, variant="b")

    assert run_difference(run(one, other), run(other, one)).changed == ()
    assert run_difference(run(one), run(other)).common == 0


def test_the_text():
    assert difference_text(run_difference(FIRST, SECOND), NAMES) == (
        """\
first: old.json
  2026-10-06T12:00:00Z; concurrent; 5 passed, 1 failed
second: new.json
  2026-10-06T12:00:00Z; concurrent, stopped early; 4 passed, 1 failed, 1 error

  metric  first  second  change  questions
  recall   0.72    0.65   -0.07          4

                   first           second
  model calls          6                6
  from the cache       0                5
  retries              0                0
  tokens in        1,000                0
  tokens out           0                7
  cost             $0.42  $0.07 + unknown
  setup           100 ms           100 ms       as fast
  all questions   8.00 s           2.00 s  4.0 x faster

the runs differ in: documents, embedder, top_k

4 of 5 questions changed: 3 for the worse, 1 for the better
  broke  passed -> failed
    recall  1.00 -> 0.25  -0.75
  healed  failed -> passed
    recall  0.00 -> 0.75  +0.75
  lost  passed -> error
    recall  1.00 -> not measured
  fell  passed
    recall  0.90 -> 0.60  -0.30

only in the first: gone

only in the second: new"""
    )


def test_equal_runs():
    text = difference_text(run_difference(FIRST, FIRST), NAMES)
    assert text.endswith("0 of 6 questions changed")
    assert difference_text(run_difference(run(), run()), NAMES).endswith("0 of 0 questions changed")
    assert "\x1b" not in difference_text(run_difference(FIRST, FIRST), NAMES, paint=ansi)


def test_colour_tells_worse_from_better():
    difference = run_difference(FIRST, SECOND)
    painted = difference_text(difference, NAMES, paint=ansi)

    assert re.sub(r"\x1b\[\d*m", "", painted) == difference_text(difference, NAMES)
    assert "\x1b[31mpassed -> failed\x1b[0m" in painted
    assert "\x1b[32mfailed -> passed\x1b[0m" in painted


def test_the_markdown():
    text = difference_markdown(run_difference(FIRST, SECOND), NAMES)

    assert "| first | <code>old.json</code> |" in text
    assert "| <code>recall</code> | 0.72 | 0.65 | -0.07 | 4 |" in text
    assert "| <code>broke</code> | **passed → failed** | <code>recall</code> 1.00 → 0.25 -0.75 |" in text
    assert "| <code>healed</code> | failed → passed | <code>recall</code> 0.00 → 0.75 +0.75 |" in text
    assert "### 4 of 5 questions changed: 3 for the worse, 1 for the better" in text


HOSTILE = "</code>|`x`\n@all <img src=x> \x1b[2J\x00\u202e\ud800 中文العربية www.evil.example " * 30


def hostile_runs(count: int) -> tuple[Run, Run]:
    def one(value: float, state_of: str) -> Run:
        scores = {f"{n}{HOSTILE}": Score(metric=f"{n}{HOSTILE}", value=value, threshold=0.5) for n in range(12)}
        results = [result(f"{n}{HOSTILE}", scores=scores) for n in range(count)]
        prints = {"q.yaml": {HOSTILE + state_of: state_of, "prompt": state_of}}
        return run(result(HOSTILE + state_of), *results, started_at=HOSTILE, mode=HOSTILE, fingerprints=prints)

    return one(0.1, "a"), one(0.9, "b")


@pytest.mark.parametrize("width", [40, 80, 160])
def test_hostile_text_makes_a_presentable_text(width):
    text = difference_text(run_difference(*hostile_runs(3)), (HOSTILE, HOSTILE), width=width)

    text.encode()
    for line in text.split("\n"):
        columns = sum(
            0 if category(char) in {"Mn", "Cf"} else 2 if east_asian_width(char) in {"W", "F"} else 1 for char in line
        )
        assert columns <= width, line
        assert all(category(char) not in {"Cc", "Cs"} for char in line)
        assert "\u202e" not in line


def test_hostile_text_stays_in_its_code_and_within_a_comment():
    markdown_it = pytest.importorskip("markdown_it")
    text = difference_markdown(run_difference(*hostile_runs(200)), (HOSTILE, HOSTILE))
    page = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(text)

    assert len(text) < 65_536
    assert "and 160 more questions" in text
    assert set(re.findall(r"</?(\w+)", page)) == {
        "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "strong", "br",
    } - ({"strong"} if "<strong>" not in page else set())  # fmt: skip
    outside = re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
    assert not set(outside) & set("@\x1b\x00\u202e")
    assert "evil" not in outside
