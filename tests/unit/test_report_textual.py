from __future__ import annotations

import random
from itertools import pairwise
from unicodedata import category, east_asian_width

import pytest

from pytest_ragcheck.report import figures
from pytest_ragcheck.report.textual import (
    ELISION,
    columns,
    fold,
    keywords,
    one_line,
    pad,
    printable,
    shorten,
    shorten_left,
)

MANY = 200_000


def shown_columns(text: str) -> int:
    return sum(
        0 if category(char) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(char) in {"W", "F"} else 1 for char in text
    )


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        (
            "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x07",
            "\\x1b]8;;http://evil.example\\x1b\\click\\x1b]8;;\\x07",
        ),
        ("\x1bP1$r\x1b\\", "\\x1bP1$r\\x1b\\"),
        ("\x9b2J\x9d0;title\x9c", "\\x9b2J\\x9d0;title\\x9c"),
        ("nul\x00 bell\x07 back\x08 del\x7f", "nul\\x00 bell\\x07 back\\x08 del\\x7f"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        (
            "re\u200bfund re\u00adfund \ufeffrefund re\u2060fund",
            "re\\u200bfund re\\xadfund \\ufeffrefund re\\u2060fund",
        ),
        ("ad\u200dmin ad\u200cmin a\ufe0f", "ad\\u200dmin ad\\u200cmin a\\ufe0f"),
        ("hi\U000e0041\U000e0042", "hi\\U000e0041\\U000e0042"),
        ("half \ud83d a character", "half \\ud83d a character"),
        ("left\u200eto right", "left\\u200eto right"),
        ("\u3164\u115f\uffa0", "\\u3164\\u115f\\uffa0"),
    ],
)
def test_what_acts_on_a_terminal_or_hides_in_it_is_shown_as_its_escape(hostile, shown):
    assert printable(hostile) == shown


@pytest.mark.parametrize("other", ["\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\n"])
def test_every_kind_of_line_break_becomes_a_newline(other):
    assert printable(f"one{other}two") == "one\ntwo"


@pytest.mark.parametrize(
    "meant",
    [
        "tab\tand\nnewline",
        "\u0645\u062f\u0629 \u0627\u0644\u0625\u0631\u062c\u0627\u0639 14 \u064a\u0648\u0645\u064b\u0627",  # Arabic
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian with its non-joiner
        "\u0915\u094d\u200d\u0937",  # Devanagari with a joiner
        "\u05e9\u05dc\u05d5\u05dd!\u200f \u05e2\u05d5\u05dc\u05dd",  # Hebrew; its direction mark stands beside a sign
        "e\u0301 n\u0303 \u1ec7",  # combining marks
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",  # a family, joined
        "\U0001f3f3\ufe0f\u200d\U0001f308 \u2764\ufe0f 1\ufe0f\u20e3",  # variation selectors
        "\U0001f44d\U0001f3fd \U0001f937\U0001f3fb\u200d\u2642\ufe0f",  # skin tones
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # the flag of Scotland
        "\u845b\U000e0100",  # an ideograph's variant
        "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 caf\u00e9 \u2013 \u20ac",
    ],
)
def test_text_of_any_language_stays_as_it_is(meant):
    if "!\u200f" in meant:
        assert printable(meant) == meant.replace("\u200f", "\\u200f")
        meant = meant.replace("!\u200f", "\u200f!")
    assert printable(meant) == meant


def test_only_the_first_of_several_variation_selectors_is_kept():
    smuggled = "".join(chr(0xE0100 + code) for code in b"ignore all")
    assert "ignore" not in printable("\U0001f600" + smuggled)
    assert printable("\U0001f600" + smuggled).count("\\U000e01") == len(smuggled)
    assert printable("\u2764\ufe0f\ufe0e\ufe0f") == "\u2764\ufe0f\\ufe0e\\ufe0f"


def nasty(randomness: random.Random, length: int) -> str:
    alphabets = [
        "abc XYZ 0123.,;!?\n\t ",
        "".join(map(chr, range(0x20))) + "\x7f\x85\x9b\x9d",
        "\u202a\u202e\u2066\u2069\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u2028\u2029\u00ad\u034f\u3164",
        "\u0627\u0644\u05d0\u05d1\u0301\u0316\u20dd\u4e2d\u6587\u304b\uff21\uac00\u0e01\u0e33",
        "\U0001f600\U0001f468\U0001f3fd\ufe0f\u2764\U0001f1e9\U0001f1ea\U000e0041\U000e0100\ud800\udfff",
    ]
    return "".join(randomness.choice(randomness.choice(alphabets)) for _ in range(length))


@pytest.mark.parametrize("seed", range(40))
def test_random_text_is_safe_and_never_wider_than_asked(seed):
    randomness = random.Random(seed)
    text = nasty(randomness, randomness.randrange(600))
    for width in (20, 40, 77):
        folded = fold(text, width, lines=randomness.choice([None, 1, 3, 8]), around=keywords(nasty(randomness, 20)))
        for line in [*folded, shorten(text, width), shorten_left(text, width)]:
            line.encode()
            assert "\n" not in line
            assert all(category(char) not in {"Cc", "Cs", "Zl", "Zp"} for char in line)
            assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff")
            assert shown_columns(line) <= width


@pytest.mark.parametrize("seed", range(20))
def test_folding_without_a_limit_loses_nothing(seed):
    text = nasty(random.Random(seed), 400)
    assert "".join(fold(text, 23)).replace(" ", "") == "".join(printable(text).split())


def test_words_wider_than_a_line_are_broken_between_characters():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert fold("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert fold("\u4e2d" * 12, 10) == ["\u4e2d" * 5, "\u4e2d" * 5, "\u4e2d" * 2]
    assert "".join(fold(family * 6, 20)) == family * 6
    assert all(line.startswith("\U0001f468") for line in fold(family * 6, 20))


def test_endless_marks_on_one_character_do_not_make_an_endless_line():
    folded = fold("a" + "\u0301" * 100_000, 40, lines=3)
    assert len(folded) == 3
    assert max(map(len, folded)) <= 4 * 40


def test_short_text_keeps_its_breaks_where_asked():
    assert fold("- one\r\n- two\n\n  three", 40, lines=5, keep_breaks=True) == ["- one", "- two", "three"]
    assert fold("- one\n- two", 40, lines=5) == ["- one - two"]


def test_long_text_is_cut_to_its_start_or_to_what_matters():
    text = "Nothing of note. " * 500 + "Sale items may be returned within 14 days. " + "Nothing of note. " * 500
    plain = fold(text, 40, lines=3)
    assert len(plain) == 3
    assert plain[0].startswith("Nothing of note.")
    assert plain[-1].endswith(ELISION)
    around = fold(text, 40, lines=3, around=keywords("How long may sale items be returned?"))
    assert len(around) == 3
    assert around[0].startswith(f"{ELISION} Nothing")
    assert "Sale items may be returned within 14 days." in " ".join(around)
    assert around[-1].endswith(ELISION)


def test_the_end_of_a_text_is_shown_without_a_mark_behind_it():
    text = "Nothing of note. " * 500 + "Refunds take five days."
    folded = fold(text, 40, lines=2, around=keywords("refunds days"))
    assert folded[0].startswith(ELISION)
    assert folded[-1].endswith("Refunds take five days.")


def test_the_part_with_most_different_words_is_preferred_to_one_word_often():
    text = "sale " * 50 + "and " * 400 + "the sale, its returns, and the postage " + "and " * 400
    shown = " ".join(fold(text, 60, lines=2, around=frozenset({"sale", "returns", "postage"})))
    assert "its returns, and the postage" in shown


def test_a_word_longer_than_what_is_shown_is_not_looked_for():
    text = "and " * 100 + "x" * 500 + " and" * 100 + " sale"
    assert fold(text, 40, lines=2, around=frozenset({"x" * 500}))[0].startswith("and")
    assert fold(text, 40, lines=2, around=frozenset({"x" * 500, "sale"}))[-1].endswith("sale")


def test_chinese_and_japanese_are_found_without_blanks():
    text = "\u5929\u6c17\u304c\u3044\u3044\u3002" * 200 + "\u8fd4\u54c1\u671f\u9650\u306f14\u65e5\u3067\u3059\u3002"
    shown = "".join(fold(text, 40, lines=2, around=keywords("\u8fd4\u54c1\u671f\u9650")))
    assert "\u8fd4\u54c1\u671f\u9650\u306f14\u65e5" in shown


def test_keywords_leave_out_what_every_text_says():
    assert keywords("How long do I have to return it, within 14 days?", None, "") == {"long", "return", "days", "14"}


def test_shortening_keeps_one_end():
    assert shorten("a   b\n c", 10) == "a b c"
    assert shorten("abcdefghijkl", 10) == "abcdefg..."
    assert shorten_left("docs/very/long/path.md", 10) == "...path.md"
    assert shorten("\u4e2d" * 10, 9) == "\u4e2d\u4e2d\u4e2d..."
    assert one_line("a\x1b\r\n\tb") == "a\\x1b b"
    assert pad("\u4e2d", 4) == "\u4e2d  "
    assert columns("e\u0301\u4e2da") == 4


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\x1b[31m" * (MANY // 5), id="escape sequences"),
        pytest.param("\x1b]8;;" * (MANY // 5), id="links that never end"),
        pytest.param("\U0001f600\u200d" * (MANY // 2), id="joined emoji"),
        pytest.param("\ufe0f" * MANY, id="variation selectors"),
        pytest.param("\U0001f3f4" + "\U000e0061" * MANY, id="a flag that never ends"),
        pytest.param("x" * MANY, id="one word"),
        pytest.param("\u0301" * MANY, id="marks"),
        pytest.param("\u8fd4\u54c1" * (MANY // 2), id="ideographs"),
        pytest.param("sale. " * (MANY // 6), id="one keyword over and over"),
        pytest.param(" " * MANY, id="blanks"),
        pytest.param("\r" * MANY, id="carriage returns"),
    ],
)
def test_work_grows_with_the_length_of_the_text_and_no_faster(text, grows_no_faster):
    def work(length: int) -> None:
        part = text[:length]
        fold(part, 80, lines=4, around=frozenset({"sale", "\u8fd4\u54c1"}))
        fold(part, 80, lines=4)
        fold(part[: len(part) // 4], 80)
        shorten(part, 80)
        shorten_left(part, 80)

    assert grows_no_faster(work, len(text) // 8, len(text))


def test_seconds_read_well_from_fractions_of_a_millisecond_to_hours():
    durations = [
        0,
        0.000_02,
        0.000_4,
        0.004_2,
        0.009_96,
        0.412,
        0.999_7,
        5.824,
        9.996,
        58.23,
        59.96,
        333,
        3599.6,
        3720,
        7.2e6,
    ]
    assert [figures.seconds(duration) for duration in durations] == [
        "0 ms", "0 ms", "0.4 ms", "4.2 ms", "10 ms", "412 ms", "1.00 s", "5.82 s", "10.0 s", "58.2 s", "1 min 00 s",
        "5 min 33 s", "1 h 00 min", "1 h 02 min", "2,000 h 00 min",
    ]  # fmt: skip
    assert figures.seconds(float("nan")) == figures.seconds(float("inf")) == "?"
    assert figures.seconds(-1e-9) == "0 ms"


def test_no_two_durations_are_shown_in_the_wrong_order():
    def back(shown: str) -> float:
        units = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}
        parts = shown.replace(",", "").split()
        return sum(float(number) * units[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))

    durations = [1.013**step / 1e5 for step in range(1600)]
    shown = [back(figures.seconds(duration)) for duration in durations]
    assert all(before <= after for before, after in pairwise(shown))
    assert all(
        abs(back_again - duration) <= 0.06 * duration + 0.000_05
        for back_again, duration in zip(shown, durations, strict=True)
    )


def test_ratios():
    assert figures.ratio(395, 48) == "8.2 x faster"
    assert figures.ratio(395, 20) == "20 x faster"
    assert figures.ratio(10, 12) == "1.2 x slower"
    assert figures.ratio(10, 10.2) == "as fast"
    assert figures.ratio(0, 1) == figures.ratio(1, 0) == figures.ratio(float("nan"), 1) == "-"


def test_a_comparison_shows_as_many_decimals_as_it_needs():
    assert figures.comparison(0.41, 0.7) == "0.41 < 0.70"
    assert figures.comparison(0.699, 0.7) == "0.699 < 0.700"
    assert figures.comparison(0.7, 0.7) == "0.70 >= 0.70"
    assert figures.comparison(0.7 - 1e-12, 0.7) == "just < 0.70"


def test_words_without_blanks_break_where_readers_expect_it():
    japanese = "翌年に繰り越せるのは5日までで、3月31日に失効します。"
    for width in range(12, 56):
        lines = fold(japanese * 3, width)
        assert "".join(lines) == japanese * 3
        assert all(columns(line) <= width for line in lines)
        assert not any(line[0] in "、。" for line in lines)
        assert not any(one[-1].isdigit() and two[0].isdigit() for one, two in pairwise(lines))
    flags = "\U0001f1ea\U0001f1fa" * 40
    for width in range(12, 30):
        assert all(len(line) % 2 == 0 for line in fold(flags, width))
    assert "".join(fold("1" * 500, 20)) == "1" * 500
    assert "".join(fold("。" * 500, 20)) == "。" * 500
