"""A process that has imported what every pytest imports, and forks one pytest for each line of its input.

A line is a JSON object: ``cwd``, ``env``, ``args``, ``stdout`` and ``stderr`` (paths). The answer is two lines: the
new process's id, and its exit status. Arguments are further modules to import.

All is imported by a pytest, as pytest takes a plugin's module that was imported without its import hook for a mistake.
What a run imports by itself is tested in ``tests/process``, in processes that start cold.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import shutil
import signal
import sys
import tempfile
import warnings
from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages

import pytest

import warm_workers

PRELOADED = (
    "_pytest.junitxml",
    "_pytest.pastebin",
    "_pytest.pytester_assertions",
    "_pytest.unittest",
    "argparse",
    "asyncio",
    "concurrent.futures.thread",
    "email.message",
    "importlib.metadata",
    "sqlite3",
    "unittest.mock",
    "xml.etree.ElementTree",
    "execnet",
    "faiss",
    "filelock",
    "numpy",
    "scipy.optimize",
    "scipy.special",
    "pdb",
    "pydantic",
    "pydantic.dataclasses",
    "pydantic.deprecated.decorator",
    "pydantic.types",
    "yaml",
)


class Imports:
    """A plugin that imports ``modules`` and all of this project, and ends pytest before its session starts."""

    def __init__(self, modules: list[str]) -> None:
        self.modules = modules

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self) -> int:
        """Only third-party modules may warn."""
        import_installed(self.modules)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            import_installed(our_modules())
        return 0


def import_installed(modules: list[str]) -> None:
    """What is missing, or needs what is missing, is left to the runs."""
    for name in modules:
        with suppress(ImportError):
            import_module(name)


def our_modules() -> list[str]:
    """The project's modules but those that run when they are imported."""
    package = import_module("pytest_ragcheck")
    found = walk_packages(package.__path__, f"{package.__name__}.")
    return [module.name for module in found if not module.name.endswith(".__main__")]


def main() -> None:
    """Serve until the input ends."""
    imports = Imports([*PRELOADED, *sys.argv[1:]])
    if code := pytest.main(["-p", "no:deepeval", "--noconftest", "-c", os.devnull], [imports]):
        sys.exit(code)
    gc.collect()
    gc.freeze()  # pytest collects several times at its end
    folder = tempfile.mkdtemp(prefix="ragcheck")
    python, workers = warm_workers.start(folder)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            sys.executable = python
            become_pytest(request)
        tell(pid)
        _, status = os.waitpid(pid, 0)
        tell(os.waitstatus_to_exitcode(status))
    os.kill(workers, signal.SIGKILL)
    shutil.rmtree(folder)


def tell(number: int) -> None:
    """One line of the answer."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def become_pytest(request: dict) -> None:
    """What ``python -m pytest`` does; never returns."""
    redirect(os.devnull, 0, os.O_RDONLY)
    redirect(request["stdout"], 1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    redirect(request["stderr"], 2, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv = ["pytest", *request["args"]]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    raise AssertionError


def redirect(path: str, number: int, flags: int) -> None:
    """Make file descriptor ``number`` that file."""
    opened = os.open(path, flags, 0o600)
    os.dup2(opened, number)
    os.close(opened)


main()
