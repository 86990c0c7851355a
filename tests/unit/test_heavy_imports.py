"""The garbage collector around an import."""

from __future__ import annotations

import gc

import pytest

from pytest_ragcheck.heavy_imports import without_collections


def test_collects_once_at_the_end():
    collected = []
    gc.callbacks.append(lambda phase, _: collected.append(phase))
    try:
        with without_collections():
            kept = [[] for _ in range(100_000)]  # enough for the collector to start by itself
            during = list(collected)
    finally:
        gc.callbacks.pop()

    assert len(kept) == 100_000
    assert (during, collected[:2], gc.isenabled()) == ([], ["start", "stop"], True)


def test_collects_again_where_the_import_fails():
    with pytest.raises(ImportError), without_collections():
        raise ImportError

    assert gc.isenabled()


def test_leaves_a_collector_off_that_was_off():
    gc.disable()
    try:
        with without_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
