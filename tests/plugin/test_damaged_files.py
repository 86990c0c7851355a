"""A whole run over damaged files: one line that says what is wrong, or the verdict that it would have had anyway.

``RAGCHECK_FUZZ=1000 python -m pytest tests/plugin/test_damaged_files.py`` tries so many; without it the same few are tried.
"""

from __future__ import annotations

import os
import shutil

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WANTED = os.environ.get("RAGCHECK_FUZZ")
PIECES = [
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"[",
    b"{",
    b"}",
    b":",
    b"\n",
    b"null",
    b"true",
    b"NaN",
    b"1e999",
    b"[" * 2_000,
    b"\\ud800",
]
edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES) | st.binary(max_size=4)),
    min_size=1,
    max_size=4,
)
OWN = ["store", "chunks", "vectors", "manifest", "run"]
"""Files that the plugin makes for itself: damage to them changes nothing."""


def edited(content, changes):
    data = bytearray(content)
    for place, length, piece in changes:
        at = int(place * len(data))
        data[at : at + length] = piece
    return bytes(data)


def file_of(project, kind):
    state = project.path / ".ragcheck"
    index = next(path for path in (state / "index").iterdir() if path.is_dir())
    return {
        "store": state / "cache.sqlite",
        "chunks": index / "chunks.table",
        "vectors": index / "vectors.float32",
        "manifest": next(path for path in index.iterdir() if path.suffix not in {".table", ".float32"}),
        "run": max((state / "runs").glob("*.json")),
        "baseline": project.path / "ragcheck-baseline.json",
        "questions": project.path / "questions.json",
        "configuration": project.path / "ragcheck.toml",
    }[kind]


@pytest.fixture
def broken(project):
    """A question that passed when the baseline was written does not pass any more."""
    project.configure(metrics={"hit_rate": 1.0, "groundedness": 0.5, "reference_coverage": 0.6})
    project.run("-q", "--ragcheck-update-baseline")
    text = (project.path / "docs" / "expenses.md").read_text()
    (project.path / "docs" / "expenses.md").write_text(text.replace("40 euros", "a sum"))
    assert project.run("-q", "--ragcheck-fail-on", "both").ret == 1
    project.broken = project.outcomes()
    assert set(project.broken.values()) == {"passed", "failed"}
    whole = project.path.with_name("whole")
    shutil.copytree(project.path, whole)

    def restore():
        shutil.rmtree(project.path)
        shutil.copytree(whole, project.path)

    project.restore = restore
    return project


@settings(
    max_examples=int(WANTED or 24),
    deadline=None,
    database=None,
    derandomize=WANTED is None,
    suppress_health_check=list(HealthCheck),
)
@given(kind=st.sampled_from([*OWN, "baseline", "questions", "configuration"]), changes=edits)
def test_a_run_over_a_damaged_file(broken, kind, changes):
    broken.restore()
    path = file_of(broken, kind)
    path.write_bytes(edited(path.read_bytes(), changes))

    result = broken.run("-q", "--ragcheck-fail-on", "both")

    printed = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in printed
    assert "INTERNALERROR" not in printed
    if kind in OWN:
        assert (result.ret, broken.outcomes()) == (1, broken.broken)
    elif kind == "baseline":
        assert result.ret in {1, 4}
    else:
        assert result.ret in {0, 1, 2, 4, 5}
