"""Cache of what was computed from texts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from pytest_ragcheck.lexical import SizedCache

HANGS = 300
"""Seconds, against hangs alone."""


def test_a_text_is_computed_once():
    computed = []
    cache = SizedCache(lambda text, mark: computed.append((text, mark)) or text + mark, 100)

    assert [cache("a", "!"), cache("a", "?"), cache("a", "!")] == ["a!", "a?", "a!"]
    assert computed == [("a", "!"), ("a", "?")]


def test_what_was_used_last_is_held():
    computed = []
    cache = SizedCache(lambda text: computed.append(text) or (text,), 10)

    for text in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb"):
        cache(text)

    assert computed == ["aaaa", "bbbb", "cccc", "bbbb"]


def test_one_text_longer_than_the_room_is_held():
    computed = []
    cache = SizedCache(lambda text: computed.append(text) or (text,), 10)

    cache("a" * 50)
    cache("a" * 50)

    assert len(computed) == 1


def test_threads_that_ask_for_the_same_text_compute_it_once():
    computed = []
    inside, go_on = threading.Event(), threading.Event()

    def compute(text):
        computed.append(text)
        inside.set()
        assert go_on.wait(HANGS)
        return (text,)

    cache = SizedCache(compute, 100)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache, "a")
        assert inside.wait(HANGS)
        second = pool.submit(cache, "a")
        go_on.set()
        assert first.result() is second.result()
    assert computed == ["a"]
