"""What other plugins make of an item: JUnit, pytest-html, pytest-json-report."""

from __future__ import annotations

import html
import json
import re

import pytest

HOSTILE = "<script>alert(1)</script> \x1b[31m\x00\u202e ]]> &lt; \"'"
PIPELINE = f"""\
import pytest

from pytest_ragcheck import metric

HOSTILE = {HOSTILE!r}


@metric(name=HOSTILE)
def odd(answer):
    return 0.5


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    def ask(question):
        if question == "Question number 1?":
            raise LookupError(HOSTILE)
        number = question[-2] if question == "Question number 2?" else "1000"
        return f"{{HOSTILE}} {{number}}", [HOSTILE]

    return ask
"""


@pytest.fixture
def hostile(own_system):
    """Question 2 passes, 1 has an error, the others fail; every text is hostile, and so is a metric's name."""
    own_system.write("conftest.py", PIPELINE)
    own_system.configure(documents=None, embedder=None, metrics={"reference_coverage": 1.0, HOSTILE: "report"})
    return own_system


def test_a_junit_file_is_valid_xml_whatever_stands_in_it(hostile):
    result = hostile.run("-o", "junit_family=xunit2")

    result.assert_outcomes(passed=1, failed=2, errors=1)
    cases = hostile.test_cases()  # an XML parser reads it
    properties = {entry.get("name"): entry.get("value") for entry in cases["test_own[q0]"].iter("property")}
    assert properties == {
        "ragcheck.state": "failed",
        "ragcheck.reference_coverage": "0.0",
        r"ragcheck.<script>alert(1)</script> \x1b[31m\x00\u202e ]]> &lt; \"'".replace('\\"', '"'): "0.5",
    }
    assert r"<script>alert(1)</script> \x1b[31m\x00\u202e ]]>" in hostile.messages()["test_own[q0]"]


def test_pytest_html_shows_each_questions_report(hostile):
    pytest.importorskip("pytest_html")
    hostile.run("--html=report.html", "--self-contained-html").assert_outcomes(passed=1, failed=2, errors=1)

    page = (hostile.path / "report.html").read_text(encoding="utf-8")
    tests = json.loads(html.unescape(re.search(r'data-jsonblob="(.*?)"', page, re.DOTALL)[1]))["tests"]
    extras = {name: entry["content"] for name, entries in tests.items() for entry in entries[0]["extras"]}
    assert len(extras) == 4
    assert extras["test_own.py::test_own[q2]"].startswith("<details><summary>passed [q2]</summary>")
    assert "<summary>reference_coverage 0.00 &lt; 1.00 [q0]</summary>" in extras["test_own.py::test_own[q0]"]
    for content in extras.values():
        assert set(re.findall(r"<(\w+)", content)) == {"details", "summary", "pre"}
        assert "&lt;script&gt;alert(1)&lt;/script&gt; \\x1b[31m\\x00" in content


def test_pytest_json_report_has_states_and_scores(hostile):
    pytest.importorskip("pytest_jsonreport")
    hostile.run("--json-report", "--json-report-file=report.json").assert_outcomes(passed=1, failed=2, errors=1)

    tests = json.loads((hostile.path / "report.json").read_text())["tests"]
    properties = {test["nodeid"]: test["user_properties"] for test in tests}
    assert {"ragcheck.state": "passed"} in properties["test_own.py::test_own[q2]"]
    assert {"ragcheck.reference_coverage": 0.0} in properties["test_own.py::test_own[q0]"]
