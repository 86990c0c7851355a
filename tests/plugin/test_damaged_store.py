"""What a damaged or a forged store may do: nothing but make the run compute, or ask, again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.util import find_spec

import pytest

from pytest_ragcheck.store.store import Store

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
METRICS = {"hit_rate": 1.0, "groundedness": 0.8, "reference_coverage": 1.0, "answer_similarity": 0.1}
WRONG = [
    b"",
    b"{}",
    b"[]",
    b"true",
    b"null",
    b"NaN",
    b"[[0, 1.0]]",
    b"[[true, 1.0], [1, 1.0]]",
    b'{"value": true, "reason": "", "details": {}}',
    b'{"value": 1.0}',
    b'{"text": ["The answer is 0."], "refused": false}',
    b"[" * 10_000,
    b"\xff\xfe",
    b"\x00" * 1024,
    None,
    "The answer is 25 days.",
    1.0,
]


def store_path(project):
    return project.path / ".ragcheck" / "cache.sqlite"


def damage(project, value, kind=None):
    """Put ``value`` in the place of all values of a kind, or of every kind; what counts of each were damaged."""
    with closing(sqlite3.connect(store_path(project), isolation_level=None)) as connection:
        if value is None:  # NULL is refused, and a text that is not UTF-8 is not
            connection.execute(
                "UPDATE entries SET value = CAST(X'c3' AS TEXT), used = 'then' WHERE ?1 IN (kind, '')", [kind or ""]
            )
        else:
            connection.execute("UPDATE entries SET value = ?1 WHERE ?2 IN (kind, '')", [value, kind or ""])
        return dict(connection.execute("SELECT kind, COUNT(*) FROM entries GROUP BY kind"))


def notices(result):
    return [line for line in result.outlines if "could not be read" in line]


@pytest.fixture
def measured(project):
    project.configure(metrics=METRICS, top_k=3)
    project.write("docs/canteen.html", "<h1>Canteen</h1><p>The canteen opens at noon.</p>")
    project.configure(metrics=METRICS, top_k=3, documents=["docs/*"])
    return project


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:24])
def test_a_damaged_value_is_not_there_is_counted_and_is_told_once(measured, value):
    first = measured.run("-q")
    outcomes = measured.outcomes()
    counts = damage(measured, value)
    assert {"search", "embedding", "extract", "document"} <= counts.keys()

    again = measured.run("-q")
    assert (again.ret, measured.outcomes()) == (first.ret, outcomes)
    (notice,) = notices(again)
    assert all(f"{kind}: " in notice for kind in ("search", "extract", "document")), notice
    assert "Traceback" not in again.stdout.str()
    assert notices(measured.run("-q")) == []


@NEEDS_XDIST
def test_workers_count_each_damaged_value_once(measured):
    measured.run("-q")
    damage(measured, b"{}")
    (notice,) = notices(measured.run("-q", "-n", "2"))
    assert f"extract: {len(measured.outcomes())}" in notice, notice


def test_scores_that_can_be_computed_are_not_taken_from_the_store(measured):
    """Whoever commits a store could else commit a verdict."""
    measured.configure(metrics={"groundedness": "report", "hit_rate": 1.0}, documents=["docs/*"])
    measured.run("-q")
    with Store(store_path(measured)) as store:
        assert "score" not in store.size().entries


def test_a_damaged_answer_of_an_own_system_is_asked_for_again(own_system, asked):
    own_system.configure(documents=None, embedder=None, metrics={"reference_coverage": 1.0}, fingerprint="one")
    own_system.run("-q")
    assert len(asked()) == 4
    assert damage(own_system, b'{"text": 3}') == {"answer": 4}

    result = own_system.run("-q", "--ragcheck-cache", "only")
    assert set(own_system.outcomes().values()) == {"skipped"}, "not there is not run"
    (notice,) = notices(result)
    assert "answer: 4" in notice
    assert own_system.run("-q").ret == 0
    assert len(asked()) == 8


@pytest.mark.parametrize("damaged", ["byte", "table", "trigger", "owner"])
def test_a_damaged_schema_is_set_aside_or_does_no_harm(measured, damaged):
    first = measured.run("-q")
    path = store_path(measured)
    if damaged == "byte":
        content = bytearray(path.read_bytes())
        content[content.index(b"CREATE TABLE entries") + 14] = 0xFF
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if damaged == "table":
                connection.execute("DROP TABLE claims")
            elif damaged == "trigger":
                connection.execute("CREATE TRIGGER t BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no'); END")
            else:
                rows = [("model-reply", b"k", "nobody"), ("extract", b"k", b"\xff"), ("x", b"k", "a|b")]
                connection.executemany("INSERT INTO claims VALUES (?, ?, ?, 9e99)", rows)
    result = measured.run("-q")
    assert result.ret == first.ret
    assert ("set aside" in result.stdout.str()) == (damaged != "owner")
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
