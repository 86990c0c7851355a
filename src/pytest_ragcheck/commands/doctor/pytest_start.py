"""How pytest starts in a folder: which plugins it loads, how long that takes, what its settings are."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.commands.doctor.processes import death, last_words, run_module

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PytestStart", "start_pytest"]

LOOP_SCOPE = "asyncio_default_fixture_loop_scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class PytestStart:
    """What was seen. ``plugins`` maps the names of plugins that were loaded to the seconds that each took."""

    trouble: str | None = None
    """Why pytest does not start."""
    plugins: Mapping[str, float] = field(default_factory=dict)
    loop_scope: str | None = None
    settings_file: str | None = None


def start_pytest(folder: Path) -> PytestStart:
    """Start pytest in ``folder``, in a process of its own, up to where it would collect."""
    with tempfile.TemporaryDirectory() as place:
        told = Path(place) / "told.json"
        done = run_module(__name__, [str(told)], folder=folder)
        if told.is_file():
            return PytestStart(**json.loads(told.read_text(encoding="utf-8")))
    how = last_words(done.stderr) or last_words(done.stdout) or death(done.returncode)
    return PytestStart(trouble=how)


class _Witness:
    """A pytest plugin that notes when each plugin is there, and stops before anything is collected."""

    def __init__(self, told: Path) -> None:
        self._told = told
        self._last = time.perf_counter()
        self._plugins: dict[str, float] = {}

    def pytest_plugin_registered(self, plugin_name: str) -> None:
        """Note what passed since the last one: loading this one."""
        now = time.perf_counter()
        self._plugins[plugin_name] = now - self._last
        self._last = now

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Tell, and be done."""
        seen = PytestStart(
            plugins=self._plugins,
            loop_scope=_loop_scope(config),
            settings_file=None if config.inipath is None else os.path.relpath(config.inipath),
        )
        self._told.write_text(json.dumps(asdict(seen)), encoding="utf-8")
        return 0


def _loop_scope(config: pytest.Config) -> str | None:
    try:
        value: Any = config.getini(LOOP_SCOPE)
    except ValueError:  # no plugin knows the setting
        return None
    return str(value) if value else None


if __name__ == "__main__":
    sys.exit(pytest.main([], plugins=[_Witness(Path(sys.argv[1]))]))
