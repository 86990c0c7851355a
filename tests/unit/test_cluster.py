"""What drivers and actors of a cluster do, without a cluster."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import sqlite3
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from pytest_ragcheck.errors import NotRunError
from pytest_ragcheck.gateway.limiter import Outcome
from pytest_ragcheck.session.cluster.answering import relocated
from pytest_ragcheck.session.cluster.limits import Caps, LimitClerk
from pytest_ragcheck.session.cluster.line import LIMITS, RemoteLimits
from pytest_ragcheck.session.cluster.probe import trouble_at
from pytest_ragcheck.session.cluster.relay import Desk, Relay
from pytest_ragcheck.session.cluster.remote_store import RemoteStore, StoreClerk
from pytest_ragcheck.session.cluster.target import engine_target
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.store import Store, process_identity

KEY, OTHER = b"\1" * 32, b"\2" * 32


class Wired:
    """A relay in a loop of its own, and a desk that answers what comes through it."""

    def __init__(self, clerks):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.relay = None
        self.restart()
        self.desk = Desk(
            lambda replies: self._reached(self.relay.trade(replies)),
            lambda replies: self._started(self.relay.deliver(replies)),
            clerks,
        )

    def restart(self):
        """What Ray does with an actor that has died: a new one, which knows nothing."""

        async def made():
            return Relay()

        former, self.relay = self.relay, self.wait(made())
        if former is not None:  # what the desk waits for of a dead one ends
            self.wait(former.tell(0, LIMITS, "settle", (0, Outcome.NEUTRAL), {}))

    def wait(self, coroutine):
        return self._started(coroutine).result(20)

    def ask(self, caller, target, method, arguments, keywords):
        return self.wait(self.relay.ask(caller, target, method, arguments, keywords))

    async def ask_soon(self, caller, target, method, arguments, keywords):
        return await self._reached(self.relay.ask(caller, target, method, arguments, keywords))

    def tell(self, caller, target, method, arguments, keywords):
        self._started(self.relay.tell(caller, target, method, arguments, keywords))

    def close(self):
        self.desk.close()
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
def wired(clerks):
    made = Wired(clerks)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def relayed(store):
    """A function that makes RemoteStores, as callers with a number, and the desk."""
    with wired({"a store": StoreClerk(store)}) as made:

        def remote(caller):
            return RemoteStore(path=store.path, ask=partial(made.ask, caller, "a store"))

        yield remote, made.desk


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


class Actors:
    """Limiters and budgets as several actors have them."""

    def __init__(self, made, clerk):
        self._made = made
        self.clerk = clerk

    def limits(self, caller, max_cost=None):
        return RemoteLimits(Linked(self._made, caller), max_cost)

    def limiter(self, caller, **caps):
        settings = SimpleNamespace(root="here")
        caps = {"concurrency": None, "requests_per_minute": None, "tokens_per_minute": None} | caps
        return self.limits(caller).limiter(settings, "a model", **caps)


class Linked:
    """A Line without Ray."""

    def __init__(self, made, caller):
        self._made = made
        self._caller = caller

    async def ask_soon(self, target, method, *arguments, **keywords):
        return await self._made.ask_soon(self._caller, target, method, arguments, keywords)

    def tell(self, target, method, *arguments, **keywords):
        self._made.tell(self._caller, target, method, arguments, keywords)


@contextmanager
def actors(max_cost=None):
    clerk = LimitClerk(max_cost)
    with wired({LIMITS: clerk}) as made:
        yield made, Actors(made, clerk)


class Calls:
    """Calls of several actors: how many are in flight, of each and together."""

    def __init__(self):
        self.in_flight = Counter()
        self.peaks = Counter()
        self.together = 0

    async def make(self, name, limiter, count, until=None):
        async def call():
            ticket = await limiter.admit()
            self.in_flight[name] += 1
            self.peaks[name] = max(self.peaks[name], self.in_flight[name])
            self.together = max(self.together, self.in_flight.total())
            await (asyncio.sleep(0.002) if until is None else until.wait())
            self.in_flight[name] -= 1
            limiter.settle(ticket, Outcome.SUCCESS)

        await asyncio.gather(*(call() for _ in range(count)))


async def reached(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("never")


@pytest.mark.asyncio
async def test_actors_have_the_whole_of_a_cap_together_and_what_one_leaves_goes_to_the_others():
    with actors() as (_, made):
        one, two = made.limiter(1, concurrency=5), made.limiter(2, concurrency=5)
        calls, held, released = Calls(), asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(calls.make(1, one, 5, until=held))
        await reached(lambda: calls.in_flight[1] == 5)
        second = asyncio.create_task(calls.make(2, two, 12, until=released))  # joins
        await reached(lambda: two.queued == 12)
        assert (calls.in_flight[1], calls.in_flight[2]) == (5, 0)
        held.set()
        await first
        await reached(lambda: calls.in_flight[2] == 5)  # the other has finished: all places
        released.set()
        await second
        assert calls.together == 5


@pytest.mark.asyncio
async def test_a_lost_actor_gives_back_its_places_and_is_given_no_more():
    with actors() as (made, all_of_them):
        lost, other = (all_of_them.limiter(caller, concurrency=3) for caller in (1, 2))
        for _ in range(3):
            await lost.admit()
        waits = asyncio.create_task(lost.admit())
        calls, until = Calls(), asyncio.Event()
        calling = asyncio.create_task(calls.make(2, other, 6, until=until))
        await reached(lambda: other.queued == 6)
        made.desk.forget(1)
        await reached(lambda: calls.in_flight[2] == 3)
        with pytest.raises(NotRunError):
            await lost.admit()
        until.set()
        await calling
        assert calls.together == 3
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(("caps", "takes"), [({"requests_per_minute": 5}, 0.0), ({"tokens_per_minute": 500}, 100.0)])
async def test_a_rate_is_one_for_all_actors_also_after_one_is_lost(caps, takes):
    with actors() as (made, all_of_them):
        limiters = [all_of_them.limiter(caller, **caps) for caller in (1, 2, 3)]
        asked = [asyncio.create_task(one.admit(input_tokens=takes)) for one in limiters for _ in range(3)]
        await reached(lambda: sum(task.done() for task in asked) == 5)
        made.desk.forget(1)
        await asyncio.sleep(0.1)
        assert sum(task.done() and not task.cancelled() for task in asked) == 5
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_call_that_is_given_up_leaves_its_place():
    with actors() as (_, made):
        limiter = made.limiter(1, concurrency=1)
        ticket = await limiter.admit()
        waits = asyncio.create_task(limiter.admit())
        await reached(lambda: limiter.queued == 1)
        await asyncio.sleep(0.05)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        limiter.settle(ticket, Outcome.SUCCESS)
        again = await asyncio.wait_for(limiter.admit(), 60)
        limiter.withdraw(again)
        await asyncio.wait_for(limiter.admit(), 60)
        assert (limiter.in_flight, limiter.queued) == (1, 0)


@pytest.mark.asyncio
async def test_what_a_server_refuses_to_one_actor_all_learn():
    with actors() as (_, made):
        one, two = made.limiter(1), made.limiter(2)
        tickets = [await one.admit() for _ in range(20)]
        before = made.clerk.places
        one.settle(tickets.pop(), Outcome.REFUSED)
        await reached(lambda: made.clerk.places < before)
        waits = [asyncio.create_task(two.admit()) for _ in range(30)]
        await asyncio.sleep(0.1)
        assert sum(task.done() for task in waits) <= made.clerk.places
        assert one.refusals == 1
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_budget_is_one_for_all_actors_and_what_a_lost_one_had_set_aside_counts_as_spent():
    with actors(max_cost=1.0) as (made, all_of_them):
        one, two = (all_of_them.limits(caller, max_cost=1.0).budget for caller in (1, 2))
        await one.reserve(0.6)
        waits = asyncio.create_task(two.reserve(0.5))
        await asyncio.sleep(0.05)
        assert not waits.done()  # the call under way may yet cost less
        one.settle(0.6, 0.1)
        await asyncio.wait_for(waits, 60)
        two.settle(0.5, 0.2)
        await one.reserve(0.6)
        made.desk.forget(1)
        with pytest.raises(NotRunError, match=r"budget spent: 0\.9000 of 1\.0000"):
            await two.reserve(0.2)


@pytest.mark.asyncio
async def test_what_was_asked_of_a_relay_that_died_is_given_once():
    with actors() as (made, _):
        ask = partial(made.ask_soon, 1, LIMITS, "admit", (7, "a model", Caps(concurrency=1)), {"number": 7})
        await ask()
        made.restart()
        await asyncio.wait_for(ask(), 60)  # Ray asks again, as nobody has seen the reply
        other = asyncio.create_task(
            made.ask_soon(2, LIMITS, "admit", (1, "a model", Caps(concurrency=1)), {"number": 1})
        )
        await asyncio.sleep(0.05)
        assert not other.done()
        made.tell(1, LIMITS, "settle", (7, Outcome.SUCCESS), {})
        await asyncio.wait_for(other, 60)


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
