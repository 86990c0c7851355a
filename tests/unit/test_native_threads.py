from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_ragcheck.rag.native_threads import sleeping_while_idle

POLICY = "OMP_WAIT_POLICY"


def test_the_policy_is_there_only_while_libraries_are_loaded(monkeypatch):
    monkeypatch.delenv(POLICY, raising=False)
    with sleeping_while_idle():
        assert os.environ[POLICY] == "passive"
    assert POLICY not in os.environ
    with pytest.raises(ModuleNotFoundError), sleeping_while_idle():
        import no_such_library  # noqa: F401
    assert POLICY not in os.environ


def test_a_policy_of_the_user_s_stays(monkeypatch):
    monkeypatch.setenv(POLICY, "active")
    with sleeping_while_idle():
        assert os.environ[POLICY] == "active"
    assert os.environ[POLICY] == "active"


@pytest.mark.skipif(sys.platform != "linux", reason="the OpenMP library of Linux tells what it was set to")
def test_the_library_takes_it():
    pytest.importorskip("faiss")
    environment = {name: value for name, value in os.environ.items() if name != POLICY} | {"OMP_DISPLAY_ENV": "true"}
    program = "from pytest_ragcheck.rag.vectors import import_faiss; import_faiss()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
