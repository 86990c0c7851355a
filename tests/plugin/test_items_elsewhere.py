"""Items that a plugin runs in processes of their own: no verdict rests on results that never came back."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

GATE = ("--ragcheck-fail-on", "regression")
UPDATE = "--ragcheck-update-baseline"
WORKERS = pytest.param(("-n", "2"), marks=pytest.mark.skipif(not find_spec("xdist"), reason="needs pytest-xdist"))
PROCESSES = pytest.mark.parametrize("processes", [(), WORKERS], ids=["serial", "workers"])

FORKS = """\
import os

from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    here, there = os.pipe()
    child = os.fork()
    if not child:
        reports = runtestprotocol(item, log=False, nextitem=None)
        told = [item.config.hook.pytest_report_to_serializable(config=item.config, report=one) for one in reports]
        os.write(there, repr(told).encode())
        os._exit(0)
    os.close(there)
    with open(here) as pipe:
        told = eval(pipe.read())
    os.waitpid(child, 0)
    for one in told:
        report = item.config.hook.pytest_report_from_serializable(config=item.config, data=one)
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""
SENDS_AWAY = """\
import pytest


def pytest_runtest_protocol(item, nextitem):
    for when in ("setup", "call", "teardown"):
        report = pytest.TestReport(
            nodeid=item.nodeid, location=item.location, keywords={}, outcome="passed", longrepr=None, when=when
        )
        item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


@pytest.fixture
def compared(own_system):
    """A project with a baseline; it is not asked about yet."""
    own_system.run(UPDATE).assert_outcomes(passed=4)
    (own_system.path / "asked.log").unlink()
    return own_system


def add(project, plugin):
    project.write("elsewhere.py", plugin)
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + '\n\npytest_plugins = ["elsewhere"]\n')


@PROCESSES
@pytest.mark.parametrize("options", [GATE, (UPDATE,), ()], ids=["gate", "update", "thresholds"])
def test_forked_items_are_refused_before_anything_is_asked(compared, asked, options, processes):
    before = (compared.path / "ragcheck-baseline.json").read_bytes()
    add(compared, FORKS)
    result = compared.run(*options, *processes)

    assert result.ret == 1
    assert result.parseoutcomes() == {"errors": 4}
    result.stdout.fnmatch_lines(["a plugin runs this item in a process of its own*leave it out: -p no:elsewhere*"])
    assert asked() == []
    assert (compared.path / "ragcheck-baseline.json").read_bytes() == before


@PROCESSES
def test_a_mark_that_expects_a_failure_does_not_excuse_a_forked_item(compared, processes):
    compared.write(
        "test_own.py",
        """
        import pytest

        @pytest.mark.xfail(reason="known")
        def test_own(ragcheck_result):
            ragcheck_result.assert_passed()
        """,
    )
    add(compared, FORKS)
    result = compared.run(*GATE, *processes)

    assert result.ret == 1
    assert result.parseoutcomes() == {"errors": 4}


@PROCESSES
@pytest.mark.parametrize("options", [GATE, (UPDATE,)], ids=["gate", "update"])
def test_a_run_whose_results_stayed_elsewhere_is_not_compared(compared, options, processes):
    before = (compared.path / "ragcheck-baseline.json").read_bytes()
    add(compared, SENDS_AWAY)
    result = compared.run(*options, *processes)

    assert result.ret == 1
    result.stdout.fnmatch_lines(["ragcheck: *4 items have no result here*leave it out: -p no:elsewhere"])
    assert (compared.path / "ragcheck-baseline.json").read_bytes() == before


@PROCESSES
def test_items_of_other_kinds_may_run_elsewhere(compared, processes):
    plugin = SENDS_AWAY.replace("    for when", "    if 'plain' not in item.nodeid:\n        return None\n    for when")
    compared.write("test_plain.py", "def test_plain():\n    raise AssertionError\n")
    add(compared, plugin)
    result = compared.run(*GATE, *processes)

    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 5}
