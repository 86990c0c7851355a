from __future__ import annotations

import random
from dataclasses import replace
from unicodedata import category, east_asian_width

import pytest

from pytest_ragcheck.model import Answer, Context, Failure, Passage, Question, Result, Score, Timing, Turn
from pytest_ragcheck.report.question import first_line, question_report

RERUN = "pytest --ragcheck 'evals/test_shop.py::test_shop[sale-returns]'"
FILLER = "The shop was founded in 1998 and has moved twice since. "


def shown_columns(text: str) -> int:
    return sum(
        0 if category(char) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(char) in {"W", "F"} else 1 for char in text
    )


def sale_returns(**changes) -> Result:
    contexts = (
        Context(
            text=FILLER * 8
            + "Items bought in the sale may be returned within 14 days of delivery, unworn and with the label. "
            + "Everything else may be returned within 30 days. "
            + FILLER * 8,
            rank=1,
            score=0.8123,
            source="docs/refunds.md",
            start=900,
            end=1946,
        ),
        Context(
            text="Delivery takes two to four working days.",
            rank=2,
            score=0.51,
            source="docs/customers/help/orders-and-delivery/2026/autumn/frequently-asked/delivery-times.md",
        ),
        Context(text=FILLER * 4, rank=3, score=0.3, source="docs/about.md", start=0, end=224),
    )
    missed = {
        "source": "docs/postage.md",
        "start": 120,
        "end": 201,
        "text": "The buyer pays the postage for returns of sale items; for faulty items the shop does.",
    }
    scores = [
        Score(metric="hit_rate", value=1.0, threshold=1.0, reason="1 of 2 gold passages in 3 contexts"),
        Score(
            metric="recall",
            value=0.5,
            threshold=0.6,
            reason="1 of 2 gold passages in 3 contexts, first at rank 1",
            details={"gold_ranks": [1], "group_ranks": [1, None], "missed": [missed]},
        ),
        Score(
            metric="faithfulness",
            value=0.41,
            threshold=0.7,
            reason="The answer grants 60 days, but the contexts say that sale items may be returned within 14 days.",
            details={"rejected": [{"claim": "Postage is free.", "reason": "no context speaks of postage"}]},
        ),
        Score(
            metric="groundedness",
            value=0.5,
            threshold=0.6,
            reason="1 of 2 sentences is supported",
            details={"unsupported": [{"sentence": "Postage is free for everybody.", "words": ["postage", "free"]}]},
        ),
        Score(
            metric="must_contain",
            value=0.5,
            threshold=1.0,
            reason="1 of 2 facts is stated",
            details={"missing": [["14 days", "two weeks"]]},
        ),
        Score(metric="answer_similarity", value=0.83, threshold=0.6, reason="cosine to the reference"),
        Score(metric="answer_relevancy", value=0.9, reason="both statements are about returns"),
        Score(
            metric="correctness",
            threshold=0.5,
            error=Failure(message="the judge's reply is not JSON", kind="malformed", details={"attempts": 3}),
        ),
        Score(metric="contextual_recall", reason="needs a reference"),
        Score(metric="contextual_precision", reason="needs a reference"),
    ]
    result = Result(
        question=Question(
            id="sale-returns",
            question="How long do I have to return an item from the sale, and who pays for the postage?",
            dataset="evals/shop.yaml",
            reference="Sale items may be returned within 14 days; the buyer pays the postage.",
            gold=(
                (Passage(source="docs/refunds.md", start=1348, end=1444),),
                (Passage(source="docs/postage.md", start=120, end=201),),
            ),
        ),
        answer=Answer(
            text="Sale items can be returned within 60 days of delivery.\n\nPostage is free for everybody.",
            contexts=contexts,
            model="claude-haiku-5-5",
            latency=5.824,
        ),
        scores={score.metric: score for score in scores},
        timing=Timing(retrieval=0.03, generation=6.1, evaluation=33.3, started=0.0, finished=39.5),
    )
    return replace(result, **changes)


@pytest.mark.parametrize("width", [80, 160])
def test_the_report_of_a_failed_question(width, snapshot):
    snapshot(f"question_{width}.txt", question_report(sale_returns(), width=width, rerun=RERUN))


def test_the_report_of_a_question_without_an_answer():
    traceback = (
        "Traceback (most recent call last):\n" + '  File "shop.py", line 3, in ask\n' * 30 + "ConnectError: refused"
    )
    failure = Failure(
        message="the model could not be reached", details={"status": None, "attempts": 4, "traceback": traceback}
    )
    unanswerable = Question(id="shares", question="Is there a share plan?", answerable=False)
    assert question_report(Result(question=unanswerable, error=failure), rerun=RERUN) == (
        """\
no answer: the model could not be reached [shares]

cause
  the model could not be reached
  attempts: 4
  traceback:
      File "shop.py", line 3, in ask
      File "shop.py", line 3, in ask
      File "shop.py", line 3, in ask
      File "shop.py", line 3, in ask
      File "shop.py", line 3, in ask
    ConnectError: refused

question (unanswerable: a refusal is right)
  Is there a share plan?

run this question again
  """
        + RERUN
    )


def test_the_report_of_an_empty_answer_without_contexts():
    result = Result(
        question=Question(id="q", question="Who?"),
        answer=Answer(text=" \n", cached=True, refused=True),
        scores={"tone": Score(metric="tone", value=1.0, threshold=1.0)},
    )
    assert question_report(result) == (
        """\
passed [q]

question
  Who?

answer (2 characters, from the cache, refused)
  (empty)

metrics
  pass   tone  1.00 >= 1.00

contexts (0)
  (none were retrieved)"""
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            ", ".join(["must_contain 0.50 < 1.00", "faithfulness 0.41 < 0.70", "recall 0.50 < 0.60"])
            + ", groundedness 0.50 < 0.60 [sale-returns]",
        ),
        ({"scores": {"f": Score(metric="f", value=0.41, threshold=0.7)}}, "f 0.41 < 0.70 [sale-returns]"),
        (
            {"scores": {f"m{n}": Score(metric=f"m{n}", value=n / 10, threshold=0.7) for n in range(6)}},
            "m0 0.00 < 0.70, m1 0.10 < 0.70, m2 0.20 < 0.70, m3 0.30 < 0.70, and 2 more [sale-returns]",
        ),
        (
            {"scores": {"f": Score(metric="f", threshold=0.7, error=Failure(message="no\r\n JSON"))}},
            "f could not be measured: no JSON [sale-returns]",
        ),
        (
            {
                "scores": {
                    name: Score(metric=name, threshold=0.7, error=Failure(message=f"{name} broke")) for name in "fgh"
                }
            },
            "f could not be measured (and 2 other metrics): f broke [sale-returns]",
        ),
        ({"answer": None, "error": Failure(message="503\n\x1b[2Jbusy")}, "no answer: 503 \\x1b[2Jbusy [sale-returns]"),
        ({"answer": None}, "no answer [sale-returns]"),
        ({"not_run": "2.00 of 2.00 USD spent"}, "not run: 2.00 of 2.00 USD spent [sale-returns]"),
        ({"scores": {}}, "passed [sale-returns]"),
    ],
)
def test_the_first_line_says_what_is_wrong_and_where(changes, line):
    result = sale_returns(**changes)
    assert first_line(result) == line
    report = question_report(result, width=160)
    assert report.splitlines()[0] == line


def test_a_first_line_that_is_too_wide_goes_on_below():
    report = question_report(sale_returns(), width=60)
    assert report.splitlines()[:2] == [
        "must_contain 0.50 < 1.00, faithfulness 0.41 < 0.70, recall",
        "  0.50 < 0.60, groundedness 0.50 < 0.60 [sale-returns]",
    ]


def test_the_command_is_never_broken():
    command = "pytest --ragcheck " + "'evals/test_shop.py::test_shop[" + "long-" * 40 + "id]'"
    assert question_report(sale_returns(), width=60, rerun=command).splitlines()[-1] == f"  {command}"


def test_of_many_contexts_the_first_and_those_with_gold_are_shown():
    contexts = tuple(Context(text=f"Text {rank}.", rank=rank, source=f"{rank}.md") for rank in range(1, 201))
    score = Score(metric="mrr", value=0.01, threshold=0.5, details={"gold_ranks": [150, 190], "missed": []})
    lines = question_report(
        sale_returns(answer=Answer(text="Yes.", contexts=contexts), scores={"mrr": score})
    ).splitlines()
    start = lines.index("contexts (200, 2 with gold)")
    assert lines[start + 1 :] == [
        *(line for rank in range(1, 9) for line in (f"    {rank}  -        {rank}.md", f"       Text {rank}.")),
        "  150  -  gold  150.md",
        "       Text 150.",
        "  190  -  gold  190.md",
        "       Text 190.",
        "  and 190 more contexts, none with gold",
    ]


def test_an_answer_that_is_cut_shows_what_is_not_supported():
    sentence = "Postage is free for everybody."
    score = Score(metric="groundedness", value=0.1, threshold=0.6, details={"unsupported": [{"sentence": sentence}]})
    answer = Answer(text="I am glad to help. " * 500 + sentence + " Thank you for asking. " * 500)
    report = question_report(sale_returns(answer=answer, scores={"groundedness": score}))
    shown = report.partition("\nanswer (")[2].partition("\n\n")[0]
    assert sentence in " ".join(shown.split())
    assert shown.count("\n") == 10


def test_what_the_reason_names_is_not_named_again():
    details = {"missing": [["14 days"], ["label"]]}
    score = Score(metric="must_contain", value=0.0, threshold=1.0, reason="not stated: '14 days'", details=details)
    report = question_report(sale_returns(scores={"must_contain": score}))
    assert "         not stated: '14 days'\n         missing: label\n" in report


def test_details_of_a_wrong_kind_are_passed_over():
    details = {"unsupported": "text", "rejected": [None, 3, {"claim": 4}], "missing": {"a": 1}, "verdicts": ["hidden"]}
    score = Score(metric="faithfulness", value=0.1, threshold=0.6, details=details)
    report = question_report(sale_returns(scores={"faithfulness": score}))
    assert "hidden" not in report
    assert "text" not in report.partition("metrics")[2].partition("contexts")[0]


HOSTILE = {
    "escape sequences": "\x1b[2J\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x07 \x9b1A",
    "carriage return": "all is lost\rall is well",
    "forged sections": "x\n\nmetrics\n  pass   faithfulness  1.00 >= 0.70\n",
    "nul and half a character": "a\x00b\ud800",
    "bidirectional": "txt\u202eslaitnederc\u202c \u2066x\u2069",
    "zero width": "a\u200bb\u2060c\ufeffd\U000e0041",
    "arabic": "\u0645\u062f\u0629 \u0627\u0644\u0625\u0631\u062c\u0627\u0639 14 \u064a\u0648\u0645\u064b\u0627 " * 40,
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\u2764\ufe0f" * 60,
    "ideographs": "\u8fd4\u54c1\u671f\u9650\u306f14\u65e5\u3067\u3059\u3002" * 60,
    "one word": "x" * 3000,
    "marks": "e" + "\u0301" * 3000,
    "empty": "",
    "blanks": " \t\n " * 50,
}


def everywhere(text: str) -> Result:
    """A result that holds ``text`` in every place that text can come from."""
    contexts = (
        Context(text=text, rank=1, score=0.5, source=text, start=0, end=9),
        Context(text=text, rank=2, source=None),
        Context(text=text, rank=10**6, score=-12345.678, source=text),
    )
    passage = {"source": text, "start": 5, "end": 9, "text": text, "rank": 12}
    details = {
        "unsupported": [{"sentence": text, "words": [text, 3]}] * 5,
        "rejected": [text, {"claim": text, "reason": text}],
        "missing": [text, [text, text]],
        "gold_ranks": [1],
        "missed": [passage] * 12,
    }
    failure = Failure(message=text, kind=text, details={text or "key": text, "attempts": 3})
    scores = [
        Score(metric=text or "m", value=0.1, threshold=0.5, reason=text, details=details),
        Score(metric=text + "2", threshold=0.5, error=failure),
        Score(metric=text + "3", value=0.9, threshold=0.5, reason=text),
        Score(metric=text + "4", value=0.9, reason=text),
        Score(metric=text + "5", reason=text),
    ]
    return Result(
        question=Question(id=text, question=text, reference=text, gold=((Passage(source=text),),)),
        answer=Answer(text=text, contexts=contexts, model=text, latency=1e9),
        scores={score.metric: score for score in scores},
    )


def assert_presentable(report: str, width: int) -> None:
    report.encode()
    for line in report.split("\n"):
        assert shown_columns(line) <= width, line
        assert line == line.rstrip()
        assert all(category(char) not in {"Cc", "Cs", "Zl", "Zp"} for char in line)
        assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff")


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_in_every_place_makes_a_presentable_report(name, width):
    result = everywhere(HOSTILE[name])
    assert_presentable(question_report(result, width=width), width)
    for changed in (
        replace(result, answer=None, error=Failure(message=HOSTILE[name], details={"x": HOSTILE[name]})),
        replace(result, not_run=HOSTILE[name]),
        replace(result, scores={}),
    ):
        assert_presentable(question_report(changed, width=width), width)


def test_no_text_can_forge_a_section_of_the_report():
    report = question_report(everywhere(HOSTILE["forged sections"]))
    titles = [line for line in report.splitlines() if line == "metrics"]
    assert len(titles) == 1


@pytest.mark.parametrize("seed", range(60))
def test_random_text_in_every_place_makes_a_presentable_report(seed):
    randomness = random.Random(seed)
    pool = (
        "".join(HOSTILE.values())
        + "".join(map(chr, range(0x250)))
        + "\u3164\u115f\u034f\U0001f1e9\U0001f3f4"
        + " \n" * 60
    )
    text = "".join(randomness.choice(pool) for _ in range(randomness.randrange(400)))
    width = randomness.choice([40, 57, 80, 160])
    assert_presentable(question_report(everywhere(text), width=width), width)


def test_arabic_and_emoji_are_shown_as_they_are():
    arabic, emoji = HOSTILE["arabic"].split()[0], "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
    report = question_report(sale_returns(answer=Answer(text=f"{arabic} {emoji}")))
    assert f"  {arabic} {emoji}\n" in report


def test_a_report_of_megabytes_stays_short_and_costs_linear_work(grows_no_faster):
    def work(length: int) -> None:
        text = ("Sale items may be returned. " + FILLER + "\x1b[31m ") * (length // 90)
        contexts = tuple(Context(text=text[: length // 4], rank=rank, source="a.md") for rank in range(1, 201))
        result = sale_returns(answer=Answer(text=text, contexts=contexts))
        assert question_report(result).count("\n") < 100

    assert grows_no_faster(work, 125_000, 1_000_000)


def test_earlier_turns_stand_before_the_question():
    turns = (Turn(role="user", text="How long is leave?"), Turn(role="assistant", text="25 days. " * 60))
    question = Question(id="q", question="And for directors?", history=turns)

    report = question_report(Result(question=question, answer=Answer(text="30.")))

    assert "earlier turns\n  user: How long is leave?\n  assistant: 25 days." in report
    assert report.index("How long is leave?") < report.index("And for directors?")
    assert len(report) < 600


def test_what_was_not_generated_and_what_was_not_told_is_not_shown_as_empty():
    question = Question(id="q", question="How long?")
    retrieved = Answer(text="", contexts=(Context(text="25 days", rank=1),), generated=False)

    only_retrieved = question_report(Result(question=question, answer=retrieved))
    untold = question_report(Result(question=question, answer=Answer(text="25.", contexts_known=False)))

    assert "answer (" not in only_retrieved
    assert "25 days" in only_retrieved
    assert "(the pipeline does not tell which it used)" in untold
    assert "none were retrieved" not in untold
