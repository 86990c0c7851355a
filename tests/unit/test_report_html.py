from __future__ import annotations

from pytest_ragcheck.model import Answer, Question, Result, Run
from pytest_ragcheck.report.html import html_report


def run_of(*results: Result, **changes) -> Run:
    values = {"started_at": "2026-11-22T15:18:47+00:00", "mode": "concurrent", "fingerprints": {}, "setup": 0.1}
    return Run(**values | {"wall": 1.0, "versions": {}, "results": results} | changes)


def test_a_report_is_one_page_that_counts_the_states():
    page = html_report(run_of(Result(question=Question(id="q", question="?"), answer=Answer(text="!"))))

    assert page.startswith("<!doctype html>")
    assert "The one question passed" in page
