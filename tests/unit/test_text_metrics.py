"""Metrics of the answer's text that need no model call."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.lexical import states
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.text import (
    AnswerSimilarity,
    Groundedness,
    MustContain,
    ReferenceCoverage,
    Refusal,
)
from pytest_ragcheck.model import Answer, Context, Question

LEAVE = (
    "# Annual leave\n\nEmployees with 3 to 15 years of service earn 6 hours of annual leave per pay period. "
    "You can carry over at most 240 hours into the next leave year.\n\n"
    "# Organ donors\n\nAn organ donor gets up to 30 days of administrative leave in a calendar year."
)
REFUSAL = "The handbook does not mention a sabbatical."


def contexts_of(*texts):
    return tuple(Context(text=text, rank=rank) for rank, text in enumerate(texts, start=1))


def measure(metric, answer, contexts=(LEAVE,), **question):
    answer = answer if isinstance(answer, Answer) else Answer(text=answer)
    case = Case(question=Question(id="q", question="?", **question), contexts=contexts_of(*contexts), answer=answer)
    return asyncio.run(metric.measure(case))


def grounded(answer, contexts=(LEAVE,)):
    return measure(Groundedness(), answer, contexts)


async def letters(texts):
    """Unit vectors of letter counts: alike for texts with the same letters, opposed to nothing."""
    vectors = []
    for text in texts:
        counts = [float(text.casefold().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]
        length = sum(count * count for count in counts) ** 0.5 or 1.0
        vectors.append([count / length for count in counts])
    return vectors


def every_metric():
    return [Groundedness(), AnswerSimilarity(letters), ReferenceCoverage(), MustContain(), Refusal()]


# ---- Groundedness ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "Six hours of annual leave each pay period.",
        "You can carry over 240 hours.",
        "Organ donors get 30 days of administrative leave.",
        "- Organ donors: **30 days** [1]\n- Carry-over: 240 hours [2, 3]",
        "1. Employees earn 6 hours.\n2. They carry over 240 hours.",
        "EMPLOYEES EARN 6 HOURS",
    ],
)
def test_what_the_contexts_say_is_grounded(answer):
    score = grounded(answer)
    assert score.value == 1
    assert score.details["unsupported"] == []


def test_a_wrong_number_outweighs_right_words():
    right = grounded("You can carry over at most 240 hours into the next leave year.").value
    wrong = grounded("You can carry over at most 250 hours into the next leave year.")
    assert right == 1
    assert wrong.value == 0
    assert wrong.details["unsupported"][0]["words"] == ["250"]
    assert "'250'" in wrong.reason


def test_a_number_from_elsewhere_in_the_contexts_supports_nothing():
    assert (
        grounded("You can carry over at most 15 donors.", ("15 years.", "You can carry over at most 240 hours.")).value
        == 0
    )
    assert grounded("An organ donor gets 240 days.").value < 0.5


def test_an_invented_name_weighs_more_than_an_invented_word():
    name = grounded("Employees earn annual leave at Lufthansa.").value
    word = grounded("Employees earn annual leave at headquarters.").value
    assert name < word < 1


def test_the_value_is_the_mean_over_sentences_by_content_words():
    score = grounded("Organ donors get administrative leave. Bananas ripen quickly.")
    assert score.value == pytest.approx(5 / 8)
    assert [entry["sentence"] for entry in score.details["unsupported"]] == ["Bananas ripen quickly."]
    assert score.details["unsupported"][0]["words"] == ["Bananas", "ripen", "quickly"]
    assert score.details["sentences"] == 2


def test_no_contexts_support_nothing():
    score = grounded("Employees earn 6 hours.", ())
    assert (score.value, score.reason) == (0, "there are no contexts")


def test_an_unsupported_sentence_never_raises_groundedness():
    rng = random.Random(11)
    words = [
        "employees",
        "earn",
        "6",
        "hours",
        "annual",
        "leave",
        "donor",
        "30",
        "days",
        "240",
        "Paris",
        "bananas",
        "99",
        "fly",
        "Berlin",
        "calendar",
        "year",
    ]
    for _ in range(400):
        sentences = [" ".join(rng.choices(words, k=rng.randint(1, 8))) + "." for _ in range(rng.randint(1, 4))]
        before = grounded("\n\n".join(sentences)).value
        sentences.insert(rng.randint(0, len(sentences)), "Purple zebras juggle 7777 lanterns.")
        after = grounded("\n\n".join(sentences)).value
        assert 0 <= after <= before <= 1


def test_more_contexts_never_lower_groundedness():
    rng = random.Random(12)
    words = [
        "employees",
        "earn",
        "6",
        "hours",
        "annual",
        "leave",
        "donor",
        "30",
        "days",
        "240",
        "Paris",
        "bananas",
        "99",
        "fly",
        "Berlin",
        "calendar",
        "year",
    ]
    for _ in range(400):
        answer = " ".join(rng.choices(words, k=rng.randint(1, 12)))
        texts = [" ".join(rng.choices(words, k=rng.randint(1, 8))) for _ in range(rng.randint(1, 4))]
        values = [grounded(answer, tuple(texts[:count])).value for count in range(len(texts) + 1)]
        assert values == sorted(values)


def test_a_text_grounds_itself():
    rng = random.Random(13)
    alphabet = "aZé漢ไ٣½ﬁ'-.,%$ \n\t*|()0123456789"
    for _ in range(300):
        text = "".join(rng.choices(alphabet, k=rng.randint(1, 60)))
        if text.strip():
            score = grounded(Answer(text=text, refused=False), (text,))
            assert score.value is None or score.value == 1


def test_groundedness_does_not_apply():
    assert grounded(REFUSAL).value is None
    assert grounded(Answer(text="Bananas ripen quickly.", refused=True)).value is None
    assert grounded("No.").value is None
    assert grounded("No.").reason == "the answer has no content words"


# ---- Against the reference -------------------------------------------------------------------


def test_similarity_is_the_clipped_cosine():
    assert measure(AnswerSimilarity(letters), "listen", reference="silent").value == pytest.approx(1)
    assert measure(AnswerSimilarity(letters), "abc", reference="xyz").value == 0
    assert measure(AnswerSimilarity(letters), "ab", reference="bc").value == pytest.approx(0.5)

    async def opposed(texts):
        return [[1.0, 0.0], [-1.0, 0.0]]

    async def beyond(texts):
        return [[1.0, 0.001], [1.0, 0.001]]

    assert measure(AnswerSimilarity(opposed), "a", reference="b").value == 0
    assert measure(AnswerSimilarity(beyond), "a", reference="b").value == 1


def test_a_refusal_of_an_answerable_question_is_measured_against_the_reference():
    score = measure(ReferenceCoverage(), REFUSAL, reference="Six hours per pay period")
    assert score.value == 0
    assert measure(AnswerSimilarity(letters), REFUSAL, reference="Six hours").value is not None


@pytest.mark.parametrize("metric", [AnswerSimilarity(letters), ReferenceCoverage()], ids=lambda metric: metric.name)
def test_without_reference(metric):
    assert measure(metric, "x y").reason == "no reference"
    assert measure(metric, "x y", reference=" ").reason == "no reference"
    assert measure(metric, REFUSAL, reference="It is not said.", answerable=False).reason == "unanswerable question"


def test_reference_coverage():
    reference = "Written approval from your supervisor and your director; two supervisors for 80 hours"
    score = measure(ReferenceCoverage(), "The supervisor approves 80 hours in writing.", reference=reference)
    # Of two supervisors one is said; writing is an inflection of written, approves is none of approval.
    assert score.details["missing"] == ["approval", "director", "two", "supervisors"]
    assert score.value == 0.5
    assert measure(ReferenceCoverage(), reference.upper(), reference=reference).value == 1
    assert measure(ReferenceCoverage(), "No.", reference="No.").value is None


def test_saying_more_never_lowers_coverage():
    rng = random.Random(14)
    words = ["approval", "supervisor", "director", "80", "hours", "two", "weeks", "forfeited", "leave"]
    for _ in range(300):
        reference = " ".join(rng.choices(words, k=rng.randint(1, 8)))
        answer = rng.choices(words, k=rng.randint(1, 8))
        values = [
            measure(ReferenceCoverage(), " ".join(answer[:count]), reference=reference).value
            for count in range(1, len(answer) + 1)
        ]
        assert values == sorted(values)
        assert all(0 <= value <= 1 for value in values)


# ---- Facts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("You earn Six\n hours.", "six hours"),
        ("It pays 75%.", "75%"),
        ("(3+3+2)", "3+3+2"),
        ("They don’t expire", "don't expire"),
        ("a 12‑month period", "12-month"),
        ("Write to ITServiceDesk@gsa.gov, now", "itservicedesk@gsa.gov"),
        ("The limit is 240.", "240"),
        ("240, or less", "240"),
        ("休暇は20日です", "20日"),
        ("ＦＭＬＡ", "fmla"),
    ],
)
def test_states(text, spelling):
    assert states(text, spelling)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("You earn 16 hours", "6 hours"),
        ("1,240 hours", "240"),
        ("240.5 hours", "240"),
        ("2.5", "5"),
        ("Nothing", "no"),
        ("knot", "no"),
        ("six  minutes or hours", "six hours"),
        ("", "x"),
        ("x", ""),
        ("aXb", "a.b"),
    ],
)
def test_does_not_state(text, spelling):
    assert not states(text, spelling)


def test_must_contain():
    facts = (("four hours", "4 hours"), ("no maximum", "no cap"))
    score = measure(MustContain(), "Four hours per pay period.", must_contain=facts)
    assert score.value == 0.5
    assert score.details["missing"] == [["no maximum", "no cap"]]
    assert measure(MustContain(), "4 hours, no cap", must_contain=facts).value == 1
    assert measure(MustContain(), "?", must_contain=facts).value == 0
    assert measure(MustContain(), "4 hours").reason == "no must_contain"
    assert measure(MustContain(), "4 hours", must_contain=((),)).value is None


# ---- Refusal ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answerable", "value", "reason"),
    [
        ("Six hours.", True, 1, "answered"),
        (REFUSAL, True, 0, "refused an answerable question"),
        (REFUSAL, False, 1, "refused a question that the documents cannot answer"),
        ("Six weeks.", False, 0, "answered a question that the documents cannot answer"),
    ],
)
def test_refusal(text, answerable, value, reason):
    score = measure(Refusal(), text, answerable=answerable)
    assert (score.value, score.reason) == (value, reason)


def test_the_pipelines_word_outweighs_the_text():
    assert measure(Refusal(), Answer(text=REFUSAL, refused=False)).value == 1
    assert measure(Refusal(), Answer(text="Six hours.", refused=True)).value == 0


# ---- All of them -----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", every_metric(), ids=lambda metric: metric.name)
@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_answer_is_an_error(metric, text):
    with pytest.raises(MeasurementError, match="the answer is empty") as caught:
        measure(metric, text, reference="Six hours", must_contain=(("six",),))
    assert caught.value.kind == "empty-answer"


@pytest.mark.parametrize("metric", every_metric(), ids=lambda metric: metric.name)
def test_no_answer_is_an_error(metric):
    assert metric.needs_answer
    with pytest.raises(MeasurementError, match="needs an answer"):
        asyncio.run(metric.measure(Case(question=Question(id="q", question="?"), contexts=())))


@pytest.mark.parametrize("metric", every_metric(), ids=lambda metric: metric.name)
def test_any_text_gives_a_value_in_range_and_plain_details(metric):
    rng = random.Random(15)
    alphabet = "aZé漢ไ\u0301٣½ﬁ'-.,%$ \n\t#*|[]()0123456789\U0001f600"
    for _ in range(150):
        text, other = ("".join(rng.choices(alphabet, k=rng.randint(1, 60))) + "x" for _ in range(2))
        score = measure(metric, text, (other,), reference=other, must_contain=((other,), (text,)))
        assert score.metric == metric.name
        assert score.threshold is None
        assert score.value is None or 0 <= score.value <= 1
        json.dumps(dict(score.details))


# ---- Long texts ------------------------------------------------------------------------------


async def beats_while(metric, case):
    """How often the event loop ran something else while the metric was measured."""
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(beat())
    await metric.measure(case)
    task.cancel()
    return beats


@pytest.mark.parametrize("metric", [Groundedness(), ReferenceCoverage(), MustContain()], ids=lambda metric: metric.name)
def test_long_texts_do_not_hold_up_the_event_loop(metric):
    def case(length):
        text = "Staff have 25 days of leave. " * (length // 29)
        question = Question(id="q", question="?", reference="25 days", must_contain=(("25 days",),))
        return Case(question=question, contexts=contexts_of(text), answer=Answer(text=text, refused=False))

    assert asyncio.run(beats_while(metric, case(3_000))) == 0
    assert asyncio.run(beats_while(metric, case(60_000))) > 0


def test_what_is_not_read_is_reported():
    filler = "word " * 200_000
    score = grounded("Bananas ripen.", (filler, "Bananas ripen."))
    assert score.value == 0
    assert score.details["unread_characters"] == 14
    assert "; 14 characters of the contexts were not read, which is limited to 1,000,000" in score.reason
    score = measure(MustContain(), filler + "25 days", must_contain=(("25 days",),))
    assert score.value == 0
    assert "; 7 characters of the answer were not read" in score.reason
    score = measure(ReferenceCoverage(), filler + "bananas", reference="bananas")
    assert score.value == 0
    assert "; 7 characters of the answer were not read" in score.reason
