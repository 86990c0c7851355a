"""Programs that may crash, run in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["death", "import_trouble", "last_words", "run_module"]

TIMEOUT = 180.0
"""Seconds; a cold start of torch from a slow disk takes a minute."""
_LONGEST = 300
_BEGUN = "importing "
_IMPORT = f"""
import importlib, sys
for name in sys.argv[1:]:
    print({_BEGUN!r} + name, flush=True)
    importlib.import_module(name)
"""
_QUIET = {"DEEPEVAL_TELEMETRY_OPT_OUT": "1", "DEEPEVAL_DISABLE_DOTENV": "1"}


def run_module(
    module: str, arguments: Sequence[str] = (), *, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module`` in ``folder``; a process that does not end is killed."""
    return _run(["-m", module, *arguments], folder, environment or {})


def import_trouble(modules: Sequence[str], folder: Path) -> str | None:
    """Which of the modules, imported one after another, fails, and how; None where all work."""
    done = _run(["-W", "ignore", "-c", _IMPORT, *modules], folder, _QUIET)
    if done.returncode == 0:
        return None
    begun = [line.removeprefix(_BEGUN) for line in done.stdout.splitlines() if line.startswith(_BEGUN)]
    how = "fails" if done.returncode == 1 else death(done.returncode)
    return f"`import {begun[-1] if begun else modules[0]}` {how}: {last_words(done.stderr)}"


def _run(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    try:
        return subprocess.run(  # noqa: S603 (this Python, and modules whose names are ours)
            command,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -signal.SIGKILL, "", f"did not end within {TIMEOUT:g} s")


def death(code: int) -> str:
    """How a process ended: ``crashed (SIGSEGV)``, ``ended with exit code 3``."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"crashed ({signal.Signals(-code).name})"
    except ValueError:
        return f"crashed (signal {-code})"


def last_words(errors: str) -> str:
    """The line of the standard error that tells most: of OpenMP, else the last one."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("OMP:", "Fatal Python error"))] or lines[-1:]
    return telling[0][:_LONGEST] if telling else ""
