"""Answering in pytest-asyncio's session loop, the one that a user's own session-scoped clients live in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from pytest_ragcheck.session.fixtures import await_result, new_answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from pytest_ragcheck.model import Result
    from pytest_ragcheck.session.answers import LiveAnswers
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.workers import SharedAnswers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _ragcheck_live(request: pytest.FixtureRequest) -> AsyncIterator[LiveAnswers | SharedAnswers]:
    answers = new_answers(request)
    yield answers
    await answers.close()


@pytest_asyncio.fixture(loop_scope="session")
async def _ragcheck_outcome(
    request: pytest.FixtureRequest, ragcheck_answers: LiveAnswers | SharedAnswers, _ragcheck_entry: Entry
) -> Callable[[], Result]:
    return await await_result(ragcheck_answers, request, _ragcheck_entry)


OUR_FIXTURES = frozenset({"_ragcheck_live", "_ragcheck_outcome"})


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[Any, Any, Any]:
    """For a test that uses ``anyio_backend`` let pytest-asyncio take our fixtures before anyio does.

    anyio takes all async fixtures that such a test needs, and runs them in a loop of its own.
    """
    __tracebackhide__ = True
    asyncio_plugin: Any = request.config.pluginmanager.get_plugin("asyncio")
    if fixturedef.argname in OUR_FIXTURES and "anyio_backend" in request.fixturenames:
        return (yield from asyncio_plugin.pytest_fixture_setup(fixturedef, request))
    return (yield)
