"""What a run tells so that it can be compared, from a whole session."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from pytest_ragcheck.baseline.file import updated
from pytest_ragcheck.baseline.gate import compare
from pytest_ragcheck.comparison import Cause, Verdict
from pytest_ragcheck.report.gate import gate_report
from pytest_ragcheck.run_file import load_run

WORKERS = pytest.param(["-n", "2"], marks=pytest.mark.skipif(not find_spec("xdist"), reason="needs pytest-xdist"))


def last_run(project):
    return load_run(max((project.path / ".ragcheck" / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns))


@pytest.mark.parametrize("arguments", [[], WORKERS])
def test_a_run_over_a_subset_tells_the_whole_file_and_what_was_selected(project, arguments):
    project.run("-k", "meals or carry", *arguments).assert_outcomes(passed=2)
    run = last_run(project)

    assert {name: sorted(ids) for name, ids in run.datasets.items()} == {
        "questions.json": ["carry-over", "days-of-leave", "meals", "remote-days"]
    }
    assert {variant: sorted(ids) for variant, ids in run.selected["questions.json"].items()} == {
        "": ["carry-over", "meals"]
    }
    assert run.scoring["questions.json"]["hit_rate"] == "formula 2, of the contexts alone"
    assert run.complete


def test_a_changed_document_is_a_change_of_the_system_and_not_of_the_questions(project):
    project.run().assert_outcomes(passed=4)
    before = last_run(project)
    path = project.path / "docs" / "leave.md"
    path.write_text("Holidays are fine things to have.\n\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    project.run()
    comparison = compare(last_run(project), updated(None, before), name="baseline.json")

    assert comparison.reworded == ()
    assert list(comparison.changed) == ["document docs/leave.md", "documents"]
    shown = " ".join(gate_report(comparison).split())
    assert "changed since the baseline document docs/leave.md: " in shown
    assert {change.id: change.cause for change in comparison.questions}["days-of-leave"] is Cause.CONTEXTS
    assert comparison.verdict is Verdict.SAME


def test_an_item_that_breaks_before_it_has_a_result_makes_the_run_invalid(project):
    project.run().assert_outcomes(passed=4)
    baseline = updated(None, last_run(project))
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(autouse=True)
        def broken(request):
            if "meals" in request.node.name:
                raise RuntimeError("of the user's own")
        """,
    )
    project.run().assert_outcomes(passed=3, errors=1)
    comparison = compare(last_run(project), baseline, name="baseline.json")

    assert (comparison.verdict, comparison.missing) == (Verdict.INVALID, ("meals",))


def test_an_update_with_some_of_the_metrics_would_drop_the_others(project):
    result = project.run("--ragcheck-update-baseline", "--ragcheck-metrics", "hit_rate")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: ragcheck: *would drop the other metrics from the baseline; leave one out"])
