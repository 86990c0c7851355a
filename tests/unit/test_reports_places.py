from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pytest_ragcheck.report.files import report_path
from pytest_ragcheck.session.options import Options
from pytest_ragcheck.session.reports import check_places


@pytest.mark.parametrize("name", ["a.html", "A.HTML", "sub/a.md", "/x/a.json"])
def test_the_suffix_says_which_kind(name):
    assert report_path(name) == Path(name)


@pytest.mark.parametrize("name", ["a", "a.pdf", "", ".md", "md"])
def test_any_other_suffix_is_refused(name):
    with pytest.raises(argparse.ArgumentTypeError, match=r"use \.html, \.md, \.json"):
        report_path(name)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "file").write_text("")
    return tmp_path


@pytest.mark.parametrize("name", ["a.md", "new/folders/a.md", "folder.md/a.md", "file.md"])
def test_folders_that_are_not_there_yet_are_fine_and_are_not_made(folder, name):
    before = sorted(folder.rglob("*"))
    check_places(Options(reports=(Path(name),)), folder)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("folder.md", "folder.md: is a folder; name a file in it"),
        ("file/a.md", "file is no folder"),
        ("file/b/a.md", "file is no folder"),
        ("/proc/1/a.md", "the folder /proc/1 cannot be written to"),
    ],
)
def test_where_nothing_can_be_written(folder, name, problem):
    if name.startswith("/proc") and not Path("/proc/1").is_dir():
        pytest.skip("needs a folder that nobody can write to")
    with pytest.raises(pytest.UsageError, match=problem):
        check_places(Options(reports=(Path("fine.md"), Path(name))), folder)
