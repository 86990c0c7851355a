"""Files replaced in one step, and the drafts that killed processes leave."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from pytest_ragcheck import atomic_files
from pytest_ragcheck.atomic_files import drop_drafts, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from pytest_ragcheck.atomic_files import write_atomically

def content():
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)

write_atomically(Path(sys.argv[1]), content())
"""


def kill_while_writing(path):
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode < 0


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_or_the_new_content(tmp_path):
    path = tmp_path / "run.json"
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    write_atomically(path, contents[0])
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        write_atomically(path, contents[number % 2])
    done.set()
    reader.join()
    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_write_leaves_the_old_file_and_the_next_one_its_draft_removed(tmp_path):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    kill_while_writing(path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2

    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_in_a_folder_leaves_what_is_not_its_draft(tmp_path):
    other, swap, users = tmp_path / "other.json", tmp_path / ".run.json.swp", tmp_path / ".run.json.draft"
    kill_while_writing(other)
    (draft,) = tmp_path.iterdir()
    swap.touch()
    users.touch()
    write_atomically(tmp_path / "run.json", b"new")
    assert set(tmp_path.iterdir()) == {tmp_path / "run.json", draft, swap, users}

    drop_drafts(tmp_path)
    assert set(tmp_path.iterdir()) == {tmp_path / "run.json", swap, users}


def test_a_draft_that_is_being_written_stays(tmp_path):
    path = tmp_path / "run.json"

    def content():
        yield b"one, "
        write_atomically(path, b"of another process")
        drop_drafts(tmp_path)
        yield b"two"

    write_atomically(path, content())
    assert path.read_bytes() == b"one, two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_that_was_taken_for_abandoned_before_it_was_locked_is_begun_again(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    lock = atomic_files.fcntl.flock
    drafts = []

    def removed_first(handle, mode):
        if not drafts:
            drafts.extend(tmp_path.iterdir())
            drafts[0].unlink()
        lock(handle, mode)

    monkeypatch.setattr(atomic_files.fcntl, "flock", removed_first)
    write_atomically(path, b"new")
    assert len(drafts) == 1
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"new"


def test_without_locks_a_draft_is_abandoned_when_it_is_old(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files, "fcntl", None)
    path = tmp_path / "run.json"
    kill_while_writing(path)
    write_atomically(path, b"new")
    (draft,) = set(tmp_path.iterdir()) - {path}
    os.utime(draft, (0, 0))
    write_atomically(path, b"newer")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_shared_files_have_the_permissions_of_new_ones(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "shared", b"", shared=True)
        write_atomically(tmp_path / "own", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o600
