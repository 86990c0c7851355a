"""What the terminal shows: widths, colours, and how much of it."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
PIPELINE = """\
import pytest

from pytest_ragcheck.model import Answer, Context


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    def ask(question):
        if question == "Question number 1?":
            raise LookupError("no such page")
        number = "wrong" if question == "Question number 0?" else question[-2]
        text = "The library is open on Saturdays, and closed on Sundays and on public holidays. " * 4
        return Answer(text=f"The answer is {number}.", contexts=(Context(text=text, rank=1, source="a.md"),), latency=2.0)

    return ask
"""
COLOUR = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture
def mixed(own_system):
    """Question 0 fails, 1 has an error, the others pass; and a test of another kind fails."""
    own_system.write("conftest.py", PIPELINE)
    own_system.write("test_other.py", "def test_other():\n    assert [1, 2] == [1, 3]\n")
    return own_system


def failures(result):
    """The lines from the first error or failure up to the summary, without what names the worker, in a fixed order."""
    text = "\n".join(line.rstrip() for line in result.outlines)
    body = re.split(r"=+ (?:ERRORS|ragcheck) =+\n|- generated xml file.*", text)[1]
    body = re.sub(r"\[gw\d\] .*\n", "", body)
    return sorted(re.split(r"\n(?=_{3,} |=+ FAILURES)", "\n" + body))


@NEEDS_XDIST
def test_workers_write_as_wide_and_as_coloured_as_the_only_process(mixed):
    serial, workers = (
        mixed.run("--color=yes", *arguments, environment={"COLUMNS": "120"}) for arguments in ([], ["-n", "2"])
    )

    assert failures(workers) == failures(serial)
    lines = [COLOUR.sub("", line) for line in serial.outlines]
    widest = max(len(line) for line in lines if line.startswith("E   ") and "pytest --ragcheck" not in line)
    assert 108 < widest <= 124, "pytest's own indent of a test's source is on top"


@pytest.mark.parametrize(
    ("arguments", "environment", "is_painted"),
    [
        (["--color=yes", "--tb=short"], {"NO_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ([], {}, False),
        (["--color=no"], {"FORCE_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_colour_is_where_pytest_has_it_and_nowhere_else(mixed, arguments, environment, is_painted):
    result = mixed.run(*arguments, environment={"COLUMNS": "100", "PY_COLORS": ""} | environment)

    shown = result.stdout.str()
    painted = [
        "\x1b[31mragcheck.ThresholdNotMet: reference_coverage 0.00 < 1.00 [q0]\x1b[0m",
        "\x1b[31mFAIL\x1b[0m   reference_coverage  \x1b[31m0.00 < 1.00\x1b[0m",
        "\x1b[31mno answer: LookupError: no such page",
        "\x1b[32m2 passed\x1b[0m, \x1b[31m1 failed\x1b[0m, \x1b[31m1 error\x1b[0m",
    ]
    for text in painted:
        assert (text in shown) is is_painted
        assert COLOUR.sub("", text) in COLOUR.sub("", shown)
    assert ("\x1b" in shown) is is_painted
    messages = mixed.messages()
    assert "assert [1, 2] == [1, 3]" in COLOUR.sub("", shown), "a failure that is not ours stays pytest's"
    assert "FAIL   reference_coverage  0.00 < 1.00\n" in messages["test_own[q0]"], "a JUnit file has no colours of ours"


def test_how_much_is_told_follows_pytests_verbosity(mixed):
    quiet, usual, verbose = (mixed.run(*arguments).stdout.str() for arguments in (["-q"], [], ["-v"]))

    for shown in (quiet, usual, verbose):
        assert "4 questions: 2 passed, 1 failed, 1 error" in shown
        assert "reference_coverage  0.67  0.21-0.94   0.00  2 of 3  q0" in shown
    assert ["timing (" in shown for shown in (quiet, usual, verbose)] == [False, True, True]
    assert ["passed [q2]" in shown for shown in (quiet, usual, verbose)] == [False, False, True]
