from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from dataclasses import replace

import pytest
from _pytest.mark.expression import Expression
from markupsafe import escape

from pytest_ragcheck.comparison import Comparison, ContextChange, QuestionChange, Verdict
from pytest_ragcheck.model import Answer, Call, Context, Failure, Passage, Question, Result, Run, Score, Timing
from pytest_ragcheck.report.findings import FindingKind
from pytest_ragcheck.report.html import html_report
from pytest_ragcheck.report.html.changes import change_entry
from pytest_ragcheck.report.html.charts import area, histogram, occupancy
from pytest_ragcheck.report.html.differences import word_difference
from pytest_ragcheck.report.html.encoding import Block, block_of, content_of, json_text
from pytest_ragcheck.report.html.entries import question_entry
from pytest_ragcheck.report.html.marks import doubts, gold_spans, said_spans
from pytest_ragcheck.report.html.overview import overview
from pytest_ragcheck.report.html.payload import keys_of, payload
from pytest_ragcheck.report.html.texts import Texts, browser_spans
from pytest_ragcheck.report.html.timeline import timeline
from pytest_ragcheck.report.rerun import rerun_command
from pytest_ragcheck.report.textual import keywords, printable

BLOCK = re.compile(r'<script type="application/json" id="data" data-encoding="(\w+)">(.*?)</script>', re.DOTALL)


def run_of(*results: Result, **changes) -> Run:
    values = {"started_at": "2026-11-22T15:18:47+00:00", "mode": "concurrent", "fingerprints": {}, "setup": 0.1}
    return Run(**values | {"wall": 1.0, "versions": {}, "results": results} | changes)


def result_of(identifier="q", *scores: Score, **changes) -> Result:
    question = changes.pop("question", Question(id=identifier, question="Why?", tags=changes.pop("tags", ())))
    values = {"answer": Answer(text="Because."), "scores": {score.metric: score for score in scores}}
    return Result(question=question, **values | changes)


def data_of(page: str):
    encoding, text = BLOCK.search(page).groups()
    return content_of(Block(text, encoding))


# ---- The page --------------------------------------------------------------------------------


def test_a_report_is_one_page_that_tells_how_the_run_went():
    page = html_report(run_of(result_of()))

    assert page.startswith("<!doctype html>")
    assert "The one question passed" in page
    assert "2026-11-22 15:18 UTC" in page
    assert page == html_report(run_of(result_of()))


def test_a_run_without_questions_has_a_report_too():
    page = html_report(run_of(), sequential=run_of(mode="sequential"))

    assert "No question was asked" in page
    assert data_of(page)["questions"] == []


def test_the_page_runs_and_is_styled_by_just_what_its_policy_names():
    page = html_report(run_of(result_of()))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))

    def digests(element):
        texts = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        return " ".join(f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)

    assert len(digests("script").split()) == 2
    assert directives["script-src"] == digests("script")
    assert directives["style-src"] == digests("style")
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert page.index(policy) < page.index("<style>") < page.index("<script>")


def test_the_page_needs_nothing_from_elsewhere():
    page = html_report(run_of(result_of()))

    addresses = re.findall(r"""(?:src|href|action)=["']?([^"'\s>]*)|url\(([^)]*)\)|@import""", page)
    outside = [address for address in ("".join(found) for found in addresses) if not address.startswith(("#", "data:"))]
    assert outside == []
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<[^>]+\s(?:on\w+|style)=", page)


@pytest.mark.parametrize(
    "attack",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "'\"><img src=x onerror=alert(1)>",
        "{{ 7 * 7 }} {% raw %}",
        "\x1b[31m \x00 \u202e \ud800 \u2028",
    ],
)
def test_hostile_texts_stay_texts(attack):
    question = Question(id=attack, question=attack, dataset=attack, tags=(attack,))
    hostile = result_of(
        "q", Score(metric=attack, value=0.0, threshold=1.0, reason=attack), question=question, variant=attack
    )
    broken = QuestionChange(id=attack, dataset=attack, variant=attack)
    comparison = Comparison(
        verdict=Verdict.INVALID,
        reasons=(attack,),
        baseline_name=attack,
        baseline_created=attack,
        questions=(broken,),
        gone=(attack,),
    )
    run = run_of(
        hostile, result_of(error=Failure(message=attack, kind=attack), answer=None), started_at=attack, mode=attack
    )
    benign = html_report(run_of(result_of("q", Score(metric="m", value=0.0, threshold=1.0))))

    page = html_report(run, comparison, sequential=run)

    page.encode("utf-8")
    assert page.count("<script") == benign.count("<script")
    assert page.count("</script") == benign.count("</script")
    assert "<img" not in page
    assert str(escape(printable(attack))) in page
    assert not set(page) & set("\x00\x1b\u202e\u2028\ud800")
    assert data_of(page)["questions"][0]["question"] == json.loads(json_text(attack))


def test_data_survive_their_block_small_or_large():
    data = {"<b>&": ["\u2028", "Ünïcode 🎈", 1 / 3, float("nan"), None, True], "long": "x<y " * 200_000}

    large = block_of(json_text(data))
    small = block_of(json_text(data | {"long": "<"}))

    assert (large.encoding, small.encoding) == ("deflate", "json")
    assert not set(small.text) & set("<>&\u2028")
    assert content_of(large)["long"] == data["long"]
    assert content_of(small)["<b>&"] == ["\n", "Ünïcode 🎈", 0.333333, None, None, True]


def test_a_text_that_many_contexts_share_is_stored_once():
    text = "Leave is booked in the calendar. " * 50
    contexts = tuple(Context(text=text, rank=rank) for rank in range(1, 6))
    run = run_of(*(result_of(f"q{number}", answer=Answer(text="!", contexts=contexts)) for number in range(100)))

    assert payload(run, None).text.count(text) == 1


# ---- Addresses and commands ------------------------------------------------------------------


def test_addresses_hold_the_id_and_more_only_where_that_is_not_enough():
    def one(identifier, dataset="a.yaml", variant=""):
        return result_of(question=Question(id=identifier, question="?", dataset=dataset), variant=variant)

    keys = keys_of(
        [
            one("lone"),
            one("twice"),
            one("twice", "b.yaml"),
            one("v", variant="old"),
            one("v", variant="new"),
            one("x"),
            one("x"),
        ]
    )

    assert keys == ["lone", "a.yaml/twice", "b.yaml/twice", "a.yaml/old/v", "a.yaml/new/v", "a.yaml/x", "a.yaml/x~2"]


def test_the_command_that_asks_again_selects_just_the_question():
    command = rerun_command(result_of("sale-returns.2"))

    assert command == "pytest --ragcheck -k '[sale-returns.2]'"
    selects = Expression.compile("[sale-returns.2]").evaluate
    assert selects(lambda name, **_: name in "test_shop[sale-returns.2]")
    assert not selects(lambda name, **_: name in "test_shop[sale-returns.25]")
    assert rerun_command(result_of("q", variant="old")) == "pytest --ragcheck -k q"
    assert rerun_command(result_of("what is this?")) is None


# ---- Marks -----------------------------------------------------------------------------------


def test_what_a_metric_doubts_is_found_in_the_answer():
    unsupported = [{"sentence": "It is 5.", "words": ["5"]}, {"sentence": "It is 5."}, {"sentence": "not there"}, 7]
    rejected = [{"claim": "Ask Bob", "reason": "who?"}]
    score = Score(
        metric="g",
        value=0.0,
        threshold=1.0,
        details={"unsupported": unsupported, "rejected": rejected, "missing": ["It"]},
    )

    found = doubts(result_of("q", score, answer=Answer(text="It is 5. Ask Bob. It is 5.")))

    assert [(doubt.span, doubt.kind, doubt.remark) for doubt in found] == [
        ((0, 8), FindingKind.UNSUPPORTED, "not in the contexts: 5"),
        ((9, 16), FindingKind.REJECTED, "who?"),
        ((18, 26), FindingKind.UNSUPPORTED, ""),
    ]


@pytest.mark.parametrize(
    ("passage", "expected"),
    [
        (Passage(source="a.md", start=110, end=115), [(10, 15)]),
        (Passage(source="a.md", start=90, end=104), [(0, 4)]),
        (Passage(source="a.md", start=10, end=20), []),
        (Passage(source="b.md", start=110, end=115), []),
        (Passage(text="QUICK\n brown"), [(4, 15)]),
        (Passage(source="a.md", start=500, end=520, text="lazy dog"), [(35, 43)]),
        (Passage(source="a.md"), []),
        (Passage(text=".*"), []),
    ],
)
def test_gold_is_found_by_offsets_else_by_its_words(passage, expected):
    text = "The quick brown fox jumps over the lazy dog."
    context = Context(text=text, rank=1, source="a.md", start=100, end=100 + len(text))

    assert gold_spans(context, [(passage,)]) == expected


def test_offsets_are_not_trusted_where_the_text_is_another():
    context = Context(text="short", rank=1, source="a.md", start=0, end=500)

    assert gold_spans(context, [(Passage(source="a.md", start=0, end=3),)]) == []


def test_sentences_that_the_answer_says_are_marked():
    text = "Meals are paid up to 40 euros a day. Claims are submitted within thirty days with receipts."

    spans = said_spans(text, keywords("Up to 40 euros a day are paid for meals."))

    assert [text[start:end] for start, end in spans] == ["Meals are paid up to 40 euros a day."]


def test_places_are_told_as_a_browser_counts_them():
    text = "🎈 a\x1b b"

    (span,) = browser_spans(text, [(text.index("b"), len(text))])

    shown = "🎈 a\\x1b b".encode("utf-16-le")
    assert shown[2 * span[0] : 2 * span[1]].decode("utf-16-le") == "b"


# ---- Differences -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("They expire on 31 March.", "They expire on 1 April, or later."),
        ("", "new"),
        ("old", ""),
        ("same", "same"),
        ("a " * 3000, "b " * 3000),
    ],
)
def test_a_difference_holds_both_texts(before, after):
    pieces = word_difference(before, after)

    assert "".join(text for operation, text in pieces if operation != "-") == after
    assert "".join(text for operation, text in pieces if operation != "+").split() == before.split()


def test_a_difference_keeps_what_both_texts_say():
    assert word_difference("They expire on 31 March.", "They expire on\n1 March.") == [
        ("=", "They expire on\n"),
        ("-", "31 "),
        ("+", "1 "),
        ("=", "March."),
    ]


def test_a_word_that_happens_to_stand_in_both_texts_is_not_picked_out():
    before = "Old hands may be hired by the day for buoy season and for teaching apprentices."
    after = "Divers, crane crews and electricians need a permit for each job, signed on that day, always."

    assert [operation for operation, _ in word_difference(before, after)] == ["-", "+"]


def test_rankings_stand_side_by_side():
    kept, came = (
        Context(text="kept", rank=1, source="k.md"),
        Context(text="leave is 25 days a year", rank=2, source="n.md"),
    )
    changes = (
        ContextChange(label="new", rank=2, text="leave is 25 days a year"),
        ContextChange(label="old", baseline_rank=3, text="leave is 24 days a year"),
    )
    change = QuestionChange(id="q", dataset="", contexts=changes, baseline_answer="It is 24.")

    entry = change_entry(result_of(answer=Answer(text="It is 25.", contexts=(kept, came))), change)

    rows = [
        (row["rank"], *(side and (side["label"], side["how"]) for side in (row["before"], row["now"])))
        for row in entry["contexts"]
    ]
    assert rows == [(1, ("k.md", "same"), ("k.md", "same")), (2, None, ("new", "came")), (3, ("old", "went"), None)]
    assert entry["contexts"][1]["edit"] == [("=", "leave is "), ("-", "24 "), ("+", "25 "), ("=", "days a year")]
    assert entry["answer"] == [("=", "It is "), ("-", "24."), ("+", "25.")]


def test_a_question_without_an_answer_shows_the_one_of_the_baseline():
    entry = change_entry(result_of(answer=None), QuestionChange(id="q", dataset="", baseline_answer="It was 24."))

    assert (entry["answer"], entry["baselineAnswer"]) == (None, "It was 24.")


# ---- Entries ---------------------------------------------------------------------------------


def test_an_entry_begins_with_what_failed_most():
    scores = (
        Score(metric="fine", value=1.0, threshold=0.5),
        Score(metric="reported", value=0.1),
        Score(metric="low", value=0.4, threshold=0.5),
        Score(metric="lost", threshold=0.5, error=Failure(message="no")),
        Score(metric="lowest", value=0.0, threshold=0.5),
        Score(metric="other", reason="no gold"),
    )

    entry = question_entry(result_of("q", *scores), Texts(), {})

    assert [(score["metric"], score["status"]) for score in entry["scores"]] == [
        ("lowest", "failed"),
        ("low", "failed"),
        ("lost", "error"),
        ("fine", "passed"),
        ("reported", "reported"),
        ("other", "not applicable"),
    ]


# ---- Overview --------------------------------------------------------------------------------

EXPECTED = result_of("a", Score(metric="m", value=0.0, threshold=1.0), expected_failure=True)


@pytest.mark.parametrize(
    ("results", "headline", "tone"),
    [
        ([result_of()], "The one question passed", "good"),
        ([result_of("a"), result_of("b")], "All 2 questions passed", "good"),
        (
            [result_of("a", Score(metric="m", value=0.0, threshold=1.0)), result_of("b")],
            "1 failed of 2 questions",
            "bad",
        ),
        ([result_of("a", answer=None), result_of("b")], "1 could not be measured of 2 questions", "unsure"),
        ([result_of("a", not_run="budget"), result_of("b")], "1 of 2 questions not run", "unsure"),
        ([EXPECTED, result_of("b")], "1 of 2 questions passed, the others failed as expected", "good"),
        ([EXPECTED, result_of("b", answer=None)], "1 could not be measured of 2 questions", "unsure"),
    ],
)
def test_the_headline_tells_the_worst(results, headline, tone):
    view = overview(run_of(*results), None)

    assert (view.headline, view.tone) == (headline, tone)


def test_groups_are_told_where_questions_differ_the_worst_first():
    low = Score(metric="m", value=0.0, threshold=1.0)
    run = run_of(
        result_of("a", low, tags=("red",)), result_of("b", tags=("red", "blue")), result_of("c", tags=("blue",))
    )

    ((heading, name, groups),) = overview(run, None).groupings

    assert (heading, name) == ("Tag", "tag")
    assert [(group.name, group.total) for group in groups] == [("red", 2), ("blue", 2)]


def test_bars_tell_values_and_what_of_them_is_too_low():
    values = (0.0, 0.05, 0.55, 1.0, 1.0, None)

    bars = histogram([Score(metric="m", value=value, threshold=0.6) for value in values])

    assert [bar.count for bar in bars] == [2, 0, 0, 0, 0, 1, 0, 0, 0, 2]
    assert [bar.below for bar in bars if bar.count] == [1.0, 1.0, 0.0]


# ---- Timeline --------------------------------------------------------------------------------


def test_occupancy_is_how_many_are_under_way_on_average():
    assert occupancy([(0, 2), (1, 2), (1.5, 4)], 4, 4) == pytest.approx([1, 2.5, 1, 1])
    assert occupancy([], 0, 2) == [0.0, 0.0]


def test_an_area_is_drawn_in_steps():
    assert (
        area([0, 0], [1, 2], 2, 100, 10)
        == "M0.00 5.00L50.00 5.00L50.00 0.00L100.00 0.00L100.00 10.00L50.00 10.00L50.00 10.00L0.00 10.00Z"
    )


def test_the_axis_is_the_longer_runs_and_begins_with_the_first_question():
    def timed(start, end):
        call = Call(purpose="generation", model="m", started=start, queued=0.5, wire=0.5)
        return result_of(f"at-{start}", timing=Timing(started=start, finished=end), calls=(call,))

    run = run_of(timed(100.5, 104), timed(101, 105), wall=5.0)
    searched = replace(run.results[0], timing=replace(run.results[0].timing, retrieval_span=(100.0, 100.6)))
    run = replace(run, results=(searched, *run.results[1:]))
    slow = run_of(timed(20, 40), mode="sequential", wall=20.0)

    alone, beside = timeline(run, None), timeline(run, slow)

    assert [label for _, label in alone.ticks] == ["0", "1.00 s", "2.00 s", "3.00 s", "4.00 s", "5.00 s"]
    assert beside.ticks[-1] == (1.0, "20.0 s")
    assert [chart.title for chart in beside.charts] == ["Concurrent, 5.00 s", "Sequential, 20.0 s"]
    assert beside.obstacle.startswith("the runs asked different questions")
    assert "50% on the wire, 50% waiting for a free place" in alone.summary
    (spent,) = alone.purposes
    assert (spent.calls, spent.wire) == (2, "1.00 s")


def test_runs_that_can_be_compared_are():
    run = run_of(result_of(timing=Timing(generation=1.0, started=0.1, finished=1.0, generation_span=(0.1, 1.0))))

    view = timeline(run, replace(run, mode="sequential", wall=4.0))

    assert view.obstacle is None
    assert ("all questions", "4.00 s", "1.00 s", "4.0 x faster") in view.compared
