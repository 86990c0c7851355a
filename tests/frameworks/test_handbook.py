"""A pipeline of each library over the whole handbook, tested by the same file; the pipelines are those of the docs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "how-to" / "examples"
HANDBOOK = ROOT / "examples" / "handbook"
LIBRARIES = {"langchain": "langchain_text_splitters", "llamaindex": "llama_index", "haystack": "haystack"}
CONFIGURATION = """\
questions = "questions.yaml"
documents = ["docs/*.md"]

[metrics]
hit_rate = "report"
groundedness = 0.5
"""


def test_one_test_file_serves_them_all():
    tests = {(EXAMPLES / name / "test_handbook.py").read_text(encoding="utf-8") for name in LIBRARIES}

    assert len(tests) == 1
    assert len(tests.pop().splitlines()) == 10


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_handbook(name, tmp_path):
    if find_spec(LIBRARIES[name]) is None:
        pytest.skip(f"needs {name}")
    project = tmp_path / "project"
    shutil.copytree(EXAMPLES / name, project, ignore=shutil.ignore_patterns("__pycache__", ".*", "docs"))
    shutil.copytree(HANDBOOK / "documents", project / "docs")
    questions = (HANDBOOK / "questions.yaml").read_text(encoding="utf-8")
    (project / "questions.yaml").write_text(questions.replace("documents/", "docs/"), encoding="utf-8")
    (project / "ragcheck.toml").write_text(CONFIGURATION, encoding="utf-8")

    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "--ragcheck", "-W", "error", "-q", "-p", "no:cacheprovider", "-p", "no:deepeval",
         "-o", "asyncio_default_fixture_loop_scope=function"],
        cwd=project, env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    [run] = (project / ".ragcheck" / "runs").glob("*.json")
    results = json.loads(run.read_text(encoding="utf-8"))["results"]
    assert len(results) == 69
    assert [result["error"] for result in results if result["error"]] == []
    hits = [result["scores"]["hit_rate"]["value"] for result in results]
    hits = [hit for hit in hits if hit is not None]
    assert sum(hits) / len(hits) > 0.1
    contexts = [context for result in results for context in result["answer"]["contexts"]]
    assert {context["source"].partition("/")[0] for context in contexts} == {"docs"}
    assert len(contexts) == 4 * len(results)
    assert "69 questions: 69 passed" in finished.stdout
