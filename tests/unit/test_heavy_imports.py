"""The garbage collector around an import."""

from __future__ import annotations

import gc

import pytest

from pytest_ragcheck.heavy_imports import without_collections


@pytest.fixture(autouse=True)
def _unfrozen():
    yield
    gc.unfreeze()


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


def test_the_collector_never_looks_at_what_is_frozen():
    collected = []
    gc.callbacks.append(lambda phase, _: collected.append(phase))
    try:
        with without_collections(freeze=True):
            kept = [[] for _ in range(100_000)]  # enough for the collector to start by itself
        during = list(collected)
    finally:
        gc.callbacks.pop()

    assert (len(kept), during, gc.isenabled()) == (100_000, [], True)
    assert not {id(one) for one in kept} & {id(one) for one in gc.get_objects()}


def test_cycles_made_afterwards_are_found():
    with without_collections(freeze=True):
        pass
    cycle = []
    cycle.append(cycle)
    del cycle

    assert gc.collect() >= 1


def test_collects_again_where_the_import_fails():
    with pytest.raises(ImportError), without_collections():
        raise ImportError

    assert gc.isenabled()


def test_leaves_a_collector_off_that_was_off():
    gc.disable()
    try:
        frozen = gc.get_freeze_count()
        with without_collections(freeze=True):
            pass
        assert (gc.isenabled(), gc.get_freeze_count()) == (False, frozen)
    finally:
        gc.enable()
