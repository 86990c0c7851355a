"""The gate's decision over hand-made runs: every verdict, every cause."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest

from pytest_ragcheck.baseline.decisions import undecided
from pytest_ragcheck.baseline.drift import MOST_REJUDGED, Drift, Rejudged, stored_answers
from pytest_ragcheck.baseline.entries import question_digest, text_digest
from pytest_ragcheck.baseline.file import load_baseline, save_baseline, updated
from pytest_ragcheck.baseline.gate import GateSettings, compare, passes
from pytest_ragcheck.baseline.measures import by_formula
from pytest_ragcheck.baseline.pairs import matched
from pytest_ragcheck.comparison import Cause, ContextChange, GoldChange, Verdict
from pytest_ragcheck.model import Answer, Context, Failure, Passage, Question, Result, Run, Score

DATASET = "questions.yaml"
RETRIEVAL = by_formula(1, contexts_alone=True)
JUDGE = "judge-1, deepeval 4.3, settings 0a"
CONTEXTS = (
    Context(text="Staff have 25 days.", rank=1, source="docs/leave.md", start=0, end=19),
    Context(text="Meals are paid.", rank=2, source="docs/meals.md", start=5, end=20),
)


def question(name, *, source=None, dataset=DATASET, **changes):
    gold = () if source is None else ((Passage(source=source, start=0, end=10, text=f"gold of {source}"),),)
    return Question(**{"id": name, "question": f"What of {name}?", "dataset": dataset, "gold": gold, **changes})


def score(metric="hit_rate", value=1.0, threshold=0.5, **changes):
    return Score(metric=metric, value=value, threshold=threshold, **changes)


def result(name, *scores, text="25 days.", contexts=CONTEXTS, asked=None, **changes):
    return Result(
        **{
            "question": asked or question(name),
            "answer": Answer(text=text, contexts=contexts),
            "scores": {one.metric: one for one in scores},
            **changes,
        }
    )


def run(*results, **changes):
    names = sorted({one.question.dataset for one in results})
    digests: dict[str, dict[str, str]] = {name: {} for name in names}
    selected: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in names}
    for one in results:
        dataset, key = one.question.dataset, one.question.id
        digests[dataset][key] = question_digest(one.question)
        selected[dataset][one.variant] = (*selected[dataset].get(one.variant, ()), key)
    return Run(
        **{
            "started_at": "2026-03-04T05:06:07+00:00",
            "mode": "concurrent",
            "fingerprints": {name: {"documents": "d1", "embedder": "e1"} for name in names},
            "setup": 0.0,
            "wall": 1.0,
            "versions": {},
            "results": results,
            "datasets": digests,
            "selected": selected,
            "scoring": {name: {"hit_rate": RETRIEVAL, "judged": JUDGE} for name in names},
            **changes,
        }
    )


def gate(before, now, **options):
    return compare(now, updated(None, before), name="ragcheck-baseline.json", **options)


def twenty(*values, metric="hit_rate", **changes):
    """Twenty questions; those beyond ``values`` score 1."""
    scores = [*values, *[1.0] * (20 - len(values))]
    return [result(f"q{number:02}", score(metric, value), **changes) for number, value in enumerate(scores)]


def noisy(shift=0.0, seed=1, count=40):
    """Judged scores with noise, so that nothing is repeatable."""
    draw = random.Random(seed)
    levels = [random.Random(7 + number).uniform(0.6, 0.9) for number in range(count)]
    values = [min(1.0, max(0.0, level + draw.gauss(0, 0.04) + shift)) for level in levels]
    return [result(f"q{number:02}", score("judged", value, None)) for number, value in enumerate(values)]


# ---- Verdicts


def test_a_run_against_itself_is_the_same():
    same = run(*twenty(0.0))
    comparison = gate(same, same)

    assert comparison.verdict is Verdict.SAME
    assert comparison.reasons == ("no metric fell, and no question broke",)
    assert {change.cause for change in comparison.questions} == {None}
    assert comparison.metrics["hit_rate"].difference == 0
    assert (comparison.changed, comparison.new, comparison.gone, comparison.notes) == ({}, (), (), ())
    assert passes(comparison.verdict)


def test_a_question_without_a_score_is_asked_further_as_long_as_another_is():
    """The judge may have failed just once."""
    levels = [0.9, 0.8, 0.7, 0.6]
    before = [result(f"q{number}", score("judged", level)) for number, level in enumerate(levels)]
    failed = result("failed", score("judged", None, error=Failure(message="a page instead of JSON")))
    baseline = updated(None, run(*before, result("failed", score("judged", 0.8))))

    def further(*values):
        now = [
            dataclasses.replace(result(f"q{number}", score("judged", value)), looks=5)
            for number, value in enumerate(values)
        ]
        pairs = matched(run(*now, dataclasses.replace(failed, looks=5)), baseline).pairs
        return {name for _, name, _ in undecided(pairs, {"judged": JUDGE}, GateSettings())}

    assert further(0.8, 0.7, 0.7, 0.6) == {"q0", "q1", "q2", "q3", "failed"}, "none has a further trial in the baseline"
    assert further(0.9, 0.8, 0.7, 0.6) == set()


def test_a_mean_that_fell_is_a_regression():
    comparison = gate(run(*noisy()), run(*noisy(-0.1, seed=2)))

    assert comparison.verdict is Verdict.REGRESSED
    assert comparison.broken == ()
    assert comparison.reasons[0].startswith("judged fell by 0.")
    assert not passes(comparison.verdict)


def test_a_mean_that_rose_is_better():
    comparison = gate(run(*noisy()), run(*noisy(0.1, seed=2)))

    assert comparison.verdict is Verdict.BETTER
    assert comparison.reasons[0].startswith("judged rose by 0.")
    assert passes(comparison.verdict)


def test_the_practical_minimum_is_each_metrics_own():
    before, now = run(*noisy()), run(*noisy(-0.1, seed=2))

    assert gate(before, now, settings=GateSettings(minimums={"judged": 0.3})).verdict is not Verdict.REGRESSED
    assert gate(before, now, settings=GateSettings(practical_minimum=0.3)).verdict is not Verdict.REGRESSED
    assert gate(before, now, settings=GateSettings(minimums={"other": 0.3})).verdict is Verdict.REGRESSED


def test_few_noisy_questions_are_inconclusive_and_say_how_many_would_do():
    comparison = gate(run(*noisy(0, seed=2, count=4)), run(*noisy(-0.08, seed=3, count=4)))

    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert "questions" in comparison.metrics["judged"].remedy
    assert "show a drop only from" in comparison.reasons[0]
    assert passes(comparison.verdict)


def test_one_question_that_breaks_is_a_regression_and_is_named():
    comparison = gate(run(*twenty()), run(*twenty(0.0)))

    assert comparison.verdict is Verdict.REGRESSED
    assert [change.id for change in comparison.broken] == ["q00"]
    assert comparison.reasons == ("1 question broke: q00 (hit_rate 1.00 -> 0.00)",)


def test_a_metric_that_is_only_reported_breaks_no_question():
    reported = [dataclasses.replace(one, scores={"hit_rate": score(threshold=None)}) for one in twenty()]
    fallen = [dataclasses.replace(reported[0], scores={"hit_rate": score(value=0.0, threshold=None)}), *reported[1:]]
    comparison = gate(run(*reported), run(*fallen))

    assert comparison.broken == ()
    assert comparison.questions[0].scores["hit_rate"].threshold is None


def test_a_known_failure_is_none_of_the_runs():
    comparison = gate(run(*twenty(0.25, 0.25, 0.25)), run(*twenty(0.25, 0.3, 0.0)))
    known = [change.scores["hit_rate"].known for change in comparison.questions[:4]]

    assert known == [True, True, False, False]
    assert comparison.broken == ()


def test_the_threshold_that_counts_is_the_runs():
    lower, higher = ([score(value=0.6, threshold=least)] for least in (0.5, 0.7))
    comparison = gate(run(result("a", *lower)), run(result("a", *higher)))

    assert comparison.questions[0].scores["hit_rate"].known
    assert comparison.verdict is Verdict.SAME


def test_trials_are_averaged_before_anything_is_compared():
    def repeated(name, *values):
        trials = tuple(result(name, score("judged", value)) for value in values)
        return result(name, score("judged", sum(values) / len(values)), trials=trials)

    before = run(*(repeated(f"q{number}", 0.5, 1.0, 0.9) for number in range(6)))
    now = run(*(repeated(f"q{number}", 0.7, 0.9) for number in range(6)))
    change = gate(before, now).metrics["judged"]

    assert (change.questions, change.baseline, change.value) == (6, pytest.approx(0.8), pytest.approx(0.8))


# ---- Invalid


def test_an_incomplete_run_is_never_compared():
    comparison = gate(run(*twenty()), run(*twenty(), complete=False))

    assert (comparison.verdict, comparison.metrics, comparison.questions) == (Verdict.INVALID, {}, ())
    assert "interrupted or stopped early" in comparison.reasons[0]
    assert not passes(comparison.verdict)


def test_a_selected_question_without_a_result_makes_the_run_invalid():
    whole = run(*twenty())
    lacking = dataclasses.replace(whole, results=whole.results[1:])
    comparison = gate(whole, lacking)

    assert comparison.verdict is Verdict.INVALID
    assert comparison.missing == ("q00",)
    assert comparison.reasons[0] == "1 selected question of the baseline without a result: q00"

    not_run = result("q00", answer=None, not_run="the budget is spent")
    comparison = gate(whole, run(not_run, *twenty()[1:]))
    assert (comparison.verdict, comparison.missing) == (Verdict.INVALID, ("q00",))


@pytest.mark.parametrize(
    "failed",
    [
        result("q00", answer=None, error=Failure(message="503")),
        result("q00", score("hit_rate", None, error=Failure(message="no offsets"))),
    ],
)
def test_errors_are_no_low_scores_but_lack_in_coverage(failed):
    before = run(*twenty())
    few = run(failed, *twenty()[1:])
    comparison = gate(before, few)

    assert comparison.coverage == 0.95
    assert comparison.verdict is Verdict.SAME
    assert comparison.metrics["hit_rate"].questions == 19
    assert comparison.unmeasured == ("q00",)

    strict = gate(before, few, settings=GateSettings(coverage=0.96))
    assert strict.verdict is Verdict.INVALID
    assert strict.reasons[0] == "hit_rate: 95.0% of the scores could be measured, 96% are needed"
    assert strict.metrics["hit_rate"].verdict is Verdict.INVALID


def test_coverage_counts_each_metric_by_itself():
    def both(name, judged):
        error = Failure(message="no JSON") if judged is None else None
        return result(name, score(), *(score(f"m{n}") for n in range(8)), score("judged", judged, error=error))

    before = run(*(both(f"q{number}", 1.0) for number in range(10)))
    now = run(*(both(f"q{number}", None if number < 2 else 1.0) for number in range(10)))
    comparison = gate(before, now)

    assert comparison.coverage == 0.98
    assert comparison.metrics["judged"].verdict is Verdict.INVALID
    assert comparison.verdict is Verdict.INVALID


def test_a_metric_that_failed_everywhere_is_invalid_not_absent():
    now = [result(one.question.id, score("hit_rate", None, error=Failure(message="x"))) for one in twenty()]
    comparison = gate(run(*twenty()), run(*now))

    assert comparison.verdict is Verdict.INVALID
    assert comparison.coverage == 0
    assert "hit_rate: 0.0% of the scores could be measured" in comparison.reasons[0]


def test_a_run_in_which_nobody_answered_is_invalid():
    now = [result(one.question.id, answer=None, error=Failure(message="503")) for one in twenty()]
    comparison = gate(run(*twenty()), run(*now))

    assert (comparison.verdict, comparison.coverage) == (Verdict.INVALID, 0)
    assert {change.cause for change in comparison.questions} == {Cause.UNKNOWN}


def test_what_does_not_apply_is_not_missing_but_told():
    refused = score("hit_rate", None, reason="nothing is to be found")
    comparison = gate(run(*twenty()), run(result("q00", refused), *twenty()[1:]))

    assert (comparison.coverage, comparison.verdict) == (1.0, Verdict.SAME)
    assert comparison.notes == ("hit_rate does not apply any more to 1 question that was measured in the baseline",)


def test_a_run_without_results_or_with_a_question_twice_is_invalid():
    assert gate(run(*twenty()), run()).verdict is Verdict.INVALID
    twice = gate(run(*twenty()), run(*twenty(), twenty()[0]))
    assert twice.verdict is Verdict.INVALID
    assert "'q00'" in twice.reasons[0]


# ---- Subsets, new, gone and reworded questions


def test_a_subset_is_compared_alone():
    whole = run(*twenty())
    part = dataclasses.replace(run(*twenty()[:3]), datasets=whole.datasets)
    comparison = gate(whole, part)

    assert comparison.verdict is Verdict.SAME
    assert [change.id for change in comparison.questions] == ["q00", "q01", "q02"]
    assert (comparison.gone, comparison.missing, comparison.new) == ((), (), ())


def test_new_and_gone_questions_are_listed_and_change_no_verdict():
    before = run(*twenty())
    now = run(*twenty()[1:], result("fresh", score(value=0.0)))
    comparison = gate(before, now)

    assert (comparison.new, comparison.gone) == (("fresh",), ("q00",))
    assert comparison.verdict is Verdict.SAME


@pytest.mark.parametrize(
    "change", [{"question": "Else?"}, {"reference": "x"}, {"answerable": False}, {"must_contain": (("a",),)}]
)
def test_a_question_that_changed_is_not_compared(change):
    other = result("q00", score(value=0.0), asked=question("q00", **change))
    comparison = gate(run(*twenty()), run(other, *twenty()[1:]))

    assert comparison.reworded == ("q00",)
    assert comparison.verdict is Verdict.SAME
    assert "q00" not in [one.id for one in comparison.questions]


def test_gold_that_moved_with_its_document_is_the_same_gold():
    """The digest is the question file's; where the quote stands now is not a change of the question."""
    digests = {DATASET: {"q": "0123456789abcdef"}}
    before, now = (
        run(
            result(
                "q", score(), asked=question("q", gold=((Passage(source="a.md", start=at, end=at + 5, text="g"),),))
            ),
            datasets=digests,
        )
        for at in (3, 300)
    )

    assert gate(before, now).reworded == ()


def test_nothing_in_common_is_not_comparable():
    comparison = gate(run(*twenty()), run(result("x", score())))
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert comparison.reasons == ("no question of the run is in the baseline",)
    assert comparison.new == ("x",)

    other = result("q00", score(), asked=question("q00", reference="x"))
    assert "worded or marked otherwise" in gate(run(*twenty()), run(other)).reasons[0]
    comparison = gate(run(*twenty()), run(*twenty(metric="judged")))
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert "no metric has scores both in the baseline and in the run" in comparison.reasons


def test_other_variants_of_the_same_questions_are_told():
    comparison = gate(run(result("a", score())), run(result("a", score(), variant="test_other.py")))

    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert comparison.reasons == (
        "the baseline has these questions under another variant: none in the baseline, test_other.py now",
    )


def test_metrics_that_only_one_of_the_two_has_are_told():
    both = [result(f"q{number:02}", score(), score("judged")) for number in range(20)]
    comparison = gate(run(*both), run(*twenty()))
    assert comparison.reasons[-1] == "judged is in the baseline, and was not measured in this run"
    assert comparison.verdict is Verdict.SAME

    comparison = gate(run(*twenty()), run(*both))
    assert comparison.notes == ("judged is not in the baseline yet",)


def test_datasets_and_variants_are_compared_each_with_its_own(tmp_path):
    def asked(dataset, variant, value):
        return result("same-id", score(value=value), asked=question("same-id", dataset=dataset), variant=variant)

    before = run(asked("a.yaml", "", 1.0), asked("a.yaml", "small", 0.25), asked("b.yaml", "", 1.0))
    now = run(asked("a.yaml", "", 1.0), asked("a.yaml", "small", 0.25), asked("b.yaml", "", 0.0))
    path = tmp_path / "baseline.json"
    save_baseline(updated(None, before), path)
    comparison = compare(now, load_baseline(path), name="b")

    assert [(change.dataset, change.variant) for change in comparison.broken] == [("b.yaml", "")]
    assert len(comparison.questions) == 3
    gone = compare(run(asked("a.yaml", "large", 1.0)), load_baseline(path), name="b")
    assert gone.new == ("same-id (large, a.yaml)",)


# ---- What was measured with what


def test_a_changed_system_is_what_the_gate_is_for():
    now = run(*twenty(), fingerprints={DATASET: {"documents": "d2", "embedder": "e2", "prompt": "p"}})
    now = dataclasses.replace(now, versions={"faiss-cpu": "2.0"})
    comparison = gate(run(*twenty()), now)

    assert comparison.verdict is Verdict.SAME
    assert comparison.changed == {
        "documents": ("d1", "d2"),
        "embedder": ("e1", "e2"),
        "prompt": (None, "p"),
        "faiss-cpu": (None, "2.0"),
    }


def test_the_generations_model_is_a_change_and_no_obstacle():
    def answered(model):
        return [dataclasses.replace(one, answer=Answer(text="x", model=model)) for one in twenty()]

    comparison = gate(run(*answered("haiku-1")), run(*answered("haiku-2")))
    assert comparison.changed == {"model": ("haiku-1", "haiku-2")}
    assert comparison.verdict is Verdict.SAME


def test_another_judge_is_no_measure_for_the_old_scores():
    def both(judged):
        return [result(f"q{number:02}", score(), score("judged", judged)) for number in range(20)]

    scoring = {DATASET: {"hit_rate": RETRIEVAL, "judged": "judge-2, deepeval 4.3, settings 0a"}}
    comparison = gate(run(*both(0.9)), run(*both(0.1), scoring=scoring))

    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert comparison.metrics["judged"].verdict is Verdict.NOT_COMPARABLE
    assert comparison.metrics["judged"].difference == pytest.approx(-0.8)
    assert comparison.metrics["judged"].interval is None
    assert comparison.metrics["hit_rate"].verdict is Verdict.SAME
    assert comparison.broken == ()
    assert comparison.reasons[0].startswith("judged was measured with judge-1, deepeval 4.3")
    assert not passes(comparison.verdict)


def test_a_judge_whose_server_tells_another_model_is_another_judge():
    def told(model):
        details = {} if model is None else {"judge": model}
        return run(*(result(f"q{number:02}", score("judged", 0.9, details=details)) for number in range(20)))

    assert gate(told("judge-20260101"), told("judge-20260601")).verdict is Verdict.NOT_COMPARABLE
    assert gate(told("judge-20260101"), told("judge-20260101")).verdict is Verdict.SAME
    assert gate(told("judge-20260101"), told(None)).verdict is Verdict.SAME


def test_a_regression_outweighs_what_cannot_be_compared():
    def both(hit, judged):
        return [
            result(f"q{number:02}", score(value=1.0 if number else hit), score("judged", judged))
            for number in range(20)
        ]

    scoring = {DATASET: {"hit_rate": RETRIEVAL, "judged": "judge-2"}}
    comparison = gate(run(*both(1.0, 0.9)), run(*both(0.0, 0.9), scoring=scoring))

    assert comparison.verdict is Verdict.REGRESSED
    assert [change.broke for change in comparison.broken] == [("hit_rate",)]


def test_entries_of_an_earlier_setup_are_compared_with_what_they_were_measured_with():
    old = updated(None, run(*twenty(), scoring={DATASET: {"hit_rate": "formula 0"}}))
    part = dataclasses.replace(run(*twenty()[:5]), datasets=run(*twenty()).datasets)
    baseline = updated(old, part)

    assert compare(part, baseline, name="b").verdict is Verdict.SAME
    comparison = compare(run(*twenty()), baseline, name="b")
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert comparison.changed["measure of hit_rate"][0] == "formula 0"


def test_a_document_that_changed_is_named_where_the_baseline_knows_single_documents():
    def of(**documents):
        prints = {f"document docs/{name}.md": digest for name, digest in documents.items()}
        return run(*twenty(), fingerprints={DATASET: {"documents": repr(documents), "embedder": "e1", **prints}})

    changed = gate(of(leave="1", meals="1"), of(leave="2", meals="1", notes="1")).changed
    older = gate(run(*twenty()), of(leave="2", meals="1")).changed

    assert changed["document docs/leave.md"] == ("1", "2")
    assert changed["document docs/notes.md"] == (None, "1")
    assert set(changed) == {"document docs/leave.md", "document docs/notes.md", "documents"}
    assert set(older) == {"documents"}


# ---- Causes


def one_changed(**changes):
    """The first of twenty questions broke, with ``changes`` of its result."""
    now = run(result("q00", score(value=0.0), **changes), *twenty()[1:])
    return gate(run(*twenty()), now).broken[0]


def test_contexts_that_came_and_went_with_golds_ranks():
    gold = ((Passage(source="docs/leave.md", start=0, end=19, text="Staff have 25 days."),),)
    asked = question("q00", gold=gold)
    fresh = Context(text="Dogs are allowed.", rank=1, source="docs/dogs.md", start=0, end=17)
    before = run(result("q00", score(), asked=asked), *twenty()[1:])
    now = run(result("q00", score(value=0.0), asked=asked, contexts=(fresh, CONTEXTS[1])), *twenty()[1:])
    change = gate(before, now).broken[0]

    assert change.cause is Cause.CONTEXTS
    assert change.contexts == (
        ContextChange(label="docs/dogs.md:0-17", rank=1, text="Dogs are allowed."),
        # another question still retrieves it, so that its text is at hand
        ContextChange(label="docs/leave.md:0-19", baseline_rank=1, text="Staff have 25 days."),
    )
    assert change.gold == (GoldChange(label="docs/leave.md: Staff have 25 days.", baseline_rank=1, rank=None),)


def test_the_order_of_contexts_is_a_change():
    first, second = CONTEXTS
    turned = (dataclasses.replace(second, rank=1), dataclasses.replace(first, rank=2))
    change = one_changed(contexts=turned)

    assert change.cause is Cause.CONTEXTS
    assert [(one.baseline_rank, one.rank) for one in change.contexts] == [(1, 2), (2, 1)]


def test_texts_that_are_at_hand_are_shown():
    before = run(result("q", score()))
    now = run(result("q", score(value=0.0), contexts=()))
    digest = text_digest(CONTEXTS[0].text)

    assert [one.text for one in gate(before, now).questions[0].contexts] == [None, None]
    shown = gate(before, now, texts={digest: CONTEXTS[0].text}).questions[0].contexts
    assert [one.text for one in shown] == [CONTEXTS[0].text, None]


def test_same_contexts_and_another_answer():
    change = one_changed(text="30 days.")

    assert change.cause is Cause.ANSWER
    assert change.baseline_answer == "25 days."
    assert change.contexts == ()


def test_contexts_that_are_unknown_are_not_the_same():
    unknown = one_changed(answer=Answer(text="30 days.", contexts_known=False))
    assert (unknown.cause, unknown.contexts, unknown.gold) == (Cause.ANSWER_ALONE, (), ())


def test_the_same_answer_with_another_score():
    change = one_changed()

    assert change.cause is Cause.SCORE
    assert change.baseline_answer is None


# ---- Clusters


@pytest.mark.parametrize(("documents", "clusters"), [(4, 6), (3, 14), (1, 14)])
def test_questions_about_one_document_are_one_cluster_unless_these_are_too_few(documents, clusters):
    def asked(number, *sources):
        name = f"q{number}"
        gold = tuple((Passage(source=source),) for source in sources)
        return result(name, score("judged", 0.9), asked=dataclasses.replace(question(name), gold=gold))

    about = [asked(number, f"doc{number % documents}.md", "doc0.md") for number in range(12)]
    same = run(*about, *(dataclasses.replace(asked(number), answer=Answer(text="No.")) for number in (12, 13)))
    assert gate(same, same).metrics["judged"].clusters == clusters


@pytest.mark.parametrize("source", [None, "docs/{}.md"])
def test_questions_without_gold_are_one_cluster_where_the_baseline_retrieved_the_same_best_context(source):
    def asked(number, variant=""):
        best = Context(text=f"Text {number % 7}.", rank=1, source=source and source.format(number % 7))
        contexts = (dataclasses.replace(CONTEXTS[0], rank=2), best)
        return result(f"q{number}", score("judged", 0.9), contexts=contexts, variant=variant)

    before = run(*map(asked, range(21)))
    now = run(*(dataclasses.replace(one, answer=Answer(text="No.")) for one in before.results))

    assert gate(before, now).metrics["judged"].clusters == 7


def test_variants_of_a_question_belong_together_whatever_each_retrieved():
    def asked(number, variant):
        context = Context(text=f"{variant} {number}", rank=1, source=f"{variant}{number}.md")
        return result(f"q{number}", score("judged", 0.9), contexts=(context,), variant=variant)

    same = run(*(asked(number, variant) for number in range(8) for variant in "ab"))

    assert gate(same, same).metrics["judged"].clusters == 8


def test_a_drop_of_all_questions_about_one_document_is_seen():
    """A corpus of one document is the usual first one."""
    asked = [dataclasses.replace(question(f"q{n:02}"), gold=((Passage(source="faq.md"),),)) for n in range(40)]
    before, now = (
        run(*(dataclasses.replace(one, question=about) for one, about in zip(scores, asked, strict=True)))
        for scores in (noisy(), noisy(-0.1, seed=2))
    )
    assert gate(before, now).verdict is Verdict.REGRESSED


# ---- Drift


def drift(scores, change):
    """Today's judge on the stored answers, each score moved by ``change``."""
    moved = [
        Rejudged(key=(DATASET, one.question.id, ""), metric="judged", baseline=value, value=value + change(number))
        for number, one in enumerate(scores)
        if (value := one.scores["judged"].value) is not None
    ]
    return Drift(scores=tuple(moved))


def test_a_judge_that_became_stricter_is_no_regression_of_the_system():
    before, now = noisy(), noisy(-0.1, seed=2)
    moved = drift(before[:20], lambda number: -0.1 + 0.01 * (number % 3 - 1))
    comparison = gate(run(*before), run(*now), drift=moved)

    assert comparison.verdict is Verdict.JUDGE_DRIFTED
    assert "the judge now gives 20 stored answers of the baseline 0.10 less than then" in comparison.reasons[0]
    assert not passes(comparison.verdict)


@pytest.mark.parametrize("change", [lambda number: 0.01 * (-1) ** number, lambda number: 0.1])
def test_a_judge_that_stood_still_or_became_milder_explains_no_drop(change):
    before, now = noisy(), noisy(-0.1, seed=2)

    assert gate(run(*before), run(*now), drift=drift(before[:20], change)).verdict is Verdict.REGRESSED


def test_a_drop_beyond_the_judges_movement_stays_a_regression():
    before, now = noisy(), noisy(-0.4, seed=2)
    small = drift(before[:20], lambda number: -0.02 + 0.001 * (number % 3 - 1))

    assert gate(run(*before), run(*now), drift=small).verdict is Verdict.REGRESSED


def test_a_judge_that_became_milder_is_no_improvement():
    before, now = noisy(), noisy(0.08, seed=2)
    moved = drift(before[:20], lambda number: 0.08 + 0.01 * (number % 3 - 1))

    assert gate(run(*before), run(*now), drift=moved).verdict is Verdict.JUDGE_DRIFTED


def test_breaks_that_the_judge_explains_are_none():
    before = [result(f"q{number:02}", score("judged", 0.9)) for number in range(20)]
    now = [result(f"q{number:02}", score("judged", 0.9 if number else 0.3)) for number in range(20)]
    assert gate(run(*before), run(*now)).verdict is Verdict.REGRESSED

    explained = gate(run(*before), run(*now), drift=drift(before, lambda number: -0.6 + 0.01 * (number % 3 - 1)))
    assert explained.verdict is Verdict.JUDGE_DRIFTED
    assert explained.broken == ()
    held = gate(run(*before), run(*now), drift=drift(before, lambda number: -0.05 + 0.01 * (number % 3 - 1)))
    assert held.verdict is Verdict.REGRESSED
    assert [change.id for change in held.broken] == ["q00"]


def test_stored_answers_are_chosen_alike_whatever_the_order():
    before = [result(f"q{number:02}", score(), score("judged", 0.5), text=f"answer {number}") for number in range(60)]
    baseline = updated(None, run(*before))
    texts = {text_digest(context.text): context.text for context in CONTEXTS}
    chosen = stored_answers(baseline, run(*before), metrics={"judged"}, texts=texts)

    assert len(chosen) == MOST_REJUDGED
    assert chosen == stored_answers(baseline, run(*reversed(before)), metrics={"judged"}, texts=texts)
    assert [one.key[1] for one in chosen] != sorted(one.key[1] for one in chosen)
    first = chosen[0]
    assert first.answer.text == f"answer {int(first.key[1][1:])}"
    assert [context.text for context in first.answer.contexts] == [context.text for context in CONTEXTS]
    assert first.scores == {"judged": 0.5}
    assert first.question.question == f"What of {first.key[1]}?"


def test_only_what_can_be_judged_anew_is_chosen():
    before = run(result("a", score("judged", 0.5)), result("b", score()), result("c", score("judged", 0.5)))
    baseline = updated(None, before)
    texts = {text_digest(context.text): context.text for context in CONTEXTS}
    reworded = run(
        result("a", score("judged", 0.5)), result("c", score("judged", 0.5), asked=question("c", reference="x"))
    )

    assert [one.key[1] for one in stored_answers(baseline, reworded, metrics={"judged"}, texts=texts)] == ["a"]
    assert stored_answers(baseline, before, metrics={"judged"}, texts={}) == ()
    assert len(stored_answers(baseline, before, metrics={"judged"}, texts=texts, most=1)) == 1


# ---- Order


def test_the_order_of_results_and_metrics_is_irrelevant():
    before = [result(f"q{number:02}", score(value=number % 2), score("judged", number / 40)) for number in range(30)]
    now = [
        result(f"q{number:02}", score("judged", number / 50), score(value=number % 3 % 2), text=f"t{number % 4}")
        for number in range(30)
    ]
    one = gate(run(*before), run(*now))
    turned = [dataclasses.replace(each, scores=dict(reversed(each.scores.items()))) for each in reversed(now)]
    other = gate(run(*reversed(before)), run(*turned))

    def plain(comparison):
        return json.dumps({**dataclasses.asdict(comparison), "reasons": sorted(comparison.reasons)}, sort_keys=True)

    assert plain(one) == plain(other)
