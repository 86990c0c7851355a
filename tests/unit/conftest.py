"""Texts as whole files, to be looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
UPDATE = "RAGCHECK_UPDATE_SNAPSHOTS"


@pytest.fixture
def snapshot():
    """Compares a text with the file of that name in tests/snapshots; with RAGCHECK_UPDATE_SNAPSHOTS=1 writes it."""

    def check(name, text):
        path = SNAPSHOTS / name
        if os.environ.get(UPDATE):
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{text}\n", encoding="utf-8")
        assert f"{text}\n" == path.read_text(encoding="utf-8"), f"if this is meant: {UPDATE}=1 python -m pytest ..."

    return check
