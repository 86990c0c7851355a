"""A measurement that failed, or was not made on purpose, has the same state however the questions are asked."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

pytest.importorskip("deepeval")

TRIALS = ("--ragcheck-trials", "3")
ROUNDS = (*TRIALS, "--ragcheck-stop-trials", "--ragcheck-fail-on", "both")
WORKERS = ("-n", "2")
SEQUENTIAL = ("--ragcheck-sequential",)
WAYS = [(), SEQUENTIAL, TRIALS, (*TRIALS, "--ragcheck-stop-trials"), ROUNDS, (*ROUNDS, *SEQUENTIAL)]
WAYS += [WORKERS, (*TRIALS, *WORKERS), (*ROUNDS, *WORKERS)] if find_spec("xdist") else []
TESTS = """\
import pytest


def test_own(ragcheck_result):
    ragcheck_result.assert_passed()


@pytest.mark.xfail(reason="known")
def test_known(ragcheck_result):
    ragcheck_result.assert_passed()
"""
in_every_way = pytest.mark.parametrize("way", WAYS, ids=" ".join)


@pytest.fixture
def prepared(judged):
    """A project with a baseline and an empty store."""
    judged.project.write("test_own.py", TESTS)
    judged.configure({"faithfulness": 0.5})
    reply = judged.api._reply
    judged.api._reply = passing
    judged.ask(2)
    judged.run("--ragcheck-update-baseline", "--ragcheck-trials", "3").assert_outcomes(passed=2, xpassed=2)
    judged.api._reply = reply
    (judged.project.path / ".ragcheck" / "cache.sqlite").unlink()
    return judged


def passing(params):
    """Replies that make a question pass."""
    names = params["output_config"]["format"]["schema"]["properties"]
    if "verdicts" in names:
        return {"verdicts": [{"verdict": "yes"}]}
    return {name: ["Item 0 has colour 0."] for name in names}


@in_every_way
def test_a_judge_that_fails_is_an_error_and_one_that_may_not_be_asked_leaves_questions_not_run(prepared, way):
    """Also of tests that are known to fail."""
    calls = len(prepared.calls())
    for refused_by in (("--ragcheck-cache", "only"), ("--ragcheck-max-cost", "0")):
        refused = prepared.run(*refused_by, *way)
        assert refused.parseoutcomes() == {"skipped": 4}
        assert refused.ret == ("both" in way), "the gate has nothing to compare"
        refused.stdout.fnmatch_lines(["2 questions: 0 passed, 2 not run"])
    assert len(prepared.calls()) == calls

    prepared.api._reply = lambda params: {"neither": "claims nor verdicts"}
    failing = prepared.run(*way)
    assert (failing.ret, failing.parseoutcomes()) == (1, {"errors": 4})
