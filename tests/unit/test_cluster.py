"""What drivers and actors of a cluster do, without a cluster."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import threading
from contextlib import contextmanager
from functools import partial

import pytest

from pytest_ragcheck.session.cluster.answering import _relocated
from pytest_ragcheck.session.cluster.store_relay import RemoteStore, StoreDesk, StoreRelay
from pytest_ragcheck.session.cluster.target import engine_target
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.store import Store, process_identity

KEY, OTHER = b"\1" * 32, b"\2" * 32


@contextmanager
def relayed(store):
    """A function that makes RemoteStores, as callers with a number, and the desk."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def made():
        return StoreRelay()

    def wait(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    relay = wait(made())
    desk = StoreDesk(lambda replies: wait(relay.trade(replies)), {"a store": store})

    def remote(caller):
        def ask(method, arguments, keywords):
            return wait(relay.ask(caller, "a store", method, arguments, keywords))

        return RemoteStore(path=store.path, ask=ask)

    try:
        yield remote, desk
    finally:
        desk.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_one_actor_reads_what_another_has_put_and_the_driver_has_both(tmp_path):
    with Store(tmp_path / "store.sqlite") as store, relayed(store) as (remote, _):
        one, two = remote(1), remote(2)
        one.put("kind", KEY, b"first")
        two.put_many("kind", {OTHER: b"second"})
        assert two.get("kind", KEY) == b"first"
        assert one.get_many("kind", [KEY, OTHER]) == {KEY: b"first", OTHER: b"second"}
        assert two.known("kind", [KEY, b"\3" * 32]) == {KEY}
        assert one.put_if_new("kind", KEY, b"later") == b"first"
        assert one.get("kind", KEY, since=2.0**40) is None
        assert two.size().entries == {"kind": 2}
        assert store.get_many("kind", [KEY, OTHER]) == {KEY: b"first", OTHER: b"second"}


def test_claims_keep_other_actors_out_until_they_are_released_or_their_actor_is_lost(tmp_path):
    with Store(tmp_path / "store.sqlite") as store, relayed(store) as (remote, desk):
        one, two = remote(1), remote(2)
        first, second = (f"{process_identity()}|{name}" for name in ("one", "two"))
        assert one.claim("kind", KEY, owner=first, seconds=60.0)
        assert one.claim_many("kind", [OTHER], owner=first, seconds=60.0) == [OTHER]
        take = partial(two.claim, "kind", owner=second, seconds=60.0)
        assert not take(KEY)
        one.release("kind", KEY, owner=first)
        assert take(KEY)
        assert not take(OTHER)
        desk.forget(1)
        assert take(OTHER)
        assert not one.claim("kind", b"\3" * 32, owner=first, seconds=60.0)  # it was only thought to be lost


def test_what_the_store_raises_reaches_the_actor(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    store.close()
    with relayed(store) as (remote, _):
        for _attempt in range(2):
            with pytest.raises(sqlite3.ProgrammingError):
                remote(1).get("kind", KEY)
        with pytest.raises(AttributeError):
            remote(1).ask("clear", (), {})


def test_files_that_are_not_there_are_looked_for_in_the_working_directory(tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        (folder / "project").mkdir(parents=True)
        (folder / "project" / "questions.yaml").write_text("[]")
        (folder / "project" / "ragcheck.toml").write_text('questions = "questions.yaml"\n')
    monkeypatch.chdir(here)
    settings = load_settings(there / "project", invocation=there)
    assert _relocated(settings, there) == settings
    shutil.rmtree(there)
    assert _relocated(settings, there).questions == here / "project" / "questions.yaml"
    assert _relocated(settings, there).root == here / "project"
    assert _relocated(settings, tmp_path / "elsewhere") == settings


@pytest.mark.parametrize("text", ["local", "ray", "ray://head.example:10001"])
def test_engines_that_there_are(text):
    assert engine_target(text) == text


@pytest.mark.parametrize("text", ["", "spark", "ray:", "ray://head.example", "ray://:10001", "rays"])
def test_engines_that_there_are_not(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected local, ray or ray://HOST:PORT"):
        engine_target(text)
