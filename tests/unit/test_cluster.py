"""What drivers and actors of a cluster do, without a cluster."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import sqlite3
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.budget import CallCost
from pytest_ragcheck.gateway.limit_client import RemoteLimits
from pytest_ragcheck.gateway.limit_server import LimitServer
from pytest_ragcheck.gateway.limiter import Admission
from pytest_ragcheck.session.cluster.answering import LIMITS, relocated
from pytest_ragcheck.session.cluster.probe import trouble_at
from pytest_ragcheck.session.cluster.remote_store import RemoteStore, StoreHandler
from pytest_ragcheck.session.cluster.rpc import RpcBroker, RpcServer
from pytest_ragcheck.session.cluster.target import engine_target
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.store import Store, process_identity

KEY, OTHER = b"\1" * 32, b"\2" * 32

HANGS = 300
"""Seconds, against hangs alone."""


class Wired:
    """A broker in a loop of its own, and a server that answers what comes through it."""

    def __init__(self, handlers):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.broker = None
        self.restart()
        self.server = RpcServer(
            lambda replies: self._reached(self.broker.trade(replies)),
            lambda replies: self._started(self.broker.deliver(replies)),
            handlers,
        )

    def restart(self):
        """What Ray does with an actor that has died: a new one, which knows nothing."""

        async def made():
            return RpcBroker()

        former, self.broker = self.broker, self.wait(made())
        if former is not None:  # what the server waits for of a dead one ends
            self.wait(former.end())

    def wait(self, coroutine):
        return self._started(coroutine).result(20)

    def ask(self, caller, target, method, arguments, keywords):
        return self.wait(self.broker.ask(caller, target, method, arguments, keywords))

    async def ask_soon(self, caller, target, method, arguments, keywords):
        return await self._reached(self.broker.ask(caller, target, method, arguments, keywords))

    def tell(self, caller, target, method, arguments, keywords):
        self._started(self.broker.tell(caller, target, method, arguments, keywords))

    def close(self):
        self.server.close()
        self.wait(self._end_what_is_under_way())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    @staticmethod
    async def _end_what_is_under_way():
        """A loop that is closed over what was told last would make it fail the next test."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _started(self, coroutine):
        if self.loop.is_closed():
            coroutine.close()
            raise RuntimeError("closed")
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    async def _reached(self, coroutine):
        return await asyncio.wrap_future(self._started(coroutine))


@contextmanager
def wired(handlers):
    made = Wired(handlers)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def relayed(store):
    """A function that makes RemoteStores, as callers with a number, and the server."""
    with wired({"a store": StoreHandler(store)}) as made:

        def remote(caller):
            return RemoteStore(path=store.path, ask=partial(made.ask, caller, "a store"))

        yield remote, made.server


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
    with Store(tmp_path / "store.sqlite") as store, relayed(store) as (remote, server):
        one, two = remote(1), remote(2)
        first, second = (f"{process_identity()}|{name}" for name in ("one", "two"))
        assert one.claim("kind", KEY, owner=first, seconds=60.0)
        assert one.claim_many("kind", [OTHER], owner=first, seconds=60.0) == [OTHER]
        take = partial(two.claim, "kind", owner=second, seconds=60.0)
        assert not take(KEY)
        one.release("kind", KEY, owner=first)
        assert take(KEY)
        assert not take(OTHER)
        server.forget(1)
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


class Linked:
    """An RpcChannel without Ray."""

    def __init__(self, made, caller):
        self._made = made
        self._caller = caller

    async def ask(self, method, *arguments):
        return await self._made.ask_soon(self._caller, LIMITS, method, arguments, {})

    def tell(self, method, *arguments):
        self._made.tell(self._caller, LIMITS, method, arguments, {})


async def reached(condition):
    async with asyncio.timeout(HANGS):
        while not condition():
            await asyncio.sleep(0.005)


def whole(worst):
    """A call of which no reply is cut short."""
    return CallCost("judging", 0.0, worst, worst)


@pytest.mark.asyncio
async def test_actors_have_the_whole_of_a_limit_together_and_a_lost_one_gives_back_what_it_held():
    with wired({LIMITS: LimitServer(1.0)}) as made:
        one, two = (RemoteLimits(Linked(made, caller), 1.0) for caller in (1, 2))
        caps = {"concurrency": 3, "requests_per_minute": None}
        lost, other = (limits.limiter(Path("here"), "a model", **caps) for limits in (one, two))
        await one.budget.reserve(whole(0.95))
        for _ in range(3):
            await lost.admit(Admission())
        waits = [asyncio.create_task(other.admit(Admission())) for _ in range(4)]
        await reached(lambda: other.state().held_by == "limit")
        assert not any(task.done() for task in waits)
        made.server.forget(1)
        await reached(lambda: sum(task.done() for task in waits) == 3)
        for _ in range(2):
            with pytest.raises(NotRunError, match="another process has taken over"):
                await lost.admit(Admission())
        with pytest.raises(NotRunError, match=r"budget spent: 0\.9500 of 1\.0000"):
            await two.budget.reserve(whole(0.5))
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        other.close()


@pytest.mark.asyncio
async def test_what_was_asked_of_a_broker_that_died_is_given_once():
    with wired({LIMITS: LimitServer(None)}) as made:
        wanted = ("a model", {"concurrency": 1}, {})
        ask = partial(made.ask_soon, 1, LIMITS, "admit", (7, *wanted), {})
        await ask()
        made.restart()
        await asyncio.wait_for(ask(), HANGS)  # Ray asks again, as nobody has seen the reply
        other = asyncio.create_task(made.ask_soon(2, LIMITS, "admit", (1, *wanted), {}))
        await asyncio.sleep(0.05)
        assert not other.done()
        made.tell(1, LIMITS, "withdraw", (7,), {})
        await asyncio.wait_for(other, HANGS)


def test_files_that_are_not_there_are_looked_for_in_the_working_directory(tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        (folder / "project").mkdir(parents=True)
        (folder / "project" / "questions.yaml").write_text("[]")
        (folder / "project" / "ragcheck.toml").write_text('questions = "questions.yaml"\n')
    monkeypatch.chdir(here)
    settings = load_settings(there / "project", invocation=there)
    assert relocated(settings, there) == settings
    shutil.rmtree(there)
    assert relocated(settings, there).questions == here / "project" / "questions.yaml"
    assert relocated(settings, there).root == here / "project"
    named = replace(settings, documents=("docs", f"{there}/docs", f"!{there}/docs/old.md", "!/elsewhere"))
    assert relocated(named, there).documents == ("docs", f"{here}/docs", f"!{here}/docs/old.md", "!/elsewhere")
    assert relocated(settings, tmp_path / "elsewhere") == settings


@pytest.mark.parametrize("text", ["local", "ray", "ray://head.example:10001"])
def test_engines_that_there_are(text):
    assert engine_target(text) == text


@pytest.mark.parametrize("text", ["", "spark", "ray:", "ray://head.example", "ray://:10001", "rays"])
def test_engines_that_there_are_not(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected local, ray or ray://HOST:PORT"):
        engine_target(text)


def served(reply):
    """The port of a server that says this to whoever connects; None: nothing, ever."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with connection, server, suppress(ConnectionError):
            connection.recv(100)
            if reply is not None:
                connection.sendall(reply)
            connection.recv(100)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), None),  # gRPC's settings
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what listens there is no Ray cluster"),
        (b"", "what listens there is no Ray cluster"),
        (None, "no answer within 0.2 s"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_what_answers_at_an_address(reply, told, scheme, monkeypatch):
    monkeypatch.setattr("pytest_ragcheck.session.cluster.probe.PATIENCE", 0.2)
    if reply == b"":
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
        threading.Thread(target=lambda: (server.accept()[0].close(), server.close()), daemon=True).start()
        assert trouble_at(f"{scheme}127.0.0.1:{port}") in {told, "Connection reset by peer"}
    else:
        assert trouble_at(f"{scheme}127.0.0.1:{served(reply)}") == told


def test_nobody_answers_at_an_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert trouble_at(f"127.0.0.1:{port}") == "Connection refused"
    assert trouble_at("auto") is None
