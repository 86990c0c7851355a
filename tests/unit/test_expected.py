from __future__ import annotations

from types import SimpleNamespace

from pytest_ragcheck.session.expected import LEFT_TO_THE_GATE, ExpectedFailures


def report(nodeid, when, outcome, **more):
    flags = {name: name == outcome for name in ("passed", "failed", "skipped")}
    return SimpleNamespace(nodeid=nodeid, when=when, **flags, **more)


def noted(*reports):
    subject = ExpectedFailures()
    for one in reports:
        subject.note_result(one.nodeid, (one.nodeid.partition("[")[2],))
        subject.note_report(one)
    return subject


def test_a_result_is_expected_to_fail_where_no_item_of_it_failed_otherwise():
    subject = noted(
        report("a[q1]", "setup", "passed"),
        report("a[q1]", "call", "skipped", wasxfail="gap"),
        report("a[q2]", "setup", "skipped", wasxfail="no answer"),
        report("a[q3]", "call", "skipped", wasxfail="gap"),
        report("b[q3]", "call", "failed"),
        report("a[q4]", "setup", "skipped"),
        report("a[q5]", "call", "passed", wasxfail="gap"),
    )
    assert subject.count == 3
    assert subject.results() == {("q1]",), ("q2]",)}


def test_the_last_try_of_an_item_counts():
    subject = noted(
        report("a[q1]", "call", "failed"),
        report("a[q1]", "setup", "passed"),
        report("a[q1]", "call", "skipped", wasxfail="gap"),
    )
    assert subject.results() == {("q1]",)}


def test_items_without_a_result_do_not_matter():
    subject = ExpectedFailures()
    subject.note_report(report("other", "call", "skipped", wasxfail="gap"))
    assert (subject.count, subject.results()) == (1, set())


def test_what_is_left_to_the_gate_is_not_expected():
    subject = noted(
        report("a[q1]", "call", "skipped", wasxfail=f"reason: hit_rate 0.00 < 1.00 [q1]; {LEFT_TO_THE_GATE}"),
        report("a[q2]", "call", "skipped", wasxfail="gap"),
        report("b[q2]", "call", "skipped", wasxfail=f"reason: hit_rate 0.00 < 1.00 [q2]; {LEFT_TO_THE_GATE}"),
    )
    assert (subject.count, subject.left_to_the_gate, subject.results()) == (1, 2, set())
