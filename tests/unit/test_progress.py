from __future__ import annotations

import asyncio
import io
import json
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
from _pytest._io import TerminalWriter

from pytest_ragcheck.engine import Slots
from pytest_ragcheck.gateway import Snapshot
from pytest_ragcheck.gateway.limiter import LimiterState
from pytest_ragcheck.model import Usage
from pytest_ragcheck.report.progress import Pace, ProgressState, progress_line
from pytest_ragcheck.session import progress, progress_displays, workers_progress
from pytest_ragcheck.session.progress import Progress, progress_state
from pytest_ragcheck.session.progress_displays import ERASED, LiveLine, LogLines, terminal_display
from pytest_ragcheck.session.workers_progress import WorkersProgress

BAR = "ragcheck [=====>              ] 1/4 questions, 0 s"


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

    def __init__(self, stream, *, isatty=True, plugins=(), verbosity=0, **options):
        self.reporter = Reporter(stream, isatty=isatty)
        self.options = {"log_cli_level": None, "capture": "fd", **options}
        self.verbosity = verbosity
        # Only where capturing is off does sys.stdout lead to the terminal.
        capture = SimpleNamespace(global_and_fixture_disabled=lambda: redirect_stdout(stream))
        named = {"terminalreporter": self.reporter, "capturemanager": capture, **dict.fromkeys(plugins, object())}
        self.pluginmanager = SimpleNamespace(getplugin=named.get, hasplugin=named.__contains__)

    def getini(self, name):
        return self.options.get(name)

    getoption = getini

    def get_terminal_writer(self):
        return self.reporter.writer

    def get_verbosity(self):
        return self.verbosity


@pytest.fixture
def clock(monkeypatch):
    """Stands still, so that lines say the same on a busy machine."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress_displays, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def stream(monkeypatch, clock):
    monkeypatch.setattr(progress, "EVERY", 0.005)
    monkeypatch.setattr(workers_progress, "EVERY", 0.005)
    monkeypatch.setattr(progress_displays, "FIRST_AFTER", 0.0)
    monkeypatch.setattr(progress_displays, "LOG_LEAST", 0.0)
    return io.StringIO()


def state(questions=1, total=4, **values):
    return ProgressState(questions=questions, total=total, **values)


async def told(subject, count):
    """Wait in ``told`` until ``count`` more looks were taken."""
    with subject.told():
        while count > len(subject.looks):
            await asyncio.sleep(0.002)
    subject.looks.clear()


def make(config, states=None):
    states = states or [state()]
    looks = []

    def look():
        looks.append(None)
        return states[min(len(looks), len(states)) - 1]

    subject = Progress(config, look)
    subject.looks = looks
    return subject


# ---- On a terminal ---------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_line_stands_below_and_the_cursor_where_pytest_left_it(stream):
    config = Config(stream)
    config.reporter.writer.write("test_a.py ..")
    subject = make(config)
    await told(subject, 3)
    config.reporter.writer.write(".")
    await told(subject, 2)
    await subject.close()
    written = stream.getvalue()
    assert written.startswith(f"test_a.py ..\n{ERASED}{BAR}\r\x1b[1A\x1b[12C")
    assert f"\n{ERASED}\r\x1b[1A\x1b[12C.\n{ERASED}{BAR}\r\x1b[1A\x1b[13C" in written
    assert written.endswith(f"\n{ERASED}\r\x1b[1A\x1b[13C")
    assert config.reporter.writer.width_of_current_line == 13


@pytest.mark.asyncio
async def test_on_an_empty_line_nothing_moves(stream):
    subject = make(Config(stream))
    await told(subject, 2)
    await subject.close()
    assert stream.getvalue().startswith(f"{ERASED}{BAR}\r")
    assert stream.getvalue().endswith(f"{ERASED}\r")
    assert "\n" not in stream.getvalue()


def test_after_a_full_line_the_cursor_is_on_its_last_column(stream):
    config = Config(stream)
    config.reporter.writer.write("test_a.py::test_q PASSED".ljust(53) + "[ 50%]x")
    display = LiveLine(config)
    display.show(state())
    display.hide()
    assert stream.getvalue().endswith(f"\n{ERASED}\r\x1b[1A\x1b[59C")


@pytest.mark.asyncio
async def test_a_line_never_wraps(stream):
    wide = state(1000, 4000, asks_models=True, in_flight=100, limit=1000, cached=1234, retries=77, cost=12.3)
    subject = make(Config(stream), [wide])
    await told(subject, 1)
    await subject.close()
    lines = [line.rstrip("\r") for line in stream.getvalue().split(ERASED) if line.strip()]
    assert lines
    assert all(len(line) < 60 for line in lines)


@pytest.mark.asyncio
async def test_while_nobody_waits_nothing_is_told(stream):
    """A test of the user's own may run in the same loop, and pytest write beside it."""
    subject = make(Config(stream))
    await told(subject, 1)
    before = stream.getvalue()
    await asyncio.sleep(0.05)
    assert stream.getvalue() == before
    await subject.close()
    assert stream.getvalue() == before


@pytest.mark.asyncio
async def test_a_result_that_is_there_already_moves_nothing(stream):
    subject = make(Config(stream))
    await told(subject, 1)
    before = stream.getvalue()
    with subject.told():
        pass
    await asyncio.sleep(0)
    assert stream.getvalue() == before
    await subject.close()


@pytest.mark.asyncio
async def test_the_line_goes_where_waiting_is_broken_off(stream):
    subject = make(Config(stream))
    waiting = asyncio.create_task(told(subject, 10_000))
    while "ragcheck" not in stream.getvalue():
        await asyncio.sleep(0.002)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await subject.close()
    assert stream.getvalue().endswith(f"{ERASED}\r")


# ---- In a log --------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_log_gets_a_line_for_each_tenth_on_lines_of_their_own(stream):
    config = Config(stream, isatty=False)
    config.reporter.writer.write("test_a.py ..")
    states = [state(done, 40) for done in (0, 1, 3, 4, 5, 7, 8, 40, 40)]
    subject = make(config, states)
    await told(subject, len(states))
    await subject.close()
    head, *lines = stream.getvalue().splitlines()
    assert head == "test_a.py .."
    assert [line.split(",")[0] for line in lines] == ["ragcheck: 4/40 questions", "ragcheck: 8/40 questions"]
    assert stream.getvalue().endswith("\n")
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.asyncio
async def test_a_log_hears_of_a_run_that_stands_still(stream, clock):
    def look():
        clock.now += progress_displays.LOG_MOST / 3
        return state(0, 40)

    subject = Progress(Config(stream, isatty=False), look)
    with subject.told():
        while stream.getvalue().count("ragcheck: 0/40") < 2:
            await asyncio.sleep(0.002)
    await subject.close()
    assert re.findall(r"0/40 questions, ([^,]*) s", stream.getvalue())[:2] == ["30", "1 min 00"]


@pytest.mark.asyncio
@pytest.mark.parametrize("isatty", [True, False])
async def test_a_batch_that_is_done_soon_needs_no_line(stream, monkeypatch, isatty):
    monkeypatch.setattr(progress_displays, "FIRST_AFTER", 60.0)
    monkeypatch.setattr(progress_displays, "LOG_LEAST", 60.0)
    subject = make(Config(stream, isatty=isatty))
    await told(subject, 3)
    await subject.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("options", "term", "kind"),
    [
        ({}, "xterm", LiveLine),
        ({"isatty": False}, "xterm", LogLines),
        ({"plugins": ["logging-plugin"]}, "xterm", LiveLine),
        ({"plugins": ["logging-plugin"], "log_cli": True}, "xterm", LogLines),
        ({"plugins": ["logging-plugin"], "log_cli_level": "INFO"}, "xterm", LogLines),
        ({"capture": "no"}, "xterm", LogLines),
        ({}, "dumb", LogLines),
        ({"verbosity": -1}, "xterm", LiveLine),
        ({"verbosity": -2}, "xterm", type(None)),
    ],
    ids=str,
)
def test_where_a_line_cannot_be_rewritten_there_are_sparse_ones(stream, monkeypatch, options, term, kind):
    monkeypatch.setenv("TERM", term)
    assert type(terminal_display(Config(stream, **options))) is kind


@pytest.mark.asyncio
async def test_silent_without_a_reporter(stream):
    config = Config(stream)
    config.pluginmanager.getplugin = lambda _: None
    subject = make(config)
    with subject.told():
        await asyncio.sleep(0.03)
    await subject.close()
    assert stream.getvalue() == ""
    assert subject.looks == []


# ---- Under pytest-xdist ----------------------------------------------------------------------


def worker(stream, node, name):
    config = Config(stream)
    config.workerinput = {"workerid": name, **node.workerinput}
    return config


def node(name):
    return SimpleNamespace(workerinput={}, gateway=SimpleNamespace(id=name))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.002)


@pytest.mark.asyncio
async def test_the_controller_adds_up_what_its_workers_write(stream, tmp_path):
    controller_stream = io.StringIO()
    config = Config(controller_stream)
    config._tmp_path_factory = SimpleNamespace(getbasetemp=lambda: tmp_path)
    controller = WorkersProgress(config)
    nodes = {name: node(name) for name in ("gw0", "gw1")}
    for one in nodes.values():
        controller.pytest_configure_node(one)
    first = make(worker(stream, nodes["gw0"], "gw0"), [state(1, 4, in_flight=2, limit=8, asks_models=True)])
    second = make(worker(stream, nodes["gw1"], "gw1"), [state(2, 4, in_flight=3, limit=8, asks_models=True)])

    await told(first, 1)
    await told(second, 1)
    await until(lambda: "3/4 questions" in controller_stream.getvalue())
    *_, last = controller_stream.getvalue().split(ERASED)
    assert last.startswith("ragcheck [===============>    ] 3/4 questions, 0 s")
    assert stream.getvalue() == "", "a worker has no terminal"

    held = controller.pytest_runtest_logreport()
    next(held)  # pytest writes a dot now
    assert controller_stream.getvalue().endswith(f"{ERASED}\r"), "the line is gone meanwhile"
    with pytest.raises(StopIteration):
        held.send(None)
    assert "3/4 questions" in controller_stream.getvalue().split(ERASED)[-1], "and comes again"

    down = controller.pytest_testnodedown(nodes["gw1"])
    next(down)
    with pytest.raises(StopIteration):
        down.send(None)
    assert controller._state().in_flight == 2, "a dead worker has nothing in flight"

    (folder,) = {one.workerinput[workers_progress.WORKER_INPUT] for one in nodes.values()}
    assert Path(folder).parent == tmp_path, "pytest removes it, some runs after a kill"
    ended = controller.pytest_sessionfinish()
    next(ended)
    assert controller_stream.getvalue().endswith(f"{ERASED}\r")
    assert controller._thread is None
    assert not os.path.exists(folder)  # noqa: ASYNC240, PTH110
    await told(first, 1)  # writes to a folder that is gone, and does not mind
    await first.close()
    await second.close()


def test_a_file_that_is_no_state_is_passed_over(tmp_path):
    path = tmp_path / "gw0.json"
    for content in ("", "{", json.dumps({"questions": 1}), json.dumps([1])):
        path.write_text(content)
        assert workers_progress._read(path) is None


def test_without_a_terminal_workers_keep_no_files(stream):
    config = Config(stream)
    config.pluginmanager.getplugin = lambda _: None
    one = node("gw0")
    controller = WorkersProgress(config)
    controller.pytest_configure_node(one)
    assert one.workerinput == {}
    assert Progress(worker(stream, one, "gw0"), state)._display is None


# ---- The line --------------------------------------------------------------------------------


def test_the_line():
    assert progress_line(state(3), seconds=2.4) == "ragcheck: 3/4 questions, 2 s"
    busy = state(
        12, 40, answers=30, scores=61, asks_models=True, in_flight=8, limit=16, held_by="limit", retries=3, cost=0.0123
    )
    assert progress_line(busy, seconds=65, left=130) == (
        "ragcheck: 12/40 questions, 1 min 05 s, about 2 min 10 s left, 8 of 16 calls in flight, 3 retries, $0.01, "
        "30 answers, 61 scores"
    )
    odd = state(
        0,
        1,
        asks_models=True,
        in_flight=1,
        limit=1,
        held_by="limit",
        cached=2,
        retries=1,
        unpriced=1,
        answers=1,
        scores=1,
    )
    assert progress_line(odd, seconds=0, left=0.2) == (
        "ragcheck: 0/1 questions, 0 s, about 1 s left, 1 of 1 call in flight, 1 retry, "
        "$0.00 and calls of unknown price, 1 answer, 1 score, 2 from the cache"
    )


@pytest.mark.parametrize(
    ("held_by", "seconds", "text"),
    [
        ("", 0.0, "3 calls in flight"),
        ("limit", 0.0, "3 of 8 calls in flight"),
        ("rate", 0.2, "3 calls in flight, at the rate limit"),
        ("retry-after", 20.4, "3 calls in flight, the server asks to wait 20 s"),
        ("refusals", 0.3, "3 calls in flight, refused by the server, next try in a moment"),
        ("overload", 4.0, "3 calls in flight, the server is overloaded, next try in 4 s"),
        ("pace", 1 / 12, "3 calls in flight, paced by 429s: 12 a second"),
        ("pace", 6.0, "3 calls in flight, paced by 429s: 10 a minute"),
    ],
)
def test_the_line_says_what_holds_calls_back_and_no_limit_that_does_not(held_by, seconds, text):
    limit = 8 if held_by == "limit" else None
    held = state(1, asks_models=True, in_flight=3, limit=limit, held_by=held_by, held_seconds=seconds)
    assert progress_line(held, seconds=1).endswith(f", {text}")


@pytest.mark.parametrize(
    ("questions", "bar"),
    [(0, ">                   "), (1, ">                   "), (20, "==========>         "), (40, "=" * 20)],
)
def test_the_bar(questions, bar):
    assert progress_line(state(questions, 40), seconds=0, width=80).startswith(f"ragcheck [{bar}] {questions}/40")


@pytest.mark.parametrize("width", [10, 40, 60, 79, 200])
def test_what_does_not_fit_is_left_out_from_the_end(width):
    busy = state(12, 40, answers=30, asks_models=True, in_flight=8, limit=16, held_by="limit", retries=3, cost=0.0123)
    whole = progress_line(busy, seconds=5, left=12, width=1000)
    line = progress_line(busy, seconds=5, left=12, width=width)
    assert len(line) <= width
    assert whole.startswith(line)
    if len(line) < len(whole) and width >= 60:
        assert whole[len(line) :].startswith(", "), "no part is cut"


def test_the_pace_forgets_what_came_from_the_cache_at_once():
    pace = Pace()
    assert pace.left(0.0, 0, 100) is None
    assert pace.left(1.0, 50, 100) == pytest.approx(1.0)
    for second in range(2, 60):
        left = pace.left(float(second), 50 + second // 10, 100)
    assert left == pytest.approx(45 * 30 / 3, rel=0.2)
    assert pace.left(60.0, 100, 100) is None


def test_the_pace_of_a_run_that_stands_still_is_not_known():
    pace = Pace()
    assert [pace.left(float(second), 5, 10) for second in range(40)] == [None] * 40


def test_states_of_several_gateways_and_processes_add_up():
    counts = dict.fromkeys(("asked", "done", "cached", "failed", "attempts", "retries"), 0)
    money = {"cost": 0.0, "unpriced": 0, "saved": 0.0, "usage": Usage(), "saved_usage": Usage()}
    one = Snapshot(
        **counts | money | {"limiter": LimiterState(in_flight=8, limit=16, held_by="limit"), "retries": 3, "cost": 0.5}
    )
    other = Snapshot(
        **counts | money | {"limiter": LimiterState(in_flight=1, limit=4, held_by="limit"), "cached": 2, "unpriced": 1}
    )
    slots = Slots(sequential=False)
    slots.answers, slots.scores = 5, 9

    own = progress_state(3, 10, slots, [one, other])

    assert own == state(
        3,
        10,
        answers=5,
        scores=9,
        asks_models=True,
        in_flight=9,
        limit=20,
        held_by="limit",
        cached=2,
        retries=3,
        cost=0.5,
        unpriced=1,
    )
    assert not progress_state(3, 10, slots, []).asks_models
    other = state(1, 10, answers=1, in_flight=2, limit=20, held_by="overload", held_seconds=3.0)
    both = ProgressState.sum_of([own, other], total=10)
    assert (both.questions, both.total, both.answers, both.asks_models) == (4, 10, 6, True)
    assert (both.in_flight, both.limit) == (own.in_flight + 2, 20), "processes share their limits"
    assert (both.held_by, both.held_seconds) == ("overload", 3.0), "what holds calls back longest"
