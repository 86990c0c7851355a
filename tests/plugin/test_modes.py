"""The same items with the same outcomes, however pytest is run."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

NEEDS_ASYNCIO = pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="needs pytest-asyncio")
NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")

PIPELINE = """
import asyncio
from pathlib import Path

import pytest

LOG = Path(__file__).with_name("asked.log")


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        with LOG.open("a") as log:
            log.write(question + "\\n")
        await asyncio.sleep(0)
        if question == "Question number 2?":
            raise ValueError("no such page")
        number = "1000" if question == "Question number 1?" else question[-2]
        return f"The answer is {number}.", ["a context"]

    return ask
"""
SYNC_TESTS = """
def test_passes(ragcheck_result):
    ragcheck_result.assert_passed()


class TestOwnAssertions:
    def test_text(self, ragcheck_answer, ragcheck_question):
        assert ragcheck_answer.text == f"The answer is {ragcheck_question.reference}."


def test_without_a_question():
    pass
"""
BY_ID = {"q0": "passed", "q1": "failed", "q2": "error", "q3": "passed"}
ONE_TEST = {f"test_passes[{id_}]": outcome for id_, outcome in BY_ID.items()}
EXPECTED = (
    ONE_TEST | {f"test_text[{id_}]": outcome for id_, outcome in BY_ID.items()} | {"test_without_a_question": "passed"}
)


@pytest.fixture
def mixed(own_system):
    """Four questions: two pass, one fails, one has no answer."""
    own_system.write("conftest.py", PIPELINE)
    own_system.write("test_own.py", SYNC_TESTS)
    return own_system


@pytest.mark.parametrize(
    ("lines", "arguments"),
    [
        pytest.param([], ["-p", "no:asyncio"], id="own event loop"),
        pytest.param([], ["-p", "no:asyncio", "-p", "no:anyio"], id="no async plugin"),
        pytest.param(["asyncio_default_fixture_loop_scope = function"], [], id="strict", marks=NEEDS_ASYNCIO),
        pytest.param(["asyncio_default_fixture_loop_scope = session"], [], id="session loop", marks=NEEDS_ASYNCIO),
        pytest.param(
            ["asyncio_mode = auto", "asyncio_default_fixture_loop_scope = function"], [], id="auto", marks=NEEDS_ASYNCIO
        ),
        pytest.param([], ["--import-mode=importlib", "-p", "no:asyncio"], id="importlib"),
        pytest.param([], ["-p", "no:terminal", "-p", "no:asyncio"], id="no terminal"),
        pytest.param([], ["-s", "-p", "no:asyncio", "--strict-markers", "--strict-config"], id="no capture"),
        pytest.param([], ["-p", "no:capture", "-p", "no:logging", "-p", "no:asyncio"], id="plugins off"),
        pytest.param(
            ["asyncio_default_fixture_loop_scope = function"],
            ["-n", "2"],
            id="two workers",
            marks=[NEEDS_ASYNCIO, NEEDS_XDIST],
        ),
        pytest.param([], ["-n", "2", "-p", "no:asyncio"], id="two workers, own event loop", marks=NEEDS_XDIST),
        pytest.param([], ["-n", "0", "-p", "no:asyncio"], id="no workers", marks=NEEDS_XDIST),
    ],
)
def test_items_and_outcomes_are_the_same(mixed, asked, lines, arguments):
    mixed.set_up_pytest(*lines)

    result = mixed.run(*arguments)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert mixed.outcomes() == EXPECTED
    assert sorted(asked()) == [f"Question number {n}?" for n in range(4)]
    assert mixed.messages()["test_passes[q1]"].startswith(
        "ragcheck.ThresholdNotMet: reference_coverage 0.00 < 1.00 [q1]\n"
    )
    assert "no answer: ValueError: no such page (" in mixed.messages()["test_text[q2]"]
    assert "pytest_ragcheck/" not in result.stdout.str() + result.stderr.str()  # no frame of ours
    assert "INTERNALERROR" not in result.stdout.str()
