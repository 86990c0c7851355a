from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.store import Store, digest


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cache.sqlite"
    with Store(path) as store:
        store.put("model-reply", digest("a"), bytes(2_000_000))
        store.put("embedding", digest("b"), b"12")
    return path


def test_without_a_command_all_are_told(capsys):
    assert main([]) == 4
    assert "\n    doctor" in capsys.readouterr().err


def test_size(path, capsys):
    assert main(["cache", "size", "--path", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["embedding: 1 entry, 1 kB", "model-reply: 1 entry, 2.0 MB"]
    assert lines[2].startswith(f"{path}: 2.")


def test_prune_keeps_what_is_young(path, capsys):
    assert main(["cache", "prune", "--older-than", "30d", "--path", str(path)]) == 0
    assert "0 entries dropped" in capsys.readouterr().out
    assert main(["cache", "prune", "--older-than", "0s", "--path", str(path)]) == 0
    assert "2 entries dropped" in capsys.readouterr().out


def test_clear_gives_the_space_back(path, capsys):
    before = path.stat().st_size
    assert main(["cache", "clear", "--path", str(path)]) == 0
    assert "2 entries dropped" in capsys.readouterr().out
    assert path.stat().st_size < before / 10


@pytest.mark.parametrize("age", ["30", "d", "-1d", "infd", "30 days"])
def test_an_age_that_is_none_is_refused(path, age, capsys):
    with pytest.raises(SystemExit):
        main(["cache", "prune", f"--older-than={age}", "--path", str(path)])
    assert "is no age" in capsys.readouterr().err


def test_a_missing_store_is_one_line_and_is_not_made(tmp_path):
    command = [sys.executable, "-m", "pytest_ragcheck", "cache", "size"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr == ".ragcheck/cache.sqlite: no such store; name it with --path\n"
    assert not list(tmp_path.iterdir())
