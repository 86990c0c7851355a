"""The gate's verdict as text and as Markdown."""

from __future__ import annotations

import re

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
from pytest_ragcheck.report.colour import ansi
from pytest_ragcheck.report.gate import gate_report
from pytest_ragcheck.report.gate_markdown import gate_markdown
from pytest_ragcheck.report.gate_words import dropped_most, remedies
from pytest_ragcheck.report.textual import columns

HOSTILE = "\x1b[2J<img src=x onerror=alert(1)> @octocat #12 [link](http://x) `tick` | pipe |\n\n# head\u202e"


def metric(name="faithfulness", verdict=Verdict.REGRESSED, **changes):
    return MetricChange(
        **{
            "metric": name,
            "verdict": verdict,
            "questions": 48,
            "clusters": 20,
            "baseline": 0.912,
            "value": 0.789,
            "difference": -0.123,
            "interval": (-0.184, -0.062),
            "p_value": 0.001,
            "practical_minimum": 0.02,
            "smallest_visible_drop": 0.051,
            "mean_fell": True,
            **changes,
        }
    )


def change(name="refund-policy", **changes):
    return QuestionChange(
        **{
            "id": name,
            "dataset": "questions.yaml",
            "scores": {
                "faithfulness": ScoreChange(
                    metric="faithfulness", baseline=0.9, value=0.31, threshold=0.7, noise=0.1, broke=True
                ),
                "hit_rate": ScoreChange(metric="hit_rate", baseline=1.0, value=1.0, threshold=1.0),
            },
            "cause": Cause.CONTEXTS,
            "contexts": (ContextChange(label="docs/dogs.md:0-17", rank=1, text="Dogs"),),
            "gold": (GoldChange(label="docs/refunds.md: within 30 days", baseline_rank=2, rank=None),),
            **changes,
        }
    )


def fell(name, before, value, **changes):
    score = ScoreChange(metric="faithfulness", baseline=before, value=value, **changes)
    return change(name, scores={"faithfulness": score}, gold=(), cause=Cause.ANSWER)


def comparison(verdict=Verdict.REGRESSED, **changes):
    return Comparison(
        **{
            "verdict": verdict,
            "reasons": ("faithfulness fell by 0.12, 0.91 to 0.79", "1 question broke: refund-policy"),
            "baseline_name": "evals/ragcheck-baseline.json",
            "baseline_created": "2026-03-04T05:06:07+00:00",
            "metrics": {
                "faithfulness": metric(),
                "hit_rate": metric("hit_rate", Verdict.SAME, difference=0.0, interval=None, smallest_visible_drop=None),
            },
            "questions": (
                change(),
                fell("slow-reply", 0.9, 0.8),
                fell("late-fee", 0.8, 0.5),
                fell("old-sore", 0.3, 0.3, threshold=0.7, known=True),
                fell("fine", 0.8, 0.9),
            ),
            "new": ("fresh",),
            "gone": ("old",),
            "reworded": ("edited",),
            "unmeasured": ("timed-out",),
            "notes": ("judged is not in the baseline yet",),
            "changed": {"documents": ("62f9fadddabb79210ee9ea95467ca07f", None), "top_k": ("5", "3")},
            "coverage": 0.985,
            **changes,
        }
    )


def test_a_regression_as_text():
    assert gate_report(comparison()) == (
        """\
gate: regressed: faithfulness fell by 0.12, 0.91 to 0.79
  1 question broke: refund-policy
5 questions compared with evals/ragcheck-baseline.json of
  2026-03-04T05:06:07+00:00, 98.5% of the scores measured

  metric        before   now  change         95 %  verdict    visible
  faithfulness    0.91  0.79   -0.12  -0.18 -0.06  regressed     0.05
  hit_rate        0.91  0.79    0.00            -  same             -
  visible: the least drop of the mean that would be found four times in five

1 question broke
  refund-policy: faithfulness 0.90 -> 0.31, needs 0.70
    contexts changed
    gold rank 2 -> not retrieved: docs/refunds.md: within 30 days

faithfulness fell most in
  late-fee: 0.80 -> 0.50, contexts same, answer changed
  slow-reply: 0.90 -> 0.80, contexts same, answer changed

1 known failure: below a threshold in the baseline already, and no worse
could not be measured: timed-out
reworded, not compared: edited
new, not in the baseline: fresh
gone from the question file: old
judged is not in the baseline yet
changed since the baseline
  documents: 62f9fadddabb -> none
  top_k: 5 -> 3

to do
  mend what made it worse; or, where the drop is meant, run with
    --ragcheck-update-baseline and commit the file"""
    )


def test_a_regression_as_markdown():
    text = gate_markdown(comparison())

    assert text.splitlines()[0] == "### ❌ RAG gate: regressed: <code>faithfulness</code> fell by 0.12, 0.91 to 0.79"
    assert "| <code>faithfulness</code> | **regressed** | 0.91 | 0.79 | -0.12 | -0.18 to -0.06 | 0.05 | 48 |" in text
    assert "\n- 1 question broke: <code>refund-policy</code>\n" in text
    assert (
        "- <code>refund-policy</code>: <code>faithfulness</code> 0.90 → 0.31, needs 0.70 (contexts changed)\n"
        "  - gold rank 2 → not retrieved: <code>docs/refunds.md&#58; within 30 days</code>\n"
    ) in text
    assert "**To do:** mend what made it worse" in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_a_metric_whose_mean_rose_while_a_question_broke_says_what_broke():
    rose = metric(difference=0.13, interval=(0.04, 0.23), mean_fell=False)
    text, markdown = (make(comparison(metrics={"faithfulness": rose})) for make in (gate_report, gate_markdown))

    assert "+0.13  +0.04 +0.23  1 broke" in text
    assert "| <code>faithfulness</code> | **1 broke** |" in markdown


@pytest.mark.parametrize(
    "reason",
    ["as www.example.com has it", "of a_b_c", "see http://x", "*now*", "ask @octocat", "in #12", ":tada: for q1"],
)
def test_a_reason_with_marks_stands_as_code_as_a_whole(reason):
    first = gate_markdown(comparison(reasons=(reason,))).splitlines()[0]

    assert re.fullmatch(r"### ❌ RAG gate: regressed: <code>[^<>]*</code>", first)


def test_all_well_is_short():
    same = Comparison(
        verdict=Verdict.SAME,
        reasons=("no metric fell, and no question broke",),
        baseline_name="b.json",
        baseline_created="2026-03-04",
        metrics={"hit_rate": metric("hit_rate", Verdict.SAME)},
    )

    assert gate_report(same).splitlines()[:2] == [
        "gate: same: no metric fell, and no question broke",
        "0 questions compared with b.json of 2026-03-04",
    ]
    assert "to do" not in gate_report(same)
    assert gate_markdown(same).startswith("### ✅ RAG gate: same")
    assert "<details>" not in gate_markdown(same)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_its_first_line_and_its_way_out(verdict):
    one = comparison(verdict, metrics={"m": metric("m", verdict, remedy="measure about 90 questions")})

    assert gate_report(one).startswith(f"gate: {verdict.value}: ")
    mark = {Verdict.SAME: "✅", Verdict.BETTER: "✅", Verdict.INCONCLUSIVE: "⚠️"}.get(verdict, "❌")
    assert gate_markdown(one).startswith(f"### {mark} RAG gate: {verdict.value}: ")
    assert bool(remedies(one)) is (verdict is not Verdict.SAME)
    if verdict is Verdict.INCONCLUSIVE:
        assert "measure about 90 questions" in gate_report(one)


@pytest.mark.parametrize("width", [10, 40, 57, 80, 200])
def test_no_line_is_wider_than_asked(width):
    long = "a-question-with-a-name-that-nobody-would-give-it-" * 4
    one = comparison(
        reasons=(long, "日本語" * 60),
        questions=(change(long, gold=(GoldChange(label="語" * 200, baseline_rank=1, rank=None),)),),
        new=(long, "b"),
        changed={"judge": ("x" * 300, "y" * 300)},
        notes=("n" * 200,),
    )

    assert all(columns(line) <= max(width, 40) for line in gate_report(one, width=width).splitlines())


def test_long_lists_are_cut_with_their_number():
    names = tuple(f"q{number}" for number in range(1234))
    one = comparison(
        questions=tuple(map(change, names)), new=names, changed={f"part{number}": ("a", "b") for number in range(40)}
    )
    text, markdown = gate_report(one), gate_markdown(one)

    assert "1,234 questions broke" in text
    assert "and 1,224 more" in text
    assert "and 28 more" in text
    assert len(text.splitlines()) < 100
    assert "and 1,214 more" in markdown
    assert "and 10 more changed" in markdown
    assert len(markdown) < 20_000


def hostile():
    score = ScoreChange(metric=HOSTILE, baseline=0.9, value=0.3, threshold=0.5, broke=True)
    return comparison(
        reasons=(HOSTILE, HOSTILE),
        baseline_name=HOSTILE,
        baseline_created=HOSTILE,
        metrics={HOSTILE: metric(HOSTILE)},
        questions=(
            change(
                HOSTILE,
                variant=HOSTILE,
                scores={HOSTILE: score},
                gold=(GoldChange(label=HOSTILE, baseline_rank=1, rank=None),),
            ),
            change("b", scores={HOSTILE: ScoreChange(metric=HOSTILE, baseline=0.9, value=0.3)}),
        ),
        new=(HOSTILE,),
        gone=(HOSTILE,),
        reworded=(HOSTILE,),
        unmeasured=(HOSTILE,),
        notes=(HOSTILE,),
        changed={HOSTILE: (HOSTILE, HOSTILE)},
    )


def test_hostile_text_does_nothing_to_a_terminal():
    text = gate_report(hostile())

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\x1b[2J" in text
    assert not any(line.startswith("#") for line in text.splitlines())


def test_hostile_text_does_nothing_in_markdown():
    text = gate_markdown(hostile())
    # A mark that Markdown or GitHub acts on stands nowhere but in what the report itself writes.
    ours = re.sub(r"</?(?:code|details|summary)>|^#{3} |^ *- |\*\*|^\|.*", "", text, flags=re.MULTILINE)

    assert not set("<>@#[]`\x1b\u202e") & set(re.sub(r"&#\d+;", "", ours))
    cells = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert len(set(cells)) == 1


def test_the_verdict_is_painted_and_nothing_else_changes():
    painted = gate_report(comparison(), paint=ansi)

    assert painted.startswith("gate: \x1b[31mregressed\x1b[0m: ")
    assert re.sub(r"\x1b\[\d+m", "", painted) == gate_report(comparison())


def test_what_fell_most_leaves_out_what_broke_and_what_rose():
    assert {name: [one.id for one in changes] for name, changes in dropped_most(comparison()).items()} == {
        "faithfulness": ["late-fee", "slow-reply"]
    }


def test_what_is_least_certain_says_what_to_do_and_no_drop_is_larger_than_one():
    few = metric("few", Verdict.INCONCLUSIVE, smallest_visible_drop=14.79, remedy="measure about 1600 questions")
    more = metric("more", Verdict.INCONCLUSIVE, smallest_visible_drop=0.4, remedy="measure about 130 questions")
    one = comparison(Verdict.INCONCLUSIVE, metrics={"more": more, "few": few})

    assert remedies(one) == ["measure about 1600 questions"]
    for text in (gate_report(one), gate_markdown(one)):
        assert "none" in text
        assert "14.79" not in text
