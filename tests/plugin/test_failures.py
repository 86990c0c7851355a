"""What a user sees when something fails, and where hostile text ends up."""

from __future__ import annotations

import json
import re
import shlex

import pytest

USER_TEST = """\
from helpers import check


def test_own(ragcheck_result):
    check(ragcheck_result)
"""
USER_HELPER = """\
def check(result):
    number = 40 + 2  # a line of the user's
    result.assert_passed()
"""
HOSTILE = (
    "\x1b[2J\x1b]8;;http://127.0.0.1/\x1b\\click\x1b]8;;\x1b\\ \x9b31m \u202egnihtyna\u202c \u2066x\u2069 "
    "\x00\x07\x08\r ]]> &lt; <b> \ud800 \u2028 {} %s ok"
)
HOSTILE_PIPELINE = f"""\
import pytest
from pytest_ragcheck.model import Answer, Context

HOSTILE = {HOSTILE!r}


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    def ask(question):
        if question == "Question number 2?":
            raise LookupError(HOSTILE)
        contexts = [Context(text=HOSTILE, rank=1, source=HOSTILE, chunk_id=HOSTILE)]
        return Answer(text=HOSTILE, contexts=contexts, model=HOSTILE, metadata={{HOSTILE: HOSTILE}})

    return ask
"""
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]")
COLOURS = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture
def failing(own_system):
    """Question 0 fails, 1 has an error, 2 passes, 3 is not in the way."""
    own_system.write("helpers.py", USER_HELPER)
    own_system.write("test_own.py", USER_TEST)
    own_system.write(
        "conftest.py",
        """\
        from pathlib import Path

        import pytest


        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            def ask(question):
                with Path(__file__).with_name("asked.log").open("a") as log:
                    log.write(question + "\\n")
                if question == "Question number 1?":
                    raise LookupError("no such page")
                return f"The answer is {question[-2] if question[-2] != '0' else 'wrong'}.", []

            return ask
        """,
    )
    return own_system


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--tb=short", "-q", "--show-capture=no"],
        ["--tb=line", "-v"],
        ["--tb=native", "-rA"],
        ["--tb=short", "-vv"],
        ["--tb=no", "-rfE"],
    ],
    ids=lambda arguments: " ".join(arguments) or "default",
)
def test_a_failure_tells_what_is_wrong_first_and_shows_no_line_of_ours(failing, arguments):
    result = failing.run(*arguments)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=1, errors=1)
    lines = result.outlines
    style = next((argument for argument in arguments if argument.startswith("--tb")), "--tb=auto")
    message = "ragcheck.ThresholdNotMet: reference_coverage 0.00 < 1.00 [q0]"
    if style == "--tb=auto":
        assert f"E       {message}" in lines
        assert ">       result.assert_passed()" in lines
        assert ">       check(ragcheck_result)" in lines
        assert "        number = 40 + 2  # a line of the user's" in lines
    if style == "--tb=short":
        assert f"E   {message}" in lines
        assert "helpers.py:3: in check" in lines
        assert "E     pytest --ragcheck 'test_own.py::test_own[q0]'" in lines
    if "-vv" in arguments:
        assert f"FAILED test_own.py::test_own[q0] - {message}" in lines
        assert result.stdout.str().count("pytest --ragcheck 'test_own.py::test_own[q0]'") == 1
    if style == "--tb=line":
        assert f"{failing.path / 'helpers.py'}:3: {message}" in lines
    if style == "--tb=native":
        assert message in lines
    if style == "--tb=no":
        assert any(line.startswith("FAILED test_own.py::test_own[q0] - ragcheck.ThresholdNotMet") for line in lines)
    assert any(line.startswith("ERROR test_own.py::test_own[q1] - Failed: no answer: LookupError") for line in lines)
    if style != "--tb=native":  # which shows all frames, ours among them
        assert "pytest_ragcheck/" not in result.stdout.str()
        assert "__tracebackhide__" not in result.stdout.str()


def test_an_error_tells_its_cause_and_is_no_low_score(failing):
    result = failing.run("-k", "q1")

    result.assert_outcomes(errors=1, deselected=3)
    result.stdout.re_match_lines(
        [
            r"no answer: LookupError: no such page",
            r"cause$",
            r"        raise LookupError\(\"no such page\"\)",
            r"  pytest --ragcheck 'test_own.py::test_own\[q1\]'",
            r"1 question: 0 passed, 1 error",
        ]
    )
    (run,) = (failing.path / ".ragcheck" / "runs").glob("*.json")
    (measured,) = json.loads(run.read_text())["results"]
    assert measured["scores"] == {}
    assert measured["error"]["kind"] == "exception"
    assert [entry.get("name") for entry in failing.test_cases()["test_own[q1]"].iter("property")] == ["ragcheck.state"]


def test_a_metric_that_cannot_be_measured_is_an_error(failing, asked):
    failing.write(
        "conftest.py",
        "import pytest\n\n@pytest.fixture(scope='session')\ndef ragcheck_pipeline():\n    return lambda question: ('', [])\n",
    )

    result = failing.run()

    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["reference_coverage could not be measured: the answer is empty [[]q0]"])


def test_the_command_of_a_report_reruns_that_one_item(failing, asked):
    failing.write("sub/keep.txt", "")
    shown = failing.run("../test_own.py", "-k", "q0", folder="sub").outlines
    command = next(line for line in shown if "pytest --ragcheck" in line).removeprefix("E").strip()
    name, *arguments = shlex.split(command)
    (failing.path / "asked.log").unlink()

    again = failing.run(*arguments, ragcheck=False, folder="sub")

    assert name == "pytest"
    again.assert_outcomes(failed=1)
    assert asked() == ["Question number 0?"]


def test_last_failed_reruns_failures_and_errors_alone(failing, asked):
    failing.run(cache=True).assert_outcomes(passed=2, failed=1, errors=1)
    (failing.path / "asked.log").unlink()

    failing.run("--lf", cache=True).assert_outcomes(failed=1, errors=1)

    assert sorted(asked()) == ["Question number 0?", "Question number 1?"]


@pytest.mark.parametrize("arguments", [[], ["-p", "no:asyncio"]], ids=["asyncio", "own event loop"])
def test_stopping_at_the_first_failure_cancels_what_is_in_flight(failing, arguments):
    if arguments:
        failing.set_up_pytest()
    failing.write(
        "conftest.py",
        """\
        import asyncio
        from pathlib import Path

        import pytest

        LOG = Path(__file__).with_name("cancelled.log")


        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            async def ask(question):
                if question == "Question number 0?":
                    return "wrong", []
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    with LOG.open("a") as log:
                        log.write(question + "\\n")
                    raise

            yield ask
            with LOG.open("a") as log:
                log.write("the pipeline's own end\\n")
        """,
    )

    result = failing.run("-x", *arguments)

    result.assert_outcomes(failed=1)
    *cancelled, last = (failing.path / "cancelled.log").read_text().splitlines()
    assert sorted(cancelled) == [f"Question number {n}?" for n in (1, 2, 3)]
    assert last == "the pipeline's own end"
    assert result.stderr.str() == ""


def test_hostile_text_reaches_neither_terminal_nor_junit_file_raw(failing):
    failing.write("conftest.py", HOSTILE_PIPELINE)

    for arguments in (["-v", "-rA"], ["--tb=short", "-rfE", "--color=yes"], ["--tb=line"], ["--tb=native", "-vv"]):
        result = failing.run(*arguments)

        result.assert_outcomes(failed=3, errors=1)
        shown = result.stdout.str()
        assert r"\x1b[2J" in COLOURS.sub("", shown)
        assert RAW.findall(COLOURS.sub("", shown)) == []
        assert "\x1b[2J" not in shown
        assert "\x1b[31m gnihtyna" not in shown

    cases = failing.test_cases()
    assert {name: failing.outcomes()[name] for name in cases} == {
        "test_own[q0]": "failed", "test_own[q1]": "failed", "test_own[q2]": "error", "test_own[q3]": "failed"
    }  # fmt: skip
    properties = {entry.get("name"): entry.get("value") for entry in cases["test_own[q0]"].iter("property")}
    assert properties == {"ragcheck.state": "failed", "ragcheck.reference_coverage": "0.0"}
    assert "]]>" in failing.messages()["test_own[q0]"]
    run = max((failing.path / ".ragcheck" / "runs").glob("*.json"))
    assert json.loads(run.read_text())["results"][0]["answer"]["text"] == HOSTILE.replace("\ud800", "\ufffd")


def test_a_nul_in_the_question_file_is_refused(failing):
    failing.questions([{"id": "q0", "question": "What\x00?"}])

    result = failing.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.re_match_lines([r"ERROR: ragcheck: questions\.json:\d: .*"])
    assert "\x00" not in result.stderr.str()


def test_an_own_assertion_that_fails_shows_the_users_line(own_system):
    own_system.write(
        "test_own.py", "def test_own(ragcheck_answer):\n    assert ragcheck_answer.text == 'something else'\n"
    )

    result = own_system.run("-k", "q0")

    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(["E       AssertionError: assert 'The answer is 0.' == 'something else'"])
    assert "pytest_ragcheck/" not in result.stdout.str()


@pytest.mark.parametrize("kind", ["async def", "def"])
@pytest.mark.parametrize("problem", ["GeneratorExit", "StopIteration", "SystemExit(0)", "pytest.exit.Exception('x')"])
@pytest.mark.parametrize("plugin", [[], ["-p", "no:asyncio"]], ids=["asyncio", "plain"])
def test_what_a_system_raises_is_the_error_of_its_own_question_alone(own_system, kind, problem, plugin):
    own_system.write(
        "conftest.py",
        f"""
        import pytest

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            {kind} ask(question):
                if "1" in question:
                    raise {problem}
                return f"The answer is {{question[-2]}}.", ["a context"]

            return ask
        """,
    )
    if plugin:
        own_system.set_up_pytest()
    result = own_system.run(*plugin)

    assert own_system.outcomes() == {
        "test_own[q0]": "passed",
        "test_own[q1]": "error",
        "test_own[q2]": "passed",
        "test_own[q3]": "passed",
    }
    assert "AssertionError" not in result.stdout.str()
