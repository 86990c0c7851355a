"""What starting costs: nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytest_ragcheck.testing.messages_api import MessagesApi

HEAVY = {
    "torch",
    "sentence_transformers",
    "transformers",
    "faiss",
    "anthropic",
    "httpx",
    "deepeval",
    "scipy",
    "sklearn",
}
MIDDLING = {"numpy", "pydantic", "yaml", "sqlite3", "filelock", "pypdf", "jinja2"}
WITNESS = """
import json
import sys
from pathlib import Path


def pytest_sessionfinish(session):
    Path("imported.json").write_text(json.dumps(sorted(sys.modules)))
    loaders = {name: type(getattr(module, "__loader__", None)) for name, module in sys.modules.items()}
    rewritten = sorted(name for name, loader in loaders.items() if loader.__name__ == "AssertionRewritingHook")
    Path("rewritten.json").write_text(json.dumps(rewritten))
"""

PATIENT_EMBEDDER = """
import sys
import time
from pathlib import Path

from embedder import Embedder


class Patient(Embedder):
    def embed(self, texts):
        deadline = time.monotonic() + 300
        while "deepeval.metrics" not in sys.modules and time.monotonic() < deadline:
            time.sleep(0.01)
        Path(__file__).with_name("imported_by_then").write_text(str("deepeval.metrics" in sys.modules))
        return super().embed(texts)
"""


@pytest.fixture
def imported(bare_project):
    """Runs pytest in a process that imported nothing before; the top-level modules that it imported by its end."""
    bare_project.write("witness.py", WITNESS)

    def run(*arguments, ragcheck, code=0):
        command = [sys.executable, "-m", "pytest", "-p", "witness"]
        command += bare_project.arguments(*arguments, ragcheck=ragcheck)
        done = subprocess.run(
            command,
            check=False,
            cwd=bare_project.path,
            env=bare_project.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return {name.partition(".")[0] for name in json.loads((bare_project.path / "imported.json").read_text())}

    return run


def test_importing_the_package_is_light():
    program = (
        "import sys, pytest; before = set(sys.modules); import pytest_ragcheck.plugin; print(set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)

    new = {name.strip("{}' \n") for name in done.stdout.split(",")}

    assert {name.partition(".")[0] for name in new} <= {"pytest_ragcheck", "difflib"}
    assert len(new) < 15


def test_a_project_without_rag_tests_pays_nothing(bare_project, imported):
    bare_project.write("test_plain.py", "def test_plain(): ...\n")
    bare_project.write("questions.json", "[]")

    modules = imported(ragcheck=False)

    assert not modules & (HEAVY | MIDDLING)
    assert not (bare_project.path / ".ragcheck").exists()


def test_rag_tests_that_are_off_cost_next_to_nothing(project, imported):
    modules = imported("-rs", ragcheck=False)

    assert not modules & (HEAVY | {"numpy", "sqlite3"})
    assert not (project.path / ".ragcheck").exists()


def test_a_run_that_finds_everything_in_the_store_loads_no_model_and_no_index(project, imported):
    project.configure(metrics={"hit_rate": 1.0, "groundedness": 0.5, "answer_similarity": 0.1})

    first = imported(ragcheck=True)
    second = imported(ragcheck=True)

    assert "faiss" in first
    assert not second & ((HEAVY - {"httpx"}) | {"pydantic"})
    assert project.embedded()[:2] == [3, 4]
    assert len(project.embedded()) == 3  # and the answers and references, for their similarity


def test_what_judges_is_imported_while_documents_are_embedded(project, imported, monkeypatch):
    pytest.importorskip("deepeval")
    project.write("patient.py", PATIENT_EMBEDDER)
    project.configure(embedder="patient:Patient", judge="anthropic:claude-haiku-5-5", metrics={"contextual_recall": 0})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any")

    with MessagesApi() as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        imported(ragcheck=True)

    assert (project.path / "imported_by_then").read_text() == "True"


def test_pytest_rewrites_none_of_the_modules_that_do_the_work(project, imported):
    pytest.importorskip("deepeval")
    project.write("conftest.py", "import deepeval.test_case\n")

    imported(ragcheck=True)

    rewritten = set(json.loads((project.path / "rewritten.json").read_text()))
    assert "conftest" in rewritten  # pytest's hook is at work
    before_its_hooks = {"pytest_ragcheck.plugin", "pytest_ragcheck.session", "pytest_ragcheck.session.rewriting"}
    assert {name for name in rewritten if name.startswith(("pytest_ragcheck.", "deepeval."))} <= before_its_hooks


def test_the_collector_does_not_look_at_what_a_conftest_imports(own_system, imported):
    own_system.write("large_library.py", "import gc\n\nWAS_ON = gc.isenabled()\nOBJECTS = [[] for _ in range(1_000)]\n")
    own_system.write("conftest.py", (own_system.path / "conftest.py").read_text() + "\nimport large_library\n")
    own_system.write(
        "test_large_library.py",
        """
import gc
import large_library

def test_large_library():
    assert not large_library.WAS_ON
    assert gc.isenabled()
    assert not {id(one) for one in large_library.OBJECTS} & {id(one) for one in gc.get_objects()}
""",
    )

    imported("test_large_library.py", ragcheck=True)


def test_an_own_pipeline_without_documents_needs_no_index(own_system, imported):
    modules = imported(ragcheck=True)

    assert not modules & (HEAVY | {"numpy"})
