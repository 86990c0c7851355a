"""A pytest plugin for ``startup.py``: which step a run reached when, and what imports took, written as JSON.

Steps have seconds since ``RAGCHECK_STARTED`` (Unix time, so that they are those of the whole command in each of its
processes) and the processor time of the process so far. Each process writes a file of its own into the folder
``RAGCHECK_PROFILES``. With ``RAGCHECK_ON_DEMAND`` set, the SDK is imported for the first call and deepeval for the
first score, and no sooner.
"""

from __future__ import annotations

import _frozen_importlib
import functools
import json
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ENDS = {
    ("pytest_ragcheck.session.config", "load_settings"): "settings read",
    ("pytest_ragcheck.rag.corpus", "read_corpus"): "documents read",
    ("pytest_ragcheck.dataset", "load_questions"): "questions read",
    ("pytest_ragcheck.rag.minilm", "MiniLmEmbedder.load"): "embedding model loaded",
    ("pytest_ragcheck.rag.index", "Index.make_ready"): "index ready",
    ("pytest_ragcheck.engine", "Engine.start"): "questions asked",
}
"""Functions whose first return is a step."""

reached = {"pytest started": (time.time(), time.process_time())}
spent: dict[str, float] = defaultdict(float)
"""Seconds of importing by package, without what it imported from others."""
_importing = threading.local()
_import_now = _frozen_importlib._find_and_load  # noqa: SLF001 (what every import goes through)


def reach(step):
    reached.setdefault(step, (time.time(), time.process_time()))


def _timed_import(name, import_):
    """In place of the interpreter's own: each import in its thread, less the imports within it."""
    stack = _importing.__dict__.setdefault("stack", [])
    stack.append(0.0)
    started = time.perf_counter()
    try:
        module = _import_now(name, import_)
    finally:
        seconds = time.perf_counter() - started
        spent[name.partition(".")[0]] += seconds - stack.pop()
        if stack:
            stack[-1] += seconds
    _watch(name)
    return module


def _watch(module):
    """Note when the functions of a module that was imported just now return."""
    for (name, place), step in list(ENDS.items()):
        if name == module and name in sys.modules:
            del ENDS[name, place]
            *owners, attribute = place.split(".")
            owner = functools.reduce(getattr, owners, sys.modules[name])
            setattr(owner, attribute, _noting(getattr(owner, attribute), step))
    if module == "pytest_ragcheck.session.suites" and "RAGCHECK_ON_DEMAND" in os.environ:
        sys.modules[module].Suite.begin_imports = lambda _: None


def _noting(function, step):
    @functools.wraps(function)
    def noting(*arguments, **named):
        try:
            return function(*arguments, **named)
        finally:
            reach(step)

    return noting


_frozen_importlib._find_and_load = _timed_import  # noqa: SLF001 (see above)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart():
    """Options are read and plugins set up."""
    reach("configured")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """Items are there."""
    reach("collected")


def pytest_runtest_logreport(report):
    """The first and the last item that was run."""
    if report.when == "call":
        reach("first result")
        reached["last result"] = (time.time(), time.process_time())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish():
    """Baseline, gate and files of reports."""
    result = yield
    reach("reports written")
    return result


def pytest_unconfigure():
    """Write what was seen."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "main")
    origin = float(os.environ["RAGCHECK_STARTED"])
    modules = Counter(module.partition(".")[0] for module in sys.modules)
    told = {
        "reached": {step: (moment - origin, processor) for step, (moment, processor) in reached.items()},
        "imports": dict(spent),
        "modules": sorted(modules),
    }
    Path(os.environ["RAGCHECK_PROFILES"], f"{name}.json").write_text(json.dumps(told))
