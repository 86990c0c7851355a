"""A process that has imported what every pytest imports, and forks one pytest for each line of its input.

A line is a JSON object: ``cwd``, ``env``, ``args``, ``stdout`` and ``stderr`` (paths). The answer is two lines: the
new process's id, and its exit status. Arguments are further modules to import. Nothing of pytest's plugins is imported
here: pytest rewrites their assertions, and each forked process is to load them as any other does.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
from importlib import import_module
from importlib.util import find_spec

PRELOADED = (
    "pytest",
    "_pytest.assertion.rewrite",
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
    "pydantic",
    "pydantic.deprecated.decorator",
    "yaml",
)


def main() -> None:
    """Serve until the input ends."""
    for name in (*PRELOADED, *sys.argv[1:]):
        if find_spec(name.partition(".")[0]) is not None:
            import_module(name)
    gc.collect()
    gc.freeze()  # pytest collects several times at its end
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become_pytest(request)
        tell(pid)
        _, status = os.waitpid(pid, 0)
        tell(os.waitstatus_to_exitcode(status))


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
