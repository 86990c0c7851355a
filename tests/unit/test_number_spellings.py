"""Numbers in the spellings of several languages: what is the same, what is not, and what may be either."""

from __future__ import annotations

import asyncio
import random

import pytest

from pytest_ragcheck.lexical import content_keys, states
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.text import Groundedness, ReferenceCoverage
from pytest_ragcheck.model import Answer, Context, Question
from pytest_ragcheck.rag.extractive import ExtractiveGenerator

THIN = "\u202f"
WRONG = [
    # (what the answer says, what the document says)
    ("1 Euro", "1.000 Euro"),
    ("1.000 Euro", "1 Euro"),
    ("5,2 Stunden", "2,5 Stunden"),
    ("2 Stunden", "2,5 Stunden"),
    ("5 Franken", "5'000 Franken"),
    ("5 Franken", "5’000 Franken"),
    ("-5 degrees", "5 degrees"),
    ("\u22125 degrees", "5 degrees"),
    ("5 degrees", "-5 degrees"),
    ("5 degrees", "\u22125 degrees"),
    # Siblings
    ("5 degrees", "minus 5 degrees"),
    ("five degrees", "minus five degrees"),
    ("$5 balance", "-$5 balance"),
    ("1 crore", "10 crore"),
    ("1 euro", f"1{THIN}000 euro"),
    ("1 euro", "1 000 euro"),
    ("20 km", "20k km"),
    ("10⁵ cells", "10⁶ cells"),
    ("5 円", "5万円"),
    ("1.5 dollars", "1,500 dollars"),
    ("1,2 Liter", "1,20,000 Liter"),
    ("0.5 Liter", "0.05 Liter"),
    ("٥ ريال", "٥٬٠٠٠ ريال"),
]
RIGHT = [
    ("1000 Euro", "1.000 Euro"),
    ("1000 euro", f"1{THIN}000 euro"),
    ("100,000 rupees", "1,00,000 rupees"),
    ("25 days", "25¹ days"),
    ("25¹ days", "25 days"),
    ("½ hour", "0.5 hour"),
    ("0.5 hour", "½ hour"),
    ("5 per cent interest", "5 % interest"),
    ("5 % interest", "5 per cent interest"),
    ("EUR 20 fee", "€20 fee"),
    ("€20 fee", "20 EUR fee"),
    # Siblings
    ("2½ hours", "two and a half hours"),
    ("2 1/2 hours", "2.5 hours"),
    ("1/2 day", "half a day"),
    ("minus 5 degrees", "-5 degrees"),
    ("1000 euro", "1&nbsp;000 euro"),
    ("1000 euro", "1\u00a0000 euro"),
    ("1000 euro", "1 000 euro"),
    ("12,500 kr", "12 500 kr"),
    ("1 234,56 kr", "1.234,56 kr"),
    ("1234.56 kr", "1'234.56 kr"),
    ("1,500,000 people", "1.500.000 people"),
    ("1.5 million people", "1,500,000 people"),
    ("1,5 Millionen Menschen", "1.500.000 Menschen"),
    ("1.500 Euro", "1500 Euro"),
    ("1.500 Liter", "1,5 Liter"),
    ("$5M of revenue", "$5 million of revenue"),
    ("3bn of revenue", "3 billion of revenue"),
    ("20k users", "20,000 users"),
    ("two hundred and fifty users", "250 users"),
    ("two hundred fifty users", "250 users"),
    ("half a million users", "500,000 users"),
    ("two dozen users", "24 users"),
    ("a hundred users", "100 users"),
    ("zero users", "0 users"),
    ("5 lakh users", "500,000 users"),
    ("5万円", "50,000 円"),
    ("1億2000万 円", "120,000,000 円"),
    ("5만 원", "50,000 원"),
    ("5천만 원", "50,000,000 원"),
    ("ลา ๒๐ วัน", "ลา 20 วัน"),
    ("ลา๒๐วัน", "ลา 20 วัน"),
    ("٥٬٠٠٠ ريال", "5000 ريال"),
    ("١٫٥ ريال", "1.5 ريال"),
    ("10⁶ cells", "1,000,000 cells"),
    ("10^6 cells", "10⁶ cells"),
    ("₹500 fee", "500 rupees fee"),
    ("5 °C inside", "5 degrees Celsius inside"),
    ("5 Prozent Zinsen", "5 % Zinsen"),
    ("20 m² flat", "20 m2 flat"),
    ("25 days", "25 days²"),
    ("25 days", "25② days"),
    ("3 to 5 days", "3–5 days"),
    ("25 days", "25<sup>1</sup> days"),
    ("25<sup>1</sup> days", "25 days"),
    ("10<sup>6</sup> cells", "1,000,000 cells"),
    ("US$20 fee", "$20 fee"),
    ("CHF 20 fee", "20 Franken fee"),
    ("Rs. 500 fee", "₹500 fee"),
    ("٢٥٪ فائدة", "25% فائدة"),
    ("<b>25</b> days", "25 days"),
]


def grounded(answer, *contexts):
    texts = tuple(Context(text=text, rank=rank) for rank, text in enumerate(contexts, start=1))
    case = Case(question=Question(id="q", question="?"), contexts=texts, answer=Answer(text=answer, refused=False))
    return asyncio.run(Groundedness().measure(case)).value


def covered(answer, reference):
    question = Question(id="q", question="?", reference=reference)
    case = Case(question=question, contexts=(), answer=Answer(text=answer))
    return asyncio.run(ReferenceCoverage().measure(case)).value


@pytest.mark.parametrize(("answer", "document"), WRONG)
def test_another_number_is_not_supported(answer, document):
    assert grounded(answer, document) == 0
    assert covered(answer, document) < 1


def test_another_currency_is_not_supported():
    for symbol in "€£¥₹₽₩₺":
        assert grounded(f"{symbol}500 fee", "$500 fee") < 1


@pytest.mark.parametrize(("answer", "document"), RIGHT)
def test_another_spelling_of_a_number_is_supported(answer, document):
    assert grounded(answer, document) == 1
    assert covered(answer, document) == 1


@pytest.mark.parametrize(
    ("document", "right", "wrong"),
    [
        ("Die Pauschale ist 1.500 Euro, der Satz 2,5 Prozent.", "1500 Euro", "1,5 Euro"),
        ("Die Pauschale ist 1.500 Euro, im Jahr 18.000,00 Euro.", "1500 Euro", "1,5 Euro"),
        ("Das Gewicht ist 1,500 kg, der Anteil 0,3.", "1.5 kg", "1500 kg"),
        ("The weight is 1.500 kg, the limit 12,000,000 kg.", "1.5 kg", "1500 kg"),
        ("The weight is 1.500 kg, the share 0.3.", "1.5 kg", "1500 kg"),
        ("The server 192.168.100.200 takes 1,500 requests.", "1500 requests", "1.5 requests"),
        ("The flag is in {0,1}, the limit 1,500 hours.", "1500 hours", "1.5 hours"),
        ("As said in [1,2], the limit is 1,500 hours.", "1500 hours", "1.5 hours"),
        ("Il costo è 12 500 euro, al massimo 20 000 euro.", "12500 euro", "12 euro"),
    ],
)
def test_the_document_shows_how_it_groups(document, right, wrong):
    assert grounded(right, document) == 1
    assert grounded(wrong, document) < 1


def test_extracted_answers_find_numbers_in_other_spellings():
    text = "Ab 500 Euro zahlt die Leitung.\n\nAb 1.000 Euro zahlt der Vorstand.\n\nAb 5.000 Euro zahlt der Beirat."
    contexts = [Context(text=text, rank=1, score=0.9)]
    assert ExtractiveGenerator().answer("Ab 1000 Euro?", contexts).text == "Ab 1.000 Euro zahlt der Vorstand."


def test_an_ambiguous_number_matches_either_reading():
    assert content_keys("1.500") == {"1500", "1.5"}
    assert content_keys("1 500") == {"1500", "1", "500"}
    assert content_keys("10²") == {"10", "100"}
    assert content_keys("3/4") == {"0.75", "3", "4"}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("3-5", {"3", "5"}),
        ("3 - 5", {"3", "5"}),
        ("3 -5", {"3", "5"}),
        ("GS-13", {"gs", "13"}),
        ("the limit —5 days— is", {"limit", "5", "dai"}),
        ("from -5 to -10", {"-5", "-10"}),
        ("(-5)", {"-5"}),
        ("**-5**", {"-5"}),
        ("-0", {"0"}),
        ("negative five", {"-5"}),
        ("a negative one", {"negativ", "1"}),
        ("8 minus 5", {"8", "minus", "5"}),
        ("-Rent\n-5 days", {"rent", "5", "dai"}),
        ("1.2.3", {"1.2.3"}),
        ("12.05.2024", {"12.05.2024"}),
        ("192.168.1.1", {"192.168.1.1"}),
        ("2023,2024", {"2023", "2024"}),
        ("a 401k plan", {"401", "k", "plan"}),
        ("24/7", {"24", "7"}),
        ("in 2024 100 people", {"2024", "100", "peopl"}),
        ("9" * 5000, {"9" * 5000}),
        ("10^99999", {"10", "99999"}),
        ("2^10", {"2", "10"}),
        ("0^6", {"0", "6"}),
        ("1.000百", {"100"}),
    ],
)
def test_signs_dates_and_sequences(text, keys):
    assert content_keys(text) == keys


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("5'000", "5"),
        ("-5", "5"),
        ("\u22125", "5"),
        ("5", "-5"),
        (f"5{THIN}000", "5"),
        ("5 000", "000"),
        ("5,000", "5"),
        ("minus 2.50", "2.5"),
        ("version 1.10", "1.1"),
        ("01234", "1234"),
        ("5万円", "5"),
        ("5만 원", "5"),
        ("20²5", "205"),
    ],
)
def test_a_number_is_not_stated_within_another(text, spelling):
    assert not states(text, spelling)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("5'000 CHF", "5000"),
        ("1.000 Euro", "1,000 Euro"),
        ("1,00,000", "100000"),
        ("25¹ days", "25 days"),
        ("½ day", "0.5 day"),
        ("−5 °C", "-5 °C"),
        ("20–25 days", "25 days"),
        ("16:00", "16"),
        ("12/05/2024", "12/05/2024"),
        ("2023,2024", "2023"),
        ("3+3+2", "3+3+2"),
        ("x² + 1", "x² + 1"),
    ],
)
def test_a_number_is_stated_in_another_spelling(text, spelling):
    assert states(text, spelling)


PARTS = [
    *"0123456789" * 3,
    *".,' _-/^⁄½¼²³¹⁶⁻①–−—%$€₹¥°CFkKmMb万億千百\u202f\u00a0\u2009 \n\t<>&;#*_`[]()|~\\’\"!?।۔٣٬٫漢ไx",
    *["1.000", "2,5", "1,00,000", "minus ", "one ", "hundred ", "thousand ", "million", "and ", "a ", "half ", "dozen"],
    *["per cent", "EUR", "<sup>1</sup>", "서울에", "بال", "हिं", "Paris", "401"],
]


def test_any_text_with_numbers_supports_covers_and_states_itself():
    rng = random.Random(21)
    for _ in range(1_500):
        text = "".join(rng.choices(PARTS, k=rng.randint(1, 25))) + "x"
        assert grounded(text, text) in (None, 1), text
        assert covered(text, text) in (None, 1), text
        assert states(text, text), text
