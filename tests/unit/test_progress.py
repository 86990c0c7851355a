from __future__ import annotations

import asyncio
import io
from contextlib import redirect_stdout
from types import SimpleNamespace

import pytest
from _pytest._io import TerminalWriter

from pytest_ragcheck.gateway import Snapshot
from pytest_ragcheck.model import Usage
from pytest_ragcheck.session import progress
from pytest_ragcheck.session.progress import ERASED, Progress, progress_line


def snapshot(**values):
    counts = dict.fromkeys(
        ("in_flight", "limit", "queued", "asked", "done", "cached", "failed", "attempts", "retries", "refused"), 0
    )
    money = {"cost": 0.0, "unpriced": 0, "saved": 0.0, "usage": Usage(), "saved_usage": Usage()}
    return Snapshot(**counts | money | values)


class Reporter:
    """As much of pytest's reporter as is used, over pytest's own writer."""

    def __init__(self, stream, *, isatty):
        self.isatty = isatty
        self.writer = TerminalWriter(stream)
        self.writer.fullwidth = 60

    def ensure_newline(self):
        self.writer.line()

    def write_line(self, line):
        self.writer.line(line)


class Config:
    """As much of pytest's configuration as is asked for."""

    def __init__(self, stream, *, isatty, plugins=(), **options):
        self.reporter = Reporter(stream, isatty=isatty)
        self.options = {"log_cli_level": None, **options}
        # Only where capturing is off does sys.stdout lead to the terminal.
        capture = SimpleNamespace(global_and_fixture_disabled=lambda: redirect_stdout(stream))
        named = {"terminalreporter": self.reporter, "capturemanager": capture, **dict.fromkeys(plugins, object())}
        self.pluginmanager = SimpleNamespace(getplugin=named.get, hasplugin=named.__contains__)

    def getini(self, name):
        return self.options.get(name)

    getoption = getini

    def get_terminal_writer(self):
        return self.reporter.writer


@pytest.fixture
def stream(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.005)
    monkeypatch.setattr(progress, "FIRST_AFTER", 0.0)
    monkeypatch.setattr(progress, "LOG_LEAST", 0.0)
    return io.StringIO()


async def told(subject, count, text=""):
    """Wait in ``told`` until ``count`` more looks were taken."""
    with subject.told():
        while count > len(subject.looks):
            await asyncio.sleep(0.002)
    subject.looks.clear()


def make(config, states=((1, 4, ()),)):
    looks = []

    def state():
        looks.append(None)
        return states[min(len(looks), len(states)) - 1]

    subject = Progress(config, state)
    subject.looks = looks
    return subject


@pytest.mark.asyncio
async def test_a_terminal_is_left_as_it_was_found(stream):
    config = Config(stream, isatty=True)
    config.reporter.writer.write("test_a.py ..")
    subject = make(config)
    await told(subject, 3)
    config.reporter.writer.write(".")
    await told(subject, 2)
    await subject.close()
    written = stream.getvalue()
    assert written.startswith(f"test_a.py ..\n{ERASED}ragcheck: 1/4 questions, 0 s{ERASED}ragcheck: 1/4")
    assert f"{ERASED}\x1b[1A\x1b[12C.\n{ERASED}ragcheck:" in written
    assert written.endswith(f"0 s{ERASED}\x1b[1A\x1b[13C")
    assert config.reporter.writer.width_of_current_line == 13


@pytest.mark.asyncio
async def test_on_an_empty_line_nothing_moves(stream):
    subject = make(Config(stream, isatty=True))
    await told(subject, 2)
    await subject.close()
    assert stream.getvalue().startswith(f"{ERASED}ragcheck:")
    assert stream.getvalue().endswith(f"0 s{ERASED}")
    assert "\n" not in stream.getvalue()


@pytest.mark.asyncio
async def test_a_line_never_wraps(stream):
    wide = snapshot(in_flight=100, limit=1000, cached=1234, retries=77, cost=12.3, unpriced=1)
    subject = make(Config(stream, isatty=True), [(1000, 4000, [wide])])
    await told(subject, 1)
    await subject.close()
    lines = [line for line in stream.getvalue().split(ERASED) if line]
    assert {len(line) for line in lines} == {59}


@pytest.mark.asyncio
async def test_while_nobody_waits_nothing_is_told(stream):
    """A test of the user's own may run in the same loop, and pytest write beside it."""
    subject = make(Config(stream, isatty=True))
    await told(subject, 1)
    before = stream.getvalue()
    await asyncio.sleep(0.05)
    await subject.close()
    assert stream.getvalue() == before


@pytest.mark.asyncio
async def test_the_line_goes_where_waiting_is_broken_off(stream):
    subject = make(Config(stream, isatty=True))
    waiting = asyncio.create_task(told(subject, 10_000))
    while "ragcheck" not in stream.getvalue():
        await asyncio.sleep(0.002)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await subject.close()
    assert stream.getvalue().endswith(ERASED)


@pytest.mark.asyncio
async def test_a_log_gets_a_line_for_each_tenth_on_lines_of_their_own(stream):
    config = Config(stream, isatty=False)
    config.reporter.writer.write("test_a.py ..")
    states = [(done, 40, ()) for done in (1, 3, 4, 5, 7, 8, 40, 40)]
    subject = make(config, states)
    await told(subject, len(states))
    await subject.close()
    head, *lines = stream.getvalue().splitlines()
    assert head == "test_a.py .."
    assert [line.split(",")[0] for line in lines] == ["ragcheck: 4/40 questions", "ragcheck: 8/40 questions"]
    assert stream.getvalue().endswith("\n")


@pytest.mark.asyncio
async def test_a_log_hears_of_a_run_that_stands_still(stream, monkeypatch):
    monkeypatch.setattr(progress, "LOG_MOST", 0.03)
    subject = make(Config(stream, isatty=False), [(0, 40, ())])
    with subject.told():
        while stream.getvalue().count("ragcheck: 0/40") < 2:
            await asyncio.sleep(0.002)
    await subject.close()
    assert len(subject.looks) > 4, "not at every look"


@pytest.mark.asyncio
@pytest.mark.parametrize("isatty", [True, False])
async def test_a_batch_that_is_done_soon_needs_no_line(stream, monkeypatch, isatty):
    monkeypatch.setattr(progress, "FIRST_AFTER", 60.0)
    monkeypatch.setattr(progress, "LOG_LEAST", 60.0)
    subject = make(Config(stream, isatty=isatty))
    await told(subject, 3)
    await subject.close()
    assert stream.getvalue() == ""


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["worker", "no reporter"])
async def test_silent_on_workers_and_without_a_reporter(stream, kind):
    config = Config(stream, isatty=True)
    if kind == "worker":
        config.workerinput = {}
    else:
        config.pluginmanager.getplugin = lambda _: None
    subject = make(config)
    with subject.told():
        await asyncio.sleep(0.03)
    await subject.close()
    assert stream.getvalue() == ""
    assert subject.looks == []


@pytest.mark.parametrize(
    ("options", "term", "is_live"),
    [
        ({}, "xterm", True),
        ({"log_cli": True}, "xterm", False),
        ({"log_cli_level": "INFO"}, "xterm", False),
        ({}, "dumb", False),
    ],
)
def test_where_a_line_cannot_be_rewritten_there_are_sparse_ones(stream, monkeypatch, options, term, is_live):
    monkeypatch.setenv("TERM", term)
    config = Config(stream, isatty=True, plugins=["logging-plugin"], **options)
    assert Progress(config, lambda: (0, 1, ()))._is_live is is_live


def test_the_line():
    assert progress_line(3, 4, (), seconds=2.4) == "ragcheck: 3/4 questions, 2 s"
    busy = snapshot(in_flight=8, limit=16, retries=3, cost=0.0123)
    assert progress_line(12, 40, [busy], seconds=5) == (
        "ragcheck: 12/40 questions, 8 calls in flight (limit 16), 3 retries, $0.0123, 5 s"
    )
    both = progress_line(1, 2, [busy, snapshot(in_flight=1, limit=4, cached=2, unpriced=1)], seconds=61)
    assert both == (
        "ragcheck: 1/2 questions, 9 calls in flight (limit 20), 2 from the cache, 3 retries, "
        "$0.0123 and calls of unknown price, 61 s"
    )
