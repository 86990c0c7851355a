"""Words of scripts other than Latin: they stay whole, their sentences end, and facts are found in them."""

from __future__ import annotations

import asyncio

import pytest

from pytest_ragcheck.lexical import content_keys, content_words, states
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.text import Groundedness
from pytest_ragcheck.model import Answer, Context, Question
from pytest_ragcheck.sentences import sentence_spans


def grounded(answer, document):
    contexts = (Context(text=document, rank=1),)
    case = Case(question=Question(id="q", question="?"), contexts=contexts, answer=Answer(text=answer, refused=False))
    return asyncio.run(Groundedness().measure(case)).value


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


# A document, an answer from it, and another sentence with nothing in common.
LANGUAGES = {
    "Hindi": (
        "कर्मचारी को हर साल पच्चीस दिन की छुट्टी मिलती है।",
        "हर साल पच्चीस दिन छुट्टी मिलती है।",
        "बिल्ली पेड़ पर बैठकर दूध पीती थी।",
    ),
    "Bengali": ("কর্মচারীরা বছরে পঁচিশ দিন ছুটি পান।", "বছরে পঁচিশ দিন ছুটি।", "বিড়াল গাছে বসে দুধ খায়।"),
    "Tamil": (
        "ஊழியர்களுக்கு ஆண்டுக்கு இருபத்தைந்து நாட்கள் விடுப்பு உண்டு.",
        "ஆண்டுக்கு இருபத்தைந்து நாட்கள் விடுப்பு.",
        "பூனை மரத்தில் அமர்ந்து பால் குடித்தது.",
    ),
    "Telugu": ("ఉద్యోగులకు సంవత్సరానికి సెలవులు ఉంటాయి.", "ఉద్యోగులకు సెలవులు ఉంటాయి.", "పిల్లి చెట్టు మీద పాలు తాగింది."),
    "Malayalam": ("ജീവനക്കാർക്ക് വർഷത്തിൽ അവധി ലഭിക്കും.", "ജീവനക്കാർക്ക് അവധി ലഭിക്കും.", "പൂച്ച മരത്തിൽ പാൽ കുടിച്ചു."),
    "Sinhala": ("සේවකයින්ට වසරකට නිවාඩු ලැබේ.", "සේවකයින්ට නිවාඩු ලැබේ.", "පූසා ගසේ කිරි බිව්වා."),
    "pointed Arabic": ("يَحْصُلُ الْمُوَظَّفُ عَلَى إِجَازَةٍ سَنَوِيَّةٍ.", "يحصل الموظف على إجازة سنوية.", "شَرِبَتِ الْقِطَّةُ الْحَلِيبَ فَوْقَ الشَّجَرَةِ."),
    "pointed Hebrew": ("הָעוֹבֵד מְקַבֵּל חֻפְשָׁה שְׁנָתִית.", "העובד מקבל חפשה שנתית.", "הֶחָתוּל שָׁתָה חָלָב בַּגַּן."),
    "Urdu": (
        "ملازم کو ہر سال پچیس دن کی چھٹی ملتی ہے۔",
        "ہر سال پچیس دن چھٹی ملتی ہے۔",
        "بلی درخت پر بیٹھ کر دودھ پیتی تھی۔",
    ),
    "Persian": ("کارمندان می‌توانند مرخصی بگیرند.", "کارمندان میتوانند مرخصی بگیرند.", "گربه روی درخت شیر نوشید."),
    "Korean": ("직원은 해마다 휴가를 받습니다.", "휴가는 직원이 해마다 받습니다.", "고양이가 나무에서 우유를 마셨다."),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_groundedness_sees_whole_words(language):
    document, answer, unrelated = LANGUAGES[language]
    assert grounded(answer, document) == 1
    assert grounded(unrelated, document) < 0.35


@pytest.mark.parametrize("language", LANGUAGES)
def test_vowel_signs_do_not_part_words(language):
    for text in LANGUAGES[language]:
        assert len(content_words(text)) <= len(text.split())


@pytest.mark.parametrize("mark", "।॥؟۔։።។။。")
def test_marks_that_end_sentences(mark):
    first, second = f"abc def{mark}", f"ghi jkl{mark}"
    assert sentences(f"{first} {second}") == [first, second]


def test_danda_and_arabic_marks_part_the_evidence_of_numbers():
    document = "छुट्टी 25 दिन है। यात्रा भत्ता 40 रुपये है।"
    assert grounded("भत्ता 25 रुपये", document) == 0
    assert grounded("भत्ता 40 रुपये", document) == 1


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("You get **25** days.", "25 days"),
        ("You get *25* days.", "25 days"),
        ("You get ~~25~~ days.", "25 days"),
        ("Open until _16:00_.", "16:00"),
        ("Open until __16:00__ daily.", "16:00 daily"),
        ("by 31&nbsp;March", "31 March"),
        ("by 31&#160;March", "31 March"),
        ("R&amp;D budget", "R&D budget"),
        ("see [the form](https://x.example/f) first", "the form first"),
        ("use `pip install`", "use pip install"),
        ("an\u200bnual le\u00adave", "annual leave"),
        ("# 25 days", "25 days"),
        ("**Non**profit", "nonprofit"),
        ("5 \\* 3", "5 * 3"),
        ("<b>25</b> days", "25 days"),
        ('<span class="x">25</span> days', "25 days"),
        ("25<br>days", "25 days"),
        ("25 days[^1] a year", "25 days a year"),
        ("25 [1] days", "25 days"),
        ("see [1]", "[1]"),
        ("25\\% of it", "25% of it"),
        ("__init__ runs", "__init__"),
        ("2**3", "2**3"),
        # Korean particles
        ("서울에 있습니다", "서울"),
        ("서울에서는 눈이 온다", "서울"),
        ("25일입니다", "25일"),
        ("휴가는 25일", "25"),
        ("인사팀으로부터", "인사팀"),
        # Arabic and Hebrew prefixes
        ("نعيش بالرياض", "الرياض"),
        ("والرياض جميلة", "الرياض"),
        ("وبالرياض", "رياض"),
        ("للموظفين إجازة", "موظفين"),
        ("مُدَّةُ الإجَازَةِ", "الإجازة"),
        ("בירושלים", "ירושלים"),
        ("שבירושלים", "ירושלים"),
        # Marks that belong to letters
        ("कर्मचारी को छुट्टी", "छुट्टी"),
        ("ชั่วโมง 25 ชั่วโมง", "25 ชั่วโมง"),
    ],
)
def test_facts_are_found(text, spelling):
    assert states(text, spelling)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("서울대학교", "서울"),
        ("남서울", "서울"),
        ("한국인", "한국"),
        ("ولد", "لد"),
        ("عقرب", "قرب"),
        ("अछुट्टी", "छुट्टी"),
        ("छुट्टीवाला", "छुट्टी"),
        ("दिनांक", "दिन"),
        ("कि", "क"),
        ("**25**0 days", "25"),
        ("a_25_b", "25"),
    ],
)
def test_facts_are_not_found_within_other_words(text, spelling):
    assert not states(text, spelling)


def test_words_that_are_written_together_have_one_key():
    assert content_keys("서울에서는") == content_keys("서울은") == content_keys("서울")
    assert content_keys("الرياض") == content_keys("والرياض") == content_keys("بالرياض") == content_keys("رياض")
    assert content_keys("l'école") == content_keys("école") == content_keys("d’école")
    assert content_keys("dell'anno") == content_keys("anno")
