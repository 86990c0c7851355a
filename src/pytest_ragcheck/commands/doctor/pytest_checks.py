"""Pytest with its plugins, as it starts in the folder."""

from __future__ import annotations

import time
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.doctor.findings import Finding, failed, fine, warned
from pytest_ragcheck.commands.doctor.processes import import_trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.commands.doctor.patient import Patient

__all__ = ["check_deepeval", "check_pytest"]

_LOOP_SCOPE = "asyncio_default_fixture_loop_scope"
_OURS, _ASYNCIO, _DEEPEVAL = "ragcheck", "asyncio", "deepeval"
"""The plugins' names, as ``-p`` takes them."""


def check_pytest(patient: Patient) -> Iterator[Finding]:
    """Whether pytest starts with our plugin, and with pytest-asyncio set up."""
    start = patient.pytest_start
    if start.trouble is not None:
        yield failed("pytest", f"does not start here: {start.trouble}", "run `pytest --collect-only` to see all of it")
        return
    if _OURS not in start.plugins:
        remedy = f"add `-p pytest_ragcheck.plugin`, or look for PYTEST_DISABLE_PLUGIN_AUTOLOAD and `-p no:{_OURS}`"
        yield failed("pytest", "starts without the plugin of pytest-ragcheck", remedy)
        return
    yield fine("pytest", f"{metadata.version('pytest')}, settings in {start.settings_file or 'no file'}")
    if _ASYNCIO not in start.plugins:
        told = "pytest-asyncio is not loaded: async tests and fixtures of your own do not run"
        yield warned("pytest-asyncio", told, "python -m pip install pytest-asyncio, or take out -p no:asyncio")
    elif start.loop_scope is None:
        yield warned(
            "pytest-asyncio",
            f"{_LOOP_SCOPE} is unset: it warns at every start, and stops where warnings are errors",
            f'set {_LOOP_SCOPE} = "function" in {start.settings_file or "pytest.ini"}',
        )
    else:
        yield fine("pytest-asyncio", f"{_LOOP_SCOPE} = {start.loop_scope}")


def check_deepeval(patient: Patient) -> Iterator[Finding]:
    """What deepeval's own plugin costs; whether deepeval can be imported, where metrics need it."""
    start = patient.pytest_start
    if _DEEPEVAL in start.plugins:
        seconds = start.plugins[_DEEPEVAL]
        told = f"its plugin takes {seconds:.1f} s of every start of pytest, and judged metrics do not need it"
        remedy = f'add "-p no:{_DEEPEVAL}" to addopts in {start.settings_file or "pytest.ini"}'
        yield warned("deepeval", told, remedy)
    elif not _is_needed(patient):
        yield fine("deepeval", "its plugin is not loaded, and no metric needs it")
    else:
        yield _imported(patient)


def _is_needed(patient: Patient) -> bool:
    from pytest_ragcheck.metrics.judged.kinds import KINDS

    settings = patient.usable_settings
    return settings is not None and bool(set(settings.metrics) & set(KINDS))


def _imported(patient: Patient) -> Finding:
    if find_spec(_DEEPEVAL) is None:
        return failed("deepeval", "not installed", 'python -m pip install "pytest-ragcheck[deepeval]"')
    started = time.perf_counter()
    trouble = import_trouble(["deepeval.metrics"], patient.folder)
    if trouble is not None:
        return failed("deepeval", trouble, "install it anew")
    return fine("deepeval", f"its plugin is not loaded; imports in {time.perf_counter() - started:.1f} s")
