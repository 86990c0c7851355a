"""Answering in a loop of our own, where pytest-asyncio is not loaded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pytest_ragcheck.session.fixtures import await_result, new_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_ragcheck.model import Result
    from pytest_ragcheck.session.answers import LiveAnswers
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.workers import SharedAnswers


@pytest.fixture(scope="session")
def _ragcheck_runner() -> Iterator[asyncio.Runner]:
    # With a loop factory the Runner leaves the thread's current event loop alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="session")
def _ragcheck_live(
    request: pytest.FixtureRequest, _ragcheck_runner: asyncio.Runner
) -> Iterator[LiveAnswers | SharedAnswers]:
    answers = new_answers(request)
    yield answers
    _ragcheck_runner.run(answers.close())


@pytest.fixture
def _ragcheck_outcome(
    request: pytest.FixtureRequest,
    ragcheck_answers: LiveAnswers | SharedAnswers,
    _ragcheck_entry: Entry,
    _ragcheck_runner: asyncio.Runner,
) -> Callable[[], Result]:
    return _ragcheck_runner.run(await_result(ragcheck_answers, request, _ragcheck_entry))
