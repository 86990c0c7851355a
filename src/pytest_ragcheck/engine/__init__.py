"""Questions in, results out as they are ready. Knows nothing of pytest.

One engine serves both ways to run: the concurrent one has many slots, the sequential one has a
single slot and prepares one question at a time. Whatever goes wrong for one question is a value in
that question's result.
"""

from __future__ import annotations

from pytest_ragcheck.engine.engine import Engine
from pytest_ragcheck.engine.job import Job
from pytest_ragcheck.engine.rounds import Rounds, RoundsEngine, rounds_of
from pytest_ragcheck.engine.slots import Slots

__all__ = ["Engine", "Job", "Rounds", "RoundsEngine", "Slots", "rounds_of"]
