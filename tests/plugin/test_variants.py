"""What tells the results of one question apart: parameters of the pipeline, marks, overrides in several places."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
CONFTEST = """
import enum

import pytest


class Size(enum.Enum):
    LARGE = 1


class Local:
    pass


@pytest.fixture(scope="session", params=[pytest.param("s", id="small-model"), Size.LARGE, Local, 3.5, object()])
def model(request):
    return request.param


@pytest.fixture(scope="session", params=["short", "long"], ids=lambda prompt: prompt.upper())
def prompt(request):
    return request.param


@pytest.fixture(scope="session")
def ragcheck_pipeline(model, prompt):
    return lambda question: (f"The answer is {question[-2]}.", ["a context"])
"""
TESTS = """
import pytest


def test_configured(ragcheck_result, ragcheck_pipeline):
    pass


@pytest.mark.parametrize("model", [1, 2], indirect=True, ids=["one", "two"])
@pytest.mark.parametrize("prompt", ["short"], indirect=True)
@pytest.mark.ragcheck(metrics={"refusal": 1.0, "reference_coverage": 0.5})
def test_marked(ragcheck_result, ragcheck_pipeline):
    pass
"""
OVERRIDE = """
import pytest


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return lambda question: ("An answer of its own.", ["a context"])


def test_again(ragcheck_result):
    pass
"""


@pytest.fixture
def variants(own_system):
    def read():
        """The variants in the newest run's file, each with its questions."""
        paths = (own_system.path / ".ragcheck" / "runs").glob("*.json")
        run = json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())
        found = {}
        for result in run["results"]:
            found.setdefault(result["variant"], []).append(result["question"]["id"])
        assert run["selected"] == {"questions.json": found}
        return found

    return read


def test_one_pipeline_and_what_is_configured_need_no_name(own_system, variants):
    own_system.run("-k", "q0 or q1").assert_outcomes(passed=2, deselected=2)
    assert variants() == {"": ["q0", "q1"]}


@pytest.mark.parametrize("arguments", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
def test_parameters_and_marks_name_a_variant(own_system, variants, arguments):
    own_system.write("conftest.py", CONFTEST)
    own_system.write("test_own.py", TESTS)

    own_system.run("-k", "q0", *arguments)

    assert set(own_system.outcomes().values()) == {"passed"}

    models = ["small-model", "Size.LARGE", "Local", "3.5", "model4"]
    configured = {f"{model}, {prompt}" for model in models for prompt in ("SHORT", "LONG")}
    marked = {f"{model}, short, reference_coverage+refusal" for model in ("one", "two")}
    assert variants() == {name: ["q0"] for name in configured | marked}

    own_system.run("-k", "q0 and one").assert_outcomes(passed=1, deselected=47)
    assert variants() == {"one, short, reference_coverage+refusal": ["q0"]}


def test_overrides_in_several_places(own_system, variants):
    own_system.write("conftest.py", "")
    own_system.write("test_own.py", OVERRIDE)
    own_system.run("test_own.py", "-k", "q0").assert_outcomes(passed=1, deselected=3)
    assert variants() == {"test_own.py": ["q0"]}, "alone as together"

    own_system.write("test_other.py", OVERRIDE)
    own_system.run("-k", "q0").assert_outcomes(passed=2, deselected=6)
    assert variants() == {"test_own.py": ["q0"], "test_other.py": ["q0"]}

    own_system.write("conftest.py", CONFTEST)  # test_own.py overrides it, and needs none of what it uses
    own_system.run("test_own.py", "-k", "q0").assert_outcomes(passed=1, deselected=3)
    assert variants() == {"test_own.py": ["q0"]}
