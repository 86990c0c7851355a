"""Several workers of pytest-xdist share one batch."""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatch

import pytest

from pytest_ragcheck.session.workers import share_of
from pytest_ragcheck.session.workers_limits import LOST

pytest.importorskip("xdist")

EVERY_QUESTION_ONCE = {f"Question number {n}?": 1 for n in range(4)}

STRICKEN_PIPELINE = """\
import asyncio
import os
import signal
from pathlib import Path

import pytest

from pytest_ragcheck.session import workers, workers_watch
from pytest_ragcheck.store import Store

workers.RENEW_SECONDS, workers_watch.EVERY = 0.1, 0.4
MARK = Path(__file__).with_name("stricken")


@pytest.fixture(scope="session")
def ragcheck_pipeline(tmp_path_factory):
    shared = tmp_path_factory.getbasetemp().parent / "ragcheck-answers" / "results.sqlite"

    async def ask(question):
        with Path(__file__).with_name("asked.log").open("a") as log:
            log.write(question + "\\n")
        if question == "Question number 2?" and not MARK.exists():
            with Store(shared) as store:
                while store.size().entries.get("result", 0) < 3:
                    await asyncio.sleep(0.01)
            MARK.touch()
            # Its claims run out soon; those of a worker that is only slow do not.
            workers.CLAIM_SECONDS = 1.0
            await asyncio.sleep(0.5)
            os.kill(os.getpid(), signal.SIGNAL)
        return f"The answer is {question[-2]}.", []

    return ask
"""
MORTAL_PIPELINE = STRICKEN_PIPELINE.replace("SIGNAL", "SIGKILL")
STILL_PIPELINE = STRICKEN_PIPELINE.replace("SIGNAL", "SIGSTOP")


def runs(project):
    """All run files, oldest first."""
    return [json.loads(path.read_text()) for path in sorted((project.path / ".ragcheck" / "runs").glob("*.json"))]


def measured(run):
    """What does not depend on time and order."""
    return sorted(
        (result["question"]["id"], result["answer"] and result["answer"]["text"], json.dumps(result["scores"]))
        for result in run["results"]
    )


@pytest.mark.parametrize(
    ("total", "seats", "first", "most"), [(1000, 4, 125, 40), (30, 4, 8, 4), (4, 2, 2, 2), (9, 1, 9, 1)]
)
def test_shares_become_smaller_so_that_all_workers_end_together(total, seats, first, most):
    shares, left = [], total
    while left:
        shares.append(min(left, share_of(left, total=total, seats=seats)))
        left -= shares[-1]
    assert shares[0] == first
    assert shares == sorted(shares, reverse=True)
    assert len(shares) <= most
    assert share_of(10_000, total=10_000, seats=2) == 512


def test_questions_are_divided_by_workers_or_by_a_cluster(own_system, asked):
    result = own_system.run("-n", "2", "--ragcheck-engine", "ray")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--ragcheck-engine ray divides the questions already; leave out pytest-xdist's -n"])
    assert not asked()
    result = own_system.run("--ragcheck-actors", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--ragcheck-actors is for a Ray cluster; add --ragcheck-engine ray"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "3", "--dist", "loadfile"],
        ["-n", "2", "--dist", "worksteal"],
        ["-n", "2", "--dist", "no"],
        ["-n", "4", "--dist", "loadgroup"],
    ],
    ids=" ".join,
)
def test_every_question_is_asked_once(own_system, asked, arguments):
    own_system.write("test_second.py", "def test_second(ragcheck_answer):\n    assert ragcheck_answer.text\n")

    result = own_system.run(*arguments)

    result.assert_outcomes(passed=8)
    assert Counter(asked()) == EVERY_QUESTION_ONCE
    result.stdout.fnmatch_lines(["4 questions: 4 passed"])


def test_selections_are_divided_too(own_system, asked):
    conftest = own_system.path / "conftest.py"
    conftest.write_text(
        conftest.read_text().replace("The answer is {question[-2]}", "The answer is {question[-2]:1>2}")
    )

    result = own_system.run("-n", "2", "--dist", "load", "-k", "q1 or q2", cache=True)

    result.assert_outcomes(failed=2)
    own_system.run("-n", "2", "--lf", cache=True).assert_outcomes(failed=2)
    assert Counter(asked()) == {"Question number 1?": 2, "Question number 2?": 2}


def test_each_worker_runs_all_items_but_asks_nothing_twice(own_system, asked):
    result = own_system.run("-n", "2", "--dist", "each")

    result.assert_outcomes(passed=8)
    assert Counter(asked()) == EVERY_QUESTION_ONCE


def test_workers_build_one_index_and_measure_what_a_serial_run_measures(project):
    metrics = {"hit_rate": 1.0, "reference_coverage": 0.5, "groundedness": "report"}
    project.configure(metrics=metrics, exact_search_up_to=1)

    result = project.run("-n", "2")

    result.assert_outcomes(passed=4)
    assert project.embedded() == [3, 4]  # one worker does both, and no other one needs a model
    told = "*an approximate search among 3 chunks; it found 100.0% of what an exact one finds*"
    assert len([line for line in result.outlines if fnmatch(line, told)]) == 1
    project.run("--ragcheck-cache", "off").assert_outcomes(passed=4)

    by_workers, serial = runs(project)
    assert measured(by_workers) == measured(serial)
    assert by_workers["fingerprints"] == serial["fingerprints"]
    assert by_workers["complete"]
    assert by_workers["setup"] > 0
    assert by_workers["wall"] > 0


def test_failures_and_errors_look_as_in_a_serial_run(own_system):
    own_system.write(
        "conftest.py",
        """\
        import pytest

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            def ask(question):
                if question == "Question number 2?":
                    raise LookupError("no such page")
                return "Ten thousand.", []

            return ask
        """,
    )

    result = own_system.run("-n", "2")

    result.assert_outcomes(failed=3, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            ">       ragcheck_result.assert_passed()",
            "E       ragcheck.ThresholdNotMet: reference_coverage 0.00 < 1.00 [[]q0]",
            "no answer: LookupError: no such page*",
            "  pytest --ragcheck 'test_own.py::test_own[[]q2]'",
        ]
    )
    assert "pytest_ragcheck/" not in result.stdout.str()


@pytest.mark.parametrize("option", ["-x", "--maxfail=2"])
def test_stopping_at_a_failure(own_system, option):
    own_system.configure(documents=None, embedder=None, metrics={"refusal": 1.0})
    questions = json.loads((own_system.path / "questions.json").read_text())
    own_system.questions([question | {"answerable": False} for question in questions])

    result = own_system.run("-n", "2", option)

    assert result.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED}
    assert 1 <= result.parseoutcomes()["failed"] <= 4
    result.stdout.fnmatch_lines(["*stopping after * failures*"])
    assert "never reported" not in result.stdout.str()
    assert runs(own_system)[-1]["complete"] is False


def test_a_worker_that_is_killed_with_the_batch_is_replaced(own_system, asked):
    own_system.write("conftest.py", MORTAL_PIPELINE)

    result = own_system.run("-n", "2")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw?' crashed while running 'test_own.py::test_own?q??'*"])
    assert "never reported" not in result.stdout.str()
    count = Counter(asked())
    # Asked again where an item was still to run; the one that died with its worker is reported, not repeated.
    assert count.pop("Question number 2?") in {1, 2}
    assert set(count.values()) == {1}, "what the dead worker had published was asked again"


def test_a_worker_that_stands_still_is_replaced(own_system, asked):
    own_system.configure(documents=None, embedder=None, metrics={"reference_coverage": 1.0}, concurrency=2)
    own_system.write("conftest.py", STILL_PIPELINE)

    result = own_system.run("-n", "2")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["ragcheck: 1 worker stood still while answering, and had to be killed"])
    assert "never reported" not in result.stdout.str()
    count = Counter(asked())
    assert count.pop("Question number 2?") in {1, 2}
    assert set(count.values()) == {1}, "what had been published was asked again"


def test_a_worker_whose_limits_are_gone_makes_no_more_calls_and_says_why(own_system, asked):
    own_system.configure(documents=None, embedder=None, metrics={"reference_coverage": 1.0}, concurrency=1)
    own_system.write(
        "conftest.py",
        """\
        import asyncio
        import threading
        import time
        from pathlib import Path

        import pytest

        HERE = Path(__file__).parent

        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                threading.Thread(target=take_away, args=(session.config.pluginmanager,), daemon=True).start()

        def take_away(plugins):
            while not (HERE / "asked.log").exists():
                time.sleep(0.01)
            plugins.getplugin("ragcheck-workers-limits").pytest_unconfigure()
            (HERE / "gone").touch()

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            async def ask(question):
                with (HERE / "asked.log").open("a") as log:
                    log.write(question + "\\n")
                while not (HERE / "gone").exists():
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
                return f"The answer is {question[-2]}.", []

            return ask
        """,
    )

    result = own_system.run("-n", "2")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=3)
    assert len(asked()) == 1
    assert [LOST in " ".join(message.split()) for message in own_system.messages().values()] == 3 * [True]


def test_a_test_that_kills_its_worker(own_system, asked):
    own_system.write(
        "test_own.py",
        """\
        import os

        def test_own(ragcheck_result, ragcheck_question):
            if ragcheck_question.id == "q1":
                os._exit(0)
            ragcheck_result.assert_passed()
        """,
    )

    result = own_system.run("-n", "2")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3, failed=1)
    assert Counter(asked()) == EVERY_QUESTION_ONCE


def test_workers_that_die_at_every_try_end_the_run(own_system):
    own_system.write(
        "conftest.py",
        """\
        import os

        import pytest

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            def ask(question):
                os._exit(1)

            return ask
        """,
    )

    result = own_system.run("-n", "2", "-k", "q0 or q1")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=2)


def test_an_item_that_vanishes_fails_the_run(own_system):
    own_system.write(
        "test_own.py",
        """\
        class Score(float):
            pass

        def test_own(ragcheck_result, ragcheck_question, record_property):
            if ragcheck_question.id == "q3":
                record_property("mine", Score(0.5))  # pytest-xdist cannot send it, and loses the item
        """,
    )

    result = own_system.run("-n", "1")

    assert result.ret != 0
    result.stdout.fnmatch_lines(["ragcheck: 1 selected item never reported, so this run fails: *test_own?q3?"])
    assert runs(own_system)[-1]["complete"] is False
